"""Splunk's HTTP Event Collector: one object per event, with the event's time, host and so on.

https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
"""

from __future__ import annotations

from datetime import datetime
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from collector.sinks.formats.base import (
    Content,
    DocumentOf,
    Format,
    endpoint,
    message_of,
    raw_document,
)
from collector.sinks.retry import Outcome, Verdict, read_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.config import IntakeSettings
    from collector.events.envelope import Arrival
    from collector.parsers import Event

PATH: Final = "/services/collector/event"

# What an answer 400 is about, by its code, where no event can be at fault: the token wants a
# channel (10, 11), has no acknowledgements (14), or is not read from the query (16).
_SETTINGS_FAULT: Final = frozenset({10, 11, 14, 16})

# Stands before the event's own JSON. Nothing before it can hold these octets: within a JSON string
# a quote has a backslash, and between strings there is no other key of this name.
_EVENT: Final = b',"event":'


class SplunkHec(Format):
    """One object per line; Splunk needs nothing between two of them, people do."""

    name = "splunk_hec"
    bearer_scheme = "Splunk"
    payloads = ("event", "raw")

    @property
    def form(self) -> str:
        """The documents hold index, source, source type and host as the settings have them."""
        return f"{super().form}:{self._sink.splunk.model_dump_json()}"

    @property
    def url(self) -> str:
        """The endpoint of events; a path of the operator's own stays."""
        url = super().url
        return url if urlsplit(url).path.strip("/") else endpoint(url, PATH)

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:
        """Return what puts an event into an object: what is the same for all is written once."""
        settings = self._sink.splunk
        constants = {
            name: template.replace("{intake}", intake.name)
            for name, template in (
                ("source", settings.source),
                ("sourcetype", settings.sourcetype),
                ("index", settings.index),
                ("host", None if settings.host == "event" else settings.host),
            )
            if template is not None
        }
        head = orjson.dumps(constants)[:-1] + b',"time":'
        payload = raw_document if self.is_raw else _event_payload
        return _object_maker(head, payload, has_host="host" in constants)

    @classmethod
    def content(cls, document: bytes, *, is_raw: bool) -> Content:
        """Return what a document says, without what Splunk is told beside it."""
        payload = document[document.index(_EVENT) + len(_EVENT) : -1]
        if is_raw:
            return Content(orjson.loads(payload), None)
        return Content(message_of(payload), payload)

    @classmethod
    def join(cls, documents: Sequence[bytes]) -> bytes:
        """Return the documents, a line feed between two of them."""
        return b"\n".join(documents)

    @classmethod
    def split(cls, body: bytes) -> list[bytes]:
        """Return the lines."""
        return body.split(b"\n")

    def read(
        self, status: int, headers: Mapping[str, str], body: str, events: int, now: float
    ) -> Verdict:
        """Read the status, and of an answer 400 also its code and the event it names.

        What answers 2xx with something else than HEC's JSON, as a proxy's page, has not taken it.

        Whether Splunk has indexed the events before the one it names depends on its version, so
        they count as not taken: an event may arrive twice, but none is lost.
        """
        verdict = read_status(status, headers, body, now=now)
        if (
            verdict.outcome is Outcome.ACCEPTED
            and body.strip()
            and not body.lstrip().startswith("{")
        ):
            return Verdict(Outcome.RETRY, f"HTTP {status}, but no answer of HEC: {body}")
        if status != 400:
            return verdict
        said = _object(body)
        if said.get("code") in _SETTINGS_FAULT:
            return verdict._replace(outcome=Outcome.PAUSE)
        return verdict._replace(culprit=_culprit(said.get("invalid-event-number"), events))


def _event_payload(_event: Event, encoded: bytes, _text: str, _arrival: Arrival) -> bytes:
    return encoded


def _object_maker(head: bytes, payload: DocumentOf, *, has_host: bool) -> DocumentOf:
    """Make what writes an event's object behind its beginning, which may name the host already."""

    def document(event: Event, encoded: bytes, text: str, arrival: Arrival) -> bytes:
        host = b"" if has_host else b',"host":' + orjson.dumps(_host(event, arrival))
        written = payload(event, encoded, text, arrival)
        return b"%b%.6f%b%b%b}" % (head, _time(event, arrival), host, _EVENT, written)

    return document


def _time(event: Event, arrival: Arrival) -> float:
    """Return the time of an event in seconds since 1970, that of its receipt if it has none."""
    written = event.get("@timestamp")
    moment = arrival.receipt.moment if written is None else datetime.fromisoformat(written)
    return moment.timestamp()


def _host(event: Event, arrival: Arrival) -> str:
    """Return the host that an event names, else the sender's address.

    A sender without an address is on this machine.
    """
    host = event.get("host")
    if isinstance(host, dict):
        for name in (host.get("name"), host.get("hostname")):
            if isinstance(name, str):
                return name
    return arrival.receipt.peer or gethostname()


def _object(body: str) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _culprit(number: object, events: int) -> int | None:
    """Return the position of the event that Splunk names, a hint: some codes count from 1."""
    if not isinstance(number, int) or not 0 <= number <= events:
        return None
    return min(number, events - 1)
