"""Where copies are kept: batches until their sink has them, dead letters until somebody decides.

`Spool` is the interface; each way of keeping things is a module. A batch that has been put is in
memory until it is durable and accounted as spooled from then on, until it is finished (the sink has
it) or buried (its events become dead letters).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.backpressure import Gate

WhenFull = Literal["block", "drop"]
"""What becomes of what does not fit: senders wait, or it is dropped and counted."""

SPOOL_FULL: Final = "spool_full"
"""The account of copies dropped because the spool, or their sink's share of it, was full."""

EVICTED: Final = "dead_letter_evicted"
"""The account of dead letters that had to make room for newer ones."""

EXPIRED: Final = "dead_letter_expired"
"""The account of dead letters that were kept for `dead_letters.max_age`."""

QUARANTINED: Final = "quarantined"
"""The account of copies that a damaged file alone held."""

PURGED: Final = "dead_letter_purged"
"""The account of dead letters that somebody deleted."""


@dataclass(slots=True, eq=False)
class Batch:
    """Documents for one sink, in the form in which they will be posted.

    Attributes:
        sink: name of the sink.
        form: what the documents are: a sink whose settings ask for another form now has the batch
            made anew (`collector.sinks.formats`).
        codec: compression of the body, named as in `Content-Encoding`; `none` where there is none.
            A body may be compressed for the disk alone (`collector.sinks.encoders`).
        body: the request body.
        events: how many documents the body holds.
        octets: length of the body before compression.
        received: when the oldest event was received, in seconds since 1970.
        entries: what is known of each event besides its document (`collector.spool.entries`).
        refused_at: how many requests the sink had accepted when it refused every event of this
            batch; None if it has not.
        number: by which the spool knows it; 0 until it has been put.
        place: its place in the order of arrival; parts of a batch have the place of the whole.
        offset: where in its place it stands: how many events the whole had before its own.
        plain: the body before it was compressed for the disk, for a moment
            (`collector.sinks.encoders.PlainBodies`).
    """

    sink: str
    form: str
    codec: str
    body: bytes
    events: int
    octets: int
    received: float
    entries: bytes
    refused_at: int | None = None
    number: int = 0
    place: int = 0
    offset: int = 0
    plain: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Octets that it takes in the spool."""
        return len(self.body) + len(self.entries)

    @property
    def standing(self) -> tuple[int, int]:
        """By which the batches of a sink are in order of arrival."""
        return self.place, self.offset


@dataclass(slots=True, eq=False)
class Letter:
    """A message that could not be processed or delivered, kept aside: a dead letter.

    Attributes:
        reason: why, one of a few words of the code.
        problem: the same for people; no secrets.
        identifier: the id of its event.
        intake: name of its intake; empty if it belongs to none.
        sink: name of the sink that did not get it; empty if it was for all of its intake's.
        listener: name of the listener it arrived on; empty where not known.
        peer: the sender's address as text.
        received: when it was received, in seconds since 1970.
        raw: the message; without its syslog header if there is an event.
        is_frame: whether `raw` is the message as it came, header included.
        event: its event as JSON; None if there is none.
        is_cut: whether `raw` is the beginning of a message that was longer.
        number: by which the spool knows it; 0 until it has been put.
        kept: since when it is kept, in seconds since 1970; 0 until it has been put.
    """

    reason: str
    problem: str
    identifier: str
    intake: str
    sink: str
    listener: str
    peer: str
    received: float
    raw: bytes
    is_frame: bool
    event: bytes | None = None
    is_cut: bool = False
    number: int = 0
    kept: float = 0.0

    @property
    def size(self) -> int:
        """Octets that it takes in the spool, roughly."""
        return len(self.raw) + len(self.event or b"") + len(self.problem) + 200


UNTRUSTED: Final = frozenset({"unknown_intake", "incomplete_frame"})
"""Reasons that anybody who reaches a listener can cause."""

POOLS: Final = ("", *sorted(UNTRUSTED))
"""What `pool_of` can return."""


def pool_of(reason: str) -> str:
    """Return the pool of dead letters that one of this reason is in; each has a bound of its own.

    Returns:
        The reason itself if it is among `UNTRUSTED`; else an empty text, the pool of all others.
    """
    return reason if reason in UNTRUSTED else ""


class Backlog(NamedTuple):
    """What waits for a sink: copies, octets of their batches, age of the oldest in seconds."""

    events: int
    octets: int
    oldest_seconds: float


class Share(NamedTuple):
    """How much may wait for one sink, and what becomes of more.

    Attributes:
        max_bytes: octets; None for as much as the spool has.
        when_full: also where the spool as a whole is full.
        largest_batch: octets of the largest batch that comes in.
        is_ordered: whether the sink is to get its events in order, one request at a time.
        max_events: events of the largest batch that comes in; 0 where small ones are not joined.
    """

    max_bytes: int | None
    when_full: WhenFull
    largest_batch: int = 0
    is_ordered: bool = False
    max_events: int = 0


class Spool(Protocol):
    """Keeps batches and dead letters, and moves their copies in the ledger.

    Attributes:
        on_disk: whether what waits is written to a disk.
        in_trouble: whether that cannot be done at present.
        full: whether listeners wait since `max_bytes` wait already.
        max_bytes: octets that may wait in all.
        gate: closed while nothing more may come in.
        gates: by sink that is configured, closed while its own share is full and its senders are to
            wait.
    """

    on_disk: ClassVar[bool]
    max_bytes: int
    gate: Gate
    gates: dict[str, Gate]

    @property
    def in_trouble(self) -> bool:
        """As above."""

    @property
    def full(self) -> bool:
        """As above."""

    async def start(self) -> None:
        """Learn what is there from last time; before anything else."""

    def reshape(self, shares: Mapping[str, Share]) -> None:
        """Have these sinks from now on, with these shares.

        What waits for a sink that is not among them stays, without bounds: it is gone, and what
        waits goes out when its name returns. The gates of sinks that stay are the same as before.

        Args:
            shares: the share of each sink that is configured now.
        """

    def gone(self) -> list[str]:
        """Name the sinks that batches wait for although they are not configured."""

    def put(self, batch: Batch) -> None:
        """Take over a batch whose copies are in memory; it is dropped if settings ask for that."""

    def set_aside(self, letter: Letter) -> None:
        """Take over a dead letter whose copy is in memory."""

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call back once all that was put and set aside so far has been written."""

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`; it stays in the spool until finished or buried."""

    def take_if(self, sink: str, fits: Callable[[Batch], bool]) -> Batch | None:
        """Return the next batch for `sink` as `take` does, if it is ready and fits."""

    def finish(self, batch: Batch, rest: Sequence[Batch] = ()) -> None:
        """Let go of a batch that its sink has accepted, but for `rest`, which counts as taken."""

    def replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Put parts in the place of batches; they count as taken.

        They hold the same events: those of one batch that is taken apart, or of several that are
        joined. The place is that of the first.
        """

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind others."""

    def relinquish(self, batch: Batch, seconds: float) -> bool:
        """Leave a batch to others while its sink does not take it here.

        Args:
            batch: one that was taken.
            seconds: for how long the sink is left alone here.

        Returns:
            Whether it was left, and is taken no longer; not if there are no others.
        """

    def resume(self, sink: str) -> None:
        """Have batches come for a sink that was left alone: what was in the way may be gone."""

    def give_back(self, sink: str) -> None:
        """Put all batches of `sink` that were taken and are not done with back in their places.

        Nothing is known of them then but when they came: none is refused. Whoever took them must
        have nothing more to do with them.
        """

    def bury(self, batch: Batch, letters: Sequence[Letter]) -> None:
        """Keep the events of a batch as dead letters, one for each, and let go of the batch."""

    def note(self, name: str, value: bytes) -> None:
        """Keep something small beside the batches, in the place of what had this name before.

        It is written with the next transaction; what is as it was is not written again.
        """

    def noted(self, name: str) -> bytes | None:
        """Return what was last noted under a name, by an earlier process too; None if nothing."""

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink`, batches in flight included."""

    def disk_free(self) -> int | None:
        """Return how many octets the disk has left; None without a disk."""

    def quarantined(self) -> int:
        """Return how many octets damaged files take."""

    def degraded(self) -> list[dict[str, str]]:
        """Say what does not work as it should, with the reason; for everybody to read."""

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of it."""

    def wind_down(self) -> None:
        """Take nothing more over from others: a stop has begun."""

    async def emptied(self) -> None:
        """Wait until every batch is finished or buried."""

    async def close(self) -> int:
        """Write what is there, and end; return how many copies are lost with the process."""
