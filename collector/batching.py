"""Gathers encoded events into batches, one gatherer per sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.sinks.encoders import encode

if TYPE_CHECKING:
    import asyncio

    from collector.ledger import Ledger
    from collector.spool import Spool


class Batcher:
    """Closes a batch at `max_events`, `max_bytes` or `max_wait`, whichever comes first.

    An event larger than `max_bytes` makes a batch of its own.

    Args:
        sink: name of the sink.
        codec: compression of the batches.
        max_events: events in a batch.
        max_bytes: octets of a batch before compression.
        max_wait: seconds a batch may stay open.
        spool: where closed batches go.
        ledger: accounts of the process.
        loop: runs the timer of `max_wait`.
    """

    __slots__ = (
        "_codec",
        "_events",
        "_ledger",
        "_loop",
        "_max_bytes",
        "_max_events",
        "_max_wait",
        "_octets",
        "_received",
        "_sink",
        "_spool",
        "_timer",
    )

    def __init__(
        self,
        sink: str,
        *,
        codec: str,
        max_events: int,
        max_bytes: int,
        max_wait: float,
        spool: Spool,
        ledger: Ledger,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sink = sink
        self._codec = codec
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_wait = max_wait
        self._spool = spool
        self._ledger = ledger
        self._loop = loop
        self._events: list[bytes] = []
        self._octets = 0
        self._received = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, event: bytes, received: float) -> None:
        """Add an encoded event that was received at `received`, in seconds since 1970."""
        size = len(event) + 1
        if self._octets + size > self._max_bytes:
            self.flush()
        if not self._events:
            self._received = received
            self._timer = self._loop.call_later(self._max_wait, self.flush)
        self._events.append(event)
        self._octets += size
        self._ledger.in_memory += 1
        if len(self._events) >= self._max_events:
            self.flush()

    def flush(self) -> None:
        """Close the open batch and hand it to the spool; does nothing when it is empty."""
        if not self._events:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events, self._events, self._octets = self._events, [], 0
        batch = encode(events, sink=self._sink, codec=self._codec, received=self._received)
        self._ledger.in_memory -= len(events)
        self._spool.put(batch)
