"""Whatever happens to several members of a cluster, nothing is lost and all is accounted for.

They share a stream in memory, whose servers come and go for each of them and answer or do not.
Events are numbers: each is to reach its sink, or the dead letters, at least once.
"""

import asyncio
import inspect
import random
from collections import Counter, defaultdict
from itertools import count

import pytest

from collector.ledger import Ledger
from collector.sinks.encoders import halve, join, select
from collector.sinks.letters import letters_of
from collector.spool import Share, outgoing
from collector.spool.jetstream import JetstreamSpool
from collector.spool.sqlite import SqliteSpool
from collector.stream import wire
from tests.spools import events_of, whole_batch_of
from tests.streams import FakeServers, FakeStream

# Of the first two the sink takes one request at a time; what it refuses may come in any order.
# Batches are put with up to four events, and joined on their way to up to sixteen.
SHARES = {
    "ordered": Share(None, "block", 4096, is_ordered=True, max_events=16),
    "picky": Share(None, "block", 4096, is_ordered=True, max_events=16),
    "any": Share(None, "block", 4096, max_events=16),
    "small": Share(2000, "block", 4096, max_events=16),
}
SINKS = tuple(SHARES)
CONSTANTS = {
    "collector.spool.outgoing.RETRY_SECONDS": 0.001,
    "collector.spool.outgoing.PACE_SECONDS": 0.002,
    "collector.spool.outgoing.MAX_OCTETS": 1500,
    "collector.stream.wire.HEADERS_OCTETS": 300,
    "collector.spool.incoming.MAX_IN_HAND": 6,
    "collector.spool.incoming.MAX_ASKED": 3,
    "collector.spool.jetstream.CLOSE_SECONDS": 0.1,
    "collector.spool.sqlite.MIB": 600,
    "collector.spool.sqlite.WINDOW_OCTETS": 800,
    "collector.spool.writer.REMOVAL_SECONDS": 0.001,
}
FAULTS = ("", "", "", "", "lost", "unknown", "unknown", "full")
PATIENCE = 60.0


class Servers(FakeServers):
    """Know what was ever stored.

    Attributes:
        stored: how often each event was, under ids of its own.
    """

    def __init__(self, **settings):
        super().__init__(**settings)
        self.stored = Counter()

    def store(self, subject, headers, body):
        stored = super().store(subject, headers, body)
        if stored is not None:
            self.stored.update(events_of(wire.read_batch(self.name, stored)))
        return stored


class LocalSpool(SqliteSpool):
    """Knows what it was given that had been stored.

    Attributes:
        adopted: counts the events.
    """

    adopted: Counter

    def adopt(self, batch):
        self.adopted.update(events_of(batch))
        super().adopt(batch)


