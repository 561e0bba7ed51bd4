"""The way of batches into the stream: straight from memory, or by way of the file."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from collector.ledger import Ledger
from collector.sinks.encoders import COMPRESS
from collector.spool import Share, outgoing
from collector.spool.outgoing import Outgoing
from collector.spool.sqlite import SqliteSpool
from collector.stream import RefusedError, wire
from tests.spools import events_of, stored_lines, stored_numbers, whole_batch_of
from tests.streams import FakeServers, FakeStream
from tests.unit.spool.conftest import Balanced

# More than the headers of a batch of these tests take.
HEADERS = wire.HEADERS_OCTETS + len("ndjson:event")

SHARES = {
    "a": Share(None, "block", is_ordered=True),
    "b": Share(None, "block"),
    "small": Share(500, "block"),
    "lossy": Share(500, "drop"),
}


# Of these, small batches are joined: of two events at most.
JOINING = {
    "a": Share(None, "block", 1 << 20, is_ordered=True, max_events=8),
    "b": Share(None, "block", 1 << 20, max_events=8),
}


def size_of(batch):
    return batch.size


# The second is as long as that of a `splunk_hec` sink can be.
FORMS = ("ndjson:event", "ndjson:event:" + "é" * 1024)


class StrictServers(FakeServers):
    """Do not take what is longer than they take."""

    def store(self, subject, headers, body):
        if (size := wire.size(headers, body)) > self.largest:
            raise RefusedError(f"{size} octets")
        return super().store(subject, headers, body)


class ShrinkingServers(FakeServers):
    """Take less after some attempts: the connection is one to another server."""

    attempts = 2

    def store(self, subject, headers, body):
        self.attempts -= 1
        if self.attempts == 0:
            self.largest = wire.size(headers, body) - 1
        if self.attempts >= 0:
            raise RefusedError("too long")
        return super().store(subject, headers, body)


class Room(Balanced):
    """What is on its way, with what surrounds it."""

    def __init__(self, directory, servers, shares, max_bytes):
        self.ledger = Ledger()
        self.servers = servers
        self.faults = []
        self.stream = FakeStream(servers, lambda: self.faults.pop(0) if self.faults else "")
        self.local = SqliteSpool(directory, 1 << 20, shares, self.ledger)
        self.apart = 0
        self.failures = []
        self.dead_lettered = Counter()
        self.outgoing = Outgoing(
            self.local,
            self.stream,
            self.ledger,
            shares,
            name="test",
            max_bytes=max_bytes,
            set_aside=lambda _: self.apart,
            on_change=lambda: None,
            fail=lambda: self.failures.append("failed"),
            dead_lettered=self.dead_lettered,
        )
        self.stream.on_change = self.outgoing.regulate
        self.stream.on_holdings = lambda: self.outgoing.told(self.stream.holdings)

    def put(self, *batches):
        for batch in batches:
            self.receive(batch.events)
            self.outgoing.put(batch)
        self.balance()

    def stored(self):
        """Return the events of each message in the stream, in order."""
        return [
            events_of(wire.read_batch("test", stored))
            for stored in self.servers.batches.messages.values()
        ]

    async def settled(self):
        """Wait until all that was put is in the stream or in the file."""
        settled = asyncio.Event()
        self.outgoing.unsettled.when_settled(lambda: self.local.when_durable(settled.set))
        async with asyncio.timeout(30):
            await settled.wait()
        self.balance()


@pytest.fixture
def opened(tmp_path):
    """Return what opens a `Room`."""

    @asynccontextmanager
    async def opened(*, servers=None, shares=SHARES, is_up=True, max_bytes=1 << 30):
        room = Room(tmp_path, servers or FakeServers(), shares, max_bytes)
        room.stream._starts_up = is_up
        await room.local.start()
        await room.stream.start(0)
        room.outgoing.start("me")
        try:
            yield room
        finally:
            await room.outgoing.close()
            await room.local.close()
            await room.stream.close()
            room.balance()
            assert room.failures == []

    return opened


async def test_a_batch_goes_straight_into_the_stream(opened):
    """It is in memory until the servers have it; the file never sees it."""
    async with opened() as room:
        room.put(whole_batch_of(1, 2))
        assert (room.ledger.in_memory, room.ledger.handed_over) == (2, 0)
        assert room.outgoing.unsettled.octets > 0
        await room.settled()
        assert (room.ledger.in_memory, room.ledger.handed_over) == (0, 2)
        assert room.local.batches("a") == 0
        assert room.stored() == [[1, 2]]


async def test_where_order_counts_one_is_under_way_at_a_time(opened):
    """Of another sink there may be several, and they do not wait for each other."""
    async with opened() as room:
        room.stream.delay = 0.01
        room.put(*(whole_batch_of(n) for n in range(3)))
        room.put(*(whole_batch_of(n, sink="b") for n in range(20)))
        await asyncio.sleep(0.005)
        assert len(room.stream.published) == 1 + 8
        await room.until(lambda: room.ledger.handed_over == 23)
        assert room.stored().count([0]) == 2


async def test_what_the_stream_does_not_take_the_file_takes_in_order(opened):
    """And it goes on from there, under the ids that it had."""
    async with opened() as room:
        room.faults += ["unknown", "lost"]
        room.put(*(whole_batch_of(n) for n in range(4)))
        await room.settled()
        assert room.ledger.in_memory == 0
        room.put(whole_batch_of(4))
        await room.until(lambda: room.ledger.handed_over == 5)
        assert room.stored() == [[0], [1], [2], [3], [4]]
        assert room.ledger.spooled == 0
        assert room.stream.published.count(room.stream.published[0]) > 1
        assert len(set(room.stream.published)) == 5


async def test_while_the_stream_is_away_the_file_takes_everything(opened):
    """What is under way too, at once: who waits is not to wait for an answer that never comes."""
    async with opened() as room:
        room.stream.delay = 3600.0
        room.put(whole_batch_of(1), whole_batch_of(2))
        await asyncio.sleep(0)
        room.stream.disconnect()
        room.put(whole_batch_of(3))
        assert not room.outgoing.unsettled
        await room.settled()
        assert room.ledger.spooled == 3
        assert [events_of(batch) for batch in room.outgoing.batches("a")] == []


async def test_what_got_into_the_stream_while_the_file_took_it_is_not_sent_again(opened):
    """The answer comes after all."""
    async with opened() as room:
        room.stream.delay = 0.02
        room.put(whole_batch_of(1, sink="b"), whole_batch_of(2, sink="b"))
        await asyncio.sleep(0)
        room.outgoing._channels["b"].spill()
        await room.until(lambda: room.ledger.handed_over == 2)
        assert len(room.stream.published) == 2
        assert room.stored() == [[1], [2]]
        assert room.local.batches("b") == 0


@pytest.mark.parametrize("fault", ["", "lost", "unknown"])
async def test_what_the_file_drops_while_it_is_sent_may_be_in_the_stream(opened, fault):
    """Then nothing was lost; without an answer nobody knows."""
    async with opened() as room:
        room.stream.delay = 0.02
        room.faults += [fault, fault]
        room.put(*(whole_batch_of(n, sink="lossy", padding=150) for n in range(2)))
        await asyncio.sleep(0)
        room.outgoing.spill("lossy")
        room.balance()
        assert room.ledger.dropped["spool_full"] == 0
        await room.until(lambda: room.ledger.handed_over == (1 if fault else 2))
        await room.until(lambda: not room.outgoing.unsettled)
        assert room.ledger.dropped["spool_full"] == (1 if fault else 0)


async def test_what_the_file_has_no_room_for_is_lost_at_the_end_without_an_answer(opened):
    """It was being sent."""
    async with opened() as room:
        room.stream.delay = 30.0
        room.put(*(whole_batch_of(n, sink="lossy", padding=150) for n in range(2)))
        await asyncio.sleep(0)
        await room.outgoing.close()
        room.balance()
        assert room.ledger.dropped["spool_full"] == 1
        assert len(room.outgoing.unsettled) == 0


@pytest.mark.parametrize(("seconds", "told"), [(3600.0, []), (0.0, ["a"])])
async def test_the_log_says_when_the_file_is_drained(opened, monkeypatch, seconds, told):
    """If something had waited there for a while."""
    monkeypatch.setattr(outgoing, "TOLD_SECONDS", seconds)
    async with opened(is_up=False) as room:
        room.put(whole_batch_of(1), whole_batch_of(2))
        room.stream.connect()
        with capture_logs() as logs:
            await room.until(lambda: room.ledger.handed_over == 2)
        assert [line["sink"] for line in logs if "waited in the file" in line["event"]] == told


async def test_sinks_that_are_gone_are_forgotten(opened):
    """Until something of theirs comes after all, or is left to the file."""
    async with opened() as room:
        room.put(whole_batch_of(1))
        await room.until(lambda: room.ledger.handed_over == 1)
        room.local.reshape({"b": SHARES["b"]})
        room.outgoing.reshape({"b": SHARES["b"]})
        await room.until(lambda: "a" not in room.outgoing._channels)
        room.put(whole_batch_of(2))
        await room.until(lambda: "a" not in room.outgoing._channels)
        room.ledger.received += 1
        room.ledger.in_memory += 1
        room.local.put(whole_batch_of(3))
        await room.until(lambda: room.ledger.handed_over == 3)
        assert room.stored() == [[1], [2], [3]]


async def test_what_comes_while_the_file_holds_something_goes_behind_it(opened):
    """Or it would overtake."""
    async with opened(is_up=False) as room:
        room.put(*(whole_batch_of(n) for n in range(5)))
        await room.settled()
        room.stream.connect()
        room.put(*(whole_batch_of(n) for n in range(5, 9)))
        await room.until(lambda: room.ledger.handed_over == 9)
        assert room.stored() == [[n] for n in range(9)]
        room.put(whole_batch_of(9))
        assert room.outgoing.unsettled.octets > 0  # straight again


async def test_what_somebody_here_deals_with_holds_nobody_up(opened):
    """It is in the file, but not to go into the stream."""
    async with opened() as room:
        room.local.adopt(whole_batch_of(7))
        room.ledger.received += 1
        room.apart = 1
        room.put(whole_batch_of(8))
        assert room.outgoing.unsettled.octets > 0
        await room.settled()
        assert room.stored() == [[8]]


async def test_more_than_memory_is_to_hold_goes_into_the_file(opened, monkeypatch):
    """All of it, in order, also what was on its way."""
    monkeypatch.setattr("collector.spool.outgoing.MAX_OCTETS", 300)
    async with opened() as room:
        room.stream.delay = 0.01
        room.put(*(whole_batch_of(n) for n in range(10)))
        assert room.outgoing.unsettled.octets <= 300
        await room.until(lambda: room.ledger.handed_over == 10)
        assert room.stored() == [[n] for n in range(10)]


async def test_a_full_stream_is_no_reason_to_lose_anything(opened):
    """It is tried again when there is room; what comes meanwhile waits in the file."""
    servers = FakeServers(max_octets=400)
    async with opened(servers=servers, max_bytes=400) as room:
        room.put(*(whole_batch_of(n) for n in range(10)))
        await room.until(lambda: room.outgoing.publisher.is_full and not room.outgoing.unsettled)
        await room.settled()
        held = len(servers.batches.messages)
        assert 0 < held < 10
        assert (room.ledger.handed_over, room.ledger.spooled) == (held, 10 - held)
        attempts = len(room.stream.published)
        await asyncio.sleep(0.03)
        assert len(room.stream.published) == attempts
        while room.ledger.spooled:
            for sequence in list(servers.batches.messages):
                del servers.batches.messages[sequence]
            await asyncio.sleep(0.005)
        assert not room.outgoing.publisher.is_full


async def test_a_share_of_the_stream_is_for_one_sink_alone(opened):
    """Beyond it, the sink has its share of the file."""
    async with opened() as room:
        room.put(*(whole_batch_of(n, sink="small") for n in range(10)))
        room.put(*(whole_batch_of(n, sink="b") for n in range(10)))
        await room.settled()
        await room.until(lambda: room.ledger.spooled == 10 - room.servers.events()["small"])
        await asyncio.sleep(0.03)
        assert room.servers.events()["b"] == 10
        assert 0 < room.servers.events()["small"] < 10
        room.outgoing.reshape({**SHARES, "small": Share(None, "block")})
        await room.until(lambda: room.servers.events()["small"] == 10)


async def test_what_is_too_long_for_a_message_goes_in_parts(opened):
    """In order; an event that is too long by itself becomes a dead letter."""
    servers = FakeServers(largest=HEADERS + 120)
    async with opened(servers=servers) as room:
        huge = whole_batch_of(9, padding=200)
        room.put(whole_batch_of(1, 2, 3, 4), huge, whole_batch_of(5))
        await room.until(lambda: room.ledger.handed_over == 5)
        assert [number for some in room.stored() for number in some] == [1, 2, 3, 4, 5]
        assert len(room.stored()) > 2
        assert room.ledger.dead_lettered == {"too_large_for_stream": 1}
        assert room.dead_lettered == {("edr", "too_large_for_stream"): 1}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("less", "parts"), [(0, 1), (1, 2)])
async def test_a_batch_fits_by_what_its_own_form_takes(opened, form, less, parts):
    """It goes as it is while that leaves room for it, and in parts beyond."""
    batch = replace(whole_batch_of(1, 2), form=form)
    largest = batch.size + wire.HEADERS_OCTETS + len(form.encode()) - less
    async with opened(servers=StrictServers(largest=largest)) as room:
        room.put(batch)
        await room.until(lambda: room.ledger.handed_over == 2)
        assert len(room.stored()) == parts
        assert room.ledger.dead_lettered.total() == 0


@pytest.mark.parametrize("form", FORMS)
async def test_batches_are_joined_as_far_as_their_form_leaves_room(opened, form):
    """What is joined and too long would be taken apart again."""
    batches = [replace(whole_batch_of(n), form=form) for n in range(5)]
    largest = wire.HEADERS_OCTETS + len(form.encode()) + 3 * batches[0].size
    async with opened(shares=JOINING, servers=StrictServers(largest=largest)) as room:
        room.put(*batches)
        await room.settled()
        assert room.stored() == [[0], [1, 2, 3], [4]]


async def test_what_the_servers_refuse_becomes_dead_letters(opened):
    """Once they have refused it twice: straight, and from the file."""
    async with opened() as room:
        room.faults += ["refused", "refused"]
        with capture_logs() as logs:
            room.put(whole_batch_of(1, 2), whole_batch_of(3))
            await room.until(lambda: room.ledger.handed_over == 1)
        assert room.ledger.dead_lettered == {"stream_refused": 2}
        assert room.dead_lettered == {("edr", "stream_refused"): 2}
        assert room.stored() == [[3]]
        told = [line for line in logs if line["log_level"] == "error"]
        assert [(line["event"], line["events"]) for line in told] == [
            ("events given up, the stream does not take them", 2)
        ]


async def test_what_other_servers_would_have_taken_goes_in_parts(opened):
    """Also where it would be too much for its share, while it counts as under way."""
    batch = whole_batch_of(1, 2, sink="small", padding=300)
    servers = ShrinkingServers(largest=1 << 20)
    async with opened(servers=servers) as room:
        room.put(batch)
        await room.until(lambda: room.ledger.handed_over == 2)
        assert room.stored() == [[1], [2]]
        assert room.ledger.dead_lettered.total() == 0


async def test_the_log_does_not_say_that_what_stays_was_given_up(opened):
    """A single event of which no dead letter can be made is held back."""
    async with opened() as room:
        damaged = whole_batch_of(1)
        damaged.codec = "of a later version"
        room.faults += ["refused", "refused"]
        with capture_logs() as logs:
            room.put(damaged, whole_batch_of(2))
            await room.until(lambda: room.ledger.handed_over == 1)
        assert room.ledger.spooled == 1
        assert [line["event"] for line in logs if line["log_level"] == "error"] == [
            "a batch cannot be read, it stays"
        ]


async def test_what_cannot_be_read_stays_in_the_file_and_holds_nobody_up(opened):
    """There are no dead letters to be made of it."""
    async with opened() as room:
        damaged = whole_batch_of(1, 2)
        damaged.codec = "of a later version"
        room.faults += ["refused", "refused"]
        room.put(damaged, whole_batch_of(3))
        await room.until(lambda: room.ledger.handed_over == 1)
        assert room.ledger.spooled == 2
        reason = "batches that cannot be read stay in the file"
        assert room.outgoing.degraded() == [{"sink": "a", "reason": reason}]
        assert not room.outgoing.waits("a")
        room.put(whole_batch_of(4))
        assert room.outgoing.unsettled.octets > 0
        await room.settled()
        assert room.stored() == [[3], [4]]


async def test_what_waits_for_a_sink_that_is_gone_goes_into_the_stream(opened):
    """In its order, which may have counted."""
    async with opened(is_up=False) as room:
        room.put(*(whole_batch_of(n) for n in range(20)))
        await room.settled()
        room.local.reshape({"b": SHARES["b"]})
        room.outgoing.reshape({"b": SHARES["b"]})
        room.stream.connect()
        await room.until(lambda: room.ledger.handed_over == 20)
        assert room.stored() == [[n] for n in range(20)]


async def test_who_waits_is_told_when_all_before_is_settled(opened):
    """Not by what came later, nor by what was quicker."""
    async with opened() as room:
        told = []
        room.outgoing.unsettled.when_settled(lambda: told.append("nothing"))
        assert told == ["nothing"]
        room.stream.delay = 0.005
        room.put(whole_batch_of(1), whole_batch_of(2))
        room.outgoing.unsettled.when_settled(lambda: told.append("two"))
        room.put(whole_batch_of(3, sink="b"))
        room.outgoing.unsettled.when_settled(lambda: told.append("three"))
        await room.until(lambda: room.ledger.handed_over == 2)
        assert told == ["nothing"]
        await room.settled()
        assert told == ["nothing", "two", "three"]


async def test_what_is_on_its_way_at_the_end_is_in_the_file(opened):
    """The next process goes on with it, under the same id."""
    servers = FakeServers()
    async with opened(servers=servers) as room:
        room.faults += ["unknown"] + ["lost"] * 100
        room.put(whole_batch_of(1), whole_batch_of(2))
        await room.until(lambda: servers.batches.messages)
    assert (room.ledger.in_memory, room.ledger.spooled) == (0, 2)
    async with opened(servers=servers) as room:
        await room.until(lambda: room.ledger.handed_over == 2)
        assert room.stored() == [[1], [2]]


async def test_small_batches_that_wait_go_as_one(opened):
    """As many events as a batch may have, in order."""
    async with opened(shares=JOINING) as room:
        room.stream.delay = 0.005
        room.put(*(whole_batch_of(2 * n, 2 * n + 1) for n in range(6)))
        assert room.outgoing.unsettled.octets == sum(map(size_of, room.outgoing.batches("a")))
        await room.settled()
        assert room.stored() == [[0, 1], [*range(2, 10)], [10, 11]]
        assert (room.ledger.in_memory, room.ledger.handed_over) == (0, 12)
        assert room.outgoing.unsettled.octets == 0
        assert not room.outgoing.unsettled


async def test_where_order_counts_small_batches_wait_for_others(opened, monkeypatch):
    """For a moment, and until there are as many events as go as one: large ones are not kept."""
    monkeypatch.setattr("collector.spool.outgoing.PACE_SECONDS", 3600.0)
    async with opened(shares=JOINING) as room:
        room.put(whole_batch_of(0))
        await room.settled()
        room.put(*(whole_batch_of(n) for n in range(1, 8)))
        assert len(room.outgoing.unsettled) == 7
        room.put(whole_batch_of(8))
        await room.settled()
        room.put(whole_batch_of(9, 10, 11))
        await room.settled()
        assert room.stored() == [[0], [*range(1, 9)], [9, 10, 11]]
        room.put(whole_batch_of(12))
        monkeypatch.setattr("collector.spool.outgoing.PACE_SECONDS", 0.0)
        assert len(room.outgoing.unsettled) == 1
        room.put(whole_batch_of(13))
        await room.settled()
        assert room.stored()[-1] == [12, 13]


async def test_batches_are_joined_only_when_as_many_as_may_be_are_under_way(opened):
    """Nobody waits for others."""
    async with opened(shares=JOINING) as room:
        room.stream.delay = 0.005
        room.put(*(whole_batch_of(n, sink="b") for n in range(12)))
        await room.settled()
        assert sorted(room.stored()) == [*([n] for n in range(8)), [8, 9, 10, 11]]


@pytest.mark.parametrize(
    "large", [whole_batch_of(2, 3, 4), whole_batch_of(2, padding=1 << 18)], ids=["events", "octets"]
)
async def test_large_batches_are_not_made_anew(opened, large):
    """That takes longer than to send them."""
    async with opened(shares=JOINING) as room:
        room.put(whole_batch_of(0), whole_batch_of(1), large, whole_batch_of(5))
        await room.until(lambda: room.ledger.handed_over == 3 + large.events)
        assert room.stored() == [[0], [1], events_of(large), [5]]


async def test_what_is_joined_is_no_longer_than_the_servers_take(opened):
    """Or it would be taken apart again."""
    single = whole_batch_of(1).size
    async with opened(shares=JOINING, servers=FakeServers(largest=HEADERS + 3 * single)) as room:
        room.put(*(whole_batch_of(n) for n in range(5)))
        await room.settled()
        assert room.stored() == [[0], [1, 2, 3], [4]]


async def test_what_was_joined_and_not_answered_is_sent_again_as_it_was(opened):
    """The servers know its id, and nothing comes twice; what is behind it goes as one then."""
    async with opened(shares=JOINING) as room:
        room.faults += ["", "unknown", "lost"]
        room.put(*(whole_batch_of(n) for n in range(14)))
        await room.settled()
        await room.until(lambda: room.ledger.handed_over == 14)
        assert room.stored() == [[0], [*range(1, 9)], [*range(9, 14)]]
        joined = room.stream.published[1]
        assert room.stream.published.count(joined) == 3
        assert len(set(room.stream.published)) == 3


async def test_one_that_may_have_been_stored_is_not_joined(opened):
    """It goes alone first, under the id that it had."""
    async with opened(shares=JOINING) as room:
        room.faults += ["unknown"]
        room.put(*(whole_batch_of(n) for n in range(5)))
        await room.until(lambda: room.ledger.handed_over == 5)
        assert room.stored() == [[0], [1, 2, 3, 4]]
        assert room.stream.published[0] == room.stream.published[1]


async def test_those_that_went_into_the_file_while_they_were_sent_are_not_joined(opened):
    """Several can be under way where order does not count."""
    async with opened(shares=JOINING) as room:
        room.faults += ["unknown"] * 3
        room.put(*(whole_batch_of(n, sink="b") for n in range(12)))
        await room.until(lambda: room.ledger.handed_over == 12)
        assert sorted(room.stored()) == [*([n] for n in range(8)), [8, 9, 10, 11]]


async def test_what_waits_in_the_file_goes_as_one(opened):
    """When the stream can be had again."""
    async with opened(shares=JOINING, is_up=False) as room:
        room.put(*(whole_batch_of(n) for n in range(20)))
        await room.settled()
        assert room.ledger.spooled == 20
        room.stream.connect()
        await room.until(lambda: room.ledger.handed_over == 20)
        assert room.stored() == [[*range(8)], [*range(8, 16)], [*range(16, 20)]]
        assert room.local.batches("a") == 0


async def test_what_an_earlier_process_left_goes_as_it_is(opened):
    """It may have been sent."""
    servers = FakeServers()
    async with opened(shares=JOINING, servers=servers) as room:
        room.faults += ["unknown"] + ["lost"] * 100
        room.put(*(whole_batch_of(n) for n in range(6)))
        await room.until(lambda: len(room.stream.published) > 1)
    async with opened(shares=JOINING, servers=servers, is_up=False) as room:
        room.put(*(whole_batch_of(n) for n in range(6, 9)))
        room.stream.connect()
        await room.until(lambda: room.ledger.spooled == room.ledger.in_memory == 0)
        assert [number for some in room.stored() for number in some] == [*range(9)]
        assert room.stored()[-1] == [6, 7, 8]


async def test_what_is_joined_in_the_file_is_there_before_it_is_sent(opened):
    """Or a process that is killed then would leave to the next what it sends under other ids."""
    async with opened(shares=JOINING, is_up=False) as room:
        room.put(*(whole_batch_of(n) for n in range(3)))
        await room.settled()
        room.stream.delay = 3600.0
        room.stream.connect()
        await room.until(lambda: room.stream.published)
        (number,) = stored_numbers(room.local._directory)
        assert room.stream.published[0].split("-")[2] == f"{number:x}"


async def test_what_cannot_be_joined_goes_as_it_is(opened):
    """Straight, and from the file."""
    async with opened(shares=JOINING) as room:
        damaged = whole_batch_of(2)
        damaged.body, damaged.codec = b"no such thing", "zstd"
        others = [whole_batch_of(n) for n in (0, 1, 3)]
        for batch in others:
            batch.codec, batch.body = "zstd", COMPRESS["zstd"](batch.body)
        room.put(others[0], others[1], damaged, others[2])
        await room.settled()
        assert len(room.servers.batches.messages) == 4


async def test_who_waits_is_told_when_what_was_joined_is_settled(opened):
    """All of it, if it holds what they wait for."""
    async with opened(shares=JOINING) as room:
        told = []
        room.stream.delay = 0.005
        for n in range(4):
            room.put(whole_batch_of(n))
            room.outgoing.unsettled.when_settled(lambda n=n: told.append(n))
            room.put(whole_batch_of(n + 10, sink="b"))
        await room.until(lambda: told)
        assert told == [0]
        assert room.ledger.handed_over <= 5  # and not what was joined
        await room.settled()
        assert told == [0, 1, 2, 3]


async def test_what_was_joined_goes_into_the_file_in_its_place(opened):
    """With others behind it that wait."""
    async with opened(shares=JOINING) as room:
        room.stream.delay = 0.02
        room.put(*(whole_batch_of(n) for n in range(14)))
        await room.until(lambda: len(room.stream.published) == 2)
        room.outgoing.spill("a")
        await room.settled()
        assert stored_lines(room.local._directory) == [
            b'{"message":"%d"}' % n for n in range(1, 14)
        ]
        await room.until(lambda: room.ledger.handed_over == 14)
        assert room.stored() == [[0], [*range(1, 9)], [*range(9, 14)]]


async def test_a_batch_that_nobody_would_read_is_not_published_whole(opened, monkeypatch):
    """However short its message is: it goes in parts."""
    whole = whole_batch_of(1, 2)
    monkeypatch.setattr(wire, "MAX_OCTETS", whole.octets - 1)
    async with opened() as room:
        room.put(whole)
        await room.until(lambda: room.ledger.handed_over == 2)
        assert len(room.stream.published) == 2
