"""What waits for each sink, and the gates that keep it within bounds.

A lane holds the batches of one sink in order of arrival. Its share bounds what may wait in it, the
spool's own bound what may wait in all lanes. Where several workers are one daemon, the bounds are
of what waits in all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import structlog

from collector import board
from collector.backpressure import Gate
from collector.board import Board
from collector.logs import Reports
from collector.spool import Backlog, Batch, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from collector.board import Column

# Reading resumes when this share of a bound is free again, so that a full spool does not make the
# listeners stop and go with every batch.
RESUME_SHARE = 7 / 8

# Of a sink that is not configured: nobody sends to it, and what waits is neither bounded nor lost.
GONE = Share(None, "block")

log = structlog.get_logger(__name__)


class Ready(asyncio.Queue[Batch]):
    """Batches that are next, in order; the first can be looked at."""

    def _init(self, maxsize: int) -> None:
        del maxsize
        self._queue: deque[Batch] = deque()

    def get_if(self, fits: Callable[[Batch], bool]) -> Batch | None:
        """Take the first batch if there is one and it fits."""
        return self.get_nowait() if self._queue and fits(self._queue[0]) else None

    def refill(self, batches: Iterable[Batch]) -> None:
        """Hold these batches and no others."""
        self._queue.clear()
        for batch in batches:
            self.put_nowait(batch)


def place_parts(whole: Batch, parts: Iterable[Batch]) -> None:
    """Give parts of a batch its place in the order of arrival, one behind the other."""
    offset = whole.offset
    for part in parts:
        part.place, part.offset = whole.place, offset
        offset += part.events


@dataclass(slots=True)
class Lane:
    """What waits for one sink.

    Attributes:
        sink: its name.
        share: how much may wait.
        gate: closed while its share is full and its senders are to wait.
        ready: the batches that are next, in memory.
        held: every batch of the lane that is in memory, ready or taken, by number.
        events: copies that wait, those in flight included.
        octets: what they take in the spool.
        batches: how many they are.
        is_told: whether the log says that its senders wait.
        drops: whether what came last did not fit and was dropped.
        column: what the lanes of all workers hold for the sink, in octets; None without a share.
    """

    sink: str
    share: Share
    gate: Gate = field(default_factory=Gate)
    ready: Ready = field(default_factory=Ready)
    held: dict[int, Batch] = field(default_factory=dict)
    events: int = 0
    octets: int = 0
    batches: int = 0
    is_told: bool = False
    drops: bool = False
    column: Column | None = None

    def total(self) -> int:
        """Return what waits for the sink in all workers, in octets."""
        return self.octets if self.column is None else self.column.total()

    def over_share(self, more: int = 0) -> bool:
        """Say whether its share is full, or would be with so many octets more."""
        bound = self.share.max_bytes
        return bound is not None and self.total() + more > bound

    def give_back(self) -> None:
        """Make every batch in memory ready, in order, as if nobody had taken any."""
        batches = sorted(self.held.values(), key=attrgetter("standing"))
        for batch in batches:
            batch.refused_at = None
        self.ready.refill(batches)


class Lanes:
    """Every lane of a spool, and its bounds.

    What the listeners have already read when a gate closes is still taken, so that a bound may be
    exceeded by what is under way: a batch per sink and a read per connection.

    Args:
        max_bytes: octets that may wait in all.
        shares: the share of each sink.
        size_of: octets that a batch takes.
        shared: what the workers tell each other.

    Attributes:
        gate: closed while nothing more may come in.
        octets: what waits in all lanes.
    """

    def __init__(
        self,
        max_bytes: int,
        shares: Mapping[str, Share],
        size_of: Callable[[Batch], int],
        shared: Board | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.gate = Gate()
        self.octets = 0
        self._obstacles: set[str] = set()
        self._size_of = size_of
        self._board = shared or Board.alone()
        self._column = self._board.column(board.SPOOL_OCTETS)
        self._lanes = {
            sink: Lane(sink, share, column=self._board.column(board.share(sink)))
            for sink, share in shares.items()
        }
        self._configured = dict(self._lanes)
        self._reports = Reports(log)
        self._full = False
        self._is_told = False  # whether the log says so
        self._empty = asyncio.Event()
        self._empty.set()

    def __getitem__(self, sink: str) -> Lane:
        return self._lanes[sink]

    def __contains__(self, sink: str) -> bool:
        return sink in self._lanes

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def lane(self, sink: str) -> Lane:
        """Return the lane of a sink, a new one without bounds if there is no such sink."""
        if sink not in self._lanes:
            self._lanes[sink] = Lane(sink, GONE)
        return self._lanes[sink]

    def gates(self) -> dict[str, Gate]:
        """Return the gate of each lane by its sink, of those that are configured."""
        return {sink: lane.gate for sink, lane in self._configured.items()}

    def gone(self) -> list[str]:
        """Name the sinks that batches wait for although they are not configured."""
        return [
            lane.sink
            for lane in self._lanes.values()
            if lane.batches and lane.sink not in self._configured
        ]

    def reshape(self, shares: Mapping[str, Share], max_bytes: int) -> None:
        """Bound the lanes anew; those of sinks that are not among them lose their bounds.

        Args:
            shares: the share of each sink.
            max_bytes: octets that may wait in all.
        """
        self.max_bytes = max_bytes
        self._configured = {sink: self.lane(sink) for sink in shares}
        for lane in self._lanes.values():
            lane.share = shares.get(lane.sink, GONE)
            lane.drops = False
        for lane in self._configured.values():
            lane.column = self._board.column(board.share(lane.sink))
        self.tell()
        self._note_emptiness()
        # Where all drop what does not fit, nobody is to wait.
        self._full &= any(share.when_full == "block" for share in shares.values())
        self._is_told &= self._full
        self.reopen()
        self.check()

    def total(self) -> int:
        """Return what waits in all lanes of all workers, in octets."""
        return self._column.total()

    def tell(self) -> None:
        """Tell the other workers how much waits here."""
        self._column.value = self.octets
        for lane in self._lanes.values():
            if lane.column is not None:
                lane.column.value = lane.octets

    def has_room(self, sinks: Collection[str], part: float) -> bool:
        """Say whether no more than a part of the bounds is taken.

        Args:
            sinks: whose shares count besides the bound of all; an empty name stands for any.
            part: which, up to 1.
        """
        if self.gate.closed or self.total() > self.max_bytes * part:
            return False
        return not any(
            lane.share.max_bytes is not None and lane.total() > lane.share.max_bytes * part
            for lane in self._configured.values()
            if lane.sink in sinks or "" in sinks
        )

    def admits(self, batch: Batch) -> bool:
        """Say whether a batch may come in: only settings that drop what does not fit refuse one.

        One that is larger than a share by itself comes in when nothing else waits for its sink, or
        none of its size ever would.
        """
        lane, size = self._lanes[batch.sink], self._size_of(batch)
        fits = self.total() + size <= self.max_bytes and not lane.over_share(size)
        if fits or lane.share.when_full == "block" or not lane.batches:
            lane.drops = False
            return True
        lane.drops = True
        self._reports.error(
            f"dropped {lane.sink}",
            "spool full, events are dropped",
            sink=lane.sink,
            octets=self.total(),
            waiting_for_sink=lane.total(),
        )
        return False

    def add(self, batch: Batch) -> Lane:
        """Count a batch in; closes a gate where that fills a bound."""
        lane = self.lane(batch.sink)
        self.count(lane, 1, batch.events, self._size_of(batch))
        self._close_where_full(lane)
        return lane

    def remove(self, batch: Batch) -> Lane:
        """Count a batch out; call `reopen` after it where there is room now."""
        return self.exchange((batch,), ())

    def exchange(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> Lane:
        """Count batches of a sink out and parts of them in, in the place of the first.

        That is done at once: no gate closes for the moment between.
        """
        first = batches[0]
        lane = self._lanes[first.sink]
        place_parts(first, parts)
        self.count(
            lane,
            len(parts) - len(batches),
            sum(part.events for part in parts) - sum(batch.events for batch in batches),
            sum(map(self._size_of, parts)) - sum(map(self._size_of, batches)),
        )
        self._close_where_full(lane)
        return lane

    def count(self, lane: Lane, batches: int, events: int, octets: int) -> None:
        """Count what waits in a lane."""
        lane.batches += batches
        lane.events += events
        lane.octets += octets
        self.octets += octets
        self._column.value = self.octets
        if lane.column is not None:
            lane.column.value = lane.octets
        self._note_emptiness()

    def _note_emptiness(self) -> None:
        if any(lane.batches for lane in self._configured.values()):
            self._empty.clear()
        else:
            self._empty.set()

    def recount(self, batches: Iterable[Batch]) -> None:
        """Count anew: these are all that wait."""
        for lane in self._lanes.values():
            self.count(lane, -lane.batches, -lane.events, -lane.octets)
        for batch in batches:
            self.count(self._lanes[batch.sink], 1, batch.events, self._size_of(batch))
        self.reopen()

    def reopen(self) -> None:
        """Open the gates that have room again."""
        for lane in self._lanes.values():
            if lane.gate.closed or lane.drops:
                self._reopen(lane)
        if self._full and self._has_room():
            self._full = False
            if self._is_told:
                log.info("spool has room again, listeners read on", octets=self.total())
            self._is_told = False
        elif self._full:
            self._tell_full()
        self._regulate()

    def _reopen(self, lane: Lane) -> None:
        bound = lane.share.max_bytes
        has_room = bound is None or lane.total() <= bound * RESUME_SHARE
        if has_room and self._has_room():
            lane.drops = False
        if lane.gate.closed and (has_room or lane.share.when_full == "drop"):
            if lane.is_told:
                log.info("sink has room again, its senders are read", sink=lane.sink)
            lane.is_told = False
            lane.gate.open()
        elif lane.gate.closed:
            self._tell_share_full(lane)

    def _has_room(self) -> bool:
        return self.total() <= self.max_bytes * RESUME_SHARE

    def obstruct(self, obstacle: str) -> None:
        """Close the gate for another reason than a bound, until that is cleared."""
        self._obstacles.add(obstacle)
        self._regulate()

    def clear(self, obstacle: str) -> None:
        """Open the gate unless there is another reason to keep it closed."""
        self._obstacles.discard(obstacle)
        self._regulate()

    def check(self) -> None:
        """Close the gates of what was found full."""
        for lane in self._configured.values():
            self._close_where_full(lane)

    def _regulate(self) -> None:
        if self._full or self._obstacles:
            self.gate.close()
        else:
            self.gate.open()

    @property
    def full(self) -> bool:
        """Whether the gate is closed since what waits has reached the bound."""
        return self._full

    def degraded(self) -> list[dict[str, str]]:
        """Say what is full."""
        found = []
        if self._full:
            found.append({"spool": "all", "reason": "full, listeners do not read"})
        for lane in self._lanes.values():
            if lane.gate.closed:
                reason = "its share of the spool is full, its senders are not read"
                found.append({"sink": lane.sink, "reason": reason})
            if lane.drops:
                found.append({"sink": lane.sink, "reason": "spool full, its events are dropped"})
        found += [{"sink": sink, "reason": "not configured, events wait"} for sink in self.gone()]
        return found

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of them."""
        return {
            "octets": self.octets,
            "max_bytes": self.max_bytes,
            "full": self._full,
            "gone": {sink: self._lanes[sink].events for sink in self.gone()},
        }

    async def emptied(self) -> None:
        """Wait until nothing waits for the sinks that are configured."""
        while not self._empty.is_set():
            await self._empty.wait()

    def backlog(self, sink: str, oldest: float | None) -> Backlog:
        """Say what waits for a sink.

        Args:
            sink: its name.
            oldest: when the oldest event was received, in seconds since 1970; None if none waits.
        """
        lane = self._lanes[sink]
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        return Backlog(lane.events, lane.octets, age)

    def _close_where_full(self, lane: Lane) -> None:
        if lane.share.when_full == "drop":
            return
        bound = lane.share.max_bytes
        if bound is not None and not lane.gate.closed and lane.total() >= bound:
            self._tell_share_full(lane)
            lane.gate.close()
        if not self._full and self.total() >= self.max_bytes:
            self._full = True
            self._tell_full()
            self._regulate()

    # A small bound fills and empties many times a second: then the log does not have each of them,
    # but what lasts is in it in the end.

    def _tell_full(self) -> None:
        if not self._is_told:
            self._is_told = self._reports.error(
                "full", "spool full, listeners stop reading", octets=self.total()
            )

    def _tell_share_full(self, lane: Lane) -> None:
        if not lane.is_told:
            lane.is_told = self._reports.error(
                f"full {lane.sink}",
                "sink's share of the spool full, its senders wait",
                sink=lane.sink,
            )
