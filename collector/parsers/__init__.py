"""Parsers: the text of one message in, one ECS event out; pure and quick.

A parser is compiled once, for a vendor and a profile, and then called for every message. It raises
`ParseError` for what it cannot read and nothing else; `pipeline_error` makes an event of that.
Adding a vendor is one module with a table and a ``build`` function, and one line in `PARSERS`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from collector.parsers import cybereason, harfanglab
from collector.parsers.base import Event, ParseError, Parser, Profile
from collector.parsers.text import well_formed

__all__ = [
    "PARSERS",
    "Event",
    "ParseError",
    "Parser",
    "Profile",
    "build",
    "pipeline_error",
]


def _build_raw(_profile: Profile) -> Parser:
    return lambda raw: _with_message(raw, {"event": {"kind": "event"}})


PARSERS: Final[Mapping[str, Callable[[Profile], Parser]]] = MappingProxyType(
    {
        "cybereason": cybereason.build,
        "harfanglab": harfanglab.build,
        "raw": _build_raw,
    }
)
"""Each parser by the name it has in the configuration and on the command line."""


def build(name: str, profile: Profile = "documented") -> Parser:
    """Compile a parser; done once per intake, at start-up.

    Args:
        name: a key of `PARSERS`.
        profile: the shape of the events.

    Raises:
        KeyError: there is no such parser.
    """
    return PARSERS[name](profile)


def pipeline_error(raw: str, error: ParseError) -> Event:
    """Make the event that stands for a message no parser could read.

    Args:
        raw: the text of the message; it is kept whole.
        error: why it could not be read.
    """
    return _with_message(
        raw,
        {
            "event": {"kind": "pipeline_error"},
            "error": {"message": error.detail, "code": error.reason},
        },
    )


def _with_message(raw: str, event: Event) -> Event:
    return {"message": well_formed(raw), **event} if raw else event
