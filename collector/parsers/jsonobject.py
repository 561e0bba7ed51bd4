"""JSON messages: text in, one object out, everything else a `ParseError`.

orjson sets the bounds: nesting ends at 1024 levels, integers beyond 64 bits become floats, the last
of several equal keys counts. A message that was damaged on its way is read as far as it goes.
"""

from typing import Any, Final

import orjson

from collector.parsers import repairs
from collector.parsers.base import ParseError
from collector.parsers.jsonrepair import complete, mend
from collector.parsers.text import encodable
from collector.parsers.vendor import Decoded
from collector.parsers.wrapping import unwrap

# What is undone, in this order: each finds what the ones before it have left.
_REPAIRS: Final = (unwrap, complete, mend)


def decode_object(raw: str) -> Decoded:
    """Decode a message that is one JSON object, and repair it if need be.

    A message that parses as it is costs nothing but that. Any other is taken out of what is
    wrapped around it (`unwrap`), completed (`complete`) and mended (`mend`), until it parses.
    Text that follows the object is no damage: it may be another one, so nothing of it is read.

    Args:
        raw: the whole message.

    Returns:
        The message as it can be encoded (see `encodable`), the object, and the tags of what was
        repaired.

    Raises:
        ParseError: ``not_json``, ``too_deep`` or ``not_an_object``.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _decode_damaged(raw)
    if not isinstance(value, dict):
        raise _not_an_object(value)
    return raw, value, ()


def _decode_damaged(raw: str) -> Decoded:
    text, tags = encodable(raw)
    payload = text
    for repair in _REPAIRS:
        payload, found = repair(payload)
        tags += found
        try:
            value = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            refusal = error
            if not payload.startswith("{"):
                break
        else:
            if not isinstance(value, dict):
                raise _not_an_object(value)
            if not value and repairs.TRUNCATED in tags:
                raise ParseError("not_json", "not JSON: cut before its first field was complete")
            return text, value, tuple(dict.fromkeys(tags))
    raise _parse_error(refusal) from refusal


def _not_an_object(value: Any) -> ParseError:
    return ParseError("not_an_object", f"JSON, but {_kind(value)} and not an object")


def _parse_error(refusal: orjson.JSONDecodeError) -> ParseError:
    # orjson has one exception for everything and no code in it; its message never quotes text.
    reason = "too_deep" if refusal.msg.startswith("depth limit exceeded") else "not_json"
    return ParseError(reason, f"not JSON: {refusal}")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    return "a number, true, false or null"
