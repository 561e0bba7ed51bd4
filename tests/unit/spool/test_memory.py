"""What a spool in memory does differently from others; `test_spool` has the rest."""

import asyncio
import os
from functools import partial

import pytest
import structlog

from collector import board
from collector.board import Board, Post
from collector.ledger import Ledger
from collector.logs import Reports
from collector.spool import Batch, Letter, Share, memory
from collector.spool.memory import MemorySpool
from tests.unit.spool.conftest import SpoolRoom


def batch(*, sink="a", events=1):
    return Batch(sink, "ndjson:event", "none", b"x" * 10, events, 10, 0.0, b"")


def letter(reason, size):
    return Letter(reason, "", "", "", "", "", "", 0.0, b"x" * (size - 200), is_frame=True)


class Room(SpoolRoom):
    """A spool with what surrounds it."""

    def __init__(self):
        ledger, block = Ledger(), Share(None, "block")
        super().__init__(MemorySpool(100, {"a": block, "b": block}, ledger), ledger)


@pytest.fixture
def room():
    return Room()


async def test_what_is_put_is_as_durable_as_it_gets(room):
    """At once, without a turn of the loop."""
    called = []
    room.put(batch())
    room.spool.when_durable(lambda: called.append("now"))
    assert called == ["now"]
    assert (room.ledger.in_memory, room.ledger.spooled) == (0, 1)


async def test_what_is_taken_is_what_was_put(room):
    """The batch itself: nothing is read or written."""
    item = batch()
    room.put(item)
    assert await room.spool.take("a") is item


async def test_batches_have_their_places_in_order_of_arrival(room):
    """For whoever puts some back in order."""
    items = [batch(sink=sink) for sink in "aba"]
    for item in items:
        room.put(item)
    assert [item.place for item in items] == [1, 2, 3]


async def test_a_spool_is_full_to_the_octet(room):
    """There are no pages or logs beside the batches."""
    for _ in range(10):
        assert not room.spool.gate.closed
        room.put(batch())
    assert room.spool.gate.closed
    assert room.spool.status() == {"octets": 100, "max_bytes": 100, "full": True, "gone": {}}
    assert room.spool.full


async def test_closing_gives_up_what_is_left_and_says_how_much(room):
    """Waiting, taken and kept aside alike are dropped{shutdown}: they end with the process."""
    room.put(batch(events=2))
    room.put(batch(events=3, sink="b"))
    room.set_aside(letter("parse_error", 300))
    await room.spool.take("a")
    assert await room.spool.close() == 6
    assert room.ledger.dropped == {"shutdown": 6}
    assert (room.ledger.spooled, room.ledger.dead_lettered) == (0, {})
    assert room.ledger.imbalance() == 0
    assert await room.spool.close() == 0


async def test_the_newest_dead_letters_are_kept(room, monkeypatch):
    """The oldest make room; those that anybody can cause do not crowd out the others."""
    monkeypatch.setattr(memory, "MAX_LETTER_BYTES", 1000)
    room.set_aside(letter("parse_error", 900))
    for _ in range(5):
        room.set_aside(letter("unknown_intake", 300))
    room.set_aside(letter("incomplete_frame", 300))
    assert room.ledger.dead_lettered == {
        "parse_error": 1,
        "unknown_intake": 3,
        "incomplete_frame": 1,
    }
    assert room.ledger.dropped == {"dead_letter_evicted": 2}
    assert room.ledger.imbalance() == 0


async def test_a_dead_letter_beyond_the_bound_is_counted_and_gone(room, monkeypatch):
    """And so are those it made room for."""
    monkeypatch.setattr(memory, "MAX_LETTER_BYTES", 1000)
    room.set_aside(letter("refused", 500))
    room.set_aside(letter("refused", 1500))
    assert room.ledger.dead_lettered == {"refused": 0}
    assert room.ledger.dropped == {"dead_letter_evicted": 2}
    assert room.ledger.imbalance() == 0


async def test_a_spool_that_stays_full_is_told_of_in_the_end(monkeypatch):
    """Also where its last filling came too soon after the one that the log has."""
    now = [0.0]
    reports = partial(Reports, clock=lambda: now[0], period=10.0)
    monkeypatch.setattr("collector.spool.lanes.Reports", reports)
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.001)
    room = Room()
    await room.spool.start()
    with structlog.testing.capture_logs() as lines:
        for _ in range(12):
            room.put(batch())
        for _ in range(4):
            room.spool.finish(await room.spool.take("a"))
        for _ in range(4):
            room.put(batch())
        told = ["spool full, listeners stop reading", "spool has room again, listeners read on"]
        assert [line["event"] for line in lines] == told
        now[0] = 11.0
        async with asyncio.timeout(30):
            while len(lines) < 3:
                await asyncio.sleep(0.001)
        assert [line["event"] for line in lines] == [*told, told[0]]
    await room.spool.close()


async def test_the_spools_of_two_workers_keep_to_one_bound(monkeypatch):
    """Room that one makes is room for the other."""
    monkeypatch.setattr("collector.spool.memory.LOOK_SECONDS", 0.001)
    supervisor, descriptor = Board.create(3)
    supervisor.extend([board.SPOOL_OCTETS, board.share("a")])
    shares = {"a": Share(None, "block")}
    first, second = (
        MemorySpool(
            100, shares, Ledger(), Post(n, 2, Board.attach(descriptor, n + 1, supervisor.columns))
        )
        for n in (0, 1)
    )
    os.close(descriptor)
    await first.start()
    await second.start()
    for _ in range(9):
        first.put(batch())
    second.put(batch())
    assert (first.gate.closed, second.gate.closed) == (False, True)
    for _ in range(3):
        first.finish(await first.take("a"))
    async with asyncio.timeout(30):
        while second.gate.closed:
            await asyncio.sleep(0.001)
    await first.close()
    await second.close()


async def test_there_are_no_others_to_leave_anything_to(room):
    """What was taken stays taken."""
    room.put(batch())
    assert not room.spool.relinquish(await room.spool.take("a"), 1.0)
    room.spool.resume("a")
    room.spool.wind_down()
    assert room.ledger.spooled == 1
