"""Every field that the events of an intake can have, the operator's own aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector import envelope
from collector.parsers import PARSERS, Profile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from collector.envelope import Part

ALWAYS: Final = {
    "@timestamp": "date",
    "error.code": "keyword",
    "error.message": "match_only_text",
    "event.id": "keyword",
    "event.kind": "keyword",
    "message": "match_only_text",
    "tags": "array of keyword",
}
"""What any event can have: what the collector adds, and what stands for an unreadable message."""


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
        fields |= envelope.FIELDS[part]
    return fields


def may_have(fields: Mapping[str, str], name: str) -> bool:
    """Say whether an event with some of these fields may have something of this name.

    Args:
        fields: as `known_fields` returns them.
        name: a dotted name: of a field, of an object that holds some, or of something in a field
            whose names are not listed.
    """
    return any(
        name == field
        or field.startswith(f"{name}.")
        or (
            name.startswith(f"{field.removesuffix('*').removesuffix('.')}.")
            and _is_open(field, kind)
        )
        for field, kind in fields.items()
    )


def _is_open(field: str, kind: str) -> bool:
    """Tell whether names stand below a field that are not listed."""
    return field.endswith(".*") or kind in {"array of object", "flattened", "object"}
