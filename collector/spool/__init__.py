"""Where batches wait until their sink has them.

A batch that has been put is accounted as spooled until it is finished (the sink has it) or buried
(the sink refuses it for good). `Spool` is the interface; each way of keeping batches is a module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True, eq=False)
class Batch:
    """Encoded events for one sink, in the form in which they will be posted.

    Attributes:
        sink: name of the sink.
        body: the request body.
        codec: compression of the body, as in `Content-Encoding`; `none` where there is none.
        events: how many events the body holds.
        octets: length of the body before compression.
        received: when the oldest event was received, in seconds since 1970.
        refused_at: how many requests the sink had accepted when it refused this batch, which is
            a single event then; None if it has not refused it.
    """

    sink: str
    body: bytes
    codec: str
    events: int
    octets: int
    received: float
    refused_at: int | None = None


class Backlog(NamedTuple):
    """What waits for a sink: copies, octets of their bodies, age of the oldest in seconds."""

    events: int
    octets: int
    oldest_seconds: float


class Spool(Protocol):
    """Keeps batches and accounts for them in the ledger."""

    max_bytes: int

    def put(self, batch: Batch) -> None:
        """Take a batch over; closes the gate when the spool is full."""

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`; it stays in the spool until finished or buried."""

    def finish(self, batch: Batch) -> None:
        """Let go of a batch that its sink has accepted."""

    def split(self, batch: Batch, parts: Sequence[Batch]) -> None:
        """Replace a batch that was taken by smaller ones, which count as taken too."""

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind all others."""

    def bury(self, batch: Batch, reason: str) -> None:
        """Let go of a batch that its sink refuses for good."""

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink`, batches in flight included."""
