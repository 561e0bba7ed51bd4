"""HarfangLab's own conversions and row shapes."""

from typing import Any, Final

import orjson

from collector.parsers.convert import conversion, keyword, long
from collector.parsers.mapping import Rule

_DIRECTIONS: Final = {"in": "inbound", "out": "outbound"}
_QUARANTINE: Final = (
    "UNKNOWN",
    "SUCCESS",
    "FAIL",
    "CANNOT_QUARANTINE",
    "NO_ACTION",
    "DELAYED",
)


def shaped(target: str, value: str) -> tuple[Rule, Rule]:
    """Make the two rows of a constant that is a text in ``documented`` and a list in ``ecs``.

    The documentation shows ``event.category`` and ``event.type`` as texts; the families it does
    not show follow it.
    """
    return (
        Rule(target, constant=value, profile="documented"),
        Rule(target, constant=(value,), profile="ecs"),
    )


@conversion("array of keyword")
def json_texts(value: Any) -> list[str] | None:
    """Write each entry of a list as compact JSON with sorted keys."""
    if not isinstance(value, list):
        return None
    texts = [_json_text(entry) for entry in value if entry is not None]
    return [text for text in texts if text is not None] or None


def _json_text(entry: Any) -> str | None:
    try:
        return orjson.dumps(entry, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return None  # nested deeper than orjson writes


@conversion("keyword")
def joined_names(value: Any) -> str | None:
    """Join the ``name`` of each entry with commas, without any blank or line feed."""
    if not isinstance(value, list):
        return None
    names = [keyword.function(entry.get("name")) for entry in value if isinstance(entry, dict)]
    return ",".join(filter(None, names)).replace(" ", "").replace("\n", "") or None


@conversion("keyword")
def direction(value: Any) -> str | None:
    """Write ``in`` and ``out`` as ECS does: ``inbound``, ``outbound``."""
    return _DIRECTIONS.get(value) if isinstance(value, str) else None


@conversion("keyword")
def quarantine_label(value: Any) -> str | None:
    """Name the quarantine status: 0 UNKNOWN to 5 DELAYED."""
    status = long.function(value)
    if status is None or not 0 <= status < len(_QUARANTINE):
        return None
    return _QUARANTINE[status]


@conversion("keyword")
def after_last_backslash(value: Any) -> str | None:
    """Take what follows the last backslash; a text without one stays whole."""
    return value.rpartition("\\")[2] or None if isinstance(value, str) else None


@conversion("array of keyword")
def split_on_bars(value: Any) -> list[str] | None:
    """Split a text on vertical bars, leaving empty parts out."""
    if not isinstance(value, str):
        return None
    return [part for part in value.split("|") if part] or None
