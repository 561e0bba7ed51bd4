"""Repairs: what a parser undid that happened to a message on its way, as tags of its event."""

from typing import Final

CEF_PREFIX: Final = "repaired:cef_prefix"
"""``CEF:`` was missing or stood apart from its version: a relay took it for a syslog tag."""

UNESCAPED_EQUALS: Final = "repaired:unescaped_equals"
"""A CEF value held an ``=`` that should have been escaped."""

BOM: Final = "repaired:bom"
"""A byte order mark stood before the payload."""

NUL: Final = "repaired:nul"
"""NUL characters stood before, in or behind the payload."""

CONTROL_CHARACTERS: Final = "repaired:control_characters"
"""JSON texts held control characters that should have been escaped."""

LONE_SURROGATES: Final = "repaired:lone_surrogates"
"""Halves of surrogate pairs stood alone; each is read as U+FFFD."""

NUMBER: Final = "repaired:number"
"""JSON held a number too large to read, now a text, or ``NaN`` or ``Infinity``, now left out."""

OCTET_COUNT: Final = "repaired:octet_count"
"""The octet count of the framing stood before the message."""

NESTED_HEADER: Final = "repaired:nested_header"
"""A second syslog header stood before the payload: a relay wrapped the whole message."""

INVALID_UTF8: Final = "repaired:invalid_utf8"
"""Octets were not UTF-8; what they stood for is read as U+FFFD."""

TRUNCATED: Final = "truncated"
"""The message was cut short."""

_PREFIX: Final = "repaired:"


def name_of(tag: str) -> str | None:
    """Return the name that metrics have for the repair of a tag; None if it names none."""
    if tag.startswith(_PREFIX) or tag == TRUNCATED:
        return tag.removeprefix(_PREFIX)
    return None


NAMES: Final = tuple(
    tag.removeprefix(_PREFIX)
    for tag in (
        *(CEF_PREFIX, UNESCAPED_EQUALS, BOM, NUL, CONTROL_CHARACTERS, LONE_SURROGATES),
        *(NUMBER, OCTET_COUNT, NESTED_HEADER, INVALID_UTF8, TRUNCATED),
    )
)
"""The repairs by the names that metrics have for them."""
