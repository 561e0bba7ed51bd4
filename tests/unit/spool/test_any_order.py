"""Whatever happens to a spool on disk in whatever order, nothing is lost and all is accounted for.

The spool is compared with a simple model: events are numbers, a sink's are to be delivered in
order, each once. After every transaction the file is looked at as the next process would find it.
"""

import asyncio
import inspect
import random
import sqlite3
from collections import Counter
from itertools import count

import pytest

from collector.ledger import Ledger
from collector.spool import Share
from collector.spool.bounds import Bounds
from collector.spool.letters import ALL
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import Store
from tests.spools import batch_of, letter_of, numbers_of, stored_ledger, stored_lines

SHARES = {"a": Share(None, "block"), "b": Share(None, "block")}
BOUNDS_OF_SHARES = (None, 1, 1000, 1 << 20)
# So small that a part of what waits is on disk alone, and dead letters are evicted.
CONSTANTS = {
    "collector.spool.sqlite.MIB": 60,
    "collector.spool.sqlite.WINDOW_OCTETS": 80,
    "collector.spool.sqlite.RETRY_SECONDS": 0.001,
    "collector.spool.writer.RETRY_SECONDS": 0.001,
    "collector.spool.writer.REMOVAL_SECONDS": 0.001,
}
BOUNDS = Bounds(1500, 1500)


class WatchedStore(Store):
    """Fails as a full disk does, and is looked at after every transaction.

    Attributes:
        allows: what can be written: `all`, `deletions` or `nothing`.
        unbalanced: ledgers that were found in the file and do not balance.
    """

    allows = "all"
    unbalanced = []

    def commit(self, group):
        if self.allows == "nothing" or (
            self.allows == "deletions" and (group.batches or group.letters)
        ):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._looked_at(super().commit(group))

    def purge(self, *arguments):
        return self._looked_at(super().purge(*arguments))

    def expire(self, max_age):
        return self._looked_at(super().expire(max_age))

    def _looked_at(self, result):
        ledger = stored_ledger(self.path.parent)
        if ledger.imbalance():
            self.unbalanced.append(ledger)
        return result


