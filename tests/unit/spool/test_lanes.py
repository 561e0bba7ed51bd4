"""What waits for each sink, and the bounds of it."""

import asyncio
import os
from functools import partial

import pytest
import structlog

from collector import board
from collector.board import Board
from collector.logs import Reports
from collector.spool import Batch, Share
from collector.spool.lanes import Lanes

SHARES = {"a": Share(None, "block"), "b": Share(40, "block"), "c": Share(40, "drop")}

FULL = "spool full, listeners stop reading"
ROOM = "spool has room again, listeners read on"
SHARE_FULL = "sink's share of the spool full, its senders wait"
SHARE_ROOM = "sink has room again, its senders are read"


def batch(sink, size=10, events=1):
    return Batch(sink, "ndjson:event", "none", b"x" * size, events, size, 0.0, b"")


@pytest.fixture
def lanes():
    return Lanes(100, SHARES, lambda item: item.size)


def test_a_lane_counts_what_waits(lanes):
    """Batches, copies and octets, and the octets of all lanes together."""
    item = batch("a", 10, events=3)
    lane = lanes.add(item)
    lanes.add(batch("b", 5))
    assert (lane.batches, lane.events, lane.octets) == (1, 3, 10)
    assert lanes.octets == 15
    lanes.remove(item)
    assert (lane.batches, lane.events, lane.octets) == (0, 0, 0)
    assert lanes.status() == {"octets": 5, "max_bytes": 100, "full": False, "gone": {}}


def test_a_batch_is_exchanged_for_its_parts_at_once(lanes):
    """No gate closes because both were there for a moment."""
    item = batch("b", 30, events=2)
    lane = lanes.add(item)
    lanes.exchange([item], [batch("b", 16), batch("b", 16)])
    assert (lane.batches, lane.events, lane.octets) == (2, 2, 32)
    assert not lane.gate.closed


def test_the_parts_of_a_batch_are_where_their_events_were(lanes):
    """In the place of the whole, also parts of parts."""
    whole = batch("a", events=5)
    whole.place = 3
    lanes.add(whole)
    first, second = batch("a", events=2), batch("a", events=3)
    lanes.exchange([whole], [first, second])
    third, fourth = batch("a", events=1), batch("a", events=2)
    lanes.exchange([second], [third, fourth])
    assert [(part.place, part.offset) for part in (first, third, fourth)] == [
        (3, 0),
        (3, 2),
        (3, 3),
    ]


def test_a_sink_that_is_gone_has_a_lane_without_bounds(lanes):
    """What waits for it counts as well."""
    lanes.add(batch("gone", 60))
    assert lanes["gone"].share == Share(None, "block")
    assert lanes.octets == 60
    assert {lane.sink for lane in lanes} == {"a", "b", "c", "gone"}


def test_a_full_share_closes_its_own_gate_until_an_eighth_is_free(lanes):
    """The spool has room for others."""
    items = [batch("b", 20), batch("b", 15), batch("b", 10)]
    for item in items:
        assert not lanes["b"].gate.closed
        lanes.add(item)
    assert lanes["b"].gate.closed
    assert not lanes.gate.closed
    lanes.remove(items[2])
    lanes.reopen()
    assert not lanes["b"].gate.closed
    lanes.add(items[2])
    lanes.remove(batch("b", 9))
    lanes.reopen()
    assert lanes["b"].gate.closed


def test_a_full_spool_closes_the_gate_until_an_eighth_is_free(lanes):
    """Whoever filled it, and also where that sink has a share with room."""
    lanes.add(batch("a", 80))
    lanes.add(batch("b", 20))
    assert lanes.gate.closed
    assert lanes.full
    assert not lanes["b"].gate.closed
    lanes.remove(batch("a", 12))
    lanes.reopen()
    assert lanes.gate.closed
    lanes.remove(batch("a", 1))
    lanes.reopen()
    assert not lanes.gate.closed
    assert not lanes.full


def test_a_small_spool_that_fills_again_and_again_is_told_of_at_a_bounded_rate(monkeypatch):
    """Its end is told where its beginning was; what lasts is told in the end."""
    now = [0.0]
    monkeypatch.setattr(
        "collector.spool.lanes.Reports", partial(Reports, clock=lambda: now[0], period=10.0)
    )
    lanes = Lanes(100, SHARES, lambda item: item.size)
    items = [batch("a", 60), batch("b", 40)]
    with structlog.testing.capture_logs() as lines:
        for _ in range(50):
            for item in items:
                lanes.add(item)
            for item in items:
                lanes.remove(item)
            lanes.reopen()
        events = [line["event"] for line in lines]
        assert sorted(events) == sorted([FULL, ROOM, SHARE_FULL, SHARE_ROOM])
        for item in items:
            lanes.add(item)
        now[0] = 9.0
        lanes.reopen()
        assert len(lines) == 4
        now[0] = 11.0
        lanes.reopen()
        lanes.reopen()
        assert sorted(line["event"] for line in lines[4:]) == sorted([FULL, SHARE_FULL])
        for item in items:
            lanes.remove(item)
        lanes.reopen()
        assert sorted(line["event"] for line in lines[6:]) == sorted([ROOM, SHARE_ROOM])


