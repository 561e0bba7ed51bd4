"""Constant fields that an intake adds to its events: how they are written and what is wrong.

They are written with dotted names (`labels.site: paris`), as nested mappings, or both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from collector.parsers.paths import parents
from collector.settings.kinds import FIELD_NAME, Kind, KindError
from collector.settings.problems import Problem, joined, kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAGS: Final = "tags"
"""The field whose values are added to those of an event; any other replaces what is there."""

RESERVED: Final = frozenset({"@timestamp", "event.created", "event.id", "message"})
"""Fields of every event that say what it is and when it came."""

MAX_FIELDS: Final = 100
MAX_ENTRIES: Final = 100
MAX_LENGTH: Final = 4096
"""Characters of a text. It is added to every event."""

_ACCEPTED: Final = "a text, a number, true, false, or a list of these"
# What JSON readers take for an integer, as far as the encoder goes.
_LEAST: Final = -(1 << 63)
_GREATEST: Final = (1 << 64) - 1


def problems(written: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Problem]:
    """Find what is wrong with constant fields.

    Args:
        written: the fields as they are written, with blanks.
        known: the fields that events can have otherwise, dotted, with their types; a name may end
            in `.*` where any name may stand.

    Yields:
        Problems with paths relative to the fields.
    """
    leaves = list(_leaves(written))
    if len(leaves) > MAX_FIELDS:
        yield Problem("", f"has too many fields; accepted: at most {MAX_FIELDS}")
    objects = {parent for name in known for parent in parents(name)}
    names: set[str] = set()
    for name, value in leaves[:MAX_FIELDS]:
        flaw = (
            _flaw_of_name(name)
            or _flaw_among(name, names)
            or _flaw_in_event(name, known, objects)
            or _flaw_of_value(name, value)
        )
        names.add(name)
        if flaw:
            yield Problem(joined("", name), flaw)


def nested(written: object) -> dict[str, Any]:
    """Return constant fields as they stand in an event, nested.

    Args:
        written: the fields as they are written, without blanks. Where `problems` finds something
            the result is of no use.

    Raises:
        KindError: that is not a mapping.
    """
    if not isinstance(written, dict):
        raise KindError(f"{kind_of(written)} where a mapping is expected")
    fields: dict[str, Any] = {}
    for name, value in _leaves(written):
        *branches, key = name.split(".")
        holder = fields
        for branch in branches:
            below = holder.setdefault(branch, {})
            if not isinstance(below, dict):
                break
            holder = below
        holder[key] = value
    return fields


def types(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind of each constant field's value by its dotted name."""
    return {name: kind_of(value) for name, value in _leaves(fields)}


CONSTANT_FIELDS: Final = Kind(
    nested,
    "names of fields with their values, as {labels.site: paris}",
    {
        "type": "object",
        "maxProperties": MAX_FIELDS,
        "additionalProperties": {
            "anyOf": [
                {"type": ["string", "number", "boolean", "object"]},
                {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
            ]
        },
    },
    lambda fields: fields,
)
"""Constant fields, read as nested dicts."""


def _leaves(written: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each field; an empty mapping is a value."""
    for key, value in written.items():
        if isinstance(value, dict) and value:
            for name, leaf in _leaves(value):
                yield f"{key}.{name}", leaf
        else:
            yield key, value


def _flaw_of_name(name: str) -> str | None:
    """Say what is wrong with a name, whatever stands beside it."""
    try:
        FIELD_NAME.read(name)
    except KindError as error:
        return f"{error}; accepted: {FIELD_NAME.accepted}"
    if flaw := _flaw_of_text(name):
        return flaw
    if name in RESERVED:
        return f"{shown(name)} is set by the collector itself; accepted: other fields"
    return None


def _flaw_among(name: str, names: set[str]) -> str | None:
    """Say why a name cannot stand beside those before it."""
    if name in names:
        return f"{shown(name)} is written twice; accepted: a name used once"
    for other in names:
        if name.startswith(f"{other}."):
            return f"stands below {shown(other)}, which has a value; accepted: one of the two"
        if other.startswith(f"{name}."):
            return f"has a value, and {shown(other)} stands below it; accepted: one of the two"
    return None


def _flaw_in_event(name: str, known: Mapping[str, str], objects: set[str]) -> str | None:
    """Say why a name cannot stand beside the fields that an event has otherwise."""
    if name in objects:
        hint = f"accepted: a name below it, as {name}.…"
        return f"{shown(name)} is an object in these events; {hint}"
    above = next((parent for parent in parents(name) if parent in known), None)
    if above is not None:
        return f"stands below {shown(above)}, a value in these events; accepted: another name"
    return None


def _flaw_of_value(name: str, value: object) -> str | None:
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return f"is empty; accepted: {_ACCEPTED}"
    if len(entries) > MAX_ENTRIES:
        return f"has too many entries; accepted: at most {MAX_ENTRIES}"
    if name == TAGS and not all(isinstance(entry, str) for entry in entries):
        return "holds something else than texts; accepted: a text, or a list of texts"
    return next((flaw for entry in entries if (flaw := _flaw_of_entry(entry))), None)


def _flaw_of_entry(value: object) -> str | None:
    if value is None or value in ("", {}):
        return f"is empty; accepted: {_ACCEPTED}"
    if isinstance(value, list | dict):
        return f"holds {kind_of(value)} within a list; accepted: {_ACCEPTED}"
    if isinstance(value, str):
        return _flaw_of_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{shown(value)} is no number of JSON; accepted: {_ACCEPTED}"
    if isinstance(value, int) and not _LEAST <= value <= _GREATEST:
        return f"{shown(value)} is too large; accepted: numbers of 64 bits"
    return None


def _flaw_of_text(text: str) -> str | None:
    if len(text) > MAX_LENGTH:
        return f"is too long; accepted: at most {MAX_LENGTH} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair; accepted: characters"
    return None
