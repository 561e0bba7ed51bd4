"""Wrappings: what relays put around a payload without reading it.

A relay that takes an octet count for text hands it on with the message; one that does not know the
header of a message puts its own before it. Neither is part of what the sender said.
"""

import re
from datetime import UTC, datetime
from typing import Final

from collector.parsers import repairs
from collector.syslog.framing import MESSAGE_BEGINS, MSG_LEN
from collector.syslog.message import parse

MAX_WRAPPINGS: Final = 4
"""Octet counts with headers that are taken off: each stands for a relay on the way."""

# Blanks and line ends before a payload say nothing; what stands behind it may be a frame's end.
_BEFORE: Final = "\ufeff\0 \t\r\n"
_BEHIND: Final = "\r\n\0"

# More may stand between the two than in a frame: the message before was taken apart already.
_OCTET_COUNT: Final = re.compile(rf"{MSG_LEN} (?=[\ufeff\0 ]*(?:{MESSAGE_BEGINS}))")

# What a syslog header says of the time is not asked for here.
_NO_MATTER: Final = datetime(2000, 1, 1, tzinfo=UTC)


def unwrap(text: str) -> tuple[str, tuple[str, ...]]:
    """Take off what stands around a payload.

    That is, from the outside in: byte order marks, NULs, blanks and line ends before it, NULs and
    line ends behind it, an octet count where a message or payload follows, and a syslog header
    that begins with ``<PRI>`` (RFC 5424 or RFC 3164); then the same again, up to `MAX_WRAPPINGS`
    times. A text may begin with any of these for a reason, so try it as it is first.

    Args:
        text: the message without its syslog header.

    Returns:
        The payload, which is a part of the text, and a tag for each kind of wrapping it had.
        Blanks and line ends have none.
    """
    payload = text.rstrip(_BEHIND)
    tags = [repairs.NUL] if "\0" in text[len(payload) :] else []
    for _ in range(MAX_WRAPPINGS):
        wrapped = payload
        payload = _without_edge(payload, tags)
        if count := _OCTET_COUNT.match(payload):
            tags.append(repairs.OCTET_COUNT)
            payload = _without_edge(payload[count.end() :], tags)
        if header := _header_length(payload):
            tags.append(repairs.NESTED_HEADER)
            payload = _without_edge(payload[header:], tags)
        if payload == wrapped:
            break
    return payload, tuple(dict.fromkeys(tags))


def _without_edge(text: str, tags: list[str]) -> str:
    inner = text.lstrip(_BEFORE)
    edge = text[: len(text) - len(inner)]
    if "\ufeff" in edge:
        tags.append(repairs.BOM)
    if "\0" in edge:
        tags.append(repairs.NUL)
    return inner


def _header_length(text: str) -> int:
    """Return how many characters of a text are a syslog header with PRI, 0 if there is none."""
    if not text.startswith("<"):
        return 0
    # Lone surrogates cannot be encoded; a question mark stands for each and is as long.
    return len(text) - len(parse(text.encode("utf-8", "replace"), now=_NO_MATTER).message)
