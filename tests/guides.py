"""What is written for operators, taken apart: blocks, links, and calls of `collector`.

That is Markdown: the guides of `deploy/guides`, the README, and what stands beside other files.
"""

from __future__ import annotations

import re
import shlex
from itertools import dropwhile, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from collector.cli import app
from tests.certificates import Authority
from tests.support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDES = ROOT / "deploy" / "guides"
INDEX = GUIDES / "README.md"

SECRETS = "/run/secrets"
"""Where the guides have secrets and certificates."""

COMMAND: Any = typer.main.get_command(app)

_FENCE = re.compile(r"^( *)```(\w*) ?(\S*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?(.*?)\n.*?^\1$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")

_PUNCTUATION = "();|&<>\n"
_KEYWORDS = {"{", "!", "do", "then", "if", "while", "time", "exec"}


# Markdown.


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: the first word behind the fence; empty if nothing is there.
        file: the second, what the block is the text of; empty without one.
        text: without the indent of the fence, as in a list.
    """

    language: str
    file: str
    text: str


def blocks(guide: Path, language: str, *, section: str = "") -> list[Block]:
    """Return the blocks of a language, in their order.

    Args:
        guide: the file.
        language: as it stands behind the fence.
        section: what the heading of the section begins with that they are in; empty for all.
    """
    text = text_of(guide, section) if section else guide.read_text(encoding="utf-8")
    found = _FENCE.findall(text)
    return [
        Block(word, file, re.sub(f"(?m)^{indent}", "", shown))
        for indent, word, file, shown in found
        if word == language
    ]


def files(guide: Path, language: str) -> dict[str, str]:
    """Return the blocks of a language by the file that they are."""
    return {block.file: block.text for block in blocks(guide, language)}


def configurations(guide: Path) -> list[str]:
    """Return the whole configurations that a guide shows."""
    return [block.text for block in blocks(guide, "yaml") if block.file == "collector.yaml"]


def text_of(guide: Path, section: str) -> str:
    """Return what is under a heading, by what the heading begins with.

    It goes on to the next heading of this level, or of one above.
    """
    heading = re.compile(rf"^(##+) {re.escape(section)}.*\n", re.MULTILINE)
    parts = heading.split(guide.read_text(encoding="utf-8"), maxsplit=1)
    assert len(parts) > 1, f"{guide.name} has no section {section}"
    _, level, text, *_ = parts
    return re.split(rf"^#{{2,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def prose(guide: Path) -> str:
    """Return a guide without its fenced blocks."""
    return _FENCE.sub("", guide.read_text(encoding="utf-8"))


def headings(guide: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a Markdown file."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in _HEADING.findall(prose(guide))
    }


def links(guide: Path) -> list[str]:
    """Return where the links of a guide lead."""
    return _LINK.findall(prose(guide))


def broken_links(guide: Path) -> list[str]:
    """Return the links to what is not there in this repository; those to sites are not followed."""
    wrong = []
    for link in links(guide):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = (guide.parent / path).resolve() if path else guide
        is_there = file.exists() and file.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in headings(file)):
            wrong.append(link)
    return wrong


# Calls of the collector.


def calls(guide: Path) -> list[list[str]]:
    """Return the words behind each `collector` that a guide has you paste."""
    return [words for block in blocks(guide, "sh") for words in calls_of(block.text)]


def calls_of(script: str) -> Iterator[list[str]]:
    """Yield what follows `collector` wherever a shell script calls it.

    Also in a container, as `docker compose exec SERVICE collector …`, under another user, and in a
    substitution. What a function passes on (`"$@"`) is left out.
    """
    script = _COMMENT.sub(r"\1", _HERE_DOCUMENT.sub(r"\2", script.replace("\\\n", " ")))
    for words in _commands(script):
        for word in words:
            for inner in _SUBSTITUTION.findall(word):
                yield from calls_of(inner)
        program, *given = _called(words) or [""]
        own = [word for word in given if word != "$@"]
        if Path(program).name == "collector" and (own or not given):
            yield own


def mentions(text: str) -> list[list[str]]:
    """Return what follows `collector` in the spans of a text, as `collector spool status -c FILE`.

    Of `list|show` each is one; brackets around what may be left out are taken away.
    """
    found = []
    for span in _SPAN.findall(_FENCE.sub("", text)):
        name, *words = re.sub(r"[\[\]…]", "", span.replace("\\|", "|")).split() or [""]
        if name == "collector" and words and not words[0].isupper():
            found += map(list, product(*(word.split("|") for word in words)))
    return found


def problem_of(call: list[str], *, is_whole: bool = True) -> str | None:
    """Return why the command line refuses a call of `collector`; None if it does not.

    Nothing is carried out. Files that it reads are looked for in the working directory.

    Args:
        call: the words behind `collector`.
        is_whole: whether it can be given as it is: what a command requires is there, and values
            are those that it takes; else its words are names and places of the command line.
    """
    command, rest = COMMAND, list(call)
    context = typer.Context(command, info_name="collector", **command.context_settings)
    try:
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            name, *rest = rest
            command = command.get_command(context, name)
            if command is None:
                return f"{context.command_path} has no command {name}"
            context = typer.Context(command, info_name=name, parent=context)
        if not is_whole:
            _understand(command, rest, context)
        elif hasattr(command, "commands") and not rest:
            return f"{context.command_path} is no command alone"
        else:
            command.make_context(context.info_name, rest, parent=context.parent)
    except typer.Exit:  # it has shown its help or version
        return None
    except typer.TyperException as error:
        return str(error)
    return None


def _understand(command: Any, words: list[str], context: typer.Context) -> None:
    """Look whether a command has these options and a place for these arguments.

    Raises:
        typer.TyperException: it has not, or an option that takes a value has none.
    """
    _, left, _ = command.make_parser(context).parse_args(list(words))
    if left:
        raise typer.TyperException(f"there is no place for {' '.join(left)}")


def _commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, without what is redirected."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token and set(token) <= set("<>"):
            next(tokens, None)
        elif token and set(token) <= set(_PUNCTUATION):
            if token != "()":  # then they are the name of a function
                yield words
            words = []
        else:
            words.append(token)
    yield words


def _called(words: list[str]) -> list[str]:
    """Return a command without what calls it."""
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _KEYWORDS):
        words = words[1:]
    match words:
        case ["sudo" | "runuser", "-u", _, *rest]:
            return _called(rest[1:] if rest[:1] == ["--"] else rest)
        case ["sudo" | "systemd-run", *rest]:
            return _called(_without_options(rest))
        case ["timeout", _, *rest]:
            return _called(rest)
        case ["docker" | "kubectl", *rest]:
            return _in_container(rest)
        case [python, "-m", *rest] if Path(python).name.startswith("python"):
            return rest
    return words


def _in_container(words: list[str]) -> list[str]:
    """Return the command that is carried out in a container; nothing if there is none."""
    if "--" in words:
        return words[words.index("--") + 1 :]
    if "exec" in words:
        return _without_options(words[words.index("exec") + 1 :])[1:]  # behind the service
    if "run" in words and "collector" in words:
        return words[words.index("collector", words.index("run")) :]  # an image that calls itself
    return []


def _without_options(words: list[str]) -> list[str]:
    return list(dropwhile(lambda word: word.startswith("-"), words))


# Settings.


def usable(settings: str, directory: Path) -> str:
    """Make what settings name below `/run/secrets` in a directory; return them with its path."""
    make_secrets(settings, directory)
    return with_own_spool(settings, directory).replace(SECRETS, str(directory))


def with_own_spool(settings: str, directory: Path) -> str:
    """Return settings whose spool is in a directory, whatever this machine has in the usual one."""
    line = f"  path: {directory / 'spool'}\n"
    if re.search(r"^spool:\n", settings, re.MULTILINE):
        return re.sub(r"^spool:\n", f"spool:\n{line}", settings, flags=re.MULTILINE)
    return f"{settings}\nspool:\n{line}"


def make_secrets(settings: str, directory: Path) -> None:
    """Make the secrets that settings name, in a directory.

    Names that end in `.pem` or `.key` are a certificate for this machine and its key.
    """
    names = set(re.findall(rf"{SECRETS}/([\w.-]+)", settings))
    if any(name.endswith((".pem", ".key")) for name in names):
        authority = Authority(directory)
        issued = authority.issue("collector.example", "localhost", "127.0.0.1", name="server")
        (directory / "server.pem").write_bytes(issued.cert_file.read_bytes())
        (directory / "server.key").write_bytes(issued.key_file.read_bytes())
    for name in names:
        if not (directory / name).exists():
            (directory / name).write_text(f"{name}-of-the-test")
