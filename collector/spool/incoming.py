"""What this member has taken from the stream for one sink.

A message is a batch. Batches are taken apart and joined; a message is acknowledged, and deleted,
when all that was made of it is done with: delivered, or durable in the file of this member.

Until then it is in the stream and in nobody's account (`collector.ledger`): whatever happens to
this member, the servers deliver it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import structlog

from collector.logs import Reports
from collector.spool.lanes import Ready, place_parts
from collector.stream import wire

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence

    from collector.ledger import Ledger
    from collector.spool import Batch, Letter
    from collector.spool.sqlite import SqliteSpool
    from collector.stream import Consumer, Delivery, Stream

# Messages that are asked for at once, at most.
MAX_ASKED: Final = 64

# Batches that a sink holds back, beyond which the oldest go into the file: the consumer has a bound
# of what is delivered and not acknowledged, to all members together.
MAX_IN_HAND: Final = 256
MAX_WINDOWS: Final = 4

# What of it the file takes and stays in memory: less than the file reads on behind (`SqliteSpool`).
MAX_ASIDE_WINDOWS: Final = 2

# Messages that are remembered when they are done with.
MAX_FINISHED: Final = 4096

# For how long nobody gets what a sink does not take here, at most. Of what waits so, the consumer
# has a bound; where order counts, it is all that may be delivered: then it waits for nothing.
MAX_LEFT_SECONDS: Final = 5.0

# What a message of unknown length is taken for.
TYPICAL_OCTETS: Final = 64 * 1024

FOREIGN: Final = "foreign_message"
"""The reason of dead letters that stood in the stream and are no batch."""

log = structlog.get_logger(__name__)

Key = tuple[int, str]
"""By which a message is known: its sequence, and its id, as a stream may be made anew."""


@dataclass(slots=True, eq=False)
class Message:
    """A message that was delivered to this member and is not acknowledged.

    Attributes:
        key: by which it is known.
        delivery: the newest.
        octets: how long it is.
        open: what it waits for: batches made of it, and what is not durable in the file yet.
        is_touched: whether a part of it is done with.
    """

    key: Key
    delivery: Delivery
    octets: int
    open: int = 1
    is_touched: bool = False


class Incoming:
    """What one sink is to get out of the stream, as far as it is here.

    Args:
        sink: its name.
        stream: where it comes from.
        name: of the stream.
        local: the file.
        ledger: accounts of the process.
        window: octets that may be ready.
        on_change: is called when something here is done with.
        before_adoption: is called before the file takes a batch: all that has a number of the file
            already is to be there then, or to get there no more, as it reads on in that order.
        is_ordered: whether order counts: then all members together have one message at a time.
        dead_lettered: counts what stood in the stream and is no batch, by intake (none) and reason.
    """

    def __init__(
        self,
        sink: str,
        stream: Stream,
        name: str,
        local: SqliteSpool,
        ledger: Ledger,
        *,
        window: int,
        on_change: Callable[[], None],
        before_adoption: Callable[[], None],
        is_ordered: bool,
        dead_lettered: Counter[tuple[str, str]],
    ) -> None:
        self._is_wanted = False
        self._sink = sink
        self._stream = stream
        self._name = name
        self._local = local
        self._ledger = ledger
        self._window = window
        self._on_change = on_change
        self._before_adoption = before_adoption
        self._is_ordered = is_ordered
        self._dead_lettered = dead_lettered
        self._consumer = self._make_consumer()
        self._ready = Ready()
        self._octets_ready = 0
        self._octets = 0
        self._typical = TYPICAL_OCTETS
        self._messages: dict[Key, Message] = {}
        self._sources: dict[Batch, tuple[Message, ...]] = {}
        self._aside: dict[Batch, None] = {}
        self._octets_aside = 0
        self._finished: dict[Key, None] = {}
        self._number = 0
        self._waiting = 0
        self._is_ending = False
        self._is_cautious = False
        self._timer: asyncio.TimerHandle | None = None
        self._reports = Reports(log)

    def _make_consumer(self) -> Consumer:
        return self._stream.consumer(
            self._sink, is_ordered=self._is_ordered, on_delivery=self._delivered
        )

    def reshape(self, window: int, *, is_ordered: bool) -> None:
        """Go by other settings from now on."""
        self._window = window
        if is_ordered != self._is_ordered:
            self._is_ordered = is_ordered
            self._stream.drop_consumer(self._sink)
            self._consumer = self._make_consumer()
            if is_ordered and self._is_wanted and not self._is_ending:
                self._consumer.ask(1, window)  # which makes it so at once, whatever is in hand
            else:
                self._ask()

    # What comes.

    def _ask(self) -> None:
        """Have more come, as far as there is room."""
        room = min(self._window - self._octets_ready, MAX_WINDOWS * self._window - self._octets)
        is_full = 2 * room <= self._window or len(self._sources) >= MAX_IN_HAND
        is_held_up = self._is_ending or self._timer is not None
        if not self._is_wanted or is_held_up or is_full:
            return
        if self._is_ordered:
            # Only one is out, and none is asked for meanwhile: nats-server 2.9 forgets what is sent
            # back while all that it knows are requests of those who have left.
            if not self._messages and (self._waiting or not self._is_cautious):
                self._consumer.ask(1, room)
        elif not self._is_cautious:
            self._consumer.ask(min(max(1, room // self._typical), MAX_ASKED), room)
        elif self._waiting and self._ready.empty():
            self._consumer.ask(1, room)

    def _delivered(self, delivery: Delivery) -> None:
        """Take a message in, unless it is known."""
        stored = delivery.stored
        key = stored.sequence, stored.headers.get(wire.MESSAGE_ID, "")
        if (known := self._messages.get(key)) is not None:
            known.delivery = delivery
        elif key in self._finished:
            delivery.ack()
        elif self._is_ending or not self._is_wanted:
            delivery.nak(0.0)
        elif self._timer is not None:
            now = asyncio.get_running_loop().time()
            delivery.nak(self._left_seconds(self._timer.when() - now))
        else:
            self._take_in(Message(key, delivery, len(stored.body)))
            return
        # It came in the place of another that was asked for, and nobody else may ask again.
        self._ask()

    def _take_in(self, message: Message) -> None:
        stored = message.delivery.stored
        self._messages[message.key] = message
        self._octets += message.octets
        self._typical = max(1, (7 * self._typical + message.octets) // 8)
        try:
            batch = wire.read_batch(self._name, stored)
        except ValueError as error:
            self._keep_foreign(message, str(error))
            return
        self._name_batch(batch, (message,))
        self._make_ready(batch)
        self._ask()

    def _keep_foreign(self, message: Message, problem: str) -> None:
        """Keep a message that is no batch as a dead letter: nobody else will know what it is."""
        stored = message.delivery.stored
        self._reports.error(
            FOREIGN, "what is in the stream is no batch", subject=stored.subject, problem=problem
        )
        letter = wire.foreign_letter(stored, FOREIGN, problem, sink=self._sink)
        self._ledger.received += 1  # it was never a copy of anybody's
        self._dead_lettered[letter.intake, FOREIGN] += 1
        self._local.adopt_letters([letter])
        self._release_when_durable((message,))

    def _name_batch(self, batch: Batch, messages: tuple[Message, ...]) -> None:
        self._number -= 1  # no number of the file's
        batch.number = self._number
        self._sources[batch] = messages

    def _make_ready(self, batch: Batch) -> None:
        self._ready.put_nowait(batch)
        self._octets_ready += batch.size

    # What is taken.

    async def take(self) -> Batch:
        """Wait for the next batch."""
        self._is_wanted = True
        self._make_way()
        self._waiting += 1
        try:
            self._ask()
            batch = await self._ready.get()
        finally:
            self._waiting -= 1
        return self._taken(batch)

    def take_if(self, fits: Callable[[Batch], bool]) -> Batch | None:
        """Return the next batch if it is ready and fits."""
        batch = self._ready.get_if(fits)
        return None if batch is None else self._taken(batch)

    def _taken(self, batch: Batch) -> Batch:
        self._octets_ready -= batch.size
        self._ask()
        return batch

    def _make_way(self) -> None:
        """Have the file take what a sink holds back, where nothing else comes before that is done.

        Where order counts, that is all there is: nothing is ready, and the only one who posts is
        about to wait. Else it is the oldest of many: they are done with in the file as they would
        be here, also if they are being posted.
        """
        if not self._ready.empty() or self._is_ending:
            return
        if self._is_ordered:
            held = list(self._sources)
        elif len(self._sources) >= MAX_IN_HAND or self._octets >= MAX_WINDOWS * self._window:
            held = sorted(self._sources, key=attrgetter("standing"))[: len(self._sources) // 2 + 1]
        else:
            return
        for batch in held:
            if self._octets_aside < MAX_ASIDE_WINDOWS * self._window:
                self._set_aside(batch)

    def _set_aside(self, batch: Batch) -> None:
        """Have the file take a batch; it stays taken."""
        messages = self._sources.pop(batch)
        self._before_adoption()
        self._ledger.taken_over += batch.events
        self._local.adopt(batch)
        self._aside[batch] = None
        self._octets_aside += batch.size
        self._release_when_durable(messages)

    @property
    def set_aside(self) -> int:
        """How many batches the file has taken that are dealt with here."""
        return len(self._aside)

    # What is done with it.

    def finish(self, batch: Batch, rest: Sequence[Batch]) -> None:
        """Let go of a batch that the sink has accepted, but for `rest`, which counts as taken."""
        self._end_pause()
        self._is_cautious = False
        if batch in self._aside:
            self._local.finish(batch, rest)
            self._exchange_aside((batch,), rest)
            self._ask()
        else:
            delivered = batch.events - sum(part.events for part in rest)
            self._ledger.taken_over += delivered
            self._ledger.delivered += delivered
            self._touch(self._sources[batch])
            self._exchange((batch,), rest)

    def replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Put parts that hold the same events in the place of batches; they count as taken."""
        if any(batch in self._aside for batch in batches):
            for batch in batches:
                if batch not in self._aside:
                    self._set_aside(batch)
            self._local.replace(batches, parts)
            self._exchange_aside(batches, parts)
        else:
            self._exchange(batches, parts)

    def bury(self, batch: Batch, letters: Sequence[Letter]) -> None:
        """Have the file keep the events of a batch as dead letters."""
        if batch in self._aside:
            self._local.bury(batch, letters)
            self._exchange_aside((batch,), ())
        else:
            self._ledger.taken_over += batch.events
            self._local.adopt_letters(letters)
            self._release_when_durable(self._sources.pop(batch))
        self._on_change()

    def postpone(self, batch: Batch) -> None:
        """Make a batch that was taken ready, behind others."""
        self._make_ready(batch)

    def _exchange(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        messages = tuple(
            dict.fromkeys(message for batch in batches for message in self._sources[batch])
        )
        place_parts(batches[0], parts)
        for part in parts:
            self._name_batch(part, messages)
            for message in messages:
                message.open += 1
        for batch in batches:
            self._release(self._sources.pop(batch))

    def _exchange_aside(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        for batch in batches:
            del self._aside[batch]
            self._octets_aside -= batch.size
        for part in parts:
            self._aside[part] = None
            self._octets_aside += part.size
        self._on_change()

    # Letting go of messages.

    def _touch(self, messages: Iterable[Message]) -> None:
        for message in messages:
            message.is_touched = True

    def _release_when_durable(self, messages: Sequence[Message]) -> None:
        """Have messages wait for the file instead of a batch."""
        self._touch(messages)
        self._local.when_durable(partial(self._release, messages))

    def _release(self, messages: Iterable[Message]) -> None:
        """Have messages wait for one thing less; what waits for nothing is acknowledged."""
        for message in messages:
            message.open -= 1
            if not message.open:
                self._forget(message)
                self._finished[message.key] = None
                message.delivery.ack()
        while len(self._finished) > MAX_FINISHED:
            del self._finished[next(iter(self._finished))]
        self._ask()
        self._on_change()

    def _forget(self, message: Message) -> None:
        del self._messages[message.key]
        self._octets -= message.octets

    def _is_whole(self, batch: Batch) -> bool:
        """Say whether a batch holds all of its messages, and nothing of them is done with."""
        messages = self._sources.get(batch, ())
        return bool(messages) and all(
            message.open == 1 and not message.is_touched for message in messages
        )

    def _leave(self, batch: Batch, delay: float | None) -> None:
        """Leave the messages of a batch that is whole to whoever asks next.

        Args:
            batch: it is taken no longer.
            delay: in how many seconds they are delivered again; None if the servers decide that.
        """
        for message in self._sources.pop(batch):
            self._forget(message)
            if delay is not None:
                message.delivery.nak(delay)

    def _leave_ready(self, delay: float | None) -> None:
        """Leave to others what is ready and whole."""
        kept = []
        while not self._ready.empty():
            batch = self._ready.get_nowait()
            if self._is_whole(batch):
                self._leave(batch, delay)
            else:
                kept.append(batch)
        self._refill(kept)
        self._on_change()

    def _refill(self, batches: Sequence[Batch]) -> None:
        self._ready.refill(batches)
        self._octets_ready = sum(batch.size for batch in batches)

    def relinquish(self, batch: Batch, seconds: float) -> bool:
        """Leave a batch that was taken, and what is ready, to others; ask for none meanwhile."""
        if batch.refused_at is not None or not self._is_whole(batch):
            return False
        self._is_cautious = True
        self._end_pause()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.resume)
        self._consumer.withdraw()
        delay = self._left_seconds(seconds)
        self._leave(batch, delay)
        self._leave_ready(delay)
        return True

    def _left_seconds(self, seconds: float) -> float:
        """Return in how many seconds others get what the sink does not take here for so many."""
        return 0.0 if self._is_ordered else min(max(0.0, seconds), MAX_LEFT_SECONDS)

    def resume(self) -> None:
        """Ask for one to try the sink with, if somebody waits for it."""
        self._end_pause()
        self._ask()

    def _end_pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def give_back(self, *, is_gone: bool) -> None:
        """Make all that was taken ready, in the places where it stood; nothing is refused.

        Args:
            is_gone: whether the sink is not configured any more: then it goes back to the stream.
        """
        self._is_wanted = self._is_cautious = False
        self._end_pause()
        self._consumer.withdraw()
        places = attrgetter("standing")
        # What the file took had come before, and has the places of the file.
        batches = [*sorted(self._aside, key=places), *sorted(self._sources, key=places)]
        for batch in batches:
            batch.refused_at = None
        self._refill(batches)
        if is_gone:
            self.return_all()

    def return_all(self) -> bool:
        """Give all that is in hand back to the stream, as it was or as new messages.

        What was done with in part is delivered again as a whole where order counts: what is left
        of it would come behind all others.

        Returns:
            Whether something goes back by way of the file.
        """
        self._refill(())
        for batch in list(self._sources):
            if self._is_whole(batch):
                self._leave(batch, 0.0)
            elif self._stream.is_up and not self._is_ordered:
                self._set_aside(batch)
        self._abandon()
        returned = list(self._aside)
        self._aside.clear()
        self._octets_aside = 0
        for batch in returned:
            self._local.postpone(batch)
        self._on_change()
        return bool(returned)

    def _abandon(self) -> None:
        """Have the messages of all batches delivered again, although parts are done with."""
        for batch in list(self._sources):
            for message in self._sources.pop(batch):
                if message.key in self._messages:
                    self._forget(message)
                    message.delivery.nak(0.0)

    # The course of things.

    def rest(self) -> None:
        """Have nothing come until somebody takes again; leave to others what nobody has taken."""
        self._is_wanted = False
        self._consumer.withdraw()
        self._leave_ready(0.0)

    def wind_down(self) -> None:
        """Rest, whoever takes again."""
        self._is_ending = True
        self.rest()

    def keep(self) -> None:
        """Show that this member lives: what it has is not to go to others."""
        for message in self._messages.values():
            message.delivery.in_progress()

    def lose(self) -> None:
        """Forget what is ready: no sign was heard for so long that others have it now."""
        self._leave_ready(None)
        self._ask()

    def close(self) -> None:
        """Take nothing more, and have no timer run."""
        self.wind_down()
        self._end_pause()

    @property
    def problem(self) -> str:
        """Why nothing comes out of the stream, or stays in it although it is dealt with."""
        return self._consumer.problem

    @property
    def is_idle(self) -> bool:
        """Whether nothing is here, nobody waits, and nothing is to come."""
        is_empty = not (self._messages or self._aside)
        return is_empty and not self._is_wanted and not self._waiting

    @property
    def events(self) -> int:
        """How many copies are here; those that are done with in part count as far as they wait."""
        return sum(batch.events for batch in (*self._sources, *self._aside))

    def __len__(self) -> int:
        """Return how many messages are in hand."""
        return len(self._messages)
