"""Elasticsearch: the bulk API, with `create` and our ids, into data streams or indices.

An event that is sent again is answered with 409 and stays what it was, so that a retry makes no
duplicate (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk).
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from collector.octets import fitted
from collector.sinks.formats.base import Content, DocumentOf, Format, endpoint, message_of
from collector.sinks.formats.data_streams import index_name, stream_fields
from collector.sinks.retry import Outcome, Verdict, classify, read_status, retry_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.config import IntakeSettings
    from collector.events.envelope import Arrival
    from collector.parsers import Event

# What of the answer is read; the rest, as much again as the request for small events, is not sent.
FILTER: Final = "filter_path=errors,items.*.status,items.*.error,items.*.failure_store"

_CONFLICT: Final = 409

# Errors that tell more than the status beside them: 400 for an index that takes no event at all,
# and 500 for an event that an ingest pipeline will never take.
_OUTCOME_OF_ERROR: Final = MappingProxyType(
    {
        "index_closed_exception": Outcome.PAUSE,
        "invalid_index_name_exception": Outcome.PAUSE,
        "validation_exception": Outcome.PAUSE,  # of a new index: no more shards are allowed
        "fail_processor_exception": Outcome.REFUSED,
    }
)

_WORST_FIRST: Final = (Outcome.PAUSE, Outcome.RETRY, Outcome.REFUSED)

_HEAD_END: Final = b'"}}\n'
_SPLICED: Final = b'{"data_stream":{"type":'
# A name of a data stream holds no quote, so this is the end of what was put in front of an event.
_SPLICED_END: Final = b'"},'


class Elasticsearch(Format):
    """Two lines for each event: where it goes, and the event."""

    name = "elasticsearch"
    content_type = "application/x-ndjson"
    # An answer says something of each event, at length where it was refused.
    answer_bytes = 64 * 1024 * 1024

    @property
    def form(self) -> str:
        """The documents hold the name of their index."""
        return f"{super().form}:{self._sink.index}"

    @property
    def url(self) -> str:
        """The bulk endpoint; a query of the operator's own stays, what it filters aside."""
        parts = urlsplit(endpoint(super().url, "/_bulk"))
        own = [part for part in parts.query.split("&") if part and "filter_path" not in part]
        return urlunsplit(parts._replace(query="&".join([*own, FILTER])))

    def document_of(self, intake: IntakeSettings) -> DocumentOf | None:
        """Return what writes the two lines of an event.

        `data_stream.*` follows from the name of the data stream, over what the event says of it:
        Elasticsearch takes one value in each data stream.
        """
        index = index_name(self._sink.index, intake.name, intake.fields)
        head = b'{"create":{"_index":%b,"_id":"' % orjson.dumps(index)
        stream = stream_fields(index)
        return _plain(head) if stream is None else _into_stream(head, stream)

    @classmethod
    def content(cls, document: bytes, *, is_raw: bool) -> Content:  # noqa: ARG003 - never raw
        """Return the event as it was before `data_stream` was put in front."""
        _, _, event = document.partition(b"\n")
        if event.startswith(_SPLICED):
            event = b"{" + event[event.index(_SPLICED_END) + len(_SPLICED_END) :]
        return Content(message_of(event), event)

    @classmethod
    def join(cls, documents: Sequence[bytes]) -> bytes:
        """Return the documents, each followed by a line feed."""
        return b"\n".join(documents) + b"\n"

    @classmethod
    def split(cls, body: bytes) -> list[bytes]:
        """Return the pairs of lines."""
        lines = iter(body.split(b"\n")[:-1])
        return [b"%b\n%b" % pair for pair in zip(lines, lines, strict=True)]

    def read(
        self, status: int, headers: Mapping[str, str], body: str, events: int, now: float
    ) -> Verdict:
        """Read what the answer says of each event.

        An answer that does not is no acceptance: a proxy says 200 too. It is asked again, and
        what was taken then is answered with 409.
        """
        if classify(status) is not Outcome.ACCEPTED:
            return read_status(status, headers, body, now=now)
        answers = _answers(body, events)
        if answers is None:
            problem = f"HTTP {status}, but no answer of the bulk API for {events} events: {body}"
            return Verdict(Outcome.RETRY, problem)
        items = tuple(map(_outcome, answers))
        kept_apart = sum(answer.get("failure_store") == "used" for answer in answers)
        return Verdict(
            _outcome_of_all(items),
            _problem(answers, items, kept_apart),
            retry_after(headers.get("Retry-After"), now=now),
            items,
            failed_store=kept_apart,
        )


def _plain(head: bytes) -> DocumentOf:
    def document(_event: Event, encoded: bytes, _text: str, arrival: Arrival) -> bytes:
        return b"".join((head, arrival.identifier.encode(), _HEAD_END, encoded))

    return document


def _into_stream(head: bytes, stream: Mapping[str, str]) -> DocumentOf:
    front = _HEAD_END + orjson.dumps({"data_stream": stream})[:-1] + b","

    def document(event: Event, encoded: bytes, _text: str, arrival: Arrival) -> bytes:
        identifier = arrival.identifier.encode()
        if "data_stream" in event:
            return b"".join((head, identifier, _HEAD_END, _merged(event, stream)))
        return b"".join((head, identifier, front, encoded[1:]))

    return document


def _merged(event: Event, stream: Mapping[str, str]) -> bytes:
    """Return the JSON of an event that has something below `data_stream` of its own."""
    own = event["data_stream"]
    merged = {**own, **stream} if isinstance(own, dict) else stream
    return fitted(orjson.dumps({**event, "data_stream": merged}))


def _answers(body: str, events: int) -> list[dict[str, Any]] | None:
    """Return what is said of each event; None if this is not what the bulk API answers."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or len(items) != events:
        return None
    answers = []
    for item in items:
        answer = item.get("create") if isinstance(item, dict) else None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
            return None
        answers.append(answer)
    return answers


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    """Return what is said of one event: it is there already, or as its error or status have it.

    An event that is too large alone will not be smaller in another request.
    """
    if answer["status"] == _CONFLICT:
        return Outcome.ACCEPTED
    error = answer.get("error")
    kind = str(error.get("type")) if isinstance(error, dict) else ""
    outcome = _OUTCOME_OF_ERROR.get(kind) or classify(answer["status"])
    return Outcome.REFUSED if outcome is Outcome.TOO_LARGE else outcome


def _outcome_of_all(items: Iterable[Outcome]) -> Outcome:
    found = set(items)
    if Outcome.ACCEPTED in found:
        return Outcome.ACCEPTED
    return next(outcome for outcome in _WORST_FIRST if outcome in found)


def _problem(
    answers: Sequence[Mapping[str, Any]], items: Sequence[Outcome], kept_apart: int
) -> str:
    """Say how many events were not taken, with the first error of each kind, the worst first."""
    counts: defaultdict[Outcome, int] = defaultdict(int)
    first: dict[Outcome, str] = {}
    for answer, outcome in zip(answers, items, strict=True):
        if outcome is not Outcome.ACCEPTED:
            counts[outcome] += 1
            if outcome not in first:
                first[outcome] = f"HTTP {answer['status']} {_error(answer.get('error'))}".strip()
    said = [
        f"{counts[outcome]} of {len(items)} events: {first[outcome]}"
        for outcome in _WORST_FIRST
        if outcome in first
    ]
    if kept_apart:
        said.append(f"{kept_apart} of {len(items)} events went to the failure store")
    return "; ".join(said)


def _error(error: object) -> str:
    if isinstance(error, dict):
        return ": ".join(str(error[name]) for name in ("type", "reason") if name in error)
    return "" if error is None else str(error)
