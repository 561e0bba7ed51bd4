"""What a format can do, and how most of them do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import orjson

from collector.events.envelope import Arrival
from collector.octets import fitted
from collector.parsers import Event
from collector.parsers.text import well_formed
from collector.sinks.retry import Verdict, read_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.config import IntakeSettings, SinkSettings

DocumentOf = Callable[[Event, bytes, str, Arrival], bytes]
"""Makes the document of an event, its JSON, the text it was made of, and how that came."""


class Content(NamedTuple):
    """What a document says, whatever its format.

    Attributes:
        raw: the message without its syslog header.
        event: the event's JSON; None where the document holds the raw message alone.
    """

    raw: str
    event: bytes | None


class SealError(Exception):
    """The secret that belongs into a request body is not there now; the text names no secret.

    It may come back, with a file or with an intake, so the batch waits.
    """


class Format:
    """The form in which one sink wants events.

    What a stored batch holds is read by the class methods: the settings may have changed since.

    Args:
        sink: the sink's settings.
        intakes: all intakes.
    """

    name: ClassVar[str]
    content_type: ClassVar[str] = "application/json"
    payloads: ClassVar[tuple[str, ...]] = ("event",)
    """What a document can hold, as in the setting `payload`."""
    codecs: ClassVar[tuple[str, ...]] = ("none", "gzip")
    """The compressions that sinks of this kind are known to read."""
    bearer_scheme: ClassVar[str] = "Bearer"
    """What precedes a token in the Authorization header."""
    per_intake: ClassVar[bool] = False
    """Whether a request can hold events of one intake only."""
    is_sealed: ClassVar[bool] = False
    """Whether the request body holds a secret, which is put in when it is posted: `seal`."""
    answer_bytes: ClassVar[int] = 64 * 1024
    """How much of an answer `read` needs, in octets."""

    def __init__(self, sink: SinkSettings, intakes: Iterable[IntakeSettings]) -> None:
        self._sink = sink
        self._intakes = {intake.name: intake for intake in intakes}
        self.is_raw = self.payloads == ("raw",) or sink.payload == "raw"

    @property
    def form(self) -> str:
        """What the documents are, beginning with the format's name and the payload.

        Batches of the same form can be posted as they are.
        """
        return f"{self.name}:{'raw' if self.is_raw else 'event'}"

    @property
    def url(self) -> str:
        """Where batches are posted to."""
        return self._sink.url

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:
        """Return what makes documents of an intake's events; None if it is their JSON.

        It is on the hot path: one call for each event.
        """
        raise NotImplementedError

    @classmethod
    def content(cls, document: bytes, *, is_raw: bool) -> Content:
        """Return what a document says: the other way round than `document_of`."""
        if is_raw:
            return Content(orjson.loads(document), None)
        return Content(message_of(document), document)

    @classmethod
    def join(cls, documents: Sequence[bytes]) -> bytes:
        """Return the request body that holds documents."""
        raise NotImplementedError

    @classmethod
    def split(cls, body: bytes) -> list[bytes]:
        """Return the documents of a request body."""
        raise NotImplementedError

    def seal(self, body: bytes, intake: str) -> bytes:
        """Return the body as it is posted, with its secret; only where `is_sealed`.

        Args:
            body: as `join` makes it.
            intake: name of the intake of its events.

        Raises:
            SealError: there is no such secret now.
        """
        raise NotImplementedError

    def read(
        self, status: int, headers: Mapping[str, str], body: str, events: int, now: float
    ) -> Verdict:
        """Say what an answer means for a batch.

        Args:
            status: of HTTP.
            headers: of the answer; names are compared without case.
            body: of the answer, cut if very long.
            events: how many the batch holds.
            now: seconds since 1970.
        """
        del events
        return read_status(status, headers, body, now=now)


def message_of(event: bytes) -> str:
    """Return the message that an event was made of."""
    message = orjson.loads(event).get("message")
    return message if isinstance(message, str) else ""


def raw_document(_event: Event, _encoded: bytes, text: str, _arrival: Arrival) -> bytes:
    """Return a message as a JSON string."""
    return fitted(orjson.dumps(well_formed(text)))


def endpoint(url: str, path: str) -> str:
    """Return a URL whose path ends with `path`: appended unless it is there; a query stays."""
    parts = urlsplit(url)
    found = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=found if found.endswith(path) else found + path))
