"""Frames in, encoded events out: one pass over a read's worth of frames, never awaiting."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from collector.events.envelope import Arrival, Receipt, finisher
from collector.frames import read
from collector.identity import as_text
from collector.logs import Reports
from collector.parsers import ParseError, pipeline_error, repairs
from collector.parsers.convert import utc_text
from collector.syslog.framing import CutFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo

    from collector.batching import Batcher
    from collector.drift import DriftWatch
    from collector.events.envelope import Finish
    from collector.events.filters import Select
    from collector.identity import IdSource
    from collector.metrics import IntakeStats, ListenerStats, Stats
    from collector.parsers import Event, Parser
    from collector.routing import Router
    from collector.syslog.message import KeyName

log = structlog.get_logger(__name__)

# For an event that could not be completed as the settings of its intake ask for.
_FINISH: Final = finisher()
_INTERNAL: Final = ParseError("internal", "the parser failed; the log has the details")
_NO_ZONES: Final[Mapping[str, tzinfo]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Intake:
    """A kind of messages: how they are parsed and where their events go.

    Attributes:
        name: in logs and metrics.
        parse: makes an event of a text.
        batchers: one for each sink of the intake.
        stats: counters of the intake.
        watch: looks for what is new in a sample of the messages.
        finish: completes an event.
        select: takes those of `batchers` that get an event; None for all of them.
    """

    name: str
    parse: Parser
    batchers: tuple[Batcher, ...]
    stats: IntakeStats
    watch: DriftWatch
    finish: Finish
    select: Select[Batcher] | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where frames come from: one per connection, or per peer of a datagram listener.

    Attributes:
        listener: counters of the listener.
        peer: the sender's address as text, for reports.
        without_key: intake of messages that carry no key; None refuses them.
    """

    listener: ListenerStats
    peer: str
    without_key: Intake | None


class Pipeline:
    """Turns frames into encoded events and hands them to the batches of their sinks.

    Args:
        router: finds the intake of a message.
        key_name: where in the structured data the intake key stands.
        ids: source of event ids.
        stats: counters and accounts.
        zones: the zone of header times that name none, by listener; UTC for those not there.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self,
        router: Router,
        key_name: KeyName,
        ids: IdSource,
        stats: Stats,
        *,
        zones: Mapping[str, tzinfo] = _NO_ZONES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._by_key = router.by_key
        self._key_name = key_name
        self._ids = ids
        self._ledger = stats.ledger
        self._zones = zones
        self._clock = clock
        self._reports = Reports(log)

    def feed(self, frames: Sequence[bytes], origin: Origin) -> None:
        """Take frames of one origin; each ends as an event per sink or as refused.

        Args:
            frames: syslog messages as they came, `CutFrame` where too long.
            origin: who sent them.
        """
        nanoseconds = self._clock()
        received = nanoseconds / 1e9
        receipt = self._receipt(received, origin)
        identifier = self._ids.reserve(len(frames), nanoseconds // 1_000_000)
        self._ledger.received += len(frames)
        origin.listener.messages += len(frames)
        by_key, key_name = self._by_key, self._key_name
        for frame in frames:
            key, text, repaired = read(frame, key_name)
            intake = origin.without_key if key is None else by_key.get(key)
            if intake is None:
                self._refuse_unknown(origin, has_key=key is not None)
                continue
            if frame.__class__ is CutFrame:
                origin.listener.truncated += 1
            if nanoseconds >= intake.watch.due:
                intake.watch.examine(text, nanoseconds)
            arrival = Arrival(as_text(identifier), frame, repaired, receipt)
            identifier += 1
            event, encoded = self._encode(intake, text, arrival)
            self._ledger.copies += len(intake.batchers) - 1
            for batcher in self._chosen(intake, event):
                batcher.add(encoded, received)

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
            peer=origin.peer,
        )

    def _receipt(self, received: float, origin: Origin) -> Receipt:
        moment = datetime.fromtimestamp(received, UTC)
        zone = self._zones.get(origin.listener.name, UTC)
        return Receipt(moment, utc_text(moment), zone, origin.peer)

    def _encode(self, intake: Intake, text: str, arrival: Arrival) -> tuple[Event, bytes]:
        """Return the event of a message, and its JSON, whatever goes wrong."""
        try:
            return self._finish(intake, text, arrival)
        except Exception:  # noqa: BLE001 - a mistake of ours costs fields, not the message
            self._report_internal(intake, "parser")
        event = pipeline_error(text, _INTERNAL)
        _FINISH(event, arrival)
        self._count(intake, _INTERNAL, arrival.repairs)
        return event, orjson.dumps(event)

    def _finish(self, intake: Intake, text: str, arrival: Arrival) -> tuple[Event, bytes]:
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
        return event, encoded

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
            "message cannot be parsed, forwarded as pipeline_error",
            intake=intake.name,
            reason=failure.reason,
            problem=str(failure),
        )

    def _chosen(self, intake: Intake, event: Event) -> Sequence[Batcher]:
        """Return the batchers that get an event, and count the copies that go nowhere."""
        if intake.select is None:
            return intake.batchers
        dropped: Counter[str] = Counter()
        try:
            chosen = intake.select(event, dropped)
        except Exception:  # noqa: BLE001 - an event whose filter fails goes everywhere
            self._report_internal(intake, "filter")
            return intake.batchers
        self._ledger.dropped.update(dropped)
        return chosen

    def _report_internal(self, intake: Intake, what: str) -> None:
        self._reports.error(
            f"internal {what} {intake.name}",
            f"{what} failed, please report it",
            intake=intake.name,
            exc_info=True,
        )

    def _refuse_unknown(self, origin: Origin, *, has_key: bool) -> None:
        self._count_rejected(origin, "unknown_intake", 1)
        if has_key:
            problem = "the intake key is not configured"
        else:
            problem = "no intake key, and neither the listener nor the sender belongs to an intake"
        self._reports.warning(
            f"unknown_intake {origin.listener.name} {has_key}",
            "message rejected",
            reason="unknown_intake",
            problem=problem,
            listener=origin.listener.name,
            peer=origin.peer,
        )

    def _count_rejected(self, origin: Origin, reason: str, count: int) -> None:
        self._ledger.rejected[reason] += count
        origin.listener.rejected[reason] += count
