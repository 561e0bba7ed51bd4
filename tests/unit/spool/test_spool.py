"""What every spool does, whatever it keeps things in."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from collector.config import SpoolSettings
from collector.ledger import Ledger
from collector.spool import Batch, Letter, Share
from collector.spool.entries import Entry, pack_entries
from collector.spool.jetstream import JetstreamSpool
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool
from collector.stream.cluster import Cluster
from tests.nats import Nats
from tests.streams import FakeServers, FakeStream
from tests.unit.spool.conftest import SpoolRoom

KIB = 1024

# Large enough that what a batch takes besides its body does not count for much.
SHARES = {
    "a": Share(None, "block"),
    "b": Share(None, "block"),
    "small": Share(64 * KIB, "block"),
    "lossy": Share(64 * KIB, "drop"),
}
MAX_BYTES = 16 * 1024 * KIB


@asynccontextmanager
async def in_memory(_directory, ledger, shares, max_bytes):
    """Open a spool in memory."""
    yield MemorySpool(max_bytes, shares, ledger)


@asynccontextmanager
async def on_disk(directory, ledger, shares, max_bytes):
    """Open a spool in a file of a directory."""
    spool = SqliteSpool(directory, max_bytes, shares, ledger)
    await spool.start()
    yield spool


@asynccontextmanager
async def in_a_stream(directory, ledger, shares, max_bytes):
    """Open a spool of which a part is in a stream that is in memory."""
    stream = FakeStream(FakeServers(max_octets=max_bytes, largest=MAX_BYTES))
    async with shared(directory, stream, ledger, shares, max_bytes) as spool:
        yield spool


@asynccontextmanager
async def on_a_server(directory, ledger, shares, max_bytes):
    """Open a spool of which a part is in a stream that NATS holds."""
    async with Nats(directory / "nats", more="max_payload: 8MB\n") as servers:
        settings = SpoolSettings(
            type="jetstream",
            servers=servers.urls,
            stream="test",
            replicas=1,
            max_bytes=f"{max_bytes // KIB}KiB",
        )
        stream = Cluster(settings, 64 * KIB * KIB, "test")
        async with shared(directory, stream, ledger, shares, max_bytes) as spool:
            yield spool


@asynccontextmanager
async def shared(directory, stream, ledger, shares, max_bytes):
    """Open a spool that could be shared."""
    local = SqliteSpool(directory, max_bytes, shares, ledger)
    spool = JetstreamSpool(
        local, stream, shares, ledger, name="test", max_bytes=max_bytes, ack_wait=30.0
    )
    await spool.start()
    yield spool


KINDS = {
    "memory": in_memory,
    "sqlite": on_disk,
    "jetstream": in_a_stream,
    "nats": on_a_server,
}
"""Opens each kind of spool; the last is as the one before it, with servers that take their time."""

ON_SERVERS = {
    "test_order_holds_for_many_batches",
    "test_parts_may_be_parted_again",
    "test_a_postponed_batch_goes_behind_others",
    "test_what_was_taken_and_is_given_back_stands_where_it_stood",
}
"""What is tried with servers each time; `-m slow` tries everything."""


def pytest_generate_tests(metafunc):
    """Try a test with every kind of spool, unless it says itself with which."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "opened" not in metafunc.fixturenames or any(mark.args[0] == "opened" for mark in marks):
        return
    kinds = [*KINDS]
    is_full = "slow" in metafunc.config.getoption("markexpr")
    if not is_full and metafunc.function.__name__ not in ON_SERVERS:
        kinds.remove("nats")
    parameters = [
        pytest.param(kind, marks=pytest.mark.slow if kind == "nats" else ()) for kind in kinds
    ]
    metafunc.parametrize("opened", parameters, indirect=True)


