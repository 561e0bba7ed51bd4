"""A spool that several daemons share: a replicated stream, with a file beside it.

Receivers put batches into the stream (`Outgoing`), deliverers take them from it (`Incoming`); a
daemon may do both. The file holds what cannot go into the stream at present, what a sink holds
back, dead letters on their way, notes and accounts. What is durable in either is safe.

What is in the stream is in no member's account: see `collector.ledger`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from collector.courses import watch
from collector.roles import Role
from collector.spool import Backlog, ageing
from collector.spool.incoming import Incoming
from collector.spool.lanes import GONE
from collector.spool.outgoing import Outgoing
from collector.spool.remote_letters import RemoteLetters
from collector.spool.sqlite import window_of
from collector.stream import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from collector.ledger import Ledger
    from collector.spool import Batch, Letter, Share
    from collector.spool.letters import Choice
    from collector.spool.requests import Request, State
    from collector.spool.sqlite import SqliteSpool
    from collector.stream import Stream

# How long the start waits for the servers before it goes on without them.
PATIENCE_SECONDS: Final = 5.0

# For what goes back to the stream at the end; longer than it takes with servers that answer.
CLOSE_SECONDS: Final = 2.0

# How many signs of life there are in the time after which the servers believe in none.
SIGNS: Final = 3

# Answers about what the stream holds, until one was surely asked for after the last change here.
FRESH: Final = 2

MEMBER_NOTE: Final = "stream member"
"""The note that has the name of this member in the ids of its messages."""


class JetstreamSpool:
    """Batches in a stream that others share, and a file for what cannot be there.

    `start` must be called first.

    Args:
        local: the file; it is started and closed with this.
        stream: the stream; so is this.
        shares: the share of each sink.
        ledger: accounts of the process.
        name: of the stream.
        max_bytes: octets that the stream may hold on each server.
        ack_wait: seconds after which the servers give what this member has to another, unless they
            hear of it.
        letters_max_bytes: octets of dead letters that the stream of them may hold.
        max_age: for how many seconds dead letters are kept.
        events_max_age: seconds after which the servers delete an event; None where they never do.
        role: what this member does.
        dead_lettered: counts the dead letters that are made here, by intake and reason.

    Attributes:
        max_bytes, gate, gates: those of the file: listeners wait when that is full.
    """

    on_disk: ClassVar = True

    def __init__(
        self,
        local: SqliteSpool,
        stream: Stream,
        shares: Mapping[str, Share],
        ledger: Ledger,
        *,
        name: str,
        max_bytes: int,
        ack_wait: float,
        letters_max_bytes: float = float("inf"),
        max_age: float = float("inf"),
        events_max_age: float | None = None,
        role: Role = Role.ALL,
        dead_lettered: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self.max_bytes = local.max_bytes
        self.gate = local.gate
        self.gates = local.gates
        self._local = local
        self._stream = stream
        self._shares = shares
        self._ledger = ledger
        self._name = name
        self._max_octets = max_bytes
        self._ack_wait = ack_wait
        self._role = role
        self._dead_lettered = Counter() if dead_lettered is None else dead_lettered
        self._on_failure: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._stale = FRESH
        self._is_ending = False
        self._incoming: dict[str, Incoming] = {}
        self._outgoing = Outgoing(
            local,
            stream,
            ledger,
            shares,
            name=name,
            max_bytes=max_bytes,
            set_aside=self._count_aside,
            on_change=self._note_change,
            fail=self._fail,
            dead_lettered=self._dead_lettered,
        )
        self._letters = RemoteLetters(
            local,
            stream,
            ledger,
            name=name,
            when_durable=self.when_durable,
            max_bytes=letters_max_bytes,
            max_age=max_age,
        )
        self._ageing = ageing.Ageing(name, events_max_age)
        self._keeper: asyncio.Task[None] | None = None
        stream.on_change = self._stream_changed
        stream.on_holdings = self._holdings_came
        stream.on_failure = self._fail

    # Life.

    async def start(self) -> None:
        """Open the file, connect to the servers, and begin to drain.

        Raises:
            MismatchError: the stream is not as settings have it.
            Otherwise as `SqliteSpool.start` does.
        """
        await self._local.start()
        try:
            await self._stream.start(PATIENCE_SECONDS)
        except BaseException:
            await self._stream.close()
            await self._local.close()
            raise
        # A process before this one may have given higher numbers than the file knows of.
        self._local.skip_to(time.time_ns() // 1000)
        member = self._local.noted(MEMBER_NOTE) or secrets.token_hex(8).encode()
        self._local.note(MEMBER_NOTE, member)
        self._outgoing.start(member.decode())
        self._letters.start(member.decode())
        self._keeper = asyncio.create_task(self._keep(), name="spool signs of life")
        watch(self._keeper, self._fail, "spool failed, please report it", may_end=False)

    async def _keep(self) -> None:
        """Show the servers that this member lives; know what it has lost when they cannot hear."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            await asyncio.sleep(self._ack_wait / SIGNS)
            if self._stream.is_connected:
                heard = loop.time()
            is_lost = loop.time() - heard > self._ack_wait
            for incoming in self._incoming.values():
                if is_lost:
                    incoming.lose()
                else:
                    incoming.keep()

    def reshape(self, shares: Mapping[str, Share]) -> None:
        """Have these sinks from now on; what waits for others stays where it is, or gets there."""
        self._shares = shares
        self._local.reshape(shares)
        self.gates = self._local.gates
        for sink, share in shares.items():
            if sink in self._incoming:
                self._incoming[sink].reshape(window_of(shares), is_ordered=share.is_ordered)
        self._outgoing.reshape(shares)
        self._note_change()

    def wind_down(self) -> None:
        """Take nothing more over from others, and leave to them what nobody here has taken."""
        self._is_ending = True
        for incoming in self._incoming.values():
            incoming.wind_down()
        self._note_change()

    async def close(self) -> int:
        """Give back what is in hand, write the rest, and end; return how many copies are lost."""
        if self._keeper is not None:
            self._keeper.cancel()
        for incoming in self._incoming.values():
            incoming.close()
        has_returned = [incoming.return_all() for incoming in self._incoming.values()]
        if any(has_returned) and self._stream.is_up:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._drained()
        await self._letters.close()
        await self._outgoing.close()
        lost = await self._local.close()
        await self._stream.close()
        return lost

    async def _drained(self) -> None:
        """Wait until the file has given all that it can to the stream."""
        while any(map(self._outgoing.waits, self._local.sinks())):
            self._changed.clear()
            await self._changed.wait()

    def _fail(self) -> None:
        if self._on_failure is not None:
            self._on_failure()

    @property
    def on_failure(self) -> Callable[[], None] | None:
        """What is called if a mistake of ours has ended a part of this."""
        return self._on_failure

    @on_failure.setter
    def on_failure(self, callback: Callable[[], None] | None) -> None:
        self._on_failure = self._local.on_failure = callback

    # What the stream tells.

    def _stream_changed(self) -> None:
        self._outgoing.regulate()
        self._changed.set()

    def _holdings_came(self) -> None:
        if self._stream.holdings is not None:
            self._outgoing.told(self._stream.holdings)
            self._ageing.told(self._stream.holdings)
            self._stale = max(0, self._stale - 1)
        self._forget_sinks()
        self._changed.set()

    def _forget_sinks(self) -> None:
        """Forget what was needed for sinks that are gone; what still waits is in the stream."""
        for sink in self._incoming.keys() - self._shares.keys():
            if self._incoming[sink].is_idle:
                self._incoming.pop(sink).close()
                self._stream.drop_consumer(sink)

    def _note_change(self) -> None:
        """Note that what the stream is known to hold may be different now."""
        self._stale = FRESH
        self._changed.set()

    def _count_aside(self, sink: str) -> int:
        incoming = self._incoming.get(sink)
        return 0 if incoming is None else incoming.set_aside

    # What comes in.

    def put(self, batch: Batch) -> None:
        """Take over a batch whose copies are in memory; it is dropped if settings ask for that."""
        self._outgoing.put(batch)

    def set_aside(self, letter: Letter) -> None:
        """Take over a dead letter whose copy is in memory."""
        self._local.set_aside(letter)

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call back once all that was put and set aside so far is in the stream or in the file."""
        self._outgoing.unsettled.when_settled(partial(self._local.when_durable, callback))

    # What goes out.

    def _incoming_of(self, sink: str) -> Incoming:
        incoming = self._incoming.get(sink)
        if incoming is None:
            # Of a sink that is gone nobody knows whether order counts.
            share = self._shares.get(sink, GONE._replace(is_ordered=True))
            incoming = self._incoming[sink] = Incoming(
                sink,
                self._stream,
                self._name,
                self._local,
                self._ledger,
                window=window_of(self._shares),
                on_change=self._note_change,
                before_adoption=partial(self._outgoing.spill, sink),
                is_ordered=share.is_ordered,
                dead_lettered=self._dead_lettered,
            )
            if self._is_ending:
                incoming.wind_down()
        return incoming

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`; it is delivered again unless it is done with."""
        incoming = self._incoming_of(sink)
        try:
            return await incoming.take()
        finally:
            if sink not in self._shares:
                incoming.rest()  # one is taken now and then, by request

    def take_if(self, sink: str, fits: Callable[[Batch], bool]) -> Batch | None:
        """Return the next batch for `sink` as `take` does, if it is ready and fits."""
        return self._incoming_of(sink).take_if(fits)

    def finish(self, batch: Batch, rest: Sequence[Batch] = ()) -> None:
        """Let go of a batch that its sink has accepted, but for `rest`, which counts as taken."""
        self._incoming[batch.sink].finish(batch, rest)

    def replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Put parts that hold the same events in the place of batches; they count as taken."""
        self._incoming[batches[0].sink].replace(batches, parts)

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind others that are here."""
        self._incoming[batch.sink].postpone(batch)

    def relinquish(self, batch: Batch, seconds: float) -> bool:
        """Leave a batch, and what else is here for its sink, to other members for some seconds."""
        return self._incoming[batch.sink].relinquish(batch, seconds)

    def resume(self, sink: str) -> None:
        """Have batches come for a sink that was left alone: what was in the way may be gone."""
        if sink in self._incoming:
            self._incoming[sink].resume()

    def give_back(self, sink: str) -> None:
        """Put all batches of `sink` that were taken and are not done with back in their places."""
        if sink in self._incoming:
            self._incoming[sink].give_back(is_gone=sink not in self._shares)

    def bury(self, batch: Batch, letters: Sequence[Letter]) -> None:
        """Keep the events of a batch as dead letters, one for each, and let go of the batch."""
        self._incoming[batch.sink].bury(batch, letters)

    # Dead letters, and what the command line asks for.

    @property
    def on_requests(self) -> Callable[[list[Request]], Awaitable[None]] | None:
        """What is given what the command line has asked for."""
        return self._letters.on_requests

    @on_requests.setter
    def on_requests(self, callback: Callable[[list[Request]], Awaitable[None]] | None) -> None:
        self._letters.on_requests = callback

    async def choose_letters(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return dead letters in order of their numbers, those behind `after`."""
        return await self._letters.choose(choice, after, limit)

    def release(self, letters: Sequence[Letter]) -> None:
        """Let go of dead letters whose copies are on their way again."""
        self._letters.release(letters)

    async def purge(self, choice: Choice) -> Counter[str]:
        """Delete some of the dead letters; return how many, by reason: none when all are gone."""
        return await self._letters.purge(choice)

    async def answer(self, number: int, state: State, answer: Mapping[str, Any]) -> None:
        """Note how far a request has come."""
        await self._local.answer(number, state, answer)

    def has_room(self, sinks: Collection[str], part: float) -> bool:
        """Say whether no more than a part of the bounds is taken, those of some sinks included."""
        holdings = self._stream.holdings
        if holdings is not None and holdings.octets > self._max_octets * part:
            return False
        if holdings is not None:
            for sink, share in self._shares.items():
                is_meant = sink in sinks or "" in sinks
                bound = share.max_bytes if is_meant else None
                if bound is not None and holdings.octets_of(sink) > bound * part:
                    return False
        return self._local.has_room(sinks, part)

    # Notes.

    def note(self, name: str, value: bytes) -> None:
        """Keep something small of this member, in the place of what had this name before."""
        self._local.note(name, value)

    def noted(self, name: str) -> bytes | None:
        """Return what was last noted under a name, by an earlier process too; None if nothing."""
        return self._local.noted(name)

    # What is asked of it.

    async def emptied(self) -> None:
        """Wait until nothing is left to do for the sinks that are configured.

        After `wind_down` that is of what is here; before it, of all that is in the stream.
        """
        while True:
            self._changed.clear()
            if self._is_empty():
                return
            await self._changed.wait()

    def _is_empty(self) -> bool:
        if any(map(self._outgoing.waits, self._shares)):
            return False
        if self._outgoing.unsettled or any(self._incoming.values()):
            return False
        if self._is_ending or not self._role.delivers:
            return True
        holdings = self._stream.holdings
        if holdings is None or self._stale:
            return False
        return not any(holdings.events.get(sink) for sink in self._shares)

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink` here; `status` has what waits in the stream."""
        events, octets, age = self._local.backlog(sink)
        for batch in self._outgoing.batches(sink):
            events += batch.events
            octets += batch.size
            age = max(age, time.time() - batch.received)
        return Backlog(events, octets, age)

    def gone(self) -> list[str]:
        """Name the sinks that batches wait for although they are not configured."""
        return list(self._gone())

    def _gone(self) -> dict[str, int]:
        """Return how many events wait for each of them; members that only receive do not ask."""
        waiting = {sink: self._local.backlog(sink).events for sink in self._local.gone()}
        holdings = self._stream.holdings
        if holdings is not None and self._role.delivers:
            for sink, events in holdings.events.items():
                if events and sink not in self._shares:
                    waiting[sink] = waiting.get(sink, 0) + events
        return waiting

    def disk_free(self) -> int | None:
        """Return how many octets the file system has left; None if it does not say."""
        return self._local.disk_free()

    def quarantined(self) -> int:
        """Return how many octets damaged files take."""
        return self._local.quarantined()

    @property
    def in_trouble(self) -> bool:
        """Whether the file cannot be written at present."""
        return self._local.in_trouble

    @property
    def full(self) -> bool:
        """Whether listeners wait since the file is full."""
        return self._local.full

    def degraded(self) -> list[dict[str, str]]:
        """Say what does not work as it should, with the reason; for everybody to read."""
        found = self._local.degraded() + self._outgoing.degraded()
        problem = self._problem()
        if problem:
            waits = self._role.receives or any(map(self._local.batches, self._local.sinks()))
            reason = f"{problem}, events wait in files" if waits else problem
            found.append({"spool": "stream", "reason": reason})
        if self._ageing.is_near:
            found.append({"spool": "stream", "reason": ageing.REASON})
        found += self._consumers_degraded()
        named = {item["sink"] for item in found if "sink" in item}
        gone, reason = self.gone()[: wire.MAX_STRANGERS], "not configured, events wait"
        found += [{"sink": sink, "reason": reason} for sink in gone if sink not in named]
        return found

    def _consumers_degraded(self) -> list[dict[str, str]]:
        """Name the sinks whose consumers cannot be used, where it is not for want of the stream."""
        if not self._stream.is_up:
            return []
        return [
            {"sink": sink, "reason": incoming.problem}
            for sink, incoming in self._incoming.items()
            if sink in self._shares and incoming.problem
        ]

    def _problem(self) -> str:
        if not self._stream.is_up:
            return "cannot be used"
        return "full" if self._outgoing.publisher.is_full else ""

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of it."""
        return {**self._local.status(), "gone": self._gone(), "stream": self._stream_status()}

    def _stream_status(self) -> dict[str, Any]:
        stream, holdings = self._stream, self._stream.holdings
        oldest = None if holdings is None else holdings.oldest
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        return {
            "name": self._name,
            "connected": stream.is_up,
            "problem": stream.problem,
            "leader": "" if holdings is None else holdings.leader,
            "messages": None if holdings is None else holdings.messages,
            "octets": None if holdings is None else holdings.octets,
            "max_bytes": self._max_octets,
            "oldest_seconds": None if holdings is None else round(age, 3),
            "max_age_seconds": self._ageing.max_age,
            "events": {} if holdings is None else dict(holdings.events),
            "redelivered": {} if holdings is None else dict(holdings.redelivered),
            "dead_letters": self._letters.status(),
            "outgoing_octets": self._outgoing.unsettled.octets,
            "in_hand": {sink: incoming.events for sink, incoming in self._incoming.items()},
        }
