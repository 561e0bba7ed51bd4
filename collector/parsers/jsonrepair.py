r"""Repairs of JSON: what was cut short is completed, and what JSON forbids is written as it allows.

`complete` and `mend` take a text that is no JSON and return one that may be, with the tags of what
they found. They tell what stands inside of the texts in it from what stands outside, and leave the
reading to a JSON parser: damage of any other kind is still there for it to refuse. They take time
linear in the text, whatever it holds.
"""

import re
from typing import Final

import orjson

from collector.parsers import repairs

_BLANKS: Final = " \t\r\n\0"  # NULs between tokens are passed over
_NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")
_LITERALS: Final = ("true", "false", "null", *_NOT_FINITE)

_BRACKET_OR_COMMA: Final = re.compile(r"[\[\]{},]")

# What may follow the last bracket or comma of an object or a list that was cut short. Texts are
# shown without their content: `""` is a whole one, `"` one that does not end. The group is the
# value, which in an object follows a key.
_BLANK: Final = rf"[{_BLANKS}]*+"
_VALUE: Final = rf'(""{_BLANK}|"|[^":{_BLANKS}]*+{_BLANK})'
_NOTHING: Final = re.compile(rf"{_BLANK}()")
_END_AFTER: Final = {
    "}": _NOTHING,
    "]": _NOTHING,
    "[": re.compile(rf"{_BLANK}{_VALUE}"),
    "{": re.compile(rf'{_BLANK}(?:""{_BLANK}:{_BLANK}{_VALUE}|""{_BLANK}|"?)'),
}
_CUT_NUMBER: Final = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*+)(?:\.(?:[0-9]++(?:[eE][+-]?[0-9]*+)?)?|[eE][+-]?[0-9]*+)?)?"
)

# How a text may end that was cut within an escape, or between those of a surrogate pair.
_CUT_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_CUT_PAIR: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_ESCAPE_CHARACTERS: Final = len(r"\ud83d")

# What JSON allows in no text, as far as a quick look can tell.
_SUSPECT: Final = re.compile(r"[\0-\x1f]|\\u[dD][89a-fA-F]")
# Pairs of surrogates and all other escapes are passed over as a whole, so that `lone` is exactly
# the halves that stand alone. A backslash before a control character is no escape and stays one.
_ESCAPE_OR_CONTROL: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|.)"
    r"|(?P<nul>\0)|(?P<control>[\x01-\x1f])",
    re.DOTALL,
)
_DAMAGE: Final = {
    "lone": repairs.LONE_SURROGATES,
    "nul": repairs.NUL,
    "control": repairs.CONTROL_CHARACTERS,
    "number": repairs.NUMBER,
}
_ESCAPED: Final = {chr(code): f"\\u{code:04x}" for code in range(0x20)}

_NUMBER: Final = re.compile(
    r"(?<![\w.+-])"
    r"(?:NaN|-?(?:Infinity|(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?))"
    r"(?![\w.+-])"
)
_SHORTEST_REFUSED: Final = len("1e309")


def complete(payload: str) -> tuple[str, tuple[str, ...]]:
    """Complete a JSON object that was cut short, anywhere.

    Everything before the cut is kept, and of a text that is a value the part that is there, up to
    its last whole character. A key, a number or a literal that may have gone on is left out, and
    so is a key without its value.

    Args:
        payload: a text that begins with ``{``.

    Returns:
        The completed text and the tag; the text as it is where nothing is open at its end, or
        where what is there is not the beginning of JSON.
    """
    parts = _split(payload)
    outside = '"'.join(parts[::2])  # a quote stands for each text
    opened, place = _find_last(outside)
    if not opened:
        return payload, ()
    last = outside[place]
    end = outside[place + 1 :].replace('"', '""') + ('"' if len(parts) % 2 == 0 else "")
    found = _END_AFTER[opened[-1] if last == "," else last].fullmatch(end)
    if found is None:
        return payload, ()
    value = found[1] or ""
    if value == '"':
        parts[-1:] = _whole_characters(parts[-1]), ""
    elif _is_cut(value):
        kept = outside[: place + (last != ",")].split('"')
        del parts[2 * len(kept) - 1 :]
        parts[-1] = kept[-1]
    closing = ["}" if bracket == "{" else "]" for bracket in reversed(opened)]
    return '"'.join(parts) + "".join(closing), (repairs.TRUNCATED,)


