"""Names of Elasticsearch's indices and data streams, made of a template.

https://www.elastic.co/docs/reference/ecs/ecs-data_stream says what a data stream's name says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCEPTED: Final = (
    'at most 255 octets in lower case without blank, \\ / * ? " < > | , # and :, which begin with '
    "none of - _ +"
)
"""What `flaw` finds nothing wrong with, in words."""

_FORBIDDEN: Final = re.compile(r'[\x00-\x20\x7f\\/*?"<>|,#:]')
_MAX_OCTETS: Final = 255
_STREAM: Final = re.compile(r"(logs|metrics|traces|synthetics|profiling)-([^-]+)-([^-]+)")
_LIKE_STREAM: Final = re.compile(r"(logs|metrics|traces|synthetics|profiling)-.*-.*")


def index_name(template: str, intake: str, fields: Mapping[str, Any]) -> str:
    """Return the index or data stream of an intake's events.

    Args:
        template: a name in which `{intake}`, `{dataset}` and `{namespace}` are put.
        intake: name of the intake.
        fields: the constant fields of the intake, nested: those of `data_stream` say what dataset
            and namespace are, else `event.dataset` the dataset.
    """
    stream = fields.get("data_stream")
    dataset = _text(stream, "dataset") or _text(fields.get("event"), "dataset") or f"edr.{intake}"
    namespace = _text(stream, "namespace") or "default"
    values = {"{intake}": intake, "{dataset}": dataset, "{namespace}": namespace}
    return re.sub(r"\{(?:intake|dataset|namespace)\}", lambda found: values[found[0]], template)


def flaw(index: str) -> str | None:
    """Say what keeps Elasticsearch from having an index of this name; None if nothing does."""
    if index != index.lower():
        return "is not in lower case"
    if found := _FORBIDDEN.search(index):
        return f"holds {found[0]!r}"
    if index.startswith(("-", "_", "+")) or index in {".", ".."}:
        return f"begins with {index[:1]!r}"
    if len(index.encode()) > _MAX_OCTETS:
        return f"is longer than {_MAX_OCTETS} octets"
    return None


def stream_fields(index: str) -> dict[str, str] | None:
    """Return the fields of `data_stream` that a name stands for; None if it is no data stream's."""
    parts = None if flaw(index) else _STREAM.fullmatch(index)
    if parts is None:
        return None
    return {"type": parts[1], "dataset": parts[2], "namespace": parts[3]}


def is_almost_stream(index: str) -> bool:
    """Say whether a name is meant for a data stream and has too many parts to be one's."""
    return _LIKE_STREAM.fullmatch(index) is not None and stream_fields(index) is None


def _text(holder: object, name: str) -> str | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else None