class Room(SpoolRoom):
    """A spool with what surrounds it.

    Attributes:
        places: in how many places it keeps what waits: each has the same bounds.
    """

    def __init__(self, spool, ledger):
        super().__init__(spool, ledger)
        self.places = 2 if isinstance(spool, JetstreamSpool) else 1

    def kept(self):
        """Return how many copies are durable and wait, taken or not."""
        return self.ledger.spooled + self.ledger.handed_over - self.ledger.taken_over

    def backlog(self, sink):
        """Return how many copies wait for a sink wherever they are."""
        events = self.spool.backlog(sink).events
        if self.places == 2:
            events += self.spool.status()["stream"]["events"].get(sink, 0)
        return events

    def octets(self, sink):
        """Return what waits for a sink, about, wherever it is."""
        octets = self.spool.backlog(sink).octets
        if self.places == 2:
            octets += self.spool.status()["stream"]["octets"]
        return octets

    def letters(self):
        """Return how many dead letters there are of each reason, wherever they are."""
        letters = Counter(self.ledger.dead_lettered)
        if self.places == 2:
            letters += Counter(self.spool.status()["stream"]["dead_letters"].get("events"))
        return +letters

    async def until(self, condition):
        """See that a condition holds: at once, or soon where others are to be asked."""
        if self.places == 2:
            async with asyncio.timeout(30):
                while not condition():
                    await asyncio.sleep(0.001)
        assert condition()

    async def arrived(self):
        """Wait until what waits elsewhere is here."""

        def has_arrived():
            status = self.spool.status().get("stream")
            return not status or status["in_hand"] == +Counter(status["events"])

        await self.until(has_arrived)


@pytest.fixture
def opened(request, tmp_path):
    """Return what opens a spool: an asynchronous context manager that gives a `Room`."""

    @asynccontextmanager
    async def opened(max_bytes=MAX_BYTES, shares=SHARES):
        ledger = Ledger()
        async with KINDS[request.param](tmp_path, ledger, shares, max_bytes) as spool:
            room = Room(spool, ledger)
            try:
                yield room
            finally:
                await room.close()

    return opened


def batch(body=b"{}\n", *, sink="a", events=1, received=0.0):
    entries = pack_entries([Entry(f"{1:032x}", "edr", "192.0.2.1", received)] * events)
    return Batch(sink, "ndjson:event", "none", body, events, len(body), received, entries)


def letter(reason="unknown_intake", raw=b"raw", **changes):
    attributes = {
        "reason": reason,
        "problem": "it is not known",
        "identifier": f"{1:032x}",
        "intake": "",
        "sink": "",
        "listener": "l",
        "peer": "192.0.2.1",
        "received": 10.0,
        "raw": raw,
        "is_frame": True,
    }
    return Letter(**{**attributes, **changes})


async def test_batches_come_out_in_order_each_for_its_sink(opened):
    """One sink's batches do not wait behind another's."""
    items = [batch(b"1"), batch(b"2", sink="b"), batch(b"3"), batch(b"4")]
    async with opened() as room:
        room.put(*items)
        assert (await room.take("b")).body == b"2"
        assert [(await room.take()).body for _ in range(3)] == [b"1", b"3", b"4"]


async def test_order_holds_for_many_batches(opened):
    """Those put while others are taken come behind them."""
    async with opened() as room:
        taken = []
        for number in range(0, 300, 3):
            room.put(*(batch(b"%d" % n) for n in range(number, number + 3)))
            taken.append(await room.take())
            await asyncio.sleep(0)
        while len(taken) < 300:
            taken.append(await room.take())
        assert [item.body for item in taken] == [b"%d" % n for n in range(300)]


async def test_taking_waits_for_a_batch(opened):
    """A sink with nothing to do sleeps until there is something."""
    async with opened() as room:
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        room.put(batch(b"1"))
        assert (await waiting).body == b"1"


async def test_a_batch_is_accounted_for_until_it_is_finished(opened):
    """Taken is still spooled; finished is delivered."""
    async with opened() as room:
        room.put(batch(events=3))
        await room.durable()
        item = await room.take()
        assert (room.ledger.in_memory, room.kept(), room.ledger.delivered) == (0, 3, 0)
        await room.until(lambda: room.backlog("a") == 3)
        room.spool.finish(item)
        await room.durable()
        assert (room.kept(), room.ledger.delivered) == (0, 3)
        await room.until(lambda: room.backlog("a") == 0)
        assert room.spool.backlog("a") == (0, 0, 0.0)


async def test_a_batch_may_be_finished_before_it_is_durable(opened):
    """A fast sink is no reason for a copy to be counted twice."""
    async with opened() as room:
        room.put(batch(events=3))
        room.spool.finish(await room.take())
        room.balance()
        await room.durable()
        assert (room.ledger.in_memory, room.kept(), room.ledger.delivered) == (0, 0, 3)


