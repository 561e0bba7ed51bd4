"""A settings file as plain data: safe YAML within bounds, every key written once.

Settings are trusted more than messages, but a file can be damaged, generated or mounted from the
wrong place. So its size, its depth and what its aliases unfold to are bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from collector.settings.problems import ConfigError, Problem, kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 50_000

_TIMESTAMP_TAG = "tag:yaml.org,2002:timestamp"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"
_NUMBER_TAG = "tag:yaml.org,2002:int"

# Octal numbers and those to the base of 60: hardly ever meant by whoever writes 0123 or 12:30.
_NO_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)$")

# A number as it would be written again. Others are not, as 1_000 (1000) and 0x10 (16).
_PLAIN_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]*")

# PyYAML quotes words of the file in its messages, and such a word can be (part of) a secret that
# was written without quotes, as in `token: *secret`. Characters and names of tokens are shown.
_QUOTED = re.compile(r""" ?(?:'(?P<word>[^']*)'|"[^"]*")""")
_SHOWN = re.compile(r"|.|\\t|<[a-z ]+>")


def read_text(path: Path) -> str:
    """Read a settings file.

    Args:
        path: The file.

    Returns:
        Its text, without a byte order mark.

    Raises:
        ConfigError: The file cannot be read, is longer than `MAX_BYTES`, or is not UTF-8.
    """
    return text_of(read_content(path), str(path))


def read_content(path: Path) -> bytes:
    """Read a settings file as it is; raises ConfigError where it cannot be, or is too long."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; accepted: a readable YAML file"
        raise ConfigError(str(path), [Problem("", problem)]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError(str(path), [Problem("", "is too long; accepted: at most 1MiB")])
    return content


def text_of(content: bytes, source: str) -> str:
    """Return the text of a settings file, without a byte order mark.

    Args:
        content: What `read_content` returned.
        source: The name of the file in messages.

    Raises:
        ConfigError: It is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = Problem(f"line {line}", "is not UTF-8; accepted: text in UTF-8")
    # Not chained: the exception carries the content.
    raise ConfigError(source, [problem])


def read_mapping(
    text: str, source: str, *, texts: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """Read the settings a YAML text holds.

    Args:
        text: One YAML document.
        source: The name of the text in messages.
        texts: Keys whose numbers, in any mapping, are the texts that were written, without quotes
            too; what would not be read as it is written is a mistake.

    Returns:
        The document's mapping; every key of every mapping in it is a string.

    Raises:
        ConfigError: The text is not YAML, holds a key twice, exceeds a bound, or is not a mapping.
    """
    try:
        loader = _Loader(text, texts)
        tree = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(source, [_problem(error, text)]) from None
    if not isinstance(tree, dict):
        what = f"holds {kind_of(tree)} where a mapping is expected"
        raise ConfigError(source, [Problem("", f"{what}; accepted: settings as `name: value`")])
    if loader.mistakes:
        raise ConfigError(source, loader.mistakes)
    return tree


class _Loader(yaml.SafeLoader):
    """Safe loading with bounds, without tags, keys as text, and duplicate keys found."""

    # Without timestamps: a date that is written as a text stays that text. So does what YAML 1.1
    # alone takes for a number. The first pattern that matches decides.
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML declares it so
        first: [
            *([(_TEXT_TAG, _NO_NUMBER)] if first in "+-0123456789" else []),
            *((tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP_TAG),
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str, texts: AbstractSet[str]) -> None:
        super().__init__(text)
        self.mistakes: list[Problem] = []
        self._texts = texts
        # Both with aliases unfolded: values composed so far, and the deepest level of the value
        # that is being composed.
        self._values = 0
        self._deepest = 0
        self._depth = 0
        self._extents: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, measuring what it unfolds to."""
        event = self.peek_event()  # type: ignore[no-untyped-call] # untyped in the stubs
        start = event.start_mark
        if getattr(event, "tag", None) not in {None, "!"}:
            raise ComposerError(None, None, "a tag (!…), which no setting needs", start)
        is_alias = self.check_event(yaml.AliasEvent)
        values_before, deepest_before = self._values, self._deepest
        self._depth += 1
        self._values += 1
        self._deepest = self._depth
        self._check_bounds(start)
        node = super().compose_node(parent, index)
        if node is not None and is_alias:
            if node not in self._extents:
                raise ComposerError(None, None, "an alias stands inside what it names", start)
            values, levels = self._extents[node]
            self._values += values
            self._deepest += levels
            self._check_bounds(start)
        elif node is not None:
            self._extents[node] = (self._values - values_before, self._deepest - self._depth)
        self._deepest = max(self._deepest, deepest_before)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping whose keys are the text that was written, each of them once.

        So are the numbers of those that are texts.
        """
        mapping = super().compose_mapping_node(anchor)
        first_lines: dict[str, int] = {}
        for key, value in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ComposerError(None, None, "a list or mapping as a key", key.start_mark)
            if key.tag == _MERGE_TAG:
                continue
            key.tag = _TEXT_TAG  # so that `on:` and `5514:` are unknown settings by their own name
            if key.value in first_lines:
                twice = f"{shown(key.value)} is written twice, first on line"
                message = f"{twice} {first_lines[key.value]}; accepted: each key once"
                self.mistakes.append(Problem(_place(key.start_mark), message))
            first_lines.setdefault(key.value, key.start_mark.line + 1)
            if key.value in self._texts and value.tag == _NUMBER_TAG:
                self._take_for_text(value)
        return mapping

    def _take_for_text(self, number: yaml.Node) -> None:
        """Have a number be the text that was written; it may be a secret, and is not shown."""
        if not _PLAIN_NUMBER.fullmatch(number.value):
            message = "a number that is not read as it is written; accepted: a text in quotes"
            self.mistakes.append(Problem(_place(number.start_mark), message))
        number.tag = _TEXT_TAG

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; one that Python refuses, as too long a number, is named."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise ConstructorError(
                None, None, "a value that cannot be read", node.start_mark
            ) from error

    def _check_bounds(self, mark: yaml.Mark) -> None:
        if self._deepest > MAX_DEPTH:
            raise ComposerError(None, None, f"more than {MAX_DEPTH} levels", mark)
        if self._values > MAX_VALUES:
            raise ComposerError(None, None, f"more than {MAX_VALUES} values", mark)


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _problem(error: yaml.YAMLError, text: str) -> Problem:
    """Tell a YAML error with its place and without the words PyYAML quotes from the file."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Problem(f"line {line}", "holds a control character; accepted: printable text")
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem("", "is not YAML")
    words = [error.problem or "a syntax error"]
    if words[0].startswith("but ") and error.context:
        words.insert(0, error.context)
    reason = _QUOTED.sub(_without_secret, ", ".join(words))
    hint = "; accepted: indentation with blanks, not tabs" if "'\\t'" in reason else ""
    return Problem(_place(error.problem_mark), f"is not valid YAML: {reason}{hint}")


def _without_secret(quoted: re.Match[str]) -> str:
    word = quoted["word"]
    return quoted[0] if word is not None and _SHOWN.fullmatch(word) else ""
