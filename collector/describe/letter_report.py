"""What `collector dead-letters` shows: dead letters by kind and one by one, without intake keys."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.describe import rows
from collector.describe.terminal import cut
from collector.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rich.console import Console

    from collector.spool import Letter
    from collector.spool.letters import Kind
    from collector.syslog.message import KeyName

Mask = Callable[[bytes], bytes]
"""Replaces what must not be shown."""

COLUMNS: Final = ("reason", "intake", "sink", "letters", "octets", "oldest", "newest")

_NUMBERS: Final = frozenset({"letters", "octets"})

# Characters of a message that people are shown; programs get all of it.
_MAX_SHOWN: Final = 4000


def masking(key_name: KeyName, keys: Collection[str]) -> Mask:
    """Return what replaces intake keys.

    Args:
        key_name: by which an unknown key is found as well.
        keys: every known one; they are found wherever they stand, escaped or encoded too.
    """
    return Masker(key_name, keys).mask


def show_kinds(kinds: Iterable[Kind], console: Console) -> None:
    """Print the kinds of dead letters, a row each."""
    shown = [
        (
            kind.reason,
            kind.intake,
            kind.sink,
            kind.letters,
            kind.octets,
            moment(kind.oldest),
            moment(kind.newest),
        )
        for kind in kinds
    ]
    rows.show(COLUMNS, shown, console, numbers=_NUMBERS)


def kind_object(kind: Kind) -> dict[str, Any]:
    """Return a kind of dead letters as JSON can hold it."""
    return {**kind._asdict(), "oldest": moment(kind.oldest), "newest": moment(kind.newest)}


def lines(letter: Letter, mask: Mask) -> list[str]:
    """Describe a dead letter in lines that people read; long texts are cut."""
    facts = [
        ("reason", f"{letter.reason}: {letter.problem}"),
        ("set aside", moment(letter.kept)),
        ("received", moment(letter.received)),
        ("intake", letter.intake),
        ("sink", letter.sink),
        ("listener", letter.listener),
        ("peer", letter.peer),
        ("event.id", letter.identifier),
        ("message" if letter.is_frame else "payload", _text(mask(letter.raw))),
        ("event", "" if letter.event is None else _text(mask(letter.event))),
    ]
    shown = [f"  {name:<10} {cut(value, _MAX_SHOWN)}" for name, value in facts if value]
    return [f"dead letter {letter.number}", *shown]


def as_object(letter: Letter, mask: Mask) -> dict[str, Any]:
    """Return a dead letter as JSON can hold it; what is not UTF-8 as `{"b64": …}`."""
    return {
        "number": letter.number,
        "reason": letter.reason,
        "problem": letter.problem,
        "set_aside": moment(letter.kept),
        "received": moment(letter.received),
        "intake": letter.intake,
        "sink": letter.sink,
        "listener": letter.listener,
        "peer": letter.peer,
        "id": letter.identifier,
        "is_frame": letter.is_frame,
        "is_cut": letter.is_cut,
        "raw": _json_text(mask(letter.raw)),
        "event": None if letter.event is None else _json_value(mask(letter.event)),
    }


def moment(seconds: float) -> str:
    """Write a time, given in seconds since 1970, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _json_text(octets: bytes) -> str | dict[str, str]:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return {"b64": b64encode(octets).decode()}


def _json_value(octets: bytes) -> Any:
    """Return the value that octets stand for; as text where a masked key was no string in it."""
    try:
        return orjson.loads(octets)
    except orjson.JSONDecodeError:
        return _json_text(octets)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