def test_where_settings_drop_what_does_not_fit_no_gate_closes(lanes):
    """A batch is admitted or not; the reason is logged at a bounded rate."""
    item = batch("c", 30)
    assert lanes.admits(item)
    lanes.add(item)
    with structlog.testing.capture_logs() as lines:
        for _ in range(10):
            assert not lanes.admits(batch("c", 11))
    assert lanes.admits(batch("c", 10))
    lanes.add(batch("c", 10))
    assert not lanes["c"].gate.closed
    assert [line["event"] for line in lines] == ["spool full, events are dropped"]
    assert (lines[0]["sink"], lines[0]["waiting_for_sink"]) == ("c", 30)


def test_settings_that_drop_do_so_where_the_spool_as_a_whole_is_full(lanes):
    """Others are let in, and close the gate."""
    lanes.add(batch("c", 20))
    lanes.add(batch("a", 75))
    assert not lanes.admits(batch("c", 10))
    assert lanes.admits(batch("b", 10))


def test_a_batch_larger_than_its_share_comes_in_when_none_waits(lanes):
    """Or no batch of that size ever would."""
    assert lanes.admits(batch("c", 50))
    lanes.add(batch("c", 50))
    assert not lanes.admits(batch("c", 50))


def test_an_obstacle_closes_the_gate_besides_the_bound(lanes):
    """It opens when nothing is in the way."""
    item = batch("a", 100)
    lanes.obstruct("disk")
    lanes.obstruct("behind")
    assert lanes.gate.closed
    lanes.add(item)
    lanes.clear("behind")
    lanes.clear("disk")
    assert lanes.gate.closed
    lanes.obstruct("disk")
    lanes.remove(item)
    lanes.reopen()
    assert lanes.gate.closed
    lanes.clear("disk")
    assert not lanes.gate.closed


def test_what_was_there_before_is_counted_and_closes_gates(lanes):
    """Batches that are known by their number and size alone."""
    lanes.count(lanes["b"], batches=2, events=7, octets=100)
    assert not lanes.gate.closed
    lanes.check()
    assert lanes.gate.closed
    assert lanes["b"].gate.closed
    lanes.recount([batch("b", 30)])
    assert (lanes["b"].batches, lanes["b"].events, lanes.octets) == (1, 1, 30)
    assert not lanes.gate.closed
    assert not lanes["b"].gate.closed


def test_what_is_full_is_named(lanes):
    """The spool, and each sink whose senders wait."""
    assert lanes.degraded() == []
    lanes.add(batch("b", 100))
    assert lanes.degraded() == [
        {"spool": "all", "reason": "full, listeners do not read"},
        {"sink": "b", "reason": "its share of the spool is full, its senders are not read"},
    ]


async def test_lanes_are_empty_when_nothing_waits_in_any(lanes):
    """Of the sinks there are, and also when a batch is exchanged for parts meanwhile."""
    lanes.add(batch("gone"))
    await lanes.emptied()
    item, parts = batch("a", 10), [batch("a", 5), batch("a", 5)]
    lanes.add(item)
    waiting = asyncio.ensure_future(lanes.emptied())
    lanes.exchange([item], parts)
    lanes.remove(parts[0])
    await asyncio.sleep(0)
    assert not waiting.done()
    lanes.remove(parts[1])
    await waiting


def test_the_age_of_what_waits_is_that_of_its_oldest(lanes, monkeypatch):
    """A clock that was set back makes nothing younger than new."""
    monkeypatch.setattr("collector.spool.lanes.time.time", lambda: 100.0)
    lanes.add(batch("a", 10, events=3))
    assert lanes.backlog("a", 40.0) == (3, 10, 60.0)
    assert lanes.backlog("a", 101.0).oldest_seconds == 0.0
    assert lanes.backlog("b", None) == (0, 0, 0.0)


def test_a_sink_whose_events_are_dropped_is_named_until_there_is_room(lanes):
    """Nobody may be sending by then."""
    item = batch("c", 40)
    lanes.add(item)
    assert not lanes.admits(batch("c", 10))
    problem = {"sink": "c", "reason": "spool full, its events are dropped"}
    assert lanes.degraded() == [problem]
    lanes.remove(item)
    lanes.reopen()
    assert lanes.degraded() == []


def test_a_smaller_share_closes_its_gate_and_a_larger_one_opens_it(lanes):
    """At once, and it is the same gate: those who wait for it go on."""
    gate = lanes["b"].gate
    lanes.add(batch("b", 39))
    lanes.reshape({**SHARES, "b": Share(39, "block")}, 100)
    assert gate.closed
    lanes.reshape({**SHARES, "b": Share(50, "block")}, 100)
    assert lanes["b"].gate is gate
    assert not gate.closed


def test_nobody_waits_for_a_sink_that_drops_from_now_on(lanes):
    """However full its share is."""
    lanes.add(batch("b", 50))
    lanes.reshape({**SHARES, "b": Share(40, "drop")}, 100)
    assert not lanes["b"].gate.closed
    assert not lanes.admits(batch("b", 1))


