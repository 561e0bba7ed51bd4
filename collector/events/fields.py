"""Every field that the events of an intake can have, the operator's own aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.events import envelope
from collector.parsers import PARSERS, Profile
from collector.parsers.paths import parents

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from collector.events.envelope import Part

ALWAYS: Final = {name: field.type for name, field in envelope.ALWAYS.items()}
"""What any event can have, as `known_fields` returns it."""

_OPEN: Final = ("array of object", "flattened", "object")  # types of fields that hold others


def known_fields(parser: str, profile: Profile, parts: Collection[Part]) -> dict[str, str]:
    """List the fields of an intake's events.

    Args:
        parser: a key of `PARSERS`.
        profile: the shape of the events.
        parts: what of the envelope is added.

    Returns:
        The ECS type of each field by its dotted name, which ends in `.*` where the input decides
        what stands there.
    """
    table = PARSERS[parser].table
    fields = dict(ALWAYS)
    for rule in table.all_rows(profile):
        fields |= rule.fields
    for part in parts:
        fields |= {name: field.type for name, field in envelope.FIELDS[part].items()}
    return fields


def may_have(fields: Mapping[str, str], name: str) -> bool:
    """Say whether an event with some of these fields may have something of this name.

    Args:
        fields: as `known_fields` returns them.
        name: a dotted name: of a field, of an object that holds some, or of something in a field
            whose names are not listed.
    """
    return (
        name in fields
        or any(field.startswith(f"{name}.") for field in fields)
        or any(f"{parent}.*" in fields or fields.get(parent) in _OPEN for parent in parents(name))
    )
