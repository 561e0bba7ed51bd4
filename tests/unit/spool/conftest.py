"""What tests of the spool share: a spool, or a part of one, with the ledger that it accounts in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.ledger import Ledger
    from collector.spool import Batch, Letter

SECONDS = 30.0


class Balanced:
    """Has a ledger, which balances whenever that is looked at."""

    ledger: Ledger

    def receive(self, copies: int) -> None:
        """Account for copies that come in: they are in memory."""
        self.ledger.received += copies
        self.ledger.in_memory += copies

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; the ledger balances meanwhile."""
        async with asyncio.timeout(SECONDS):
            while not condition():
                self.balance()
                await asyncio.sleep(0.001)
        self.balance()

    def balance(self) -> None:
        assert self.ledger.imbalance() == 0, self.ledger


class SpoolRoom(Balanced):
    """A spool with what surrounds it.

    Args:
        spool: any; it is closed by `close`.
        ledger: the one that it accounts in.

    Attributes:
        spool, ledger: as above.
    """

    def __init__(self, spool: Any, ledger: Ledger) -> None:
        self.spool = spool
        self.ledger = ledger
        self._lost: int | None = None

    def put(self, *batches: Batch) -> None:
        """Hand over batches as a batcher does."""
        for batch in batches:
            self.receive(batch.events)
            self.spool.put(batch)
        self.balance()

    def set_aside(self, *letters: Letter) -> None:
        """Hand over dead letters as the pipeline does."""
        for letter in letters:
            self.receive(1)
            self.spool.set_aside(letter)
        self.balance()

    async def durable(self) -> None:
        """Wait until everything has been written."""
        written = asyncio.Event()
        self.spool.when_durable(written.set)
        async with asyncio.timeout(SECONDS):
            await written.wait()
        self.balance()

    async def take(self, sink: str = "a") -> Batch:
        """Take the next batch, soon."""
        async with asyncio.timeout(SECONDS):
            return await self.spool.take(sink)

    async def close(self) -> int:
        """Close the spool, once, whatever it holds; return how many copies are lost."""
        if self._lost is None:
            self._lost = await self.spool.close()
            self.balance()
        return self._lost
