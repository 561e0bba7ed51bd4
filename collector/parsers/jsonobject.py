"""JSON messages: text in, one object out, everything else a `ParseError`.

orjson sets the bounds: nesting ends at 1024 levels, ``NaN`` and infinite numbers are refused,
integers beyond 64 bits become floats, the last of several equal keys counts.
"""

import re
from typing import Any, Final

import orjson

from collector.parsers.base import ParseError
from collector.parsers.text import well_formed

# An escape sequence inside a JSON text. Pairs of surrogates and every other escape are passed
# over as a whole, so that the group finds exactly the halves that stand alone.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|.)",
    re.DOTALL,
)

# What a sender may have put before the text; RFC 8259 section 8.1 lets a reader ignore it.
_BOM: Final = "\ufeff"


def decode_object(raw: str) -> tuple[str, dict[str, Any]]:
    r"""Decode a message that is one JSON object.

    Args:
        raw: the whole message.

    Returns:
        The message as it can be encoded again (see `well_formed`), and the object. An escaped lone
        surrogate (``"\ud800"``, which some agents write for file names that are not UTF-16) is
        read as U+FFFD: it is no reason to lose the event.

    Raises:
        ParseError: ``not_json``, ``too_deep`` or ``not_an_object``.
    """
    text = raw
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        text = well_formed(raw)
        value = _decode_damaged(text.removeprefix(_BOM))
    if type(value) is not dict:
        raise ParseError("not_an_object", f"JSON, but {_kind(value)} and not an object")
    return text, value


def _decode_damaged(text: str) -> Any:
    if "\\u" in text:
        text = _ESCAPE.sub(lambda escape: r"\ufffd" if escape[1] else escape[0], text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _refusal(error) from error


def _refusal(error: orjson.JSONDecodeError) -> ParseError:
    # orjson has one exception for everything and no code in it; its message never quotes text.
    reason = "too_deep" if error.msg.startswith("depth limit exceeded") else "not_json"
    return ParseError(reason, f"not JSON: {error}")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    return "a number, true, false or null"
