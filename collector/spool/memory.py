"""A spool in memory: fast, and gone with the process."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from collector.board import Post
from collector.spool import EVICTED, SPOOL_FULL, Backlog, Batch, Letter, Share, pool_of
from collector.spool.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.ledger import Ledger
    from collector.spool.lanes import Lane

# Without a file, dead letters are there to be counted more than to be kept.
MAX_LETTER_BYTES = 16 * 1024 * 1024

# How often to look whether other workers have made room, and whether what is full is told.
LOOK_SECONDS = 1.0


class MemorySpool:
    """Batches and a few dead letters in memory; everything is as durable as it gets at once.

    Args:
        max_bytes: octets of batches at which the gate closes.
        shares: the share of each sink.
        ledger: accounts of the process.
        post: the place of the process among the workers.
    """

    on_disk: ClassVar = False
    in_trouble: ClassVar = False

    def __init__(
        self,
        max_bytes: int,
        shares: Mapping[str, Share],
        ledger: Ledger,
        post: Post | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self._ledger = ledger
        shared = (post or Post.alone()).board
        self._lanes = Lanes(max_bytes, shares, lambda batch: batch.size, shared)
        self.gate = self._lanes.gate
        self.gates = self._lanes.gates()
        self._numbers = count(1)
        self._pools: defaultdict[str, _Letters] = defaultdict(_Letters)
        self._notes: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Tell the other workers that nothing waits here; look now and then how full all are."""
        self._lanes.tell()
        self._task = asyncio.get_running_loop().create_task(self._look(), name="spool")

    async def _look(self) -> None:
        """Open the gates where other workers have made room; have the log say what stays full."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._lanes.reopen()

    def reshape(self, shares: Mapping[str, Share]) -> None:
        """Have these sinks from now on; what waits for others stays, and is gone for now."""
        self._lanes.reshape(shares, self.max_bytes)
        self.gates = self._lanes.gates()

    def gone(self) -> list[str]:
        """Name the sinks that batches wait for although they are not configured."""
        return self._lanes.gone()

    def put(self, batch: Batch) -> None:
        """Take over a batch whose copies are in memory; it is dropped if settings ask for that."""
        self._ledger.in_memory -= batch.events
        if not self._lanes.admits(batch):
            self._ledger.dropped[SPOOL_FULL] += batch.events
            return
        lane = self._lanes.add(batch)
        self._hold(batch, lane)
        batch.place = batch.number
        self._ledger.spooled += batch.events
        lane.ready.put_nowait(batch)

    def set_aside(self, letter: Letter) -> None:
        """Take over a dead letter whose copy is in memory; the oldest make room for it."""
        self._ledger.in_memory -= 1
        self._keep(letter)

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call back at once: memory is all there is."""
        callback()

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`; it stays in the spool until finished or buried."""
        return await self._lanes[sink].ready.get()

    def take_if(self, sink: str, fits: Callable[[Batch], bool]) -> Batch | None:
        """Return the next batch for `sink` as `take` does, if it is ready and fits."""
        return self._lanes[sink].ready.get_if(fits)

    def finish(self, batch: Batch, rest: Sequence[Batch] = ()) -> None:
        """Let go of a batch that its sink has accepted, but for `rest`, which counts as taken."""
        delivered = batch.events - sum(part.events for part in rest)
        self.replace((batch,), rest)
        self._ledger.spooled -= delivered
        self._ledger.delivered += delivered
        self._lanes.reopen()

    def replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Put parts that hold the same events in the place of batches; they count as taken."""
        lane = self._lanes.exchange(batches, parts)
        for batch in batches:
            del lane.held[batch.number]
        for part in parts:
            self._hold(part, lane)

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind others."""
        self._lanes[batch.sink].ready.put_nowait(batch)

    def relinquish(self, batch: Batch, seconds: float) -> bool:
        """Return False: there are no others."""
        del batch, seconds
        return False

    def resume(self, sink: str) -> None:
        """Do nothing: no sink is left alone."""

    def give_back(self, sink: str) -> None:
        """Put all batches of `sink` that were taken and are not done with back in their places."""
        self._lanes[sink].give_back()

    def bury(self, batch: Batch, letters: Sequence[Letter]) -> None:
        """Keep the events of a batch as dead letters, one for each, and let go of the batch."""
        self.replace((batch,), ())
        self._ledger.spooled -= batch.events
        for letter in letters:
            self._keep(letter)
        self._lanes.reopen()

    def wind_down(self) -> None:
        """Do nothing: there are no others."""

    async def emptied(self) -> None:
        """Wait until every batch is finished or buried."""
        await self._lanes.emptied()

    async def close(self) -> int:
        """Give up what is left, as `dropped{shutdown}`; return how many copies that were."""
        if self._task is not None:
            self._task.cancel()
        ledger = self._ledger
        lost = ledger.spooled + ledger.dead_lettered.total()
        if lost:
            ledger.dropped["shutdown"] += lost
        ledger.spooled = 0
        ledger.dead_lettered.clear()
        for lane in self._lanes:
            for batch in list(lane.held.values()):
                self.replace((batch,), ())
        return lost

    def note(self, name: str, value: bytes) -> None:
        """Keep something small, in the place of what had this name before."""
        self._notes[name] = value

    def noted(self, name: str) -> bytes | None:
        """Return what this process has noted under a name; None if nothing."""
        return self._notes.get(name)

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink`, batches in flight included."""
        held = self._lanes[sink].held.values()
        return self._lanes.backlog(sink, min((batch.received for batch in held), default=None))

    def disk_free(self) -> int | None:
        """Return None: there is no disk."""
        return None

    def quarantined(self) -> int:
        """Return 0: there is no file that could be damaged."""
        return 0

    @property
    def full(self) -> bool:
        """Whether listeners wait since `max_bytes` wait already."""
        return self._lanes.full

    def degraded(self) -> list[dict[str, str]]:
        """Say what is full, with the reason; for everybody to read."""
        return self._lanes.degraded()

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of it."""
        return self._lanes.status()

    def _hold(self, batch: Batch, lane: Lane) -> None:
        batch.number = next(self._numbers)
        lane.held[batch.number] = batch

    def _keep(self, letter: Letter) -> None:
        ledger = self._ledger
        ledger.dead_lettered[letter.reason] += 1
        for evicted in self._pools[pool_of(letter.reason)].add(letter):
            ledger.dead_lettered[evicted.reason] -= 1
            ledger.dropped[EVICTED] += 1


class _Letters:
    """The newest dead letters within the bound."""

    def __init__(self) -> None:
        self._kept: deque[Letter] = deque()
        self._octets = 0

    def add(self, letter: Letter) -> list[Letter]:
        """Keep a letter; return those that had to go."""
        self._kept.append(letter)
        self._octets += letter.size
        evicted = []
        while self._octets > MAX_LETTER_BYTES:
            oldest = self._kept.popleft()
            self._octets -= oldest.size
            evicted.append(oldest)
        return evicted
