"""Frames in, encoded events out: one pass over a read's worth of frames, never awaiting."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import orjson
import structlog

from collector.identity import as_text
from collector.logs import Reports
from collector.parsers import ParseError, pipeline_error
from collector.syslog.framing import CutFrame
from collector.syslog.message import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.batching import Batcher
    from collector.identity import IdSource
    from collector.metrics import IntakeStats, ListenerStats, Stats
    from collector.parsers import Event, Parser
    from collector.routing import Router
    from collector.syslog.message import KeyName

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Intake:
    """A kind of messages: how they are parsed and where their events go."""

    name: str
    parse: Parser
    batchers: tuple[Batcher, ...]
    stats: IntakeStats


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


class _Stamp(NamedTuple):
    """What is known of a message's receipt: the id of its event, the time, tags if there are."""

    identifier: str
    created: str
    tags: list[str] | None

    def put_on(self, event: Event) -> Event:
        """Add it to an event; the time is `@timestamp` too where the event has none."""
        about = event.setdefault("event", {})
        about["id"] = self.identifier
        about["created"] = self.created
        if self.tags is not None:
            event.setdefault("tags", []).extend(self.tags)
        if "@timestamp" not in event:
            event["@timestamp"] = self.created
            event.setdefault("tags", []).append("timestamp:received")
        return event


class Pipeline:
    """Turns frames into encoded events and hands them to the batches of their sinks.

    Args:
        router: finds the intake of a message.
        key_name: where in the structured data the intake key stands.
        ids: source of event ids.
        stats: counters and accounts.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self,
        router: Router,
        key_name: KeyName,
        ids: IdSource,
        stats: Stats,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._by_key = router.by_key
        self._key_name = key_name
        self._ids = ids
        self._ledger = stats.ledger
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
        stamp = datetime.fromtimestamp(received, UTC).isoformat(timespec="microseconds")
        created = stamp[:-6] + "Z"
        identifier = self._ids.reserve(len(frames), nanoseconds // 1_000_000)
        self._ledger.received += len(frames)
        origin.listener.messages += len(frames)
        by_key, key_name = self._by_key, self._key_name
        for frame in frames:
            key, text = envelope(frame, key_name)
            intake = origin.without_key if key is None else by_key.get(key)
            if intake is None:
                self._refuse_unknown(origin, has_key=key is not None)
                continue
            tags = None
            if frame.__class__ is CutFrame:
                origin.listener.truncated += 1
                tags = ["truncated"]
            encoded = self._encode(intake, text, _Stamp(as_text(identifier), created, tags))
            identifier += 1
            for batcher in intake.batchers:
                batcher.add(encoded, received)
            self._ledger.copies += len(intake.batchers) - 1

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

    def _encode(self, intake: Intake, text: str, stamp: _Stamp) -> bytes:
        """Return the event of a message; one that cannot be parsed becomes a pipeline_error."""
        try:
            encoded = orjson.dumps(stamp.put_on(intake.parse(text)))
        except ParseError as error:
            failed = self._parse_failed(intake, text, error)
        except Exception:  # noqa: BLE001 - a parser's mistake costs fields, not the daemon
            self._reports.error(
                f"internal {intake.name}",
                "parser failed, please report it",
                intake=intake.name,
                exc_info=True,
            )
            failure = ParseError("internal", "the parser failed; the log has the details")
            failed = self._parse_failed(intake, text, failure)
        else:
            intake.stats.ok += 1
            return encoded
        return orjson.dumps(stamp.put_on(failed))

    def _parse_failed(self, intake: Intake, text: str, error: ParseError) -> Event:
        intake.stats.pipeline_error += 1
        intake.stats.parse_errors[error.reason] += 1
        self._reports.warning(
            f"parse {intake.name} {error.reason}",
            "message cannot be parsed, forwarded as pipeline_error",
            intake=intake.name,
            reason=error.reason,
            problem=str(error),
        )
        return pipeline_error(text, error)

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
