"""What is on its way from this member into the stream.

A batch goes straight from memory into the stream. Where that does not work at once, all that is on
its way for its sink goes into the file, in order, and from there into the stream once it can be
had: the drain. Nothing goes straight while the file holds something for the sink.

A batch that is published again has the id that it had before, by which the servers know it.

Small batches that wait while others are on their way go as one. One that may have been stored
already, as there was no answer, goes alone: in another it would come twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from collector.courses import watch
from collector.logs import Reports
from collector.sinks.encoders import DAMAGE, halve, join
from collector.sinks.joining import MAX_JOINED, Limits, gather
from collector.sinks.letters import letters_of
from collector.spool import SPOOL_FULL
from collector.spool.lanes import GONE, RESUME_SHARE
from collector.spool.unsettled import Unsettled
from collector.stream import AwayError, FullError, RefusedError, StreamError, wire

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from collector.ledger import Ledger
    from collector.spool import Batch, Share
    from collector.spool.sqlite import SqliteSpool
    from collector.stream import Holdings, Stream

# Batches of a sink that are published at once: one where order counts, else as many as pay.
WINDOW: Final = 8

# What is on its way from memory; beyond that, the file takes what comes.
MAX_OCTETS: Final = 8 * 1024 * 1024

# Between two attempts while the servers are there and do not answer: they choose a leader.
RETRY_SECONDS: Final = 0.1
MAX_RETRY_SECONDS: Final = 2.0

# A batch is joined with others if it holds no more than one such part of what a batch may hold: to
# make large ones anew takes longer than to send them.
SMALL_PART: Final = 4

# How long small batches wait for others after the last one was sent, where order counts: then all
# members together are given one message at a time, which is some hundreds a second.
PACE_SECONDS: Final = 0.02

# How long what the file took apart or joined is waited for. The next process knows it by the id
# under which it is published now; where the file cannot be written, it has to do without.
DURABLE_SECONDS: Final = 1.0

# Of what waited in the file for a shorter time, the log does not say that it is drained.
TOLD_SECONDS: Final = 5.0

REFUSED: Final = "stream_refused"
"""The reason of dead letters that the servers of a stream do not take, now or later."""

TOO_LARGE: Final = "too_large_for_stream"
"""The reason of dead letters that are longer than the servers take by themselves."""

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


class Publisher:
    """Puts batches into the stream.

    Args:
        stream: where they go.
        name: of the stream.

    Attributes:
        member: names this member in the ids of what it publishes.
        is_full: whether the stream had no room for the last one.
    """

    def __init__(self, stream: Stream, name: str) -> None:
        self.member = ""
        self.is_full = False
        self._stream = stream
        self._name = name

    def largest(self, form: str) -> int:
        """Return the octets of the largest batch of a form of which the servers take a message."""
        return self._stream.largest - wire.HEADERS_OCTETS - wire.form_octets(form)

    def fits(self, batch: Batch) -> bool:
        """Say whether the servers take a message as long as this batch makes one, and we do."""
        return batch.size <= self.largest(batch.form) and batch.octets <= wire.MAX_OCTETS

    async def publish(self, batch: Batch) -> None:
        """Store a batch that has its number; raises as `Stream.publish`."""
        message = wire.batch_message(self._name, batch, wire.identifier(self.member, batch))
        try:
            await self._stream.publish(message.subject, message.headers, message.body)
        except FullError:
            self.is_full = True
            raise
        self.is_full = False


class Channel:
    """The way of one sink's batches.

    Args:
        sink: its name.
        share: how much the stream may hold for it, and whether order counts.
        outgoing: all that is on its way.
    """

    def __init__(self, sink: str, share: Share, outgoing: Outgoing) -> None:
        self.sink = sink
        self.share = share
        self._outgoing = outgoing
        self._publisher = outgoing.publisher
        self._local = outgoing.local
        self._ledger = outgoing.ledger
        self._unsettled = outgoing.unsettled
        self._reports = outgoing.reports
        self._straight: dict[int, Batch] = {}
        self._octets = 0
        self._queued: deque[Batch] = deque()
        self._sending: dict[int, asyncio.Task[bool]] = {}
        # Those that went into the file while they were being sent, or since they could not be.
        self._strays: dict[int, asyncio.Task[bool]] = {}
        # Those that the file had no room for while they were being sent: they are in memory still.
        self._homeless: dict[int, Batch] = {}
        self._sent_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._held: set[Batch] = set()  # in the file; they cannot be read
        self._waits_since: float | None = None
        self._open = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None

    @property
    def batches(self) -> Iterable[Batch]:
        """Those that are on their way from memory, in order."""
        return (*self._homeless.values(), *self._straight.values())

    @property
    def _window(self) -> int:
        return 1 if self.share.is_ordered else WINDOW

    @property
    def held(self) -> int:
        """How many batches stay in the file, as they cannot be read."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many batches are in the file for the stream."""
        apart = self.held + self._outgoing.set_aside(self.sink)
        return self._local.batches(self.sink) - apart

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way, or known of what was."""
        is_empty = not (self._straight or self._carrying or self._strays or self._homeless)
        return is_empty and not self._local.batches(self.sink)

    def begin(self) -> None:
        """Have what is in the file go into the stream from now on."""
        self._note_waiting()
        self._drain = self._outgoing.begin(self.drain(), self.sink)

    def end(self) -> None:
        """Have nothing more go."""
        if self._drain is not None:
            self._drain.cancel()

    def regulate(self, *, is_open: bool) -> None:
        """Let batches into the stream from now on, or not."""
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    # Straight from memory.

    def put(self, batch: Batch) -> None:
        """Take over a batch that has its number, and whose copies are in memory."""
        if self._goes_straight(batch):
            self._strays.clear()  # of what a damaged file has lost
            self._straight[batch.number] = batch
            self._octets += batch.size
            self._queued.append(batch)
            self._unsettled.add(batch)
            self._send_next()
        else:
            self.spill()
            self._local.put(batch)
            self._note_waiting()

    def _goes_straight(self, batch: Batch) -> bool:
        if not (self._outgoing.has_room(self, self._octets) and self._publisher.fits(batch)):
            return False
        return not self.waiting and self._unsettled.octets + batch.size <= MAX_OCTETS

    def _send_next(self) -> None:
        while self._queued and len(self._sending) < self._window and not self._is_early():
            batch = self._next_queued()
            self._sending[batch.number] = self._outgoing.begin(self._send(batch), self.sink)
            self._sent_at = asyncio.get_running_loop().time()

    def _is_early(self) -> bool:
        """Say whether what is queued waits for more; it is sent when it has waited."""
        if not (self.share.is_ordered and self._has_little()):
            return False
        loop = asyncio.get_running_loop()
        wait = self._sent_at + PACE_SECONDS - loop.time()
        if wait > 0 and self._timer is None:
            self._timer = loop.call_later(wait, self._time_is_up)
        return wait > 0

    def _has_little(self) -> bool:
        """Say whether what is queued can go as one, and more with it."""
        return (
            self._may_join(self._queued[0])
            and len(self._queued) < MAX_JOINED
            and sum(batch.events for batch in self._queued) < self.share.max_events
        )

    def _time_is_up(self) -> None:
        self._timer = None
        self._send_next()

    def _next_queued(self) -> Batch:
        """Return what is to be sent next: small ones that wait one behind the other as one."""
        first, *others = self._gathered(self._queued.popleft(), self._queued_if)
        if not others:
            return first
        try:
            whole = join((first, *others))
        except DAMAGE:
            self._queued.extendleft(reversed(others))
            return first
        self._stand_for((first, *others), whole)
        return whole

    def _queued_if(self, fits: Callable[[Batch], bool]) -> Batch | None:
        return self._queued.popleft() if self._queued and fits(self._queued[0]) else None

    def _stand_for(self, batches: Sequence[Batch], whole: Batch) -> None:
        """Have a batch be on its way from memory instead of several, with the number of the first.

        None of them was sent, and other events have another id, whatever the number.
        """
        first = batches[0]
        whole.number, whole.place, whole.offset = first.number, first.place, first.offset
        for batch in batches[1:]:
            del self._straight[batch.number]
        self._straight[whole.number] = whole
        self._octets += whole.size - sum(batch.size for batch in batches)
        self._unsettled.join(batches, whole)

    def _gathered(
        self, first: Batch, take_if: Callable[[Callable[[Batch], bool]], Batch | None]
    ) -> list[Batch]:
        """Return a batch with those behind it that are to go with it as one.

        Args:
            first: the batch.
            take_if: returns the next one if it fits.
        """
        if not self._may_join(first):
            return [first]
        largest = self._publisher.largest(first.form)  # all that go together have one form
        limits = Limits(self.share.max_events, self.share.largest_batch, largest)
        return gather(
            first, lambda fits: take_if(lambda it: self._may_join(it) and fits(it)), limits
        )

    def _may_join(self, batch: Batch) -> bool:
        """Say whether a batch is small, and was surely not sent yet."""
        is_small = (
            batch.events * SMALL_PART <= self.share.max_events
            and batch.octets * SMALL_PART <= self.share.largest_batch
        )
        is_new = batch.number > self._outgoing.last_before and batch.number not in self._strays
        return is_small and is_new

    async def _send(self, batch: Batch) -> bool:
        """Publish a batch that is in memory; say whether the stream has it for certain.

        It may have gone into the file meanwhile. The drain asks then what has become of this.
        """
        try:
            await self._publisher.publish(batch)
        except StreamError as error:
            self._reports.warning(
                "spilled", "stream does not take events, the file does", problem=str(error)
            )
            self.spill()
            self._outgoing.regulate()
            self._drop(batch.number)
            return False
        is_straight = self._straight.pop(batch.number, None) is not None
        if is_straight:
            self._octets -= batch.size
            del self._sending[batch.number]
        if is_straight or self._homeless.pop(batch.number, None) is not None:
            self._ledger.in_memory -= batch.events
            self._ledger.handed_over += batch.events
            self._unsettled.remove(batch)
            self._send_next()
            self._outgoing.on_change()
        return True

    def spill(self) -> None:
        """Have the file take all that is on its way from memory, in order."""
        self._queued.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._strays |= self._sending
        self._sending.clear()
        while self._straight:
            batch = self._straight.pop(next(iter(self._straight)))
            self._octets -= batch.size
            if batch.number in self._strays and not self._local.admits(batch):
                del self._strays[batch.number]
                self._homeless[batch.number] = batch
            else:
                self._local.put(batch)
                self._unsettled.remove(batch)
        self._note_waiting()

    def _drop(self, number: int) -> None:
        """Give up a batch that the file had no room for, unless the stream has it."""
        batch = self._homeless.pop(number, None)
        if batch is not None:
            self._ledger.in_memory -= batch.events
            self._ledger.dropped[SPOOL_FULL] += batch.events
            self._unsettled.remove(batch)

    def close(self) -> None:
        """Give up what neither the stream nor the file has; nothing is sent any more."""
        for number in list(self._homeless):
            self._drop(number)

    # By way of the file.

    async def drain(self) -> None:
        """Put what the file has for the sink into the stream, for as long as this runs."""
        while True:
            await self._until_one_may_go()
            for batch in await self._take():
                await self._until_one_may_go()
                task = self._outgoing.begin(self._carry(batch), self.sink)
                self._carrying.add(task)
                task.add_done_callback(self._carrying.discard)

    async def _until_one_may_go(self) -> None:
        while len(self._carrying) >= self._window:
            await asyncio.wait(self._carrying, return_when=asyncio.FIRST_COMPLETED)

    async def _take(self) -> list[Batch]:
        """Take the next batch from the file; small ones that wait one behind the other as one."""
        first = await self._local.take(self.sink)
        if not self._may_join(first):
            return [first]
        await self._until_open()  # meanwhile there are more
        if self._local.in_trouble:
            return [first]
        together = self._gathered(first, partial(self._local.take_if, self.sink))
        if len(together) == 1:
            return together
        try:
            whole = join(together)
        except DAMAGE:
            return together
        await self._replace(together, (whole,))
        return [whole]

    async def _replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Have the file hold parts in the place of batches, before any of them is sent."""
        self._local.replace(batches, parts)
        with suppress(TimeoutError):
            async with asyncio.timeout(DURABLE_SECONDS):
                await self._local.flushed()

    async def _carry(self, batch: Batch) -> None:
        """Put a batch that was taken from the file into the stream, however long that takes."""
        if await self._is_stored(batch):
            self._hand_over(batch)
            return
        delay = RETRY_SECONDS
        while True:
            await self._until_open()
            if not self._publisher.fits(batch):
                await self._carry_parts(batch)
                return
            try:
                await self._publish(batch)
            except RefusedError as error:
                if self._publisher.fits(batch):  # else these servers take less than those before
                    self._bury(batch, REFUSED, str(error))
                    return
            except FullError:
                self._outgoing.regulate()
            except AwayError:
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
            else:
                self._hand_over(batch)
                return

    async def _publish(self, batch: Batch) -> None:
        """Publish a batch of the file; it counts as under way meanwhile."""
        self._octets += batch.size
        try:
            await self._publisher.publish(batch)
        finally:
            self._octets -= batch.size
            self.regulate(is_open=self._outgoing.has_room(self, self._octets))

    async def _until_open(self) -> None:
        while not self._outgoing.has_room(self, self._octets):
            self._open.clear()
            await self._open.wait()

    async def _is_stored(self, batch: Batch) -> bool:
        """Say whether a batch got into the stream while it was on its way into the file."""
        stray = self._strays.pop(batch.number, None)
        if stray is None:
            return False
        await asyncio.wait([stray])
        return stray.result()

    async def _carry_parts(self, batch: Batch) -> None:
        """Put a batch that is too long for a message into the stream in parts."""
        if batch.events == 1:
            self._bury(batch, TOO_LARGE, "longer than the servers of the stream take")
            return
        try:
            parts = halve(batch)
        except DAMAGE:
            self._hold_back(batch)
            return
        await self._replace((batch,), parts)
        for part in parts:
            await self._carry(part)

    def _hand_over(self, batch: Batch) -> None:
        self._local.hand_over(batch)
        self._note_departure()

    def _note_departure(self) -> None:
        self._note_waiting()
        self._outgoing.on_change()

    def _note_waiting(self) -> None:
        """Note since when batches wait in the file; the log says when none does after a while."""
        now = asyncio.get_running_loop().time()
        since, self._waits_since = self._waits_since, None
        if self.waiting:
            self._waits_since = now if since is None else since
        elif since is not None and now - since >= TOLD_SECONDS:
            seconds = round(now - since, 1)
            log.info("the stream has what waited in the file", sink=self.sink, seconds=seconds)

    def _bury(self, batch: Batch, reason: str, problem: str) -> None:
        """Make dead letters of what the stream will never take."""
        try:
            letters = letters_of(batch, reason, problem)
        except DAMAGE:
            self._hold_back(batch)
            return
        self._reports.error(
            reason,
            "events given up, the stream does not take them",
            sink=self.sink,
            events=batch.events,
            problem=problem,
        )
        self._outgoing.dead_lettered.update((letter.intake, reason) for letter in letters)
        self._local.bury(batch, letters)
        self._note_departure()

    def _hold_back(self, batch: Batch) -> None:
        """Leave a batch that cannot be read in the file; others go before it."""
        self._held.add(batch)
        self._reports.error("held back", "a batch cannot be read, it stays", sink=self.sink)
        self._note_departure()


