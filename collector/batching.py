"""Gathers documents into batches, one gatherer per sink."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from collector.identity import ID_OCTETS
from collector.sinks.encoders import encode
from collector.spool.entries import pack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from collector.backpressure import Gate
    from collector.events.envelope import Arrival, Receipt
    from collector.ledger import Ledger
    from collector.sinks.encoders import PlainBodies
    from collector.sinks.formats import Format
    from collector.spool import Spool
    from collector.spool.entries import Run


class Batcher:
    """Closes a batch at `max_events`, `max_bytes` or `max_wait`, whichever comes first.

    A document larger than `max_bytes` makes a batch of its own.

    Args:
        sink: name of the sink.
        form: joins the documents.
        codec: compression that the sink wants.
        max_events: events in a batch.
        max_bytes: octets of a batch before compression.
        max_wait: seconds a batch may stay open.
        spool: where closed batches go.
        ledger: accounts of the process.
        loop: runs the timer of `max_wait`.
        plain_bodies: keeps for a moment those that are compressed for the disk alone.

    Attributes:
        sink: name of the sink.
        gate: closed while the sink's share of the spool is full and its senders are to wait.
    """

    __slots__ = (
        "_codec",
        "_documents",
        "_form",
        "_identifiers",
        "_intake",
        "_ledger",
        "_loop",
        "_max_bytes",
        "_max_events",
        "_max_wait",
        "_octets",
        "_on_disk",
        "_plain_bodies",
        "_receipt",
        "_runs",
        "_spool",
        "_timer",
        "gate",
        "sink",
    )

    def __init__(
        self,
        sink: str,
        *,
        form: Format,
        codec: str,
        max_events: int,
        max_bytes: int,
        max_wait: float,
        spool: Spool,
        ledger: Ledger,
        loop: asyncio.AbstractEventLoop,
        plain_bodies: PlainBodies | None = None,
    ) -> None:
        self.sink = sink
        self.gate: Gate = spool.gates[sink]
        self._form = form
        self._codec = codec
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_wait = max_wait
        self._spool = spool
        self._on_disk = spool.on_disk
        self._ledger = ledger
        self._loop = loop
        self._plain_bodies = plain_bodies
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._documents: list[bytes] = []
        self._identifiers: list[bytes] = []
        self._octets = 0
        # Where the events of each intake and read begin.
        self._runs: list[tuple[int, str, Receipt]] = []
        self._receipt: Receipt | None = None
        self._intake = ""

    def add(self, document: bytes, arrival: Arrival, intake: str) -> None:
        """Add the document of an event of `intake`."""
        self._ledger.in_memory += 1
        size = len(document) + 1
        if self._octets + size > self._max_bytes:
            self.flush()
        identifier = bytes.fromhex(arrival.identifier)
        self._append([document], size, identifier, intake, arrival.receipt)

    def extend(
        self, documents: Sequence[bytes], identifiers: bytes, intake: str, receipt: Receipt
    ) -> None:
        """Add the documents of events that came in one read, as `add` would one after the other.

        Args:
            documents: in order; none are nothing.
            identifiers: the ids of their events, 16 octets each.
            intake: name of the intake of all.
            receipt: how they came.
        """
        if not documents:
            return
        self._ledger.in_memory += len(documents)
        size = sum(map(len, documents)) + len(documents)
        if self._octets + size <= self._max_bytes and self._room >= len(documents):
            self._append(documents, size, identifiers, intake, receipt)
            return
        start = 0
        sums = [0, *accumulate(len(document) + 1 for document in documents)]
        while start < len(documents):
            end = self._end_of_fitting(sums, start)
            if end > start:
                size = sums[end] - sums[start]
                some = identifiers[start * ID_OCTETS : end * ID_OCTETS]
                self._append(documents[start:end], size, some, intake, receipt)
            if end < len(documents):
                self.flush()
            start = end

    @property
    def _room(self) -> int:
        """How many events more the open batch takes."""
        return self._max_events - len(self._documents)

    def _end_of_fitting(self, sums: Sequence[int], start: int) -> int:
        """Return up to where documents from `start` fit into the open batch.

        Args:
            sums: what the documents before each take, and all of them.
            start: the first of those that are to be added.
        """
        most = self._max_bytes - self._octets + sums[start]
        end = min(bisect_right(sums, most, start + 1) - 1, start + self._room)
        if end == start and not self._documents:
            return start + 1  # one that is larger than a batch
        return end

    def _append(
        self,
        documents: Sequence[bytes],
        size: int,
        identifiers: bytes,
        intake: str,
        receipt: Receipt,
    ) -> None:
        """Add documents that fit; close the batch if it is full then."""
        if not self._documents:
            self._timer = self._loop.call_later(self._max_wait, self.flush)
        if receipt is not self._receipt or intake != self._intake:
            self._runs.append((len(self._documents), intake, receipt))
            self._receipt, self._intake = receipt, intake
        self._documents += documents
        self._identifiers.append(identifiers)
        self._octets += size
        if len(self._documents) >= self._max_events:
            self.flush()

    def flush(self) -> None:
        """Close the open batch and hand it to the spool; does nothing when it is empty."""
        if not self._documents:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        runs = self._counted_runs()
        batch = encode(
            self._documents,
            pack(b"".join(self._identifiers), runs),
            sink=self.sink,
            form=self._form,
            codec=self._codec,
            received=min(received for _, _, _, received in runs),
            on_disk=self._on_disk,
            plain_bodies=self._plain_bodies,
        )
        self._begin()
        self._spool.put(batch)

    def _counted_runs(self) -> list[Run]:
        ends = [*(start for start, _, _ in self._runs[1:]), len(self._documents)]
        return [
            (end - start, intake, receipt.peer, receipt.moment.timestamp())
            for (start, intake, receipt), end in zip(self._runs, ends, strict=True)
        ]
