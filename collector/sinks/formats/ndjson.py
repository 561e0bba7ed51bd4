"""NDJSON: one JSON value per line, an event or the raw message as a JSON string."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.sinks.formats.base import DocumentOf, Format, raw_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import IntakeSettings


class Ndjson(Format):
    """One document per line (https://github.com/ndjson/ndjson-spec)."""

    name = "ndjson"
    content_type = "application/x-ndjson"
    payloads = ("event", "raw")
    codecs = ("none", "gzip", "zstd")

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:  # noqa: ARG002 - all alike
        """Return what makes raw documents; events are documents as they are."""
        return raw_document if self.is_raw else None

    @classmethod
    def join(cls, documents: Sequence[bytes]) -> bytes:
        """Return the documents, each followed by a line feed."""
        return b"\n".join(documents) + b"\n"

    @classmethod
    def split(cls, body: bytes) -> list[bytes]:
        """Return the lines."""
        return body.split(b"\n")[:-1]
