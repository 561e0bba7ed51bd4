"""Batches and dead letters as messages of a stream, and the names that subjects are made of.

A batch is published under `<stream>.<token of its sink>.<events>`: the servers count messages by
subject, so that the events that wait for a sink are known without reading them. What is known of
its events (`collector.spool.entries`) comes before the body, as it is too long for headers.

A message need not be one of ours: whoever may publish to the subjects can have made it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from collector.identity import ID_OCTETS
from collector.spool import Batch, Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.stream import Stored

LETTERS_SUFFIX: Final = "-dead-letters"
"""What is behind the name of a stream in that of its dead letters."""

MESSAGE_ID: Final = "Nats-Msg-Id"
"""The header by which the servers know a message that they have."""

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
"""The header that has a message refused where another stream would store it."""

MAX_FOREIGN_OCTETS: Final = 64 * 1024
"""What is kept of a message that is none of ours."""

MAX_EVENTS: Final = 1_000_000
"""Events of a batch, ten times what settings allow: a count beyond it is none of ours."""

MAX_OCTETS: Final = 128 * 1024 * 1024
"""Octets of a batch without compression: no longer one is published, and none is read.

Settings allow half of it; the last event comes on top, and can be longer than its message.
"""

HEADERS_OCTETS: Final = 512
"""More than the headers of a batch take without its form, which can be some thousands by itself."""

FOREIGN_LETTER: Final = "foreign_letter"
"""The reason of what stands among the dead letters of the stream and is none of a collector's."""

MAX_STRANGERS: Final = 100
"""Of how many sinks that are not configured, and reasons that are not ours, metrics and `/readyz`
tell one by one: whoever may publish into a stream can make up any number."""

LAST_SECOND: Final = 253402300799.0
"""The last that a date can name, in seconds since 1970."""

_FORM: Final = "Collector-Form"
_CODEC: Final = "Collector-Codec"
_OCTETS: Final = "Collector-Octets"
_RECEIVED: Final = "Collector-Received"
_LENGTHS: Final = "Collector-Lengths"  # of the parts before the last one

# What settings allow as a name (`collector.settings.kinds.LABEL`); some things have none.
_LABEL: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_MAX_PEER: Final = 255

# Digits that a count may have before it is read: the time to read one grows with their square.
_MAX_DIGITS: Final = 18

_STATUS_LINE: Final = len("NATS/1.0\r\n") + len("\r\n")
_PER_HEADER: Final = len(": ") + len("\r\n")

# In front of what names a delivery: `<stream>.<consumer>` and five numbers, in later releases with
# a domain and an account before and a random token behind.
_ACK_PREFIX: Final = ("$JS", "ACK")
_ACK_TOKENS: Final = 9
_ACK_TOKENS_WITH_DOMAIN: Final = 11


class Message(NamedTuple):
    """What is published.

    Attributes:
        subject: under which.
        headers: beside the body.
        body: the message.
    """

    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def size(self) -> int:
        """Octets that count towards the servers' `max_payload`."""
        return size(self.headers, self.body)


def size(headers: Mapping[str, str], body: bytes) -> int:
    """Return how long a message is to the servers: headers and body."""
    lines = sum(len(name) + len(value.encode()) + _PER_HEADER for name, value in headers.items())
    return _STATUS_LINE + lines + len(body)


@lru_cache(maxsize=64)  # a sink has one form, or one for each intake
def form_octets(form: str) -> int:
    """Return what the form of a batch takes in its headers."""
    return len(form.encode())


def token(sink: str) -> str:
    """Return the name of a sink as a subject and a consumer can have it: no dots."""
    return sink.replace(".", "=")  # which no name of a sink has


def sink_of(name: str) -> str:
    """Return the sink that a token stands for."""
    return name.replace("=", ".")


def subject(stream: str, sink: str, events: int) -> str:
    """Return what a batch is published under."""
    return f"{stream}.{token(sink)}.{events}"


def subject_of_sink(stream: str, sink: str) -> str:
    """Return the subjects of all batches for a sink, as a consumer filters by them."""
    return f"{stream}.{token(sink)}.*"


def read_subject(stream: str, text: str) -> tuple[str, int]:
    """Return the sink and the number of events that a batch's subject tells.

    Raises:
        ValueError: it is none of ours.
    """
    name, _, rest = text.partition(".")
    sink, dot, events = rest.partition(".")
    if name != stream or not sink or not dot:
        raise ValueError("the subject is no batch's")
    if not _is_label(sink_of(sink)):
        raise ValueError("no sink is called so")
    return sink_of(sink), _number(events, "events", MAX_EVENTS, least=1)


def events_by_sink(stream: str, subjects: Mapping[str, int]) -> dict[str, int]:
    """Add up the events that wait for each sink.

    Args:
        stream: its name.
        subjects: how many messages there are of each subject, as the servers tell; what is no
            batch's counts for nothing.
    """
    events: dict[str, int] = {}
    for text, messages in subjects.items():
        try:
            sink, count = read_subject(stream, text)
        except ValueError:
            continue
        events[sink] = events.get(sink, 0) + count * messages
    return events


