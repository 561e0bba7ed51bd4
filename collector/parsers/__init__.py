"""Parsers: the text of one message in, one ECS event out; pure and quick.

A parser is compiled once, for a vendor and a profile, and then called for every message. It raises
`ParseError` for what it cannot read and nothing else; `pipeline_error` makes an event of that.
Adding a vendor is one module with a `Vendor`, and one line in `PARSERS`.
"""

from types import MappingProxyType
from typing import Final

from collector.parsers import cybereason, harfanglab, raw
from collector.parsers.base import PROFILES, Event, ParseError, Parser, Profile, add_tags
from collector.parsers.text import well_formed
from collector.parsers.vendor import Vendor

__all__ = [
    "PARSERS",
    "PROFILES",
    "Event",
    "ParseError",
    "Parser",
    "Profile",
    "Vendor",
    "add_tags",
    "build",
    "pipeline_error",
]

PARSERS: Final = MappingProxyType(
    {
        "cybereason": cybereason.VENDOR,
        "harfanglab": harfanglab.VENDOR,
        "raw": raw.VENDOR,
    }
)
"""Each vendor by the name its parser has in the configuration and on the command line."""


def build(name: str, profile: Profile = "documented") -> Parser:
    """Compile a parser; done once per intake, at start-up.

    Args:
        name: a key of `PARSERS`.
        profile: the shape of the events.

    Raises:
        KeyError: there is no such parser.
    """
    return PARSERS[name].parser(profile)


def pipeline_error(raw: str, error: ParseError) -> Event:
    """Make the event that stands for a message no parser could read.

    Args:
        raw: the text of the message; it is kept whole.
        error: why it could not be read.
    """
    event: Event = {
        "event": {"kind": "pipeline_error"},
        "error": {"message": error.detail, "code": error.reason},
    }
    return {"message": well_formed(raw), **event} if raw else event