class Member:
    """A daemon: it receives, and delivers with a worker for each sink that does what sinks ask.

    Attributes:
        taken: by sink, what its worker has taken and not done with.
    """

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.taken = defaultdict(list)
        self.is_stopping = False

    async def open(self):
        self.ledger = Ledger()
        self.stream = FakeStream(self.world.servers, self.world.fault)
        shares = self.world.shares
        directory = self.world.directory / self.name
        directory.mkdir(exist_ok=True)
        local = LocalSpool(directory, 1 << 20, shares, self.ledger, synchronous="normal")
        local.adopted = self.world.adopted
        self.spool = JetstreamSpool(
            local, self.stream, shares, self.ledger, name="test", max_bytes=1 << 20, ack_wait=0.15
        )
        await self.spool.start()
        self.taken.clear()
        self.balance()

    def balance(self):
        assert self.ledger.imbalance() == 0, self.ledger

    def put_some(self):
        """Have some batches for a sink come at once, as they do while a stream answers slowly."""
        sink = self.world.random.choice(SINKS)
        for _ in range(self.world.random.randint(1, 4)):
            self.put(sink)

    def put(self, sink):
        size = self.world.random.randint(1, 4)
        numbers = [next(self.world.numbers) for _ in range(size)]
        self.world.put[sink, self.name].extend(numbers)
        self.ledger.received += size
        self.ledger.in_memory += size
        self.spool.put(whole_batch_of(*numbers, sink=sink))
        self.spool.when_durable(lambda: self.world.durable.update(numbers))
        self.balance()

    # What the worker of a sink does.

    async def work(self):
        sink = self.world.random.choice(sorted(self.world.shares))
        taken = self.taken[sink]
        if not taken:
            taken += await self.take(sink)
        if taken:
            self.deal(sink, taken)
        self.balance()

    async def take(self, sink):
        try:
            async with asyncio.timeout(self.world.random.random() / 20):
                batch = await self.spool.take(sink)
        except TimeoutError:
            return []
        together = [batch]
        while len(together) < 3:
            another = self.spool.take_if(sink, lambda it: it.standing > together[-1].standing)
            if another is None:
                return together
            together.append(another)
        whole = join(together)
        self.spool.replace(together, (whole,))
        return [whole]

    def deal(self, sink, taken):
        actions = [self.finish, self.finish, self.finish_in_part, self.halve, self.relinquish]
        if sink != "ordered":
            actions += [self.bury, self.postpone, self.suspect]
        self.world.random.choice(actions)(taken)

    def finish(self, taken):
        batch = taken.pop(0)
        self.world.deliver(batch, events_of(batch))
        self.spool.finish(batch)

    def finish_in_part(self, taken):
        batch = taken.pop(0)
        middle = self.world.random.randrange(batch.events + 1)
        rest = select(batch, [range(middle, batch.events)]) if middle < batch.events else []
        self.world.deliver(batch, events_of(batch)[:middle])
        self.spool.finish(batch, rest)
        taken[:0] = rest

    def halve(self, taken):
        if taken[0].events > 1:
            batch = taken.pop(0)
            parts = halve(batch)
            self.spool.replace((batch,), parts)
            taken[:0] = parts

    def relinquish(self, taken):
        if self.spool.relinquish(taken[0], self.world.random.random() / 20):
            taken.pop(0)

    def bury(self, taken):
        batch = taken.pop(0)
        self.world.buried.update(events_of(batch))
        self.spool.bury(batch, letters_of(batch, "refused", "it is refused"))

    def postpone(self, taken):
        self.world.out_of_order.update(events_of(taken[0]))
        self.spool.postpone(taken.pop(0))

    def suspect(self, taken):
        """Hold a batch back, and have it postponed some time."""
        batch = taken.pop(0)
        batch.refused_at = 1
        self.world.out_of_order.update(events_of(batch))
        spool = self.spool
        delay = self.world.random.random() / 20
        asyncio.get_running_loop().call_later(delay, self.try_again, spool, batch)

    def try_again(self, spool, batch):
        if spool is self.spool and not self.is_stopping:
            spool.postpone(batch)

    # What happens to it.

    def disconnect(self):
        self.stream.disconnect()
        self.balance()

    def connect(self):
        self.stream.connect()
        self.balance()

    async def restart(self):
        self.is_stopping = True
        if self.world.random.random() < 0.7:
            self.spool.wind_down()
            await asyncio.sleep(0.002)
        assert await self.spool.close() == 0
        self.balance()
        before = self.ledger.as_dict()
        before["dead_lettered"] = +Counter(before["dead_lettered"])
        await self.open()
        assert self.ledger.as_dict() == before
        self.is_stopping = False

    async def kill(self):
        """End without a word, as a killed process does, and start again."""
        if not self.world.may_kill:
            return
        self.stream.die()
        spool, local = self.spool, self.spool._local
        tasks = [spool._keeper, *spool._outgoing._tasks, *spool._letters._tasks]
        tasks += [*local._tasks, *local._reads]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        local._writer._thread.shutdown()
        local._writer.store.close()
        local._lock.release()
        await self.open()