async def test_what_a_sink_accepted_in_part_is_delivered_in_part(opened):
    """The rest counts as taken, and is finished by itself."""
    async with opened() as room:
        room.put(batch(b"1\n2\n3\n", events=3), batch(b"next"))
        await room.durable()
        rest = batch(b"3\n")
        room.spool.finish(await room.take(), [rest])
        room.balance()
        assert (room.kept(), room.ledger.delivered) == (2, 2)
        # A message is in a stream until all of it is done with.
        await room.until(lambda: room.backlog("a") == (2 if room.places == 1 else 4))
        assert (await room.take()).body == b"next"
        room.spool.finish(rest)
        await room.durable()
        assert (room.kept(), room.ledger.delivered) == (1, 3)


async def test_the_parts_of_a_batch_take_its_place(opened):
    """They are finished, and buried, one by one."""
    async with opened() as room:
        room.put(batch(b"1\n2\n3\n", events=3))
        await room.durable()
        parts = [batch(b"1\n"), batch(b"2\n3\n", events=2)]
        room.spool.replace([await room.take()], parts)
        room.balance()
        await room.until(lambda: room.backlog("a") == 3)
        room.spool.finish(parts[0])
        room.spool.bury(parts[1], [letter("refused"), letter("refused")])
        await room.durable()
        assert (room.kept(), room.ledger.delivered) == (0, 1)
        assert room.ledger.dead_lettered == {"refused": 2}
        await room.until(lambda: room.backlog("a") == 0)


async def test_parts_may_be_parted_again(opened):
    """As long as a sink finds them too large."""
    async with opened() as room:
        room.put(batch(b"1\n2\n3\n", events=3))
        first, second = batch(b"1\n"), batch(b"2\n3\n", events=2)
        room.spool.replace([await room.take()], [first, second])
        third, fourth = batch(b"2\n"), batch(b"3\n")
        room.spool.replace([second], [third, fourth])
        for item in (first, third, fourth):
            room.spool.finish(item)
            room.balance()
        await room.durable()
        assert room.ledger.delivered == 3


async def test_a_postponed_batch_goes_behind_others(opened):
    """It stays accounted for meanwhile."""
    async with opened() as room:
        room.put(batch(b"1"), batch(b"2"))
        await room.durable()
        first = await room.take()
        await room.arrived()
        room.spool.postpone(first)
        assert room.kept() == 2
        assert [(await room.take()).body for _ in range(2)] == [b"2", b"1"]


async def test_what_is_set_aside_is_accounted_for_by_its_reason(opened):
    """From memory to the dead letters."""
    async with opened() as room:
        room.set_aside(letter(), letter(), letter("parse_error", intake="edr"))
        await room.durable()
        assert room.ledger.in_memory == 0
        assert room.ledger.dead_lettered == {"unknown_intake": 2, "parse_error": 1}


async def test_what_is_durable_is_told_once(opened):
    """Also when there was nothing to write."""
    async with opened() as room:
        called = []
        room.spool.when_durable(lambda: called.append("nothing"))
        room.put(batch(), batch(sink="b"))
        room.spool.when_durable(lambda: called.append("batches"))
        await room.durable()
        assert called == ["nothing", "batches"]
        assert (room.ledger.in_memory, room.kept()) == (0, 2)


@pytest.mark.parametrize("opened", ["memory", "sqlite"], indirect=True)
async def test_the_age_of_a_backlog_is_that_of_its_oldest(opened, monkeypatch):
    """In flight or not."""
    async with opened() as room:
        monkeypatch.setattr("collector.spool.lanes.time.time", lambda: 100.0)
        room.put(batch(received=40.0), batch(received=70.0))
        await room.durable()
        first = await room.take()
        assert room.spool.backlog("a").oldest_seconds == 60.0
        room.spool.finish(first)
        await room.durable()
        assert room.spool.backlog("a").oldest_seconds == 30.0
        assert room.spool.backlog("b").oldest_seconds == 0.0


async def test_a_full_share_makes_its_own_senders_wait(opened):
    """Nobody else's; until an eighth of it is free. Nothing is dropped."""
    async with opened() as room:
        gate, count = room.spool.gates["small"], 0
        while not gate.closed:
            room.put(batch(b"x" * 9 * KIB, sink="small"))
            count += 1
        assert 3 < count <= 8 * room.places
        assert not room.spool.gate.closed
        assert not room.spool.gates["a"].closed
        assert {item["sink"] for item in room.spool.degraded()} == {"small"}
        room.put(batch(b"x" * 9 * KIB, sink="small"), batch())
        await room.durable()
        assert room.kept() == count + 2
        room.spool.finish(await room.take("small"))
        assert gate.closed or room.places == 2  # a stream that empties the file may be ahead
        while gate.closed:
            room.spool.finish(await room.take("small"))
            room.balance()
        assert room.spool.backlog("small").octets <= 56 * KIB
        assert room.spool.backlog("small").octets > 0 or room.places == 2
        assert room.spool.degraded() == []
        await room.durable()


