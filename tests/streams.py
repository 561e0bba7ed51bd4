"""A stream in memory with the semantics of the servers', for several members, and its faults."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.stream import (
    AwayError,
    FullError,
    Holdings,
    RefusedError,
    Stored,
    wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TICK_SECONDS = 0.005
MAX_PENDING = 1000


class Store:
    """The messages of one stream.

    Attributes:
        messages: by sequence.
        ids: the sequence of each id that was ever stored.
        max_octets: how much may be stored.
    """

    def __init__(self, max_octets: float = float("inf")) -> None:
        self.messages: dict[int, Stored] = {}
        self.ids: dict[str, int] = {}
        self.max_octets = max_octets
        self._last = 0

    @property
    def octets(self) -> int:
        return sum(len(stored.body) for stored in self.messages.values())

    def add(self, subject: str, headers: Mapping[str, str], body: bytes) -> Stored | None:
        """Store a message, and return it; None if one of its id has been stored."""
        identifier = headers.get(wire.MESSAGE_ID, "")
        if identifier in self.ids:
            return None
        if self.octets + len(body) > self.max_octets:
            raise FullError("maximum bytes exceeded")
        self._last += 1
        stored = Stored(self._last, subject, dict(headers), body, time.time())
        self.messages[self._last] = stored
        if identifier:
            self.ids[identifier] = self._last
        return stored

    def oldest(self) -> float | None:
        return min((stored.moment for stored in self.messages.values()), default=None)


@dataclass
class Durable:
    """What the servers know of the deliveries to one sink.

    Attributes:
        out: when each message that was delivered is delivered again, by sequence.
        last: the highest sequence that was ever delivered.
        redelivered: those of `out` that were delivered more than once.
        pulls: who has asked and has not got all of it.
        timer: looks at `out` when the next is due.
    """

    max_pending: int = MAX_PENDING
    out: dict[int, float] = field(default_factory=dict)
    last: int = 0
    redelivered: set[int] = field(default_factory=set)
    pulls: deque[FakeConsumer] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class FakeServers:
    """What all members share.

    Args:
        name: of the stream.
        ack_wait: seconds after which a message is delivered again.
        largest: octets that a message may have.
        max_octets: how much the stream may hold.
        max_letter_octets: how much that of dead letters may.
        is_forgetful: whether what is sent back while all who have asked want nothing any more waits
            as long as what is not acknowledged: release 2.9 takes it up, and finds nobody.

    Attributes:
        deliveries: how often each message was delivered, by sequence.
    """

    def __init__(
        self,
        name: str = "test",
        *,
        ack_wait: float = 30.0,
        largest: int = 1 << 20,
        max_octets: float = float("inf"),
        max_letter_octets: float = float("inf"),
        is_forgetful: bool = False,
    ) -> None:
        self.name = name
        self.is_forgetful = is_forgetful
        self.ack_wait = ack_wait
        self.largest = largest
        self.batches = Store(max_octets)
        self.letters = Store(max_letter_octets)
        self.durables: dict[str, Durable] = {}
        self.deliveries: Counter[int] = Counter()

    def events(self) -> dict[str, int]:
        """Return how many events wait for each sink, those included that were delivered."""
        subjects = Counter(stored.subject for stored in self.batches.messages.values())
        return wire.events_by_sink(self.name, subjects)

    def held(self) -> int:
        """Return how many copies both streams hold."""
        return sum(self.events().values()) + len(self.letters.messages)

    def store(self, subject: str, headers: Mapping[str, str], body: bytes) -> Stored | None:
        """Store a batch as `Store.add` does, and deliver it to who waits."""
        stored = self.batches.add(subject, headers, body)
        for sink in list(self.durables):
            self.pump(sink)
        return stored

    def durable(self, sink: str) -> Durable:
        return self.durables.setdefault(sink, Durable())

    def pump(self, sink: str) -> None:
        """Deliver what is due to those who have asked, in turn."""
        durable, loop = self.durable(sink), asyncio.get_running_loop()
        while (sequence := self._next(sink, durable, loop.time())) is not None:
            stored = self.batches.messages[sequence]
            consumer = self._asker(durable, len(stored.body))
            if consumer is None:
                break
            if sequence in durable.out:
                durable.redelivered.add(sequence)
            durable.out[sequence] = loop.time() + self.ack_wait
            durable.last = max(durable.last, sequence)
            self.deliveries[sequence] += 1
            consumer.deliver(stored)
        self._set_timer(sink, durable, loop)

    def _next(self, sink: str, durable: Durable, now: float) -> int | None:
        due = [sequence for sequence, at in durable.out.items() if at <= now]
        if due:
            return min(due)
        if len(durable.out) >= durable.max_pending:
            return None
        prefix = wire.subject_of_sink(self.name, sink).removesuffix("*")
        waiting = (
            sequence
            for sequence, stored in self.batches.messages.items()
            if sequence > durable.last and stored.subject.startswith(prefix)
        )
        return min(waiting, default=None)

    def _asker(self, durable: Durable, octets: int) -> FakeConsumer | None:
        """Return the one whose turn it is; one asks for each message by itself."""
        while durable.pulls:
            consumer = durable.pulls.popleft()
            if consumer.stream.is_connected and consumer.grant(octets):
                if consumer.wanted:
                    durable.pulls.append(consumer)
                return consumer
        return None

    def _set_timer(self, sink: str, durable: Durable, loop: asyncio.AbstractEventLoop) -> None:
        if durable.timer is not None:
            durable.timer.cancel()
            durable.timer = None
        later = [at for at in durable.out.values() if at > loop.time()]
        if later:
            durable.timer = loop.call_at(min(later) + 0.0005, self.pump, sink)

    def settle(self, sink: str, sequence: int) -> None:
        """Delete a message: it is acknowledged."""
        self.batches.messages.pop(sequence, None)
        durable = self.durable(sink)
        durable.out.pop(sequence, None)
        durable.redelivered.discard(sequence)
        self.pump(sink)

    def put_off(self, sink: str, sequence: int, delay: float) -> None:
        """Deliver a message again in so many seconds, if it is there."""
        durable = self.durable(sink)
        if sequence not in durable.out:
            return
        is_wanted = any(consumer.wanted for consumer in durable.pulls)
        if self.is_forgetful and durable.pulls and not is_wanted:
            durable.pulls.clear()
            delay = self.ack_wait
        durable.out[sequence] = asyncio.get_running_loop().time() + delay
        self.pump(sink)


@dataclass(eq=False)
class FakeDelivery:
    """A message that was delivered to a member."""

    stored: Stored
    sink: str
    stream: FakeStream
    said: list[str] = field(default_factory=list)

    def ack(self) -> None:
        """Acknowledge it; that is repeated until the servers have heard it."""
        self.said.append("ack")
        servers, sink, sequence = self.stream.servers, self.sink, self.stored.sequence
        self.stream.tell_at_last(lambda: servers.settle(sink, sequence))

    def nak(self, delay: float) -> None:
        self.said.append(f"nak {delay:g}")
        self._put_off(delay)

    def in_progress(self) -> None:
        self.said.append("in progress")
        self._put_off(self.stream.servers.ack_wait)

    def _put_off(self, delay: float) -> None:
        if self.stream.is_connected:
            self.stream.servers.put_off(self.sink, self.stored.sequence, delay)


class FakeConsumer:
    """What brings a sink's messages to one member.

    Attributes:
        problem: why nothing comes, as a test has it.
        wanted: how many are to come.
        asked: how many each request was for.
        deliveries: all that came.
    """

    def __init__(
        self,
        stream: FakeStream,
        sink: str,
        *,
        is_ordered: bool,
        on_delivery: Callable[[FakeDelivery], None],
    ) -> None:
        self.stream = stream
        self.problem = ""
        self.wanted = 0
        self._octets = 0
        self._wish = 0, 0
        self.asked: list[int] = []
        self.deliveries: list[FakeDelivery] = []
        self._sink = sink
        self._max_pending = 1 if is_ordered else MAX_PENDING
        self._on_delivery = on_delivery
        self._is_dropped = False
        self._is_first = True

    def ask(self, count: int, octets: int) -> None:
        if self._is_dropped:
            return
        if self.wanted:
            self._wish = count, octets
            return
        self.wanted, self._octets, self._wish = count, octets, (0, 0)
        self._is_first = True
        self.asked.append(count)
        durable = self.stream.servers.durable(self._sink)
        durable.max_pending = self._max_pending
        durable.pulls.append(self)
        asyncio.get_running_loop().call_soon(self.stream.servers.pump, self._sink)

    def grant(self, octets: int) -> bool:
        """Say whether a message is asked for.

        A request ends with one that it has no room for; what was asked for since takes its place.
        """
        if self.wanted and not self._is_first and octets > self._octets:
            self.wanted, self._octets = self._wish
            self._wish = 0, 0
        if not self.wanted:
            return False
        self.wanted -= 1
        self._octets -= octets
        self._is_first = False
        return True

    def ask_again(self) -> None:
        """Ask for what has not come: the servers have forgotten it."""
        durable = self.stream.servers.durable(self._sink)
        if self.wanted and self not in durable.pulls:
            durable.pulls.append(self)
            self.stream.servers.pump(self._sink)

    def withdraw(self) -> None:
        self.wanted, self._wish = 0, (0, 0)

    def drop(self) -> None:
        self._is_dropped = True
        self.withdraw()

    def deliver(self, stored: Stored) -> None:
        """Have a message arrive, unless the connection is lost meanwhile."""
        delivery = FakeDelivery(stored, self._sink, self.stream)
        self.deliveries.append(delivery)
        asyncio.get_running_loop().call_soon(self._arrive, delivery)

    def _arrive(self, delivery: FakeDelivery) -> None:
        if self._is_dropped:
            delivery.nak(0)
        elif self.stream.is_connected:
            self._on_delivery(delivery)


class FakeLetters:
    """The stream of dead letters, as one member has it."""

    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        await self._stream.add(
            headers, body, lambda: self._stream.servers.letters.add(subject, headers, body)
        )

    async def next(self, after: int) -> Stored | None:
        await self._stream.answer()
        found = self._stream.servers.letters.messages
        first = min((sequence for sequence in found if sequence > after), default=None)
        return None if first is None else found[first]

    async def delete(self, sequence: int) -> bool:
        await self._stream.answer()
        return self._stream.servers.letters.messages.pop(sequence, None) is not None


def fine() -> str:
    """Have nothing go wrong."""
    return ""


class FakeStream:
    """One member's connection to the servers: `collector.stream.Stream`.

    Args:
        servers: which.
        fault: is asked what goes wrong with each message that is published: nothing, `lost`,
            `unknown` (it is stored, but there is no answer), `refused` or `full`.
        is_up: whether they can be had at the start.

    Attributes:
        delay: seconds that an answer takes.
        published: ids of what was published, with every attempt.
    """

    def __init__(
        self, servers: FakeServers, fault: Callable[[], str] = fine, *, is_up: bool = True
    ) -> None:
        self.servers = servers
        self.fault = fault
        self.is_up = self.is_connected = False
        self.problem = "not connected yet"
        self.delay = 0.0
        self.published: list[str] = []
        self.consumers: dict[str, FakeConsumer] = {}
        self.letters = FakeLetters(self)
        self.on_change: Callable[[], None] = lambda: None
        self.on_holdings: Callable[[], None] = lambda: None
        self.on_failure: Callable[[], None] = lambda: None
        self._starts_up = is_up
        self._is_known = False
        self._untold: list[Callable[[], None]] = []
        self._ticking: asyncio.Task[None] | None = None

    @property
    def largest(self) -> int:
        return self.servers.largest

    @property
    def holdings(self) -> Holdings | None:
        if not self._is_known:
            return None
        store, durables = self.servers.batches, self.servers.durables
        redelivered = {sink: len(durable.redelivered) for sink, durable in durables.items()}
        return Holdings(
            len(store.messages),
            store.octets,
            store.oldest(),
            self.servers.events(),
            "fake",
            redelivered,
        )

    @property
    def letter_holdings(self) -> Holdings | None:
        if not self._is_known:
            return None
        store = self.servers.letters
        subjects = Counter(stored.subject for stored in store.messages.values())
        reasons = wire.letters_by_reason(self.servers.name, subjects)
        return Holdings(len(store.messages), store.octets, store.oldest(), reasons, "fake", {})

    async def start(self, patience: float) -> None:
        del patience
        if self._starts_up:
            self.connect()
        self._ticking = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self.is_up:
                self.on_holdings()

    def connect(self) -> None:
        """Have the servers be there from now on."""
        if self.is_up:
            return
        self.is_up = self.is_connected = self._is_known = True
        self.problem = ""
        untold, self._untold = self._untold, []
        for tell in untold:
            tell()
        for consumer in self.consumers.values():
            consumer.ask_again()
        self.on_change()

    def disconnect(self) -> None:
        """Have the servers be gone; what is under way gets no answer."""
        self.is_connected = False
        self.be_unfit("the servers are away")

    def be_unfit(self, problem: str) -> None:
        """Have the stream not be as settings have it; the servers are there."""
        if self.is_up:
            self.is_up = False
            self.problem = problem
            self.on_change()

    def die(self) -> None:
        """Have nothing more come of this: the process is killed."""
        self.is_up = self.is_connected = False
        self._untold.clear()
        self.on_change = self.on_holdings = lambda: None
        if self._ticking is not None:
            self._ticking.cancel()

    def tell_at_last(self, tell: Callable[[], None]) -> None:
        """Tell the servers something, now or when they are there again."""
        if self.is_connected:
            tell()
        else:
            self._untold.append(tell)

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        self.published.append(headers.get(wire.MESSAGE_ID, ""))
        await self.add(headers, body, lambda: self.servers.store(subject, headers, body))

    async def add(
        self, headers: Mapping[str, str], body: bytes, store: Callable[[], object]
    ) -> None:
        """Store a message, or have that go wrong."""
        fault = self.fault()
        await self.answer()
        if wire.size(headers, body) > self.largest or fault == "refused":
            raise RefusedError("the servers refuse it")
        if fault == "full":
            raise FullError("maximum bytes exceeded")
        if fault == "lost":
            raise AwayError("no answer")
        store()
        await asyncio.sleep(self.delay)
        if fault == "unknown" or not self.is_up:
            raise AwayError("no answer")

    async def answer(self) -> None:
        """Wait as long as an answer takes, if there is one."""
        await asyncio.sleep(self.delay)
        if not self.is_up:
            raise AwayError("the servers are away")

    def consumer(
        self, sink: str, *, is_ordered: bool, on_delivery: Callable[[FakeDelivery], None]
    ) -> FakeConsumer:
        consumer = FakeConsumer(self, sink, is_ordered=is_ordered, on_delivery=on_delivery)
        self.consumers[sink] = consumer
        return consumer

    def drop_consumer(self, sink: str) -> None:
        if sink in self.consumers:
            self.consumers.pop(sink).drop()

    async def close(self) -> None:
        self.is_up = self.is_connected = False
        if self._ticking is not None:
            self._ticking.cancel()
