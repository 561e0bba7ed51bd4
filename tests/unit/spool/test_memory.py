"""The spool in memory."""

import asyncio

import pytest

from collector.backpressure import Gate
from collector.ledger import Ledger
from collector.spool import Batch
from collector.spool.memory import MemorySpool


def batch(body=b"x" * 10, *, sink="a", events=1, received=0.0):
    return Batch(sink, body, "none", events, len(body), received)


class Room:
    """A spool with what surrounds it."""

    def __init__(self, max_bytes=100):
        self.ledger = Ledger()
        self.gate = Gate()
        self.spool = MemorySpool(max_bytes, ["a", "b"], self.ledger, self.gate)

    def put(self, item):
        self.ledger.received += item.events
        self.spool.put(item)


@pytest.fixture
def room():
    return Room()


async def test_batches_come_out_in_order_each_for_its_sink(room):
    """One sink's batches do not wait behind another's."""
    items = [batch(sink="a"), batch(sink="b"), batch(sink="a")]
    for item in items:
        room.put(item)
    assert await room.spool.take("b") is items[1]
    assert await room.spool.take("a") is items[0]
    assert await room.spool.take("a") is items[2]


async def test_taking_waits_for_a_batch(room):
    """A sink with nothing to do sleeps until there is something."""
    waiting = asyncio.ensure_future(room.spool.take("a"))
    await asyncio.sleep(0)
    assert not waiting.done()
    item = batch()
    room.put(item)
    assert await waiting is item


async def test_a_batch_stays_accounted_for_until_it_is_finished(room):
    """Taken is still spooled; finished is delivered."""
    room.put(batch(events=3))
    item = await room.spool.take("a")
    assert (room.ledger.spooled, room.ledger.delivered) == (3, 0)
    assert room.spool.backlog("a")[:2] == (3, 10)
    room.spool.finish(item)
    assert (room.ledger.spooled, room.ledger.delivered) == (0, 3)
    assert room.spool.backlog("a") == (0, 0, 0.0)
    assert room.ledger.imbalance() == 0


async def test_a_buried_batch_is_dropped_for_its_reason(room):
    """What the sink refuses for good has an account of its own."""
    room.put(batch(events=2))
    room.spool.bury(await room.spool.take("a"), "refused")
    assert room.ledger.dropped == {"refused": 2}
    assert room.ledger.imbalance() == 0


async def test_a_postponed_batch_goes_behind_all_others(room):
    """It stays accounted for meanwhile."""
    first, second = batch(), batch()
    room.put(first)
    room.put(second)
    room.spool.postpone(await room.spool.take("a"))
    assert room.ledger.spooled == 2
    assert await room.spool.take("a") is second
    assert await room.spool.take("a") is first


async def test_a_split_batch_is_accounted_for_by_its_parts(room):
    """The parts replace the whole and are finished one by one."""
    room.put(batch(b"x" * 10, events=3))
    whole = await room.spool.take("a")
    parts = [batch(b"x" * 4, events=1), batch(b"x" * 6, events=2)]
    room.spool.split(whole, parts)
    assert room.spool.backlog("a")[:2] == (3, 10)
    room.spool.finish(parts[0])
    room.spool.bury(parts[1], "refused")
    assert (room.ledger.delivered, room.ledger.dropped) == (1, {"refused": 2})
    assert room.ledger.imbalance() == 0


async def test_waiting_for_the_last_batch_outlasts_its_split(room):
    """A batch that is replaced by its parts is not gone."""
    room.put(batch(b"x" * 10, events=2))
    emptied = asyncio.ensure_future(room.spool.emptied())
    parts = [batch(b"x" * 5), batch(b"x" * 5)]
    room.spool.split(await room.spool.take("a"), parts)
    await asyncio.sleep(0)
    room.spool.finish(parts[0])
    await asyncio.sleep(0)
    assert not emptied.done()
    room.spool.finish(parts[1])
    await emptied


async def test_a_full_spool_closes_the_gate_until_there_is_room(room):
    """It opens with an eighth free, not with the first octet."""
    for _ in range(10):
        assert not room.gate.closed
        room.put(batch())
    assert room.gate.closed
    room.spool.finish(await room.spool.take("a"))
    assert room.gate.closed
    room.spool.finish(await room.spool.take("a"))
    assert not room.gate.closed


async def test_what_was_read_before_the_gate_closed_is_still_taken(room):
    """The bound stops readers; it drops nothing."""
    for _ in range(15):
        room.put(batch())
    assert room.spool.octets == 150
    assert room.ledger.spooled == 15


async def test_closing_gives_up_what_is_left_and_says_how_much(room):
    """Waiting and taken batches alike are dropped{shutdown}."""
    room.put(batch(events=2))
    room.put(batch(events=3, sink="b"))
    await room.spool.take("a")
    assert room.spool.close() == 5
    assert room.ledger.dropped == {"shutdown": 5}
    assert (room.ledger.spooled, room.ledger.imbalance()) == (0, 0)
    assert room.spool.close() == 0


async def test_the_age_of_the_backlog_is_that_of_its_oldest(room, monkeypatch):
    """Order of receipt counts, not order of delivery."""
    monkeypatch.setattr("collector.spool.memory.time.time", lambda: 100.0)
    room.put(batch(received=70.0))
    room.put(batch(received=40.0))
    second = await room.spool.take("a")
    first = await room.spool.take("a")
    assert room.spool.backlog("a").oldest_seconds == 60.0
    room.spool.finish(second)
    assert room.spool.backlog("a").oldest_seconds == 60.0
    room.spool.finish(first)
    assert room.spool.backlog("a").oldest_seconds == 0.0
