"""Sinks, intakes, events and batches for the tests of what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from collector.config import IntakeSettings, SinkSettings
from collector.events.envelope import Arrival, Receipt
from collector.sinks.encoders import encode
from collector.sinks.formats import format_of
from collector.spool.entries import Entry, pack_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.sinks.formats import Format
    from collector.spool import Batch

RECEIVED = 1_700_000_000.25
PEER = "192.0.2.7"


def sink_of(kind: str = "ndjson", **settings: Any) -> SinkSettings:
    """Return the settings of a sink of a format."""
    url = settings.pop("url", "https://siem.example")
    return SinkSettings.model_validate({"name": "siem", "url": url, "format": kind, **settings})


def form_of(
    kind: str = "ndjson", intakes: Sequence[IntakeSettings] = (), **settings: Any
) -> Format:
    """Return the form in which such a sink wants events."""
    return format_of(sink_of(kind, **settings), intakes)


def intake_of(name: str = "edr", **settings: Any) -> IntakeSettings:
    """Return the settings of an intake."""
    return IntakeSettings.model_validate(
        {"name": name, "parser": "raw", "key": f"key-of-{name}", **settings}
    )


def entry_of(number: int = 1, intake: str = "edr") -> Entry:
    """Return what a batch knows of its event of a number."""
    return Entry(f"{number:032x}", intake, PEER, RECEIVED + number)


def arrival_of(entry: Entry) -> Arrival:
    """Return how the message of an event came."""
    moment = datetime.fromtimestamp(entry.received, UTC)
    return Arrival(entry.identifier, b"", (), Receipt(moment, moment.isoformat(), UTC, entry.peer))


def event_of(text: str, entry: Entry) -> tuple[dict[str, Any], bytes, Arrival]:
    """Read a message as an intake with parser raw does, more or less."""
    event = {"message": text, "event": {"id": entry.identifier, "kind": "event"}}
    return event, orjson.dumps(event), arrival_of(entry)


def document_of(
    form: Format, text: str, entry: Entry, event: dict[str, Any] | None = None, **intake: Any
) -> bytes:
    """Return the document of a message, or of an event that was made of it."""
    read, encoded, arrival = event_of(text, entry)
    if event is not None:
        read, encoded = event, orjson.dumps(event)
    make = form.document_of(intake_of(entry.intake, **intake))
    return encoded if make is None else make(read, encoded, text, arrival)


def batch_of(
    form: Format, texts: Sequence[str], entries: Sequence[Entry], codec: str = "none"
) -> Batch:
    """Return a batch of messages as it is stored."""
    return encode(
        [document_of(form, text, entry) for text, entry in zip(texts, entries, strict=True)],
        pack_entries(entries),
        sink="siem",
        form=form,
        codec=codec,
        received=min(entry.received for entry in entries),
    )