def identifier(member: str, batch: Batch) -> str:
    """Return by what the servers know a batch that they have: they ask for all subjects together.

    Two batches never have the same, or the servers would take the second for the first, and lose
    it. Numbers are given once; even if they were given again, as the clock was set back, it would
    have to be to the same events, as their ids are in it.

    Args:
        member: of those that publish, the one whose number this is.
        batch: with the number that it keeps.
    """
    digest = blake2b(batch.entries, digest_size=8).hexdigest()
    return f"{token(batch.sink)}-{member}-{batch.number:x}-{digest}"


def batch_message(stream: str, batch: Batch, message_id: str) -> Message:
    """Return a batch as it is published.

    Args:
        stream: its name.
        batch: the batch.
        message_id: by which the servers know it.
    """
    headers = {
        MESSAGE_ID: message_id,
        EXPECTED_STREAM: stream,
        _FORM: batch.form,
        _CODEC: batch.codec,
        _OCTETS: str(batch.octets),
        _RECEIVED: repr(batch.received),
        _LENGTHS: str(len(batch.entries)),
    }
    return Message(
        subject(stream, batch.sink, batch.events), headers, b"".join((batch.entries, batch.body))
    )


def read_batch(stream: str, stored: Stored) -> Batch:
    """Return the batch that a message is; its place is that in the stream.

    The body is not read: what is wrong with it is found where it is used.

    Raises:
        ValueError: it is none, or what is told of it cannot be; the text says what.
    """
    sink, events = read_subject(stream, stored.subject)
    headers = stored.headers
    entries, body = _parts(stored)
    _check_entries(entries, events)
    return Batch(
        sink,
        _text(headers, _FORM),
        _text(headers, _CODEC),
        body,
        events,
        _number(_text(headers, _OCTETS), "octets", MAX_OCTETS),
        _moment(_text(headers, _RECEIVED)),
        entries,
        place=stored.sequence,
    )


def letters_subject(stream: str, reason: str) -> str:
    """Return what a dead letter is published under."""
    return f"{stream}{LETTERS_SUFFIX}.{reason}"


def letters_by_reason(stream: str, subjects: Mapping[str, int]) -> dict[str, int]:
    """Return how many dead letters there are of each reason.

    Args:
        stream: the name of that of batches.
        subjects: how many messages there are of each subject, as the servers tell; what names no
            reason counts as foreign.
    """
    prefix = letters_subject(stream, "")
    counts: dict[str, int] = {}
    for text, count in subjects.items():
        if text.startswith(prefix):
            word = text.removeprefix(prefix)
            reason = word if is_reason(word) else FOREIGN_LETTER
            counts[reason] = counts.get(reason, 0) + count
    return counts


def is_reason(word: str) -> bool:
    """Say whether a word can be a reason of dead letters, whatever version of us has it."""
    return bool(word) and _is_label(word)


def letter_message(stream: str, letter: Letter, message_id: str) -> Message:
    """Return a dead letter as it is published.

    Args:
        stream: the name of that of batches.
        letter: the dead letter.
        message_id: by which the servers know it.
    """
    head = orjson.dumps(
        {
            "problem": letter.problem,
            "identifier": letter.identifier,
            "intake": letter.intake,
            "sink": letter.sink,
            "listener": letter.listener,
            "peer": letter.peer,
            "received": letter.received,
            "kept": letter.kept,
            "is_frame": letter.is_frame,
            "is_cut": letter.is_cut,
            "has_event": letter.event is not None,
        }
    )
    headers = {
        MESSAGE_ID: message_id,
        EXPECTED_STREAM: stream + LETTERS_SUFFIX,
        _LENGTHS: f"{len(head)},{len(letter.raw)}",
    }
    body = b"".join((head, letter.raw, letter.event or b""))
    return Message(letters_subject(stream, letter.reason), headers, body)


def read_letter(stream: str, stored: Stored) -> Letter:
    """Return the dead letter that a message is; it has no number.

    Args:
        stream: the name of that of batches.
        stored: the message.

    Raises:
        ValueError: it is none, or what is told of it cannot be; the text says what.
    """
    prefix = letters_subject(stream, "")
    reason = stored.subject.removeprefix(prefix)
    if not stored.subject.startswith(prefix) or not reason:
        raise ValueError("the subject is no dead letter's")
    head, raw, event = _parts(stored, 3)
    told = orjson.loads(head)  # its error is a ValueError
    if not isinstance(told, dict):
        raise ValueError("the head is no object")  # noqa: TRY004 - as all that is wrong with it
    return Letter(
        reason,
        problem=_field(told, "problem", _TEXT),
        identifier=_field(told, "identifier", _TEXT),
        intake=_field(told, "intake", _NAME),
        sink=_field(told, "sink", _NAME),
        listener=_field(told, "listener", _NAME),
        peer=_field(told, "peer", _ADDRESS),
        received=_field(told, "received", _DATE),
        raw=raw,
        is_frame=_field(told, "is_frame", _FLAG),
        event=event if _field(told, "has_event", _FLAG) else None,
        is_cut=_field(told, "is_cut", _FLAG),
        kept=_field(told, "kept", _DATE),
    )


