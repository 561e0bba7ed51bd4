"""A replicated log shared by several daemons: NATS JetStream, and what is done with it.

Receivers publish batches into a stream, deliverers take them from it; whatever is acknowledged has
a copy on most of its servers. This is the only room that knows of nats-py. What it offers to the
spool is here, as protocols; `collector.stream.cluster` has what does it.

Facts that are not in the documentation of NATS are told where they matter; they were found with
nats-server 2.9.10 and 2.10.27 (Debian 12 and 13).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class StreamError(Exception):
    """Something was not stored or found; the text says why, for people, without secrets."""


class AwayError(StreamError):
    """There was no answer, or nobody to ask: a message may have been stored or not."""


class FullError(StreamError):
    """There is no room for the message: it was not stored.

    Attributes:
        is_bound: whether the stream has reached its own bound, so that deleting some of what it
            holds makes room; otherwise the servers, or the account, are short of it.
    """

    def __init__(self, text: str, *, is_bound: bool = True) -> None:
        super().__init__(text)
        self.is_bound = is_bound


class RefusedError(StreamError):
    """The servers refuse this message and would refuse it again."""


class MismatchError(StreamError):
    """The stream is not as settings have it; the text names each setting that differs."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the stream has it.

    Attributes:
        sequence: its number in the stream, in order of arrival there.
        subject: what it was published under.
        headers: beside its body.
        body: the message.
        moment: when it was stored, in seconds since 1970.
    """

    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    moment: float = 0.0


class Delivery(Protocol):
    """A message that was delivered to this member and is its to deal with, for a while.

    Until it is acknowledged the servers deliver it again, to any member, `ack_wait` after the last
    sign of this one. None of these waits, or fails: where the connection is gone, the servers do
    not hear of it and deliver again.
    """

    stored: Stored

    def ack(self) -> None:
        """Have it deleted: it is dealt with."""

    def nak(self, delay: float) -> None:
        """Have it delivered again, to any member, in so many seconds."""

    def in_progress(self) -> None:
        """Show that it is being dealt with."""


class Consumer(Protocol):
    """What brings one sink's messages to this member; it begins with the first `ask`.

    All members that deliver to the sink share it: each message goes to one of them.
    """

    @property
    def problem(self) -> str:
        """Why nothing comes, or why what comes stays in the stream; for people, without secrets.

        Empty while all is well, and for what passes by itself, as an election or the loss of a
        connection does.
        """

    def ask(self, count: int, octets: int) -> None:
        """Have some messages come, now or when there are some.

        It does nothing while what was asked for last has not come; that survives reconnections.

        Args:
            count: how many at most.
            octets: how much of them at most, headers included; of one message, whatever it has.
        """

    def withdraw(self) -> None:
        """Have none come; those that are under way go back at once."""


class Holdings(NamedTuple):
    """What a stream holds, as a server that leads it said last.

    Attributes:
        messages: how many.
        octets: what they take on each server.
        oldest: when the first was stored, in seconds since 1970; None if there is none.
        events: copies that wait for each sink, by its name; of the stream of dead letters, how many
            there are of each reason.
        leader: name of the server that leads the stream; empty while there is none.
        redelivered: messages of each sink that were delivered more than once and are not
            acknowledged yet.
    """

    messages: int
    octets: int
    oldest: float | None
    events: Mapping[str, int]
    leader: str
    redelivered: Mapping[str, int]

    def octets_of(self, sink: str) -> int:
        """Estimate what waits for a sink takes: the servers count octets for all together."""
        total = sum(self.events.values())
        return self.octets * self.events.get(sink, 0) // total if total else 0


class Letters(Protocol):
    """The stream of dead letters."""

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a dead letter; raises as `Stream.publish`."""

    async def next(self, after: int) -> Stored | None:
        """Return the first dead letter behind a sequence; None if there is none.

        Raises:
            AwayError: the cluster does not answer.
        """

    async def delete(self, sequence: int) -> bool:
        """Delete one; say whether it was there: of several members that try, one hears so.

        Raises:
            AwayError: the cluster does not answer.
        """


class Stream(Protocol):
    """The stream of batches, and the connection to its servers.

    Attributes:
        is_up: whether the servers are connected, and the stream is there and as settings have it.
        is_connected: whether a server is: it brings messages and hears what is said of them, also
            while the stream is not up, as where it is not as settings have it.
        problem: why it is not up, for people; empty while it is.
        largest: octets that a message may have, headers included; what the servers allow, once
            they have said so.
        holdings: what it holds; None until that is known. It is asked for each second.
        letter_holdings: the same of dead letters; `events` is by reason, not by sink.
        letters: the stream of dead letters.
        on_change: is called after `is_up` has changed.
        on_holdings: is called after `holdings` has.
        on_failure: is called after a part of it has failed, which is logged, and is a mistake of
            this program: nothing does that part's work any more.
    """

    is_up: bool
    is_connected: bool
    problem: str
    largest: int
    holdings: Holdings | None
    letter_holdings: Holdings | None
    letters: Letters
    on_change: Callable[[], None]
    on_holdings: Callable[[], None]
    on_failure: Callable[[], None]

    async def start(self, patience: float) -> None:
        """Connect, create or check the streams, and keep connected from then on.

        Where the cluster is away, that goes on beside after `patience` seconds. A mismatch that is
        found only then is a `problem`: the stream is not up.

        Raises:
            MismatchError: a stream is there and not as settings have it.
        """

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a message on most of the servers.

        Args:
            subject: one of the stream's (`collector.stream.wire`).
            headers: with `Nats-Msg-Id`, by which the servers know one that they have.
            body: together with the headers no longer than `largest`.

        Raises:
            AwayError, FullError or RefusedError: it was not stored, or perhaps not.
        """

    def consumer(
        self, sink: str, *, is_ordered: bool, on_delivery: Callable[[Delivery], None]
    ) -> Consumer:
        """Return what brings a sink's messages here; its durable consumer is made when needed.

        Args:
            sink: its name.
            is_ordered: whether all members together have one message at a time.
            on_delivery: is given each message; it is not to fail.
        """

    def drop_consumer(self, sink: str) -> None:
        """Bring no more messages of a sink here; those that wait stay in the stream."""

    async def close(self) -> None:
        """Send what is to be sent, within a second, and disconnect."""