class Model:
    """A spool, what should be in it, and what the daemon may do to it.

    Attributes:
        suspects: what a sink refused of what it accepted in part; it may come in any order.
        waiting: by sink, what was put and is neither taken nor done with.
        all_of: by sink, what was ever put.
        postponed: what of it may come in any order.
        taken: batches.
        shares: of the sinks that are configured now.
        delivered: how often each event was.
        letters: how many dead letters there are, those included that were evicted.
        received: what the ledger should have of the account.
        safe: what is certainly in the file.
        done: what certainly is not any more.
        noted: the number that was noted last; 0 if none was.
        noted_for_certain: that which was certainly in the file then.
        was_killed: whether something may have been delivered twice.
    """

    def __init__(self, directory, seed):
        self.directory = directory
        self.random = random.Random(seed)
        self.numbers = count(1)
        self.waiting = {sink: set() for sink in SHARES}
        self.all_of = {sink: set() for sink in SHARES}
        self.postponed, self.suspects = set(), set()
        self.taken = []
        self.shares = SHARES
        self.delivered = Counter()
        self.letters = self.received = 0
        self.safe, self.done = set(), set()
        self.noted = self.noted_for_certain = 0
        self.was_killed = False

    async def open(self):
        self.ledger = Ledger()
        self.spool = SqliteSpool(
            self.directory, 1 << 20, self.shares, self.ledger, synchronous="normal", bounds=BOUNDS
        )
        await self.spool.start()

    async def do_anything(self):
        """Do one of the things that can be done now."""
        action = self.random.choice(ACTIONS)
        done = action(self)
        if inspect.isawaitable(done):
            async with asyncio.timeout(20):
                await done
        self.look()

    def look(self):
        ledger = self.ledger
        assert ledger.imbalance() == 0, ledger
        assert WatchedStore.unbalanced == []
        assert self.number_noted() == self.noted
        held = sum(map(len, self.waiting.values())) + sum(item.events for item in self.taken)
        letters = self.letters - ledger.dropped["dead_letter_evicted"]
        letters += ledger.received - self.received  # evicted, and replayed all the same
        assert ledger.in_memory + ledger.spooled + ledger.dead_lettered.total() == held + letters
        self.look_at_lanes()

    def look_at_lanes(self):
        """See whether gates, who is gone, and what is counted are as what waits has it."""
        held = {sink for sink, waiting in self.waiting.items() if waiting}
        held |= {batch.sink for batch in self.taken}
        assert set(self.spool.gone()) == held - self.shares.keys()
        assert self.spool._lanes._empty.is_set() == (not held & self.shares.keys())
        assert self.spool.gates.keys() == self.shares.keys()
        for sink in SHARES.keys() - self.shares.keys():
            if sink in held:
                assert not self.spool._lanes[sink].gate.closed
        for lane in self.spool._lanes:
            tail = self.spool._tails[lane.sink]
            assert tail.octets_in_memory == sum(batch.size for batch in lane.held.values())
            assert tail.octets_ready == sum(batch.size for batch in lane.ready._queue)
        for sink, share in self.shares.items():
            octets = self.spool.backlog(sink).octets
            if share.max_bytes is not None and octets >= share.max_bytes:
                assert self.spool.gates[sink].closed
            if share.max_bytes is None or octets == 0:
                assert not self.spool.gates[sink].closed

    # What comes in.

    def put(self):
        for _ in range(self.random.randint(1, 3)):
            self.receive(size := self.random.randint(1, 4))
            self.put_one(self.any_sink(), size)

    def put_one(self, sink, size):
        numbers = [next(self.numbers) for _ in range(size)]
        self.waiting[sink].update(numbers)
        self.all_of[sink].update(numbers)
        self.ledger.in_memory += size
        self.spool.put(batch_of(*numbers, sink=sink))

    def receive(self, number):
        self.ledger.received += number
        self.received += number

    def any_sink(self):
        """Return a sink that the process knows: it may have gone since."""
        return self.random.choice(sorted(lane.sink for lane in self.spool._lanes))

    def set_aside(self):
        self.receive(1)
        self.ledger.in_memory += 1
        self.spool.set_aside(letter_of(0, self.random.choice(["parse_error", "unknown_intake"])))
        self.letters += 1

    def note(self):
        self.noted += 1
        self.spool.note("number", b"%d" % self.noted)

    def number_noted(self):
        return int(self.spool.noted("number") or 0)

    # What goes out.

    async def take(self):
        sink = self.any_sink()
        can_be_taken = WatchedStore.allows == "all" or not self.spool._lanes[sink].ready.empty()
        if self.waiting[sink] and can_be_taken and len(self.taken) < 6:
            batch = await self.spool.take(sink)
            self.take_over(batch)
            self.taken.append(batch)

    def take_over(self, batch):
        """Note that a batch was taken, the next in order unless that may be any."""
        numbers, waiting = numbers_of(batch), self.waiting[batch.sink]
        out_of_order = self.postponed | self.suspects
        if numbers[0] not in out_of_order:
            assert numbers[0] == min(waiting - out_of_order)
        assert numbers == sorted(numbers)
        assert waiting >= set(numbers)
        waiting -= set(numbers)
        self.postponed -= set(numbers)

    def any_taken(self):
        return self.taken.pop(self.random.randrange(len(self.taken)))

    def finish(self):
        if self.taken:
            batch = self.any_taken()
            left = [number for number in numbers_of(batch) if self.random.random() < 0.3]
            parts = [some for some in (left[::2], left[1::2]) if some]
            self.suspects.update(left[1::2])
            rest = [batch_of(*some, sink=batch.sink) for some in parts]
            self.spool.finish(batch, rest)
            self.taken += rest
            self.delivered.update(set(numbers_of(batch)) - set(left))

    def halve(self):
        if self.taken:
            batch = self.any_taken()
            numbers, middle = numbers_of(batch), batch.events // 2
            halves = [some for some in (numbers[:middle], numbers[middle:]) if some]
            parts = [batch_of(*some, sink=batch.sink) for some in halves]
            self.spool.replace([batch], parts)
            self.taken += parts

    def postpone(self):
        if self.taken:
            batch = self.any_taken()
            self.spool.postpone(batch)
            self.waiting[batch.sink].update(numbers_of(batch))
            self.postponed.update(numbers_of(batch))

    def give_back(self):
        """Have the sink make way for another of its name."""
        sink = self.any_sink()
        given = [batch for batch in self.taken if batch.sink == sink]
        self.taken = [batch for batch in self.taken if batch.sink != sink]
        self.waiting[sink].update(*map(numbers_of, given))
        self.postponed -= self.all_of[sink]
        for batch in given:
            batch.refused_at = 3
        self.spool.give_back(sink)
        assert {batch.refused_at for batch in given} <= {None}

    def bury(self):
        if self.taken:
            batch = self.any_taken()
            self.spool.bury(batch, [letter_of(number) for number in numbers_of(batch)])
            self.letters += batch.events
            self.safe -= set(numbers_of(batch))

    # What becomes of dead letters.

    async def replay(self):
        """As it is done: chosen on the writer's thread, then sent in one turn of the loop."""
        sink, letters = self.any_sink(), await self.spool.choose_letters(ALL, 0, 2)
        for letter in letters:
            self.ledger.dead_lettered[letter.reason] -= 1
            self.put_one(sink, 1)
        self.spool.release(letters)
        self.letters -= len(letters)

    async def purge(self):
        if WatchedStore.allows == "all":
            self.letters -= (await self.spool.purge(ALL)).total()

    # What happens.

    def reshape(self):
        """Have sinks come and go, and shares grow and shrink."""
        sinks = self.random.sample(sorted(SHARES), self.random.randint(1, len(SHARES)))
        bounds = self.random.choices(BOUNDS_OF_SHARES, k=len(sinks))
        self.shares = {
            sink: Share(bound, "block") for sink, bound in zip(sinks, bounds, strict=True)
        }
        self.spool.reshape(self.shares)

    async def turn(self):
        await asyncio.sleep(0)

    async def wait(self):
        await asyncio.sleep(self.random.random() / 200)

    def fill_the_disk(self):
        WatchedStore.allows = self.random.choice(["all", "all", "deletions", "nothing"])

    async def settle(self):
        if WatchedStore.allows == "all":
            written = asyncio.Event()
            self.spool.when_durable(written.set)
            await written.wait()
            assert self.ledger.in_memory == 0
            self.noted_for_certain = self.noted
            self.safe = set().union(*self.waiting.values(), *map(numbers_of, self.taken))
            self.done = set(self.delivered) - self.safe

    async def restart(self):
        if WatchedStore.allows == "all":
            assert await self.spool.close() == 0
            before = self.ledger.as_dict()
            before["dead_lettered"] = +Counter(before["dead_lettered"])
            await self.open()
            assert self.ledger.as_dict() == before
            self.begin_again(self.waiting_by_sink())

    async def kill(self):
        await self.stop_dead()
        WatchedStore.allows = "all"
        found = {int(line) for line in stored_lines(self.directory)}
        assert self.safe - set(self.delivered) <= found
        assert not self.done & found
        self.was_killed = True
        await self.open()
        assert self.noted_for_certain <= self.number_noted() <= self.noted
        self.noted = self.noted_for_certain = self.number_noted()
        self.begin_again({sink: found & self.all_of[sink] for sink in SHARES})

    async def stop_dead(self):
        """End without a word, as a killed process does."""
        spool, writer = self.spool, self.spool._writer
        tasks = (*spool._tasks, *spool._reads)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer._thread.shutdown()
        writer.store.close()
        spool._lock.release()

    def begin_again(self, waiting):
        """Go on with what the file had: a new process knows nothing of what was taken."""
        self.waiting = waiting
        self.taken.clear()
        self.postponed.clear()
        self.received = self.ledger.received
        evicted = self.ledger.dropped["dead_letter_evicted"]
        self.letters = self.ledger.dead_lettered.total() + evicted
        self.safe = set().union(*waiting.values())
        self.done = set()

    def waiting_by_sink(self):
        taken = {sink: set() for sink in SHARES}
        for batch in self.taken:
            taken[batch.sink].update(numbers_of(batch))
        return {sink: waiting | taken[sink] for sink, waiting in self.waiting.items()}

    async def drain(self):
        """Deliver what is left, and look for what is missing."""
        WatchedStore.allows = "all"
        for batch in self.taken:
            self.delivered.update(numbers_of(batch))
            self.spool.finish(batch)
        for sink, waiting in self.waiting.items():
            while waiting:
                async with asyncio.timeout(20):
                    batch = await self.spool.take(sink)
                self.take_over(batch)
                self.delivered.update(numbers_of(batch))
                self.spool.finish(batch)
        assert await self.spool.close() == 0
        assert self.ledger.spooled == self.ledger.in_memory == 0
        stored = stored_ledger(self.directory)
        assert stored.imbalance() == 0
        assert stored.delivered == self.ledger.delivered
        assert stored_lines(self.directory) == []
        if not self.was_killed:
            assert set(self.delivered.values()) <= {1}


ACTIONS = [
    *(Model.put, Model.put, Model.take, Model.take, Model.take, Model.finish, Model.finish),
    *(Model.halve, Model.postpone, Model.bury, Model.set_aside, Model.replay, Model.purge),
    Model.note,
    *(Model.give_back, Model.reshape),
    *(Model.turn, Model.wait, Model.fill_the_disk, Model.settle, Model.restart, Model.kill),
]


@pytest.fixture
def small(monkeypatch):
    """Make the spool so small that everything happens soon."""
    for name, value in CONSTANTS.items():
        monkeypatch.setattr(name, value)
    monkeypatch.setattr("collector.spool.opening.Store", WatchedStore)
    monkeypatch.setattr(WatchedStore, "allows", "all")
    monkeypatch.setattr(WatchedStore, "unbalanced", [])


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_nothing_is_lost_and_everything_is_accounted_for(
    tmp_path, in_full, seed
):
    """Also after every single transaction, as if the process had been killed there."""
    model = Model(tmp_path, seed)
    await model.open()
    for _ in range(5000 if in_full else 200):
        await model.do_anything()
    await model.drain()
