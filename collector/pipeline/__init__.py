"""Frames in, documents out: one pass over a read's worth of frames, never awaiting.

A frame says whose it is, by its key or by who sent it, and what it says; the functions of its
intake make an event of the text (`stages`); each outlet of the intake adds a document of it to the
batch of a sink. That is `Pipeline._take`, message by message, and where most of them end up is
`runs`: the same for messages such as came before, many at a time. What goes no further is kept or
counted (`aside`). What was received before comes again by way of `replay`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from collector.events.envelope import Arrival
from collector.frames import read
from collector.identity import as_text, content_id
from collector.logs import Reports
from collector.pipeline.aside import Aside
from collector.pipeline.intake import Intake, Outlet
from collector.pipeline.origin import Origin, Reading
from collector.pipeline.replay import Replayer
from collector.pipeline.rules import Rules
from collector.pipeline.runs import Runs, remember
from collector.pipeline.stages import Stages
from collector.syslog.framing import CutFrame
from collector.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from collector.backpressure import Gate
    from collector.identity import IdSource
    from collector.metrics import Stats
    from collector.parsers import Event
    from collector.pipeline.stages import Encoded
    from collector.spool import Letter, Spool
    from collector.spool.entries import Entry
    from collector.tail import Outcome

__all__ = ["Intake", "Origin", "Outlet", "Pipeline", "Rules"]

log = structlog.get_logger(__name__)


class Pipeline:
    """Turns frames into documents and hands them to the batches of their sinks.

    Args:
        rules: what settings decide.
        ids: source of event ids.
        stats: counters and accounts.
        spool: keeps dead letters.
        tail: is shown what is dealt with.
        clock: nanoseconds since 1970.
    """

    def __init__(
        self,
        rules: Rules,
        ids: IdSource,
        stats: Stats,
        spool: Spool,
        tail: Tail | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ids = ids
        self._stats = stats
        self._ledger = stats.ledger
        self._sightings = stats.sightings
        self._clock = clock
        self._tail = tail = Tail() if tail is None else tail
        reports = Reports(log)
        self._stages = Stages(reports)
        self._runs = Runs(self._stages, stats.ledger, stats.sightings, tail)
        self._aside = Aside(stats, spool, reports, tail)
        self._adopt(rules)

    def reconfigure(self, rules: Rules) -> None:
        """Treat by other rules what comes from now on; when keys were last used stays known.

        An `Origin` keeps the intake that it was made with: those in use are to be made anew.
        """
        rules.router.take_over(self._rules.router)
        self._adopt(rules)

    def _adopt(self, rules: Rules) -> None:
        self._rules = rules
        self._by_key = rules.router.by_key
        self._replayer = Replayer(rules, self._stages, self._ledger)
        self._stats.key_slots = tuple(rules.router.by_key.values())

    # The way of a message.

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
        reading, first = self._begin(origin, len(frames))
        position = 0
        while position < len(frames):
            number = first + position
            taken = self._runs.take(frames, position, number, reading) if origin.headers else 0
            if not taken:
                taken = 1
                kept = self._take(frames[position], number, reading)
                if rejected is not None and not kept:
                    rejected.append(position)
            position += taken
        return reading.closed

    def _begin(self, origin: Origin, count: int) -> tuple[Reading, int]:
        """Account for messages that were read at once; return what they share and the first id."""
        self._count(origin, count)
        nanoseconds = self._clock()
        receipt = self._rules.receipt(nanoseconds / 1e9, origin.listener.name, origin.peer)
        first = self._ids.reserve(count, nanoseconds // 1_000_000)
        return Reading(origin, receipt, nanoseconds), first

    def _count(self, origin: Origin, count: int) -> None:
        self._ledger.received += count
        origin.listener.messages += count

    def _take(self, frame: bytes, number: int, reading: Reading) -> bool:
        """Take a message as it comes; say whether it is kept."""
        origin, receipt, rules = reading.origin, reading.receipt, self._rules
        key, text, repaired = read(frame, rules.key_name)
        slot = None if key is None else self._by_key.get(key)
        intake = slot.intake if slot else origin.without_key if key is None else None
        if frame.__class__ is CutFrame:
            origin.listener.truncated += 1
        if intake is None:
            arrival = Arrival(as_text(number), frame, repaired, receipt)
            keep = rules.keep_unknown
            self._aside.unknown(arrival, origin, has_key=key is not None, keep=keep)
            return keep
        if slot is not None:
            slot.last_used = reading.received
        reading.see(intake, self._sightings)
        by_content = rules.identify_by_content
        identifier = content_id(intake.name, frame) if by_content else as_text(number)
        arrival = Arrival(identifier, frame, repaired, receipt)
        if intake.limit is not None and not intake.limit.admit(reading.received):
            self._aside.excess(intake, arrival)
            return True
        if reading.nanoseconds >= intake.watch.due:
            intake.watch.examine(text, reading.nanoseconds)
        self._forward(intake, text, arrival, reading.closed)
        if intake.takes_runs and not (repaired or by_content):
            remember(origin, frame, text, intake, slot)
        return True

    def _forward(self, intake: Intake, text: str, arrival: Arrival, closed: set[Gate]) -> None:
        """Add a message to the batches of its sinks, and to `closed` the gates of full ones."""
        encoded = self._stages.encode(intake, text, arrival)
        event, _, failure = encoded
        if failure is not None and intake.keep_unparsed:
            self._aside.unparsed(intake, arrival, failure)
            return
        outlets: Sequence[Outlet] = intake.outlets
        dropped: Collection[str] = ()
        self._ledger.copies += len(outlets) - 1
        if intake.select is not None:
            outlets, counts = self._stages.select(intake, event)
            self._ledger.dropped.update(counts)
            dropped = counts
        if self._tail.watches:
            self._show(intake, arrival, encoded, outlets, dropped)
        for outlet in outlets:
            document = self._stages.document(intake, outlet, encoded, text, arrival)
            if document is None:
                self._aside.unmade(outlet, arrival)
                continue
            outlet.batcher.add(document, arrival, intake.name)
            if outlet.batcher.gate.closed:
                closed.add(outlet.batcher.gate)

    def _show(
        self,
        intake: Intake,
        arrival: Arrival,
        encoded: Encoded,
        outlets: Sequence[Outlet],
        dropped: Collection[str],
    ) -> None:
        """Show an event that goes to some outlets, and which filters keep it from the others."""
        _, octets, failure = encoded
        outcome: Outcome = "dropped"
        problems = list(dropped)
        if outlets:
            outcome = "ok" if failure is None else "pipeline_error"
        if failure is not None:
            problems.insert(0, failure.problem)
        self._tail.show(outcome, arrival, intake.name, event=octets, problem=", ".join(problems))

    # What is no whole message.

    def reject(self, origin: Origin, reason: str, count: int = 1) -> None:
        """Count messages that were received and are not kept.

        Args:
            origin: who sent them.
            reason: why, one of a few words of the code.
            count: how many they are.
        """
        self._count(origin, count)
        self._aside.rejected(origin, reason, count)
        if self._tail.watches:
            receipt = self._rules.receipt(self._clock() / 1e9, origin.listener.name, origin.peer)
            problem = f"{reason}: {count} refused unread"
            self._tail.show("rejected", Arrival("", b"", (), receipt), problem=problem)

    def keep_incomplete(self, frame: bytes, origin: Origin) -> None:
        """Keep what came of a frame whose sender left before its end."""
        reading, number = self._begin(origin, 1)
        arrival = Arrival(as_text(number), CutFrame(frame), (), reading.receipt)
        self._aside.incomplete(arrival)

    # What comes again.

    def replay(self, letter: Letter) -> bool:
        """Send a dead letter through today's parser, routing and settings.

        Its id, time of receipt and peer stay. What one sink did not get goes to that sink alone.
        The rate of its intake does not bound what somebody asks for.

        Returns:
            Whether it is on its way, or dropped by a filter; if not, it is to stay where it is.
        """
        return self._replayer.replay(letter)

    def read_again(self, raw: str, entry: Entry) -> tuple[Event, bytes, Arrival]:
        """Return the event that a raw message, stored without its header, is today, and its JSON.

        An intake that is gone has the parser `raw`.
        """
        return self._replayer.read_again(raw, entry)