def mend(payload: str) -> tuple[str, tuple[str, ...]]:
    r"""Write a JSON text as JSON allows, where what it means is clear although JSON forbids it.

    - Control characters in texts, NUL among them, are escaped; NULs between them are left out.
    - Lone surrogates that are escaped (``"\ud800"``, which some agents write for file names that
      are not UTF-16) become U+FFFD.
    - Numbers beyond the range of a double (``1e999``) become texts. ``NaN`` and ``Infinity``,
      which Python writes, become null, which JavaScript writes for them.

    Args:
        payload: any text.

    Returns:
        The text, and a tag for each kind of damage.
    """
    found: dict[str, None] = {}

    def mend_in_text(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind is None:
            return match[0]
        found[kind] = None
        return _ESCAPED.get(match[0], r"\ufffd")

    def mend_number(match: re.Match[str]) -> str:
        word = match[0]
        if not _is_refused(word):
            return word
        found["number"] = None
        return "null" if word in _NOT_FINITE else f'"{word}"'

    def mend_outside(part: str) -> str:
        if "\0" in part:
            found["nul"] = None
            part = part.replace("\0", "")
        return _NUMBER.sub(mend_number, part) if len(part) >= len("NaN") else part

    parts = _split(payload)
    parts[::2] = map(mend_outside, parts[::2])
    for index in range(1, len(parts), 2):
        if _SUSPECT.search(parts[index]):
            parts[index] = _ESCAPE_OR_CONTROL.sub(mend_in_text, parts[index])
    return '"'.join(parts), tuple(_DAMAGE[kind] for kind in found)


def _split(text: str) -> list[str]:
    """Split at each quote that begins or ends a text in JSON.

    Returns:
        What stands outside of texts at even places, the content of texts at odd ones; a content at
        the last place is not ended by a quote.
    """
    if "\\" not in text:
        return text.split('"')
    parts: list[str] = []
    pieces: list[str] = []
    for piece in text.split('"'):
        pieces.append(piece)
        if len(parts) % 2 == 0 or not _escapes_next(piece):
            parts.append('"'.join(pieces))
            pieces.clear()
    if pieces:
        parts.append('"'.join(pieces))
    return parts


def _escapes_next(text: str) -> bool:
    """Say whether a text ends in a backslash that is not escaped itself."""
    return text.endswith("\\") and (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _find_last(outside: str) -> tuple[list[str], int]:
    """Find the last bracket or comma; return the brackets still open there, and its place."""
    opened: list[str] = []
    last = None
    for last in _BRACKET_OR_COMMA.finditer(outside):
        sign = last[0]
        if sign in "{[":
            opened.append(sign)
        elif sign != "," and opened:
            opened.pop()
    return opened, last.start() if last else 0


def _whole_characters(text: str) -> str:
    """Remove what is there of the character that a text was cut in."""
    text = text.removesuffix("\ufffd")  # which stands for octets that are no UTF-8
    for cut in (_CUT_ESCAPE, _CUT_PAIR):
        found = cut.search(text, max(0, len(text) - _ESCAPE_CHARACTERS))
        if found and not _escapes_next(text[: found.start()]):
            text = text[: found.start()]
    return text


def _is_cut(value: str) -> bool:
    """Say whether a number or a literal at the end of a message may have gone on."""
    if value in _LITERALS:
        return False
    return bool(_CUT_NUMBER.fullmatch(value)) or any(
        literal.startswith(value) for literal in _LITERALS
    )


def _is_refused(word: str) -> bool:
    """Say whether a parser refuses a number that JSON allows, or a literal that it does not."""
    if word in _NOT_FINITE:
        return True
    if len(word) < _SHORTEST_REFUSED:
        return False
    try:
        orjson.loads(word)
    except orjson.JSONDecodeError:
        return True
    return False