class World:
    """Members, the servers that they share, and what became of all events.

    Attributes:
        put: by sink and member, what came in, in order.
        durable: what a sender was told is safe.
        delivered: by sink and member that it came to, in order; again, if it came again.
        buried: what is a dead letter.
        out_of_order: what may come in any order.
        adopted: how often each event went from the stream into a file.
        may_kill: whether members are killed: then their accounts lack the last moment.
    """

    def __init__(self, directory, seed, members, *, may_kill):
        self.directory = directory
        self.random = random.Random(seed)
        self.numbers = count(1)
        self.shares = SHARES
        self.servers = Servers(ack_wait=0.15, largest=700)
        self.adopted = Counter()
        self.may_kill = may_kill
        self.is_calm = False
        self.put = defaultdict(list)
        self.durable, self.buried, self.out_of_order = set(), Counter(), set()
        self.delivered = defaultdict(list)
        self.members = [Member(self, f"member-{number}") for number in range(members)]

    def fault(self):
        return "" if self.is_calm else self.random.choice(FAULTS)

    def deliver(self, batch, numbers):
        self.delivered[batch.sink].extend(numbers)

    async def do_anything(self):
        member = self.random.choice(self.members)
        done = self.random.choice(ACTIONS)(member)
        if inspect.isawaitable(done):
            async with asyncio.timeout(PATIENCE):
                await done
        for other in self.members:
            other.balance()

    async def calm_down(self):
        """Deliver what is left.

        A member that has nothing left serves on: it may get what another one hands over later.
        """
        self.is_calm = True
        for member in self.members:
            member.connect()
        courses = [self.serve(member, sink) for member in self.members for sink in SINKS]
        workers = [asyncio.create_task(course) for course in courses]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(member.spool.emptied() for member in self.members))
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            while any(member.ledger.dead_lettered.total() for member in self.members):
                await asyncio.sleep(0.01)  # until all are in the stream
            for member in self.members:
                assert await member.spool.close() == 0
                member.balance()

    async def serve(self, member, sink):
        while True:
            while member.taken[sink]:
                member.finish(member.taken[sink])
            member.taken[sink].append(await member.spool.take(sink))

    def look(self):
        """See that nothing is missing, and nothing comes out of order."""
        everything = {number for numbers in self.put.values() for number in numbers}
        delivered = Counter(number for numbers in self.delivered.values() for number in numbers)
        assert self.durable <= set(delivered + self.buried) <= everything
        assert self.servers.events() == {}
        self.look_at_order()
        if not self.may_kill:
            assert self.durable == everything
            self.look_at_accounts(everything, delivered)

    def look_at_accounts(self, everything, delivered):
        """See that the ledgers of all know of everything, and of what came twice."""
        again = (delivered + self.buried).total() - len(self.durable)
        ledgers = [member.ledger for member in self.members]
        assert sum(ledger.spooled + ledger.in_memory for ledger in ledgers) == 0
        assert sum(ledger.delivered for ledger in ledgers) == delivered.total()
        evicted = sum(ledger.dropped["dead_letter_evicted"] for ledger in ledgers)
        assert len(self.servers.letters.messages) == self.buried.total() - evicted
        # No two messages have an event, but where it was taken out of one before.
        assert self.servers.stored <= self.adopted + Counter(everything)
        between = sum(ledger.handed_over - ledger.taken_over for ledger in ledgers)
        assert between == self.servers.held() - again

    def look_at_order(self):
        """What came from one member came in its order the first time, suspects aside."""
        for sink in ("ordered", "picky"):
            first = list(dict.fromkeys(self.delivered[sink]))
            for member in self.members:
                mine = set(self.put[sink, member.name]) - self.out_of_order
                came = [number for number in first if number in mine]
                assert came == sorted(came)


ACTIONS = [
    *[Member.put_some] * 2,
    *[Member.work] * 8,
    *[Member.disconnect, Member.connect, Member.connect],
    *[Member.restart, Member.kill],
]


@pytest.fixture
def small(monkeypatch):
    """Make everything so small that it happens soon."""
    for name, value in CONSTANTS.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def joined(monkeypatch):
    """Return what is joined on the way into the stream: how many batches each time."""
    counts = []

    def counted(batches):
        counts.append(len(batches))
        return join(batches)

    monkeypatch.setattr(outgoing, "join", counted)
    return counts


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("may_kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_members_nothing_is_lost(
    tmp_path, in_full, joined, seed, may_kill
):
    """And the accounts of all agree with what the stream holds, and with what came twice.

    In full batches are joined on their way, too; the shortened course may be too short for that.
    """
    world = World(tmp_path, seed, members=2 + seed % 2, may_kill=may_kill)
    for member in world.members:
        await member.open()
    for _ in range(2000 if in_full else 120):
        await world.do_anything()
    assert joined or not in_full
    await world.calm_down()
    world.look()
