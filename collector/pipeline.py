"""Frames in, documents out: one pass over a read's worth of frames, never awaiting."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from collector.events.envelope import Arrival, Receipt, finisher
from collector.events.translation import fits
from collector.frames import FRAME_TAGS, read
from collector.identity import as_text, content_id
from collector.logs import Reports
from collector.parsers import ParseError, build, pipeline_error, repairs
from collector.parsers.convert import utc_text
from collector.routing import peer_address
from collector.sightings import LOCAL
from collector.spool import Letter
from collector.spool.entries import consecutive
from collector.syslog.framing import CutFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import tzinfo

    from collector.backpressure import Gate
    from collector.batching import Batcher
    from collector.drift import DriftWatch
    from collector.events.envelope import Finish
    from collector.events.filters import Select
    from collector.events.translation import Translator
    from collector.identity import IdSource
    from collector.metrics import IntakeStats, ListenerStats, Stats
    from collector.parsers import Event, Parser
    from collector.ratelimit import Limit
    from collector.routing import KeySlot, Router
    from collector.sinks.formats import DocumentOf
    from collector.spool import Spool
    from collector.spool.entries import Entry
    from collector.syslog.message import KeyName

log = structlog.get_logger(__name__)

KNOWN_HEADERS: Final = 4
"""The headers that are remembered of an origin: it may send on behalf of several intakes."""

MAX_RATE: Final = "max_rate"
"""The account of messages beyond what an intake takes."""

# For an event that could not be completed as the settings of its intake ask for.
_FINISH: Final = finisher()
_RAW: Final = build("raw")
_INTERNAL: Final = ParseError("internal", "the parser failed; the log has the details")
_KEPT: Final = "message kept as a dead letter"


@dataclass(frozen=True, slots=True)
class Outlet:
    """One intake's way to one sink.

    Attributes:
        intake: name of the intake.
        batcher: gathers the documents of the sink.
        document_of: makes them; None if they are the events' JSON.
    """

    intake: str
    batcher: Batcher
    document_of: DocumentOf | None = None

    def document(self, event: Event, encoded: bytes, text: str, arrival: Arrival) -> bytes:
        """Return what the sink gets of an event, whose JSON is `encoded`."""
        make = self.document_of
        return encoded if make is None else make(event, encoded, text, arrival)


@dataclass(frozen=True, slots=True)
class Intake:
    """A kind of messages: how they are parsed and where their events go.

    Attributes:
        name: in logs and metrics.
        parse: makes an event of a text.
        outlets: one for each sink of the intake.
        stats: counters of the intake.
        watch: looks for what is new in a sample of the messages.
        finish: completes an event.
        select: takes those of `outlets` that get an event; None for all of them.
        limit: bounds how many messages it takes; None for any number.
        keep_excess: whether what is beyond the limit is kept as dead letters.
        keep_unparsed: whether what cannot be parsed is kept as dead letters.
        translator: makes the events of messages of known shapes; None where there is none.
    """

    name: str
    parse: Parser
    outlets: tuple[Outlet, ...]
    stats: IntakeStats
    watch: DriftWatch
    finish: Finish
    select: Select[Outlet] | None
    limit: Limit | None = None
    keep_excess: bool = False
    keep_unparsed: bool = False
    translator: Translator | None = None

    @property
    def takes_runs(self) -> bool:
        """Whether nothing is to be decided for each message once it is translated."""
        return (
            self.translator is not None
            and self.translator.takes_runs
            and self.select is None
            and self.limit is None
            and all(outlet.document_of is None for outlet in self.outlets)
        )


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a message said, for those whose headers end with the same octets.

    Attributes:
        tail: these octets.
        intake: whose messages they are; one that `takes_runs`.
        translator: that of the intake.
        slot: the place of the key among those of the intake; None for messages without a key.
    """

    tail: bytes
    intake: Intake
    translator: Translator
    slot: KeySlot | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where frames come from: one per connection, or per peer of a datagram listener.

    Attributes:
        listener: counters of the listener.
        peer: the sender's address as text; empty if it has none, behind a Unix socket.
        without_key: intake of messages that carry no key; None refuses them.
        headers: what the headers of its last messages said.
    """

    listener: ListenerStats
    peer: str
    without_key: Intake | None
    headers: deque[Header] = field(
        default_factory=lambda: deque(maxlen=KNOWN_HEADERS), compare=False
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What settings decide of a pipeline: a reload may change it.

    Attributes:
        router: finds the intake of a message.
        key_name: where in the structured data the intake key stands.
        identify_by_content: whether ids follow from what was sent.
        keep_unknown: whether messages of no intake are kept as dead letters.
        zones: the zone of header times that name none, by listener; UTC for those not there.
    """

    router: Router
    key_name: KeyName
    identify_by_content: bool = False
    keep_unknown: bool = True
    zones: Mapping[str, tzinfo] = field(default_factory=dict)


