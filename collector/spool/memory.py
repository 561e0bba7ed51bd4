"""A spool in memory: fast, and gone with the process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from collector.spool import Backlog, Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.backpressure import Gate
    from collector.ledger import Ledger

# Reading resumes when this share of the bound is free again, so that a full spool does not make
# the listeners stop and go with every batch.
RESUME_SHARE = 7 / 8

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Lane:
    """What one sink has waiting (`queue`), and all that is held until finished (`held`)."""

    queue: asyncio.Queue[Batch] = field(default_factory=asyncio.Queue)
    held: dict[Batch, None] = field(default_factory=dict)
    events: int = 0
    octets: int = 0

    def add(self, batch: Batch) -> None:
        self.held[batch] = None
        self.events += batch.events
        self.octets += len(batch.body)

    def remove(self, batch: Batch) -> None:
        del self.held[batch]
        self.events -= batch.events
        self.octets -= len(batch.body)


class MemorySpool:
    """Batches in memory, bounded by closing the gate.

    What the listeners have already read when the gate closes is still taken, so that the bound
    may be exceeded by what is under way: a batch per sink and a read per connection.

    Args:
        max_bytes: octets of batch bodies at which the gate closes.
        sinks: names of the sinks.
        ledger: accounts of the process.
        gate: closed while the spool is full.
    """

    def __init__(self, max_bytes: int, sinks: Iterable[str], ledger: Ledger, gate: Gate) -> None:
        self.max_bytes = max_bytes
        self.octets = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._lanes = {sink: _Lane() for sink in sinks}
        self._ledger = ledger
        self._gate = gate

    def put(self, batch: Batch) -> None:
        """Take a batch over; closes the gate when the spool is full."""
        lane = self._lanes[batch.sink]
        self._hold(lane, batch)
        lane.queue.put_nowait(batch)
        if self.octets >= self.max_bytes and not self._gate.closed:
            log.error("spool full, listeners stop reading", octets=self.octets, sink=batch.sink)
            self._gate.close()

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`."""
        return await self._lanes[sink].queue.get()

    def finish(self, batch: Batch) -> None:
        """Let go of a batch that its sink has accepted."""
        self._release(batch)
        self._ledger.delivered += batch.events
        self._reopen()

    def split(self, batch: Batch, parts: Sequence[Batch]) -> None:
        """Replace a batch that was taken by smaller ones, which count as taken too."""
        lane = self._lanes[batch.sink]
        for part in parts:
            self._hold(lane, part)
        self._release(batch)

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind all others."""
        self._lanes[batch.sink].queue.put_nowait(batch)

    def bury(self, batch: Batch, reason: str) -> None:
        """Let go of a batch that its sink refuses for good."""
        self._release(batch)
        self._ledger.dropped[reason] += batch.events
        self._reopen()

    async def emptied(self) -> None:
        """Wait until every batch is finished or buried."""
        while self.octets:
            await self._empty.wait()

    def close(self) -> int:
        """Give up what is left, as `dropped{shutdown}`; return how many copies that were."""
        left = [batch for lane in self._lanes.values() for batch in lane.held]
        for batch in left:
            self.bury(batch, "shutdown")
        return sum(batch.events for batch in left)

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink`, batches in flight included."""
        lane = self._lanes[sink]
        now = time.time()
        oldest = min((batch.received for batch in lane.held), default=now)
        return Backlog(lane.events, lane.octets, max(0.0, now - oldest))

    def _hold(self, lane: _Lane, batch: Batch) -> None:
        lane.add(batch)
        self.octets += len(batch.body)
        self._empty.clear()
        self._ledger.spooled += batch.events

    def _release(self, batch: Batch) -> None:
        self._lanes[batch.sink].remove(batch)
        self.octets -= len(batch.body)
        self._ledger.spooled -= batch.events
        if not self.octets:
            self._empty.set()

    def _reopen(self) -> None:
        if self._gate.closed and self.octets <= self.max_bytes * RESUME_SHARE:
            log.info("spool has room again, listeners read on", octets=self.octets)
            self._gate.open()