async def test_a_share_may_drop_what_does_not_fit(opened):
    """It is counted; no gate closes, and other sinks get everything."""
    async with opened() as room:
        rounds = 10 * room.places
        for _ in range(rounds):
            room.put(batch(b"x" * 9 * KIB, sink="lossy", events=2), batch(b"x" * 9 * KIB))
        await room.durable()
        dropped = room.ledger.dropped["spool_full"]
        assert dropped > 0
        assert room.kept() == 3 * rounds - dropped
        assert room.spool.backlog("lossy").octets <= 64 * KIB
        await room.until(lambda: room.backlog("a") == rounds)
        assert not room.spool.gates["lossy"].closed
        assert not room.spool.gate.closed
        room.spool.finish(await room.take("lossy"))
        room.put(batch(b"x" * 9 * KIB, sink="lossy"))
        await room.durable()
        assert room.ledger.dropped["spool_full"] == dropped


async def test_a_full_spool_makes_everybody_wait(opened):
    """Until an eighth of it is free; what was read before is still taken."""
    async with opened() as room:
        while not room.spool.gate.closed:
            room.put(batch(b"x" * 1024 * KIB))
            await room.durable()
        full = room.octets("a")
        assert full <= room.places * MAX_BYTES + 1024 * KIB
        room.put(batch(b"x", sink="b"))
        await room.durable()
        assert room.ledger.dropped == {}
        assert room.spool.degraded()[0]["spool"] == "all"
        room.spool.finish(await room.take())
        assert room.spool.gate.closed
        while room.spool.gate.closed:
            room.spool.finish(await room.take())
            await room.durable()
        # A file that a stream empties may have room late: what the stream holds is seldom told.
        least = full / 2 if room.places == 1 else 0
        await room.until(lambda: least < room.octets("a") < full)


async def test_a_batch_replaced_in_a_nearly_full_share_closes_no_gate(opened):
    """Whole and parts are never there together."""
    async with opened() as room:
        room.put(batch(b"x" * 40 * KIB, sink="small", events=2))
        await room.durable()
        parts = [batch(b"x" * 20 * KIB, sink="small") for _ in range(2)]
        room.spool.replace([await room.take("small")], parts)
        assert not room.spool.gates["small"].closed
        for part in parts:
            room.spool.finish(part)


async def test_waiting_for_the_last_batch_outlasts_its_parting(opened):
    """A batch that is replaced by its parts is not gone."""
    async with opened() as room:
        await room.spool.emptied()
        room.put(batch(b"1\n2\n", events=2), batch(sink="b"))
        emptied = asyncio.ensure_future(room.spool.emptied())
        parts = [batch(b"1\n"), batch(b"2\n")]
        room.spool.replace([await room.take()], parts)
        for item in (await room.take("b"), *parts):
            await asyncio.sleep(0)
            assert not emptied.done()
            room.spool.finish(item)
        async with asyncio.timeout(30):
            await emptied


async def test_what_is_buried_is_no_reason_to_wait(opened):
    """Dead letters stay."""
    async with opened() as room:
        room.put(batch())
        room.set_aside(letter())
        room.spool.bury(await room.take(), [letter("refused")])
        async with asyncio.timeout(30):
            await room.spool.emptied()
        await room.durable()
        await room.until(lambda: room.letters() == {"refused": 1, "unknown_intake": 1})


async def test_closing_leaves_no_copy_unaccounted_for(opened):
    """Whatever state it is in: waiting, taken, in parts or a dead letter."""
    async with opened() as room:
        room.put(batch(events=2), batch(sink="b", events=3), batch(sink="small"))
        parts = [batch(), batch()]
        room.spool.replace([await room.take()], parts)
        room.spool.finish(parts[0])
        room.set_aside(letter())
        lost = await room.close()
        assert room.ledger.in_memory == 0
        assert lost == room.ledger.dropped["shutdown"]