@dataclass(slots=True)
class _Reading:
    """What the messages of one read have in common.

    Attributes:
        origin: who sent them.
        receipt: how they came.
        nanoseconds: when, since 1970.
        last_seen: the intake whose messages came last.
        closed: the gates of full sinks that they went to.
    """

    origin: Origin
    receipt: Receipt
    nanoseconds: int
    last_seen: Intake | None = None
    closed: set[Gate] = field(default_factory=set)

    @property
    def received(self) -> float:
        """When they came, in seconds since 1970."""
        return self.nanoseconds / 1e9


class Pipeline:
    """Turns frames into documents and hands them to the batches of their sinks.

    Args:
        rules: what settings decide.
        ids: source of event ids.
        stats: counters and accounts.
        spool: keeps dead letters.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self,
        rules: Rules,
        ids: IdSource,
        stats: Stats,
        spool: Spool,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ids = ids
        self._stats = stats
        self._ledger = stats.ledger
        self._sightings = stats.sightings
        self._spool = spool
        self._clock = clock
        self._reports = Reports(log)
        self._adopt(rules)

    def reconfigure(self, rules: Rules) -> None:
        """Treat by other rules what comes from now on; when keys were last used stays known.

        An `Origin` keeps the intake that it was made with: those in use are to be made anew.
        """
        rules.router.take_over(self._router)
        self._adopt(rules)

    def _adopt(self, rules: Rules) -> None:
        self._router = rules.router
        self._by_key = rules.router.by_key
        self._key_name = rules.key_name
        self._by_content = rules.identify_by_content
        self._keep_unknown = rules.keep_unknown
        self._zones = rules.zones
        self._stats.key_slots = tuple(rules.router.by_key.values())

    def feed(
        self, frames: Sequence[bytes], origin: Origin, rejected: list[int] | None = None
    ) -> Collection[Gate]:
        """Take frames of one origin; each ends as a document per sink, a dead letter or refused.

        Args:
            frames: syslog messages as they came, `CutFrame` where too long.
            origin: who sent them.
            rejected: gets the positions in `frames` of messages that settings reject, for a sender
                that is told; what a filter or a rate drops was accepted.

        Returns:
            The gates that are closed of the sinks they went to: the origin is to wait for them
            before it reads on.
        """
        nanoseconds = self._clock()
        receipt = self._receipt(nanoseconds / 1e9, origin.listener.name, origin.peer)
        first = self._ids.reserve(len(frames), nanoseconds // 1_000_000)
        self._ledger.received += len(frames)
        origin.listener.messages += len(frames)
        reading = _Reading(origin, receipt, nanoseconds)
        position = 0
        while position < len(frames):
            number = first + position
            taken = self._translate(frames, position, number, reading) if origin.headers else 0
            if not taken:
                taken = 1
                kept = self._take(frames[position], number, reading)
                if rejected is not None and not kept:
                    rejected.append(position)
            position += taken
        return reading.closed

    def _translate(
        self, frames: Sequence[bytes], position: int, number: int, reading: _Reading
    ) -> int:
        """Take messages as long as they are such as came before.

        Args:
            frames: messages.
            position: the first of them that is to be taken.
            number: its id.
            reading: what is known of all.

        Returns:
            How many were taken.
        """
        for header in reading.origin.headers:
            if fits(frames[position], header.tail):
                break
        else:
            return 0
        intake, receipt = header.intake, reading.receipt
        if reading.nanoseconds >= intake.watch.due:
            return 0
        try:
            events = header.translator.translate_run(frames, position, header.tail, number, receipt)
        except Exception:  # noqa: BLE001 - a mistake of ours costs time: each is taken by itself
            self._report_internal(intake, "translator")
            return 0
        if not events:
            return 0
        if header.slot is not None:
            header.slot.last_used = reading.received
        self._see(intake, reading)
        intake.stats.ok += len(events)
        self._ledger.copies += (len(intake.outlets) - 1) * len(events)
        identifiers = consecutive(number, len(events))
        for outlet in intake.outlets:
            outlet.batcher.extend(events, identifiers, intake.name, receipt)
            if outlet.batcher.gate.closed:
                reading.closed.add(outlet.batcher.gate)
        return len(events)

    def _take(self, frame: bytes, number: int, reading: _Reading) -> bool:
        """Take a message as it comes; say whether it is kept."""
        origin, receipt = reading.origin, reading.receipt
        key, text, repaired = read(frame, self._key_name)
        slot = None if key is None else self._by_key.get(key)
        intake = slot.intake if slot else origin.without_key if key is None else None
        if frame.__class__ is CutFrame:
            origin.listener.truncated += 1
        if intake is None:
            arrival = Arrival(as_text(number), frame, repaired, receipt)
            self._refuse_unknown(arrival, origin, has_key=key is not None)
            return self._keep_unknown
        if slot is not None:
            slot.last_used = reading.received
        self._see(intake, reading)
        identifier = content_id(intake.name, frame) if self._by_content else as_text(number)
        arrival = Arrival(identifier, frame, repaired, receipt)
        if intake.limit is not None and not intake.limit.admit(reading.received):
            self._refuse_excess(intake, arrival)
            return True
        if reading.nanoseconds >= intake.watch.due:
            intake.watch.examine(text, reading.nanoseconds)
        self._forward(intake, text, arrival, reading.closed)
        if intake.takes_runs and not (repaired or self._by_content):
            self._remember(origin, frame, text, intake, slot)
        return True

    @staticmethod
    def _remember(
        origin: Origin, frame: bytes, text: str, intake: Intake, slot: KeySlot | None
    ) -> None:
        """Keep what the header of a message said."""
        translator = intake.translator
        if translator is None or any(fits(frame, header.tail) for header in origin.headers):
            return
        tail = translator.tail_of(frame, text)
        if tail:
            origin.headers.append(Header(tail, intake, translator, slot))

    def _see(self, intake: Intake, reading: _Reading) -> None:
        """Note that an intake has heard of a peer: once a read in most cases."""
        if intake is not reading.last_seen:
            self._sightings.saw(intake.name, reading.origin.peer, reading.received)
            reading.last_seen = intake

    def _forward(self, intake: Intake, text: str, arrival: Arrival, closed: set[Gate]) -> None:
        """Add a message to the batches of its sinks, and to `closed` the gates of full ones."""
        event, encoded, failure = self._encode(intake, text, arrival)
        if failure is not None and intake.keep_unparsed:
            self._set_aside("parse_error", str(failure), arrival, intake.name)
            return
        outlets: Sequence[Outlet] = intake.outlets
        self._ledger.copies += len(outlets) - 1
        if intake.select is not None:
            outlets, dropped = self._select(intake, event)
            self._ledger.dropped.update(dropped)
        for outlet in outlets:
            batcher = outlet.batcher
            try:
                document = outlet.document(event, encoded, text, arrival)
            except Exception:  # noqa: BLE001 - a mistake of ours keeps one sink waiting for its copy
                self._report_internal(intake, "format")
                problem = "the sink's format failed; the log has the details"
                self._set_aside("internal", problem, arrival, intake.name, batcher.sink)
                continue
            batcher.add(document, arrival, intake.name)
            if batcher.gate.closed:
                closed.add(batcher.gate)

    def replay(self, letter: Letter) -> bool:
        """Send a dead letter through today's parser, routing and settings.

        Its id, time of receipt and peer stay. What one sink did not get goes to that sink alone.
        The rate of its intake does not bound what somebody asks for.

        Returns:
            Whether it is on its way, or dropped by a filter; if not, it is to stay where it is.
        """
        found = self._reread(letter)
        if found is None:
            return False
        intake, text, arrival = found
        if letter.sink and all(outlet.batcher.sink != letter.sink for outlet in intake.outlets):
            return False
        event, encoded, failure = self._encode(intake, text, arrival)
        if failure is not None and intake.keep_unparsed:
            return False
        outlets, dropped = self._select(intake, event)
        if letter.sink:
            outlets, dropped = _for_one(letter.sink, outlets, dropped)
        try:
            documents = [outlet.document(event, encoded, text, arrival) for outlet in outlets]
        except Exception:  # noqa: BLE001 - a mistake of ours leaves the letter where it is
            self._report_internal(intake, "format")
            return False
        self._ledger.dead_lettered[letter.reason] -= 1
        self._ledger.copies += len(documents) + dropped.total() - 1
        self._ledger.dropped.update(dropped)
        for outlet, document in zip(outlets, documents, strict=True):
            outlet.batcher.add(document, arrival, intake.name)
        return True

    def read_again(self, raw: str, entry: Entry) -> tuple[Event, bytes, Arrival]:
        """Return the event that a raw message, stored without its header, is today, and its JSON.

        An intake that is gone has the parser `raw`.
        """
        receipt = self._receipt(entry.received, "", entry.peer)
        arrival = Arrival(entry.identifier, b"", (), receipt, {})
        intake = self._router.by_name.get(entry.intake)
        if intake is None:
            event = _RAW(raw)
            _FINISH(event, arrival)
            return event, orjson.dumps(event), arrival
        event, encoded, _ = self._encode(intake, raw, arrival)
        return event, encoded, arrival

    def _reread(self, letter: Letter) -> tuple[Intake, str, Arrival] | None:
        """Return what `feed` finds out of a frame, as far as it is known of a dead letter.

        Returns:
            The intake, the text and how it came; None if it belongs to no intake.
        """
        receipt = self._receipt(letter.received, letter.listener, letter.peer)
        if not letter.is_frame:
            intake = self._router.by_name.get(letter.intake)
            if intake is None:
                return None
            repaired, header = _known_of_frame(letter.event)
            arrival = Arrival(letter.identifier, b"", repaired, receipt, header)
            return intake, letter.raw.decode("utf-8", "replace"), arrival
        frame = CutFrame(letter.raw) if letter.is_cut else letter.raw
        key, text, repaired = read(frame, self._key_name)
        if key is None:
            peer = peer_address(letter.peer) if letter.peer else None
            intake = self._router.without_key(letter.listener, peer)
        else:
            slot = self._by_key.get(key)
            intake = None if slot is None else slot.intake
        if intake is None:
            return None
        identifier = letter.identifier
        if self._by_content and not letter.intake:
            # The id of a message that belonged to no intake did not follow from its content.
            identifier = content_id(intake.name, frame)
        return intake, text, Arrival(identifier, frame, repaired, receipt)

    def reject(self, origin: Origin, reason: str, count: int = 1) -> None:
        """Count messages that were received and are not kept.

        Args:
            origin: who sent them.
            reason: why, one of a few words of the code.
            count: how many they are.
        """
        self._ledger.received += count
        origin.listener.messages += count
        self._count_rejected(origin, reason, count)
        self._reports.warning(
            f"{reason} {origin.listener.name}",
            "message rejected",
            reason=reason,
            listener=origin.listener.name,
            peer=origin.peer or LOCAL,
        )

    def keep_incomplete(self, frame: bytes, origin: Origin) -> None:
        """Keep what came of a frame whose sender left before its end."""
        nanoseconds = self._clock()
        identifier = as_text(self._ids.reserve(1, nanoseconds // 1_000_000))
        receipt = self._receipt(nanoseconds / 1e9, origin.listener.name, origin.peer)
        self._ledger.received += 1
        origin.listener.messages += 1
        problem = "the connection ended within the message"
        arrival = Arrival(identifier, CutFrame(frame), (), receipt)
        self._set_aside("incomplete_frame", problem, arrival)
        self._report(_KEPT, "incomplete_frame", problem, receipt)

    def _receipt(self, received: float, listener: str, peer: str) -> Receipt:
        moment = datetime.fromtimestamp(received, UTC)
        zone = self._zones.get(listener, UTC)
        return Receipt(moment, utc_text(moment), zone, peer, listener)

    def _encode(
        self, intake: Intake, text: str, arrival: Arrival
    ) -> tuple[Event, bytes, ParseError | None]:
        """Return the event of a message, its JSON and why it is none, whatever goes wrong."""
        try:
            translated = self._translated(intake, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours costs time
            self._report_internal(intake, "translator")
            translated = None
        if translated is not None:
            return translated
        try:
            return self._finish(intake, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours costs fields, not the message
            self._report_internal(intake, "parser")
        event = pipeline_error(text, _INTERNAL)
        _FINISH(event, arrival)
        self._count(intake, _INTERNAL, arrival.repairs)
        return event, orjson.dumps(event), _INTERNAL

    def _translated(
        self, intake: Intake, text: str, arrival: Arrival
    ) -> tuple[Event, bytes, None] | None:
        """Return the event of a message of a known shape and its JSON; None of any other."""
        translator = intake.translator
        if translator is None or arrival.repairs:
            return None
        encoded = translator.translate(text.encode(), arrival)
        if encoded is None:
            return None
        self._count(intake, None, ())
        return orjson.loads(encoded), encoded, None

    def _finish(
        self, intake: Intake, text: str, arrival: Arrival
    ) -> tuple[Event, bytes, ParseError | None]:
        """Return the event of a message; one that cannot be parsed becomes a pipeline_error."""
        failure = None
        try:
            event = intake.parse(text)
        except ParseError as error:
            failure = error
            event = pipeline_error(text, error)
        repaired = arrival.repairs
        if "tags" in event:
            repaired = (*repaired, *event["tags"])
        intake.finish(event, arrival)
        encoded = orjson.dumps(event)
        self._count(intake, failure, repaired)
        return event, encoded, failure

    def _count(self, intake: Intake, failure: ParseError | None, tags: tuple[str, ...]) -> None:
        """Count an event by its outcome, and each repair that its tags name."""
        stats = intake.stats
        if tags:
            stats.repaired.update({*filter(None, map(repairs.name_of, tags))})
        if failure is None:
            stats.ok += 1
            return
        stats.pipeline_error += 1
        stats.parse_errors[failure.reason] += 1
        self._reports.warning(
            f"parse {intake.name} {failure.reason}",
            "message cannot be parsed, "
            + ("kept as a dead letter" if intake.keep_unparsed else "forwarded as pipeline_error"),
            intake=intake.name,
            reason=failure.reason,
            problem=str(failure),
        )

    def _select(self, intake: Intake, event: Event) -> tuple[Sequence[Outlet], Counter[str]]:
        """Return the outlets that get an event, and how many copies go nowhere, by reason."""
        dropped: Counter[str] = Counter()
        if intake.select is None:
            return intake.outlets, dropped
        try:
            return intake.select(event, dropped), dropped
        except Exception:  # noqa: BLE001 - an event whose filter fails goes everywhere
            self._report_internal(intake, "filter")
            return intake.outlets, Counter()

    def _report_internal(self, intake: Intake, what: str) -> None:
        self._reports.error(
            f"internal {what} {intake.name}",
            f"{what} failed, please report it",
            intake=intake.name,
            exc_info=True,
        )

    def _refuse_unknown(self, arrival: Arrival, origin: Origin, *, has_key: bool) -> None:
        """Keep or reject a message that belongs to no intake."""
        if has_key:
            problem = "the intake key is not configured"
        else:
            problem = "no intake key, and neither the listener nor the sender belongs to an intake"
        if self._keep_unknown:
            self._set_aside("unknown_intake", problem, arrival)
        else:
            self._count_rejected(origin, "unknown_intake", 1)
        event = _KEPT if self._keep_unknown else "message rejected"
        self._report(event, "unknown_intake", problem, arrival.receipt)

    def _refuse_excess(self, intake: Intake, arrival: Arrival) -> None:
        """Keep or drop a message beyond the rate of its intake."""
        problem = f"intake {intake.name!r} takes no more than its max_rate"
        if intake.keep_excess:
            self._set_aside(MAX_RATE, problem, arrival, intake.name)
        else:
            self._ledger.dropped[MAX_RATE] += 1
        event = _KEPT if intake.keep_excess else "message dropped"
        self._report(event, MAX_RATE, problem, arrival.receipt)

    def _set_aside(
        self, reason: str, problem: str, arrival: Arrival, intake: str = "", sink: str = ""
    ) -> None:
        """Keep a message as a dead letter, as it came."""
        frame, receipt = arrival.frame, arrival.receipt
        self._ledger.in_memory += 1
        self._stats.dead_lettered[intake, reason] += 1
        self._spool.set_aside(
            Letter(
                reason=reason,
                problem=problem,
                identifier=arrival.identifier,
                intake=intake,
                sink=sink,
                listener=receipt.listener,
                peer=receipt.peer,
                received=receipt.moment.timestamp(),
                raw=bytes(frame),
                is_frame=True,
                is_cut=frame.__class__ is CutFrame,
            )
        )

    def _report(self, event: str, reason: str, problem: str, receipt: Receipt) -> None:
        """Log what became of a message that is not forwarded."""
        self._reports.warning(
            f"{reason} {problem} {receipt.listener}",
            event,
            reason=reason,
            problem=problem,
            listener=receipt.listener,
            peer=receipt.peer or LOCAL,
        )

    def _count_rejected(self, origin: Origin, reason: str, count: int) -> None:
        self._ledger.rejected[reason] += count
        origin.listener.rejected[reason] += count


def _for_one(
    sink: str, outlets: Sequence[Outlet], dropped: Counter[str]
) -> tuple[Sequence[Outlet], Counter[str]]:
    """Return of what `Pipeline._select` returns that which concerns one sink of the intake."""
    own = [outlet for outlet in outlets if outlet.batcher.sink == sink]
    if own:
        return own, Counter()
    # Its own filter left it out, or one of the intake left out all.
    reason = f"only:{sink}"
    return own, Counter([reason if reason in dropped else next(iter(dropped))])


def _known_of_frame(event: bytes | None) -> tuple[tuple[str, ...], dict[str, Any] | None]:
    """Return what an event knows of the frame it came in: its repairs and its header's fields."""
    if event is None:
        return (), {}
    found = orjson.loads(event)
    tags = found.get("tags") or []
    header = (found.get("log") or {}).get("syslog") or {}
    return tuple(tag for tag in FRAME_TAGS if tag in tags), header
