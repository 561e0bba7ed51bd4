"""JSON: an array of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from collector.sinks.formats.base import DocumentOf, Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import IntakeSettings

# An event's JSON holds no line feed, so this is found between two events only.
_BETWEEN = b",\n"


class JsonArray(Format):
    """One array, each event on a line of its own so that it is taken apart without parsing it."""

    name = "json"
    codecs: ClassVar[tuple[str, ...]] = ("none", "gzip", "zstd")

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:  # noqa: ARG002 - all alike
        """Return None: events are documents as they are."""
        return None

    @classmethod
    def join(cls, documents: Sequence[bytes]) -> bytes:
        """Return the documents as an array."""
        return b"[" + _BETWEEN.join(documents) + b"]"

    @classmethod
    def split(cls, body: bytes) -> list[bytes]:
        """Return the entries of the array."""
        return body[1:-1].split(_BETWEEN)