async def test_what_was_taken_and_is_given_back_stands_where_it_stood(opened):
    """Postponed, taken apart or neither: as if nobody had taken it."""
    async with opened() as room:
        room.put(*(batch(b"%d\n%d\n" % (n, n + 1), events=2) for n in (1, 3, 5, 7)))
        room.put(batch(b"other", sink="b"))
        await room.durable()
        first, second, third = [await room.take() for _ in range(3)]
        other = await room.take("b")
        parts = [batch(b"3\n"), batch(b"4\n")]
        room.spool.replace([second], parts)
        room.spool.finish(parts[0])
        room.spool.postpone(third)
        parts[1].refused_at = 7
        room.spool.give_back("a")
        room.balance()
        taken = [await room.take() for _ in range(4)]
        assert [item.body for item in taken] == [b"1\n2\n", b"4\n", b"5\n6\n", b"7\n8\n"]
        assert {item.refused_at for item in taken} == {None}
        for item in (*taken, other):
            room.spool.finish(item)
        await room.durable()
        assert (room.kept(), room.ledger.delivered) == (0, 9)
        assert first in taken


async def test_one_who_waits_gets_what_is_given_back(opened):
    """The next in order."""
    async with opened() as room:
        room.put(batch(b"1"), batch(b"2"))
        await room.take()
        await room.take()
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0)
        room.spool.give_back("a")
        assert (await waiting).body == b"1"
        assert (await room.take()).body == b"2"


async def test_one_who_stops_waiting_takes_nothing_along(opened):
    """Also when a batch has come in the same turn of the event loop."""
    async with opened() as room:
        room.put(batch(b"1"), batch(b"2"))
        await room.take()
        await room.take()
        waiting = [asyncio.ensure_future(room.spool.take("a")) for _ in range(3)]
        await asyncio.sleep(0)
        room.spool.give_back("a")
        waiting[0].cancel()
        assert (await waiting[1]).body == b"1"
        assert (await waiting[2]).body == b"2"
        assert waiting[0].cancelled()


async def test_a_sink_that_goes_leaves_what_waits_for_it(opened):
    """It is named, nobody waits for its gate, and it goes out when the sink comes back."""
    async with opened(shares={"a": SHARES["a"], "small": SHARES["small"]}) as room:
        bodies = [*[b"1" * 70 * KIB] * room.places, b"2"]
        room.put(*(batch(body, sink="small") for body in bodies))
        gate = room.spool.gates["small"]
        assert gate.closed
        room.spool.reshape({"a": SHARES["a"]})
        assert not gate.closed
        assert room.spool.gates.keys() == {"a"}
        await room.durable()
        assert room.spool.gone() == ["small"]
        await room.until(lambda: room.spool.status()["gone"] == {"small": len(bodies)})
        assert {"sink": "small", "reason": "not configured, events wait"} in room.spool.degraded()
        await room.spool.emptied()
        room.balance()
        room.spool.reshape(SHARES)
        assert room.spool.gates["small"] is gate
        assert gate.closed or room.places == 2  # what was in the file has gone elsewhere
        assert room.spool.gone() == []
        room.put(batch(b"3", sink="small"))
        for body in (*bodies, b"3"):
            item = await room.take("small")
            assert item.body == body
            room.spool.finish(item)


async def test_what_comes_in_for_a_sink_that_has_just_gone_waits_too(opened):
    """Whoever made the batch did not know yet."""
    async with opened() as room:
        room.spool.reshape({"b": SHARES["b"]})
        room.put(batch(b"late"))
        await room.durable()
        room.spool.reshape(SHARES)
        assert (await room.take()).body == b"late"


async def test_a_sink_that_comes_is_as_those_that_were_there(opened):
    """With a gate and a share of its own."""
    async with opened(shares={"a": SHARES["a"]}) as room:
        room.spool.reshape(SHARES)
        assert room.spool.gates.keys() == SHARES.keys()
        room.put(batch(b"1", sink="b"))
        await room.until(lambda: room.backlog("b") == 1)
        room.spool.finish(await room.take("b"))
        await room.spool.emptied()


async def test_what_is_noted_is_found_under_its_name(opened):
    """The latest; nothing is noted at first. A note is no copy of anything."""
    async with opened() as room:
        assert room.spool.noted("a") is None
        room.spool.note("a", b"1")
        room.spool.note("b", b"2")
        room.spool.note("a", b"3")
        assert (room.spool.noted("a"), room.spool.noted("b")) == (b"3", b"2")
        await room.durable()
        assert room.spool.noted("a") == b"3"
        assert await room.close() == 0