def test_nobody_waits_for_a_full_spool_where_all_sinks_drop_from_now_on(lanes):
    """What does not fit is dropped, as the settings ask for."""
    lanes.add(batch("a", 120))
    assert lanes.gate.closed
    lanes.reshape({"a": Share(None, "drop")}, 100)
    assert not lanes.gate.closed
    lanes.reshape(SHARES, 100)
    assert lanes.gate.closed


def test_a_sink_that_goes_has_no_bounds_and_comes_back_to_what_waits(lanes):
    """Its gate opens: senders would wait for ever."""
    gate = lanes["b"].gate
    lanes.add(batch("b", 50, events=3))
    lanes.reshape({"a": Share(None, "block")}, 100)
    assert not gate.closed
    assert lanes.gates().keys() == {"a"}
    assert lanes.gone() == ["b"]
    assert lanes.status()["gone"] == {"b": 3}
    assert lanes.degraded() == [{"sink": "b", "reason": "not configured, events wait"}]
    lanes.reshape(SHARES, 100)
    assert lanes.gone() == []
    assert gate.closed
    assert lanes.gates()["b"] is gate


def test_a_sink_that_comes_has_a_lane(lanes):
    """With its share."""
    lanes.reshape({**SHARES, "new": Share(10, "block")}, 100)
    lanes.add(batch("new", 10))
    assert lanes.gates()["new"].closed


def test_a_smaller_bound_of_all_closes_the_gate(lanes):
    """As larger batches leave less room."""
    lanes.add(batch("a", 90))
    lanes.reshape(SHARES, 90)
    assert lanes.gate.closed
    lanes.reshape(SHARES, 200)
    assert not lanes.gate.closed


async def test_lanes_are_empty_when_what_waits_is_for_sinks_that_have_gone(lanes):
    """And no longer when they come back."""
    lanes.add(batch("b"))
    waiting = asyncio.ensure_future(lanes.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    lanes.reshape({"a": Share(None, "block")}, 100)
    await waiting
    lanes.reshape(SHARES, 100)
    waiting = asyncio.ensure_future(lanes.emptied())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


def test_what_was_dropped_for_an_earlier_share_is_no_problem_of_the_new_one(lanes):
    """It is one again with the next batch that is dropped."""
    lanes.add(batch("c", 40))
    assert not lanes.admits(batch("c", 10))
    lanes.reshape({**SHARES, "c": Share(60, "drop")}, 100)
    assert lanes.degraded() == []


@pytest.mark.parametrize(
    ("octets", "sink", "has_room"),
    [
        ({"a": 51}, "", False),
        ({"a": 30, "b": 10, "c": 11}, "a", False),
        ({"b": 21}, "", False),
        ({"b": 21}, "b", False),
        ({"b": 21}, "a", True),
        ({"a": 30, "b": 20}, "", True),
    ],
)
def test_there_is_room_while_a_part_of_the_bounds_is_free(lanes, octets, sink, has_room):
    """Of that of all, and of the shares that are asked for."""
    for name, size in octets.items():
        lanes.add(batch(name, size))
    assert lanes.has_room({sink}, 1 / 2) is has_room
    lanes.obstruct("disk")
    assert not lanes.has_room({sink}, 1 / 2)


@pytest.fixture
def pair():
    """Return the lanes of two workers that share their bounds."""
    supervisor, descriptor = Board.create(3)
    supervisor.extend([board.SPOOL_OCTETS, *map(board.share, SHARES)])
    boards = [Board.attach(descriptor, row, supervisor.columns) for row in (1, 2)]
    os.close(descriptor)
    return [Lanes(100, SHARES, lambda item: item.size, own) for own in boards]


def test_the_bound_is_of_what_waits_in_all_workers(pair):
    """Whoever puts the last that fits closes its gate, the other one with its next."""
    one, other = pair
    one.add(batch("a", 60))
    other.add(batch("a", 40))
    assert (one.gate.closed, other.gate.closed) == (False, True)
    small = batch("a", 1)
    one.add(small)
    assert one.gate.closed
    one.remove(small)
    one.reopen()
    assert one.gate.closed


def test_room_that_another_worker_makes_opens_the_gates(pair):
    """Once somebody looks."""
    one, other = pair
    item = batch("b", 40)
    one.add(item)
    other.add(batch("b", 1))
    assert other["b"].gate.closed
    one.remove(item)
    other.reopen()
    assert not other["b"].gate.closed


def test_a_share_is_of_what_waits_in_all_workers(pair):
    """What does not fit is dropped wherever it comes."""
    one, other = pair
    one.add(batch("c", 35))
    other.add(batch("c", 5))
    assert not other.admits(batch("c", 1))
    assert not one.admits(batch("c", 1))
    assert other.admits(batch("a", 1))


def test_the_lanes_of_a_successor_count_anew(pair):
    """What the one before it had told the others stands until then, being in its file."""
    one, other = pair
    one.add(batch("a", 90))
    successor = Lanes(100, SHARES, lambda item: item.size, one._board)
    assert other.total() == 90
    successor.tell()
    assert (other.total(), other["a"].total()) == (0, 0)
