"""Sekoia.io: raw messages of one intake in a request, under the intake's key.

The platform parses on its side. Its key stands in the request body, so a stored body is without it:
the key is put in when the body is posted, and a key that changes needs no new encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from collector.settings.secret_files import SecretFileError
from collector.sinks.credentials import mask
from collector.sinks.formats.base import DocumentOf, SealError, endpoint, raw_document
from collector.sinks.formats.json_array import JsonArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.config import IntakeSettings, SinkSettings
    from collector.sinks.retry import Verdict


class Sekoia(JsonArray):
    """`{"intake_key": "…", "jsons": ["…", …]}`, of which the array alone is stored."""

    name = "sekoia"
    payloads = ("raw",)
    codecs = ("none", "gzip")
    per_intake = True
    is_sealed = True

    def __init__(self, sink: SinkSettings, intakes: Iterable[IntakeSettings]) -> None:
        super().__init__(sink, intakes)
        self._used: set[str] = set()

    @property
    def url(self) -> str:
        """The address of batches."""
        return endpoint(super().url, "/batch")

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:  # noqa: ARG002 - all alike
        """Return what makes raw documents."""
        return raw_document

    def seal(self, body: bytes, intake: str) -> bytes:
        """Return the request body: the array with the first key of its intake, read anew."""
        key = self._key(intake)
        self._used.add(key)
        return b'{"intake_key":%b,"jsons":%b}' % (orjson.dumps(key), body)

    def read(
        self, status: int, headers: Mapping[str, str], body: str, events: int, now: float
    ) -> Verdict:
        """Read the status; an answer that repeats a key is masked."""
        return super().read(status, headers, mask(body, self._used), events, now)

    def _key(self, intake: str) -> str:
        settings = self._intakes.get(intake)
        if settings is None:
            raise SealError(f"intake {intake!r} is no longer configured, so its key is not known")
        try:
            keys = settings.read_keys()
        except SecretFileError as error:
            raise SealError(f"key of intake {intake!r}: {error}") from error
        if not keys:
            raise SealError(f"intake {intake!r} has no key")
        return keys[0]