def read_reply(reply: str) -> tuple[int, float]:
    """Return what is said of a delivery where its acknowledgement goes to.

    Args:
        reply: `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<delivery>.<time>.<pending>`,
            or the later form with domain and account.

    Returns:
        The sequence in the stream, and when it was stored, in seconds since 1970.

    Raises:
        ValueError: the message is no delivery.
    """
    tokens = reply.split(".")
    if tuple(tokens[:2]) != _ACK_PREFIX or len(tokens) < _ACK_TOKENS:
        raise ValueError("no delivery")
    at = 7 if len(tokens) >= _ACK_TOKENS_WITH_DOMAIN else 5
    return int(tokens[at]), int(tokens[at + 2]) / 1e9


def foreign_letter(stored: Stored, reason: str, problem: str, *, sink: str = "") -> Letter:
    """Return the dead letter that stands for a message that is none of ours.

    Args:
        stored: the message.
        reason: what it is.
        problem: why it is none, for people.
        sink: whose batch it was to be; empty if it was to be none.
    """
    return Letter(
        reason=reason,
        problem=problem,
        identifier=f"{stored.sequence:032x}",
        intake="",
        sink=sink,
        listener="",
        peer="",
        received=stored.moment,
        raw=stored.body[:MAX_FOREIGN_OCTETS],
        is_frame=False,
        is_cut=len(stored.body) > MAX_FOREIGN_OCTETS,
    )


def _parts(stored: Stored, count: int = 2) -> list[bytes]:
    """Take a message's body apart by the lengths of all parts but the last."""
    lengths = _text(stored.headers, _LENGTHS).split(",", count)
    if len(lengths) != count - 1:
        raise ValueError("the lengths are not those of its parts")
    parts, at = [], 0
    for digits in lengths:
        length = _number(digits, "lengths", len(stored.body) - at)
        parts.append(stored.body[at : at + length])
        at += length
    return [*parts, stored.body[at:]]


def _check_entries(packed: bytes, events: int) -> None:
    """See that entries are such, and as many as events, as all who unpack them take for granted."""
    head, _, identifiers = packed.partition(b"\n")
    if len(identifiers) != ID_OCTETS * events:
        raise ValueError("the entries are not as many as the events")
    runs = orjson.loads(head)
    if not isinstance(runs, list) or not all(map(_is_run, runs)):
        raise ValueError("the entries are no runs")
    if sum(run[0] for run in runs) != events:
        raise ValueError("the runs are not as long as the events are many")


def _is_run(run: object) -> bool:
    return (
        isinstance(run, list)
        and [type(value) for value in run] in ([int, str, str, float], [int, str, str, int])
        and run[0] > 0
        and _is_label(run[1])
        and _is_peer(run[2])
        and _is_date(run[3])
    )


def _is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None


def _is_peer(text: str) -> bool:
    return len(text) <= _MAX_PEER and text.isprintable()


def _is_date(moment: float) -> bool:
    return 0 <= moment <= LAST_SECOND


def _text(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name]
    except KeyError:
        raise ValueError(f"there is no header {name}") from None


def _number(text: str, what: str, most: int, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError(f"{what}: no number")
    if not least <= (number := int(text)) <= most:
        raise ValueError(f"{what}: {number} cannot be")
    return number


def _moment(text: str) -> float:
    moment = float(text[:64])
    if not _is_date(moment):
        raise ValueError("the time of receipt is none")
    return moment


class _Kind(NamedTuple):
    """What a field is to be.

    Attributes:
        type: of its value.
        name: for people.
        is_one: says of a value of that type whether it is one.
    """

    type: type
    name: str = ""
    is_one: Callable[[Any], bool] = lambda _: True


_TEXT: Final = _Kind(str)
_FLAG: Final = _Kind(bool)
_NAME: Final = _Kind(str, "name", _is_label)
_ADDRESS: Final = _Kind(str, "address", _is_peer)
_DATE: Final = _Kind(float, "date", _is_date)


def _field(told: Mapping[str, Any], name: str, kind: _Kind) -> Any:
    value = told.get(name)
    if kind.type is float and type(value) is int:
        value = float(value)
    if type(value) is not kind.type:
        raise ValueError(f"{name}: not what it is to be")
    if not kind.is_one(value):
        raise ValueError(f"{name}: no {kind.name}")
    return value
