"""Batches made anew: their sink wants another form, index or compression than it did.

The events stay what they are, with their ids and in their order. Where raw messages were stored,
today's parser of their intake reads them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from collector.config import IntakeSettings
from collector.events.envelope import Arrival, Receipt
from collector.parsers import Event
from collector.parsers.convert import utc_text
from collector.sinks.encoders import COMPRESS, DAMAGE, documents_of, encode, plain_of
from collector.sinks.formats import stored
from collector.spool.entries import Entry, pack_entries, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.sinks.formats import Content, DocumentOf, Format
    from collector.spool import Batch

EventOf = Callable[[str, Entry], tuple[Event, bytes, Arrival]]
"""Reads a raw message again: its event, the event's JSON, and what is known of how it came.

It does not fail: what no parser reads becomes the event that says so.
"""


class RecodingError(Exception):
    """A stored batch cannot be read: its form is unknown to this version, or it is damaged.

    The text is for people and holds nothing of the events.
    """


def recode(
    batch: Batch,
    form: Format,
    codec: str,
    intakes: Mapping[str, IntakeSettings],
    event_of: EventOf,
) -> list[Batch]:
    """Return the events of a batch in the form in which its sink wants them now.

    Args:
        batch: as it was stored.
        form: what the sink wants now.
        codec: a key of `COMPRESS`.
        intakes: those of today by name; one that is gone is taken for one of its name that has no
            settings of its own.
        event_of: reads raw messages again.

    Returns:
        One batch; where a request can hold events of one intake only, one for each intake.

    Raises:
        RecodingError: the batch cannot be read, and is to stay as it is.
    """
    if batch.form == form.form:
        return [_recompressed(batch, codec)]
    makers: dict[str, DocumentOf | None] = {}
    made: dict[str, list[tuple[bytes, Entry]]] = {}
    for content, entry in _contents(batch):
        name = entry.intake
        if name not in makers:
            makers[name] = form.document_of(intakes.get(name) or _stand_in(name))
        document = _document(makers[name], content, entry, event_of)
        made.setdefault(name if form.per_intake else "", []).append((document, entry))
    return [_encoded(batch, form, codec, pairs) for pairs in made.values()]


def _recompressed(batch: Batch, codec: str) -> Batch:
    try:
        body = plain_of(batch)
    except DAMAGE as error:
        raise unreadable(batch) from error
    compressed = COMPRESS[codec](body)
    return replace(batch, codec=codec, body=compressed, refused_at=None, number=0, plain=None)


def _contents(batch: Batch) -> list[tuple[Content, Entry]]:
    """Return what each document of a batch says, and what is known of it besides."""
    try:
        kind, is_raw = stored(batch.form)
    except KeyError as error:
        name = batch.form.partition(":")[0]
        raise RecodingError(f"stored in form {name!r}, which this version does not know") from error
    try:
        contents = [kind.content(document, is_raw=is_raw) for document in documents_of(batch)]
        return list(zip(contents, unpack(batch.entries), strict=True))
    except DAMAGE as error:
        raise unreadable(batch) from error


def unreadable(batch: Batch) -> RecodingError:
    """Return what says that a batch is damaged."""
    return RecodingError(f"stored batch {batch.number} cannot be read: it is damaged")


def _document(make: DocumentOf | None, content: Content, entry: Entry, event_of: EventOf) -> bytes:
    encoded = content.event
    if encoded is None:
        event, encoded, arrival = event_of(content.raw, entry)
    elif make is None:
        return encoded
    else:
        event, arrival = orjson.loads(encoded), _arrival(entry)
    return encoded if make is None else make(event, encoded, content.raw, arrival)


def _arrival(entry: Entry) -> Arrival:
    """Return what is left of how a stored event came."""
    moment = datetime.fromtimestamp(entry.received, UTC)
    return Arrival(entry.identifier, b"", (), Receipt(moment, utc_text(moment), UTC, entry.peer))


def _stand_in(name: str) -> IntakeSettings:
    """Return settings for an intake that is no longer configured."""
    return IntakeSettings(name=name, parser="raw", fields={})


def _encoded(batch: Batch, form: Format, codec: str, pairs: Sequence[tuple[bytes, Entry]]) -> Batch:
    return encode(
        [document for document, _ in pairs],
        pack_entries(entry for _, entry in pairs),
        sink=batch.sink,
        form=form,
        codec=codec,
        received=min(entry.received for _, entry in pairs),
    )