class Outgoing:
    """All that is on its way from this member into the stream.

    Args:
        local: the file.
        stream: where batches go.
        ledger: accounts of the process.
        shares: the share of each sink.
        name: of the stream.
        max_bytes: octets that the stream may hold.
        set_aside: says how many batches for a sink the file holds that are not to go into the
            stream: somebody here deals with them.
        on_change: is called when something has left.
        fail: is called when a mistake of ours has ended what goes on here.
        dead_lettered: counts events that the stream will never take by intake and reason.

    Attributes:
        local, ledger, set_aside, on_change, dead_lettered: as above.
        last_before: the last number that an earlier process gave: what has one may have been sent.
        publisher: puts batches into the stream.
        unsettled: what is on its way from memory.
    """

    def __init__(
        self,
        local: SqliteSpool,
        stream: Stream,
        ledger: Ledger,
        shares: Mapping[str, Share],
        *,
        name: str,
        max_bytes: int,
        set_aside: Callable[[str], int],
        on_change: Callable[[], None],
        fail: Callable[[], None],
        dead_lettered: Counter[tuple[str, str]],
    ) -> None:
        self.local = local
        self.ledger = ledger
        self.publisher = Publisher(stream, name)
        self.unsettled = Unsettled()
        self.reports = Reports(log)
        self.set_aside = set_aside
        self.on_change = on_change
        self.dead_lettered = dead_lettered
        self.last_before = 0
        self._stream = stream
        self._shares = shares
        self._max_bytes = max_bytes
        self._fail = fail
        self._channels: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_begun = False

    def start(self, member: str) -> None:
        """Begin; the file has been opened.

        Args:
            member: names this member in the ids of what it publishes.
        """
        self.publisher.member = member
        self.last_before = self.local.last_number
        self._is_begun = True
        self.reshape(self._shares)

    def reshape(self, shares: Mapping[str, Share]) -> None:
        """Have these sinks from now on; what waits for others goes into the stream as well."""
        self._shares = shares
        if self._is_begun:
            for sink in {*shares, *self.local.sinks()}:
                channel = self._channel(sink)
                share = shares.get(sink, GONE._replace(is_ordered=channel.share.is_ordered))
                channel.share = share
            self.regulate()

    def _channel(self, sink: str) -> Channel:
        """Return the way of a sink's batches: in order, if nobody knows whether that counts."""
        channel = self._channels.get(sink)
        if channel is None:
            share = self._shares.get(sink, GONE._replace(is_ordered=True))
            channel = self._channels[sink] = Channel(sink, share, self)
            channel.regulate(is_open=self.has_room(channel))
            channel.begin()
        return channel

    def begin(self, course: Coroutine[object, object, _T], sink: str) -> asyncio.Task[_T]:
        """Have something go on until it ends or `close` ends it."""
        task = asyncio.get_running_loop().create_task(course, name=f"to the stream {sink}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        watch(task, self._fail, "spool failed, please report it")
        return task

    # What comes in.

    def put(self, batch: Batch) -> None:
        """Take over a batch whose copies are in memory."""
        self.local.number_batch(batch)
        self._channel(batch.sink).put(batch)

    def spill(self, sink: str) -> None:
        """Have the file take all that is on its way from memory for a sink."""
        if sink in self._channels:
            self._channels[sink].spill()

    # Whether the stream takes more.

    def told(self, holdings: Holdings) -> None:
        """Go by what the stream holds now."""
        if holdings.octets <= self._max_bytes * RESUME_SHARE:
            self.publisher.is_full = False
        if self._is_begun:
            self._forget_sinks()
        self.regulate()

    def _forget_sinks(self) -> None:
        """Forget what was needed for sinks that are gone; see to what was set aside for others."""
        for sink in self._channels.keys() - self._shares.keys():
            if self._channels[sink].is_idle:
                self._channels.pop(sink).end()
        for sink in self.local.sinks():
            if self.local.batches(sink):
                self._channel(sink)

    def regulate(self) -> None:
        """Let batches into the stream as far as it takes them; the file gets the others."""
        for channel in self._channels.values():
            channel.regulate(is_open=self.has_room(channel))
            if not self._stream.is_up:
                channel.spill()

    def has_room(self, channel: Channel, under_way: int = 0) -> bool:
        """Say whether the stream takes batches of a sink.

        What it holds is known once a second: a share is exceeded by what comes within that time.

        Args:
            channel: the way of the sink's batches.
            under_way: octets of the sink that will be there in a moment.
        """
        if not self._stream.is_up or self.publisher.is_full:
            return False
        holdings, bound = self._stream.holdings, channel.share.max_bytes
        if bound is None or holdings is None:
            return True
        return holdings.octets_of(channel.sink) + under_way < bound

    # What is asked of it.

    def batches(self, sink: str) -> Iterable[Batch]:
        """Return those of a sink that are on their way from memory, in order."""
        channel = self._channels.get(sink)
        return () if channel is None else channel.batches

    def waits(self, sink: str) -> bool:
        """Say whether the file has more for a sink than what cannot be read."""
        channel = self._channels.get(sink)
        return self.local.batches(sink) > (0 if channel is None else channel.held)

    def degraded(self) -> list[dict[str, str]]:
        """Name the sinks for which the file has what cannot go into the stream."""
        reason = "batches that cannot be read stay in the file"
        return [
            {"sink": sink, "reason": reason}
            for sink, channel in self._channels.items()
            if channel.held
        ]

    async def close(self) -> None:
        """Have the file take what is on its way from memory, and end."""
        self._is_begun = False
        for channel in self._channels.values():
            channel.spill()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._channels.values():
            channel.close()
