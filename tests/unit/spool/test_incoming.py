"""What a member has taken from the stream for one sink."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from collector.ledger import Ledger
from collector.sinks.encoders import halve, join, select
from collector.sinks.letters import letters_of
from collector.spool import Share
from collector.spool.incoming import Incoming
from collector.spool.letters import ALL
from collector.spool.sqlite import SqliteSpool
from collector.stream import wire
from tests.spools import events_of, stored_lines, whole_batch_of
from tests.streams import FakeServers, FakeStream
from tests.unit.spool.conftest import Balanced

SHARES = {"a": Share(None, "block")}
KIB = 1024


class Room(Balanced):
    """What one member has, with what surrounds it."""

    def __init__(self, directory, servers, *, is_ordered=False, window=64 * KIB):
        self.ledger = Ledger()
        self.servers = servers
        self.stream = FakeStream(servers)
        self.local = SqliteSpool(directory, 1 << 22, SHARES, self.ledger)
        self.changes = 0
        self.adoptions = []
        self.dead_lettered = Counter()
        self.incoming = Incoming(
            "a",
            self.stream,
            "test",
            self.local,
            self.ledger,
            window=window,
            on_change=self.note_change,
            before_adoption=lambda: self.adoptions.append(self.local.batches("a")),
            is_ordered=is_ordered,
            dead_lettered=self.dead_lettered,
        )

    def note_change(self):
        self.changes += 1

    async def take(self):
        async with asyncio.timeout(30):
            batch = await self.incoming.take()
        self.balance()
        return batch

    async def durable(self):
        written = asyncio.Event()
        self.local.when_durable(written.set)
        await written.wait()
        await asyncio.sleep(0)
        self.balance()

    def finish(self, batch, rest=()):
        self.incoming.finish(batch, rest)
        self.balance()

    @property
    def said(self):
        """What was said of each delivery, in order of delivery."""
        consumer = self.stream.consumers["a"]
        return [delivery.said for delivery in consumer.deliveries]

    @property
    def asked(self):
        return self.stream.consumers["a"].asked


@pytest.fixture
def opened(tmp_path):
    """Return what opens a `Room`."""

    @asynccontextmanager
    async def opened(servers, **changes):
        directory = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        room = Room(directory, servers, **changes)
        await room.local.start()
        await room.stream.start(0)
        try:
            yield room
        finally:
            room.incoming.close()
            await room.local.close()
            await room.stream.close()
            room.balance()

    return opened


def holding(*batches, **settings):
    """Return servers that hold batches."""
    servers = FakeServers(**settings)
    for number, batch in enumerate(batches, 1):
        batch.number = number
        message = wire.batch_message("test", batch, wire.identifier("other", batch))
        servers.batches.add(message.subject, message.headers, message.body)
    return servers


async def test_a_message_is_acknowledged_when_its_batch_is_delivered(opened):
    """Until then it is in nobody's account."""
    servers = holding(whole_batch_of(1, 2), whole_batch_of(3))
    async with opened(servers) as room:
        batch = await room.take()
        assert events_of(batch) == [1, 2]
        assert room.ledger == Ledger()
        assert room.said[0] == []
        room.finish(batch)
        assert room.said[0] == ["ack"]
        assert (room.ledger.taken_over, room.ledger.delivered) == (2, 2)
        assert servers.events() == {"a": 1}


async def test_batches_are_numbered_apart_from_those_of_the_file(opened):
    """And stand in the order of the stream."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2))) as room:
        batches = [await room.take() for _ in range(2)]
        assert all(batch.number < 0 for batch in batches)
        assert [batch.standing for batch in batches] == [(1, 0), (2, 0)]


async def test_a_message_in_parts_is_acknowledged_with_the_last(opened):
    """What is done with is counted at once."""
    async with opened(holding(whole_batch_of(1, 2, 3, 4))) as room:
        first, second = halve(batch := await room.take())
        room.incoming.replace([batch], [first, second])
        rest = select(first, [[1]])
        room.finish(first, rest)
        assert (room.ledger.taken_over, room.ledger.delivered) == (1, 1)
        room.finish(second)
        assert room.said == [[]]
        room.finish(rest[0])
        assert room.said == [["ack"]]
        assert room.ledger.delivered == 4


async def test_messages_that_are_joined_are_acknowledged_together(opened):
    """As soon as what was made of them is done with."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2))) as room:
        together = [await room.take()]
        await room.until(lambda: len(room.incoming) == 2)
        together.append(room.incoming.take_if(lambda _: True))
        assert room.incoming.take_if(lambda _: True) is None
        whole = join(together)
        room.incoming.replace(together, [whole])
        assert room.said == [[], []]
        room.finish(whole)
        assert room.said == [["ack"], ["ack"]]
        assert len(room.incoming) == 0


async def test_what_is_buried_is_acknowledged_once_the_file_has_it(opened):
    """Its dead letters are this member's."""
    async with opened(holding(whole_batch_of(1, 2))) as room:
        batch = await room.take()
        room.incoming.bury(batch, letters_of(batch, "refused", "it is refused"))
        room.balance()
        assert room.ledger.taken_over == 2
        assert room.ledger.dead_lettered == {"refused": 2}
        assert room.said == [[]]
        await room.durable()
        assert room.said == [["ack"]]


async def test_a_message_that_comes_again_is_the_one_that_is_here(opened):
    """The newest delivery is the one to be answered; it is not posted twice."""
    servers = holding(whole_batch_of(1), ack_wait=0.02)
    async with opened(servers) as room:
        batch = await room.take()
        await room.until(lambda: servers.deliveries[1] > 1)
        await asyncio.sleep(0)
        room.finish(batch)
        assert room.said[-1] == ["ack"]
        assert room.incoming.take_if(lambda _: True) is None


async def test_a_message_that_comes_again_when_it_is_done_with_is_acknowledged_again(opened):
    """Nothing is counted or posted a second time."""
    servers = holding(whole_batch_of(1))
    async with opened(servers) as room:
        room.finish(await room.take())
        stored = room.stream.consumers["a"].deliveries[0].stored
        room.stream.consumers["a"].deliver(stored)
        await asyncio.sleep(0)
        assert room.said == [["ack"], ["ack"]]
        assert room.ledger.delivered == 1


@pytest.mark.parametrize("is_finished", [False, True])
async def test_what_comes_again_is_asked_for_once_more(opened, is_finished):
    """It takes the place of something else, for which somebody may wait."""
    servers = holding(whole_batch_of(1))
    async with opened(servers) as room:
        batch = await room.take()
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0)
        if is_finished:
            room.stream.disconnect()  # so that it stays in the stream
            room.finish(batch)
            room.stream.connect()
            servers.batches.messages[1] = room.stream.consumers["a"].deliveries[0].stored
        consumer = room.stream.consumers["a"]
        while consumer.wanted:
            consumer.wanted -= 1
            consumer.deliver(servers.batches.messages[1])
        servers.store(*wire.batch_message("test", whole_batch_of(2), "2"))
        assert events_of(await waiting) == [2]


async def test_where_order_counts_one_is_asked_for_when_none_is_in_hand(opened):
    """Servers with requests that nobody wants any more forget what is sent back."""
    servers = holding(whole_batch_of(1), whole_batch_of(2), is_forgetful=True)
    async with (
        opened(servers, is_ordered=True) as room,
        opened(servers, is_ordered=True) as other,
    ):
        batch = await room.take()
        assert room.stream.consumers["a"].wanted == 0
        assert room.incoming.relinquish(batch, 3600.0)
        assert events_of(await other.take()) == [1]
        assert room.asked == [1]


async def test_a_sequence_of_a_stream_that_was_made_anew_is_another_message(opened):
    """Sequences begin again then, ids do not."""
    servers = holding(whole_batch_of(1))
    async with opened(servers) as room:
        room.finish(await room.take())
        servers.batches.messages = holding(whole_batch_of(2)).batches.messages
        servers.durable("a").last = 0
        servers.pump("a")
        assert events_of(await room.take()) == [2]


async def test_what_is_postponed_comes_behind_what_is_here(opened):
    """It stays taken from the stream."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2))) as room:
        first = await room.take()
        await room.until(lambda: len(room.incoming) == 2)
        room.incoming.postpone(first)
        assert [events_of(await room.take()) for _ in range(2)] == [[2], [1]]
        assert room.said == [[], []]


async def test_what_a_sink_does_not_take_is_left_to_others_for_a_while(opened):
    """With all that is ready; meanwhile nothing is asked for, then one."""
    servers = holding(*(whole_batch_of(n) for n in range(5)))
    async with opened(servers) as room:
        batch = await room.take()
        await room.until(lambda: len(room.incoming) == 5)
        assert room.incoming.relinquish(batch, 0.05)
        assert len(room.incoming) == 0
        assert room.said == [["nak 0.05"]] * 5
        asked = len(room.asked)
        again = asyncio.ensure_future(room.incoming.take())
        await asyncio.sleep(0.02)
        assert len(room.asked) == asked
        batch = await again
        assert room.asked[asked:] == [1]
        assert events_of(batch) == [0]
        room.finish(batch)
        assert room.asked[-1] > 1
        assert room.ledger.delivered == 1


async def test_where_order_counts_others_get_at_once_what_a_sink_does_not_take(opened):
    """No other message of it is delivered meanwhile; here it is asked for later."""
    servers = holding(whole_batch_of(1), whole_batch_of(2))
    async with (
        opened(servers, is_ordered=True) as room,
        opened(servers, is_ordered=True) as other,
    ):
        assert room.incoming.relinquish(await room.take(), 3600.0)
        assert room.said == [["nak 0"]]
        asked = len(room.asked)
        for expected in (1, 2):
            batch = await other.take()
            assert events_of(batch) == [expected]
            other.finish(batch)
        assert len(room.asked) == asked


async def test_others_do_not_wait_as_long_as_a_sink_is_left_alone_here(opened, monkeypatch):
    """What comes while it is, is left for as short a time."""
    monkeypatch.setattr("collector.spool.incoming.MAX_LEFT_SECONDS", 0.02)
    servers = holding(whole_batch_of(1))
    async with opened(servers) as room, opened(servers) as other:
        assert room.incoming.relinquish(await room.take(), 3600.0)
        room.stream.consumers["a"].deliver(servers.batches.messages[1])
        await asyncio.sleep(0)
        assert room.said == [["nak 0.02"]] * 2
        assert events_of(await other.take()) == [1]


async def test_a_sink_that_is_to_be_tried_again_gets_one_batch_at_once(opened):
    """What was in the way may be gone, long before it would be tried by itself."""
    servers = holding(*(whole_batch_of(n) for n in range(3)))
    async with opened(servers, is_ordered=True) as room:
        assert room.incoming.relinquish(await room.take(), 3600.0)
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0.002)
        assert not waiting.done()
        asked = len(room.asked)
        room.incoming.resume()
        assert events_of(await waiting) == [0]
        assert room.asked[asked:] == [1]


async def test_a_sink_that_takes_something_is_not_left_alone_any_more(opened):
    """It may be a suspect, or what another worker had sent."""
    servers = holding(whole_batch_of(1), whole_batch_of(2), whole_batch_of(3))
    async with opened(servers, is_ordered=True) as room:
        suspect = await room.take()
        assert room.incoming.relinquish(await room.take(), 3600.0)
        assert room.incoming.set_aside == 1
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0.002)
        room.finish(suspect)
        assert events_of(await waiting) == [2]


async def test_who_comes_after_one_that_left_a_sink_alone_does_not_wait(opened):
    """Another may have been set up in its place."""
    servers = holding(*(whole_batch_of(n) for n in range(30)))
    async with opened(servers, is_ordered=True) as room:
        assert room.incoming.relinquish(await room.take(), 3600.0)
        room.incoming.give_back(is_gone=False)
        assert events_of(await room.take()) == [0]


async def test_only_what_is_whole_and_unsuspected_is_left_to_others(opened):
    """Else they would have again what is done with, or begin to suspect anew."""
    async with opened(holding(whole_batch_of(1, 2), whole_batch_of(3))) as room:
        batch = await room.take()
        batch.refused_at = 3
        assert not room.incoming.relinquish(batch, 1.0)
        batch.refused_at = None
        parts = halve(batch)
        room.incoming.replace([batch], parts)
        assert not room.incoming.relinquish(parts[0], 1.0)
        room.finish(parts[0])
        assert not room.incoming.relinquish(parts[1], 1.0)
        assert room.said[0] == []


async def test_what_is_left_when_it_was_joined_again_is_whole(opened):
    """Each of its messages is left."""
    async with opened(holding(whole_batch_of(1, 2), whole_batch_of(3))) as room:
        batches = [await room.take(), await room.take()]
        parts = halve(batches[0])
        room.incoming.replace(batches[:1], parts)
        whole = join([*parts, batches[1]])
        room.incoming.replace([*parts, batches[1]], [whole])
        assert room.incoming.relinquish(whole, 2.0)
        assert room.said == [["nak 2"], ["nak 2"]]


async def test_what_comes_while_a_sink_is_left_alone_goes_on_to_others(opened):
    """It was under way."""
    servers = holding(whole_batch_of(1), whole_batch_of(2))
    async with opened(servers) as room:
        batch = await room.take()
        await room.until(lambda: len(room.incoming) == 2)
        consumer = room.stream.consumers["a"]
        assert room.incoming.relinquish(batch, 60.0)
        consumer.deliver(servers.batches.messages[2])
        await asyncio.sleep(0)
        assert room.said[-1] != ["nak 0"]
        assert len(room.incoming) == 0


async def test_where_order_counts_what_a_sink_holds_back_makes_way(opened):
    """The file takes it, it stays taken, and the next message comes."""
    servers = holding(*(whole_batch_of(n) for n in range(3)))
    async with opened(servers, is_ordered=True) as room:
        suspect = await room.take()
        assert room.said == [[]]
        second = await room.take()
        assert events_of(second) == [1]
        assert room.incoming.set_aside == 1
        assert room.adoptions == [0]
        assert (room.ledger.taken_over, room.ledger.spooled) == (1, 1)
        assert room.said == [["ack"], []]
        assert stored_lines(room.local._directory) == [b'{"message":"0"}']
        room.finish(second)
        room.incoming.postpone(suspect)
        assert await room.take() is suspect
        room.finish(suspect)
        assert room.incoming.set_aside == 0
        assert (room.ledger.spooled, room.ledger.delivered) == (0, 2)


async def test_what_was_set_aside_is_dealt_with_in_the_file(opened):
    """Taken apart, delivered in part, buried."""
    async with opened(holding(whole_batch_of(1, 2, 3, 4), whole_batch_of(5)), is_ordered=True) as (
        room
    ):
        batch = await room.take()
        other = await room.take()
        first, second = halve(batch)
        room.incoming.replace([batch], [first, second])
        rest = select(first, [[1]])
        room.finish(first, rest)
        room.incoming.bury(second, letters_of(second, "refused", "it is refused"))
        room.finish(rest[0])
        room.finish(other)
        await room.durable()
        assert room.ledger.delivered == 3
        assert room.ledger.dead_lettered == {"refused": 2}
        assert (room.ledger.spooled, room.ledger.taken_over) == (0, 5)
        assert room.local.batches("a") == 0


async def test_what_is_joined_with_something_set_aside_is_set_aside(opened):
    """The file has all of it then, and all of its messages are acknowledged."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2)), is_ordered=True) as room:
        together = [await room.take(), await room.take()]
        whole = join(together)
        room.incoming.replace(together, [whole])
        await room.durable()
        assert room.said == [["ack"], ["ack"]]
        assert room.incoming.set_aside == 1
        room.finish(whole)
        assert room.ledger.delivered == 2


async def test_no_more_is_set_aside_than_memory_is_to_hold(opened):
    """It stays in memory: then nothing more comes before something is done with."""
    servers = holding(*(whole_batch_of(n, padding=10 * KIB) for n in range(9)))
    async with opened(servers, is_ordered=True, window=16 * KIB) as room:
        taken = [await room.take() for _ in range(5)]
        assert room.incoming.set_aside == 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await room.incoming.take()
        for batch in taken:
            room.finish(batch)
        assert events_of(await room.take()) == [5]


async def test_where_order_does_not_count_much_that_is_held_back_makes_way(opened, monkeypatch):
    """The oldest of it: the servers do not deliver more than so much without an answer."""
    monkeypatch.setattr("collector.spool.incoming.MAX_IN_HAND", 4)
    monkeypatch.setattr("collector.spool.incoming.MAX_ASKED", 1)
    servers = holding(*(whole_batch_of(n) for n in range(10)))
    async with opened(servers) as room:
        taken = [await room.take() for _ in range(10)]
        assert [events_of(batch) for batch in taken] == [[n] for n in range(10)]
        assert room.incoming.set_aside >= 6
        await room.durable()
        assert room.said[0] == ["ack"]
        for batch in taken:
            room.finish(batch)
        assert room.ledger.delivered == 10


async def test_no_more_is_asked_for_than_there_is_room_for(opened):
    """By what messages take; what is taken makes room, unless too much is held back."""
    large = [whole_batch_of(n, padding=9000) for n in range(40)]
    async with opened(holding(*large), window=32 * KIB) as room:
        first = await room.take()
        await asyncio.sleep(0.01)
        here = len(room.incoming)
        assert 3 <= here <= 4
        taken = [first]
        while (batch := room.incoming.take_if(lambda _: True)) is not None:
            taken.append(batch)
            await asyncio.sleep(0.002)
        assert here < len(taken) < 30
        for batch in taken:
            room.finish(batch)
        assert events_of(await room.take()) == [len(taken)]


async def test_what_is_no_batch_is_kept_as_a_dead_letter(opened):
    """It never was anybody's copy: it comes in here."""
    servers = FakeServers()
    servers.batches.add("test.a.3", {}, b"hello" * 20_000)
    async with opened(servers) as room:
        waiting = asyncio.ensure_future(room.incoming.take())
        await room.until(lambda: room.said == [["ack"]])
        assert room.ledger.received == 1
        assert room.ledger.taken_over == 0
        assert room.ledger.dead_lettered == {"foreign_message": 1}
        assert room.dead_lettered == {("", "foreign_message"): 1}
        letter = (await room.local.choose_letters(ALL, 0, 9))[0]
        assert letter.is_cut
        assert letter.raw == (b"hello" * 20_000)[: 64 * KIB]
        waiting.cancel()


async def test_what_was_taken_and_is_given_back_stands_where_it_stood(opened):
    """Also what the file took; nothing is refused any more."""
    servers = holding(*(whole_batch_of(n, n + 1) for n in (1, 3, 5)))
    async with opened(servers, is_ordered=True) as room:
        first = await room.take()
        second = await room.take()
        parts = halve(second)
        room.incoming.replace([second], parts)
        parts[1].refused_at = first.refused_at = 4
        room.finish(parts[0])
        room.incoming.give_back(is_gone=False)
        room.balance()
        taken = [await room.take() for _ in range(2)]
        assert {batch.refused_at for batch in taken} == {None}
        assert [events_of(batch) for batch in taken] == [[1, 2], [4]]


async def test_what_was_taken_for_a_sink_that_is_gone_goes_back_to_the_stream(opened):
    """As it was where it is whole; else as a new message, by way of the file."""
    servers = holding(whole_batch_of(1, 2), whole_batch_of(3), whole_batch_of(4))
    async with opened(servers) as room:
        first, second = await room.take(), await room.take()
        await room.until(lambda: len(room.incoming) == 3)
        rest = select(first, [[1]])
        room.finish(first, rest)
        consumer = room.stream.consumers["a"]
        room.incoming.give_back(is_gone=True)
        room.balance()
        assert len(room.incoming) == 1  # waits for the file
        assert [delivery.said for delivery in consumer.deliveries[1:]] == [["nak 0"]] * 2
        await room.durable()
        assert consumer.deliveries[0].said == ["ack"]
        assert second not in room.incoming._sources
        batch = await room.local.take("a")
        assert events_of(batch) == [2]
        room.local.hand_over(batch)
        assert room.ledger.taken_over - room.ledger.handed_over == 1


async def test_where_order_counts_what_is_left_of_a_message_goes_back_as_a_whole(opened):
    """It would come behind all others as a new one."""
    servers = holding(whole_batch_of(1, 2), whole_batch_of(3))
    async with opened(servers, is_ordered=True) as room:
        batch = await room.take()
        room.finish(batch, select(batch, [[1]]))
        room.incoming.wind_down()
        assert room.said[0] == []
        assert not room.incoming.return_all()
        assert room.said[0] == ["nak 0"]
        assert len(room.incoming) == 0


async def test_at_a_stop_what_is_ready_is_left_to_others_at_once(opened):
    """What was taken is finished; nothing more is taken."""
    servers = holding(*(whole_batch_of(n) for n in range(4)))
    async with opened(servers) as room:
        batch = await room.take()
        await room.until(lambda: len(room.incoming) == 4)
        consumer = room.stream.consumers["a"]
        room.incoming.wind_down()
        assert room.said == [[], ["nak 0"], ["nak 0"], ["nak 0"]]
        consumer.deliver(servers.batches.messages[2])
        await asyncio.sleep(0)
        assert room.said[-1] == ["nak 0"]
        room.finish(batch)
        assert len(room.incoming) == 0
        assert room.incoming.events == 0


async def test_signs_of_life_are_shown_for_all_that_is_here(opened):
    """Ready, taken or in parts."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2))) as room:
        await room.take()
        await room.until(lambda: len(room.incoming) == 2)
        room.incoming.keep()
        assert room.said == [["in progress"], ["in progress"]]
        assert room.incoming.events == 2


async def test_what_is_ready_is_forgotten_when_others_have_it(opened):
    """What was taken is finished nevertheless."""
    async with opened(holding(whole_batch_of(1), whole_batch_of(2))) as room:
        batch = await room.take()
        await room.until(lambda: len(room.incoming) == 2)
        room.incoming.lose()
        assert len(room.incoming) == 1
        assert room.incoming.take_if(lambda _: True) is None
        room.finish(batch)
        assert room.said == [["ack"], []]


async def test_whether_order_counts_can_change(opened):
    """The servers are told with what is asked next."""
    servers = holding(*(whole_batch_of(n) for n in range(5)))
    async with opened(servers) as room:
        batch = await room.take()
        room.incoming.reshape(64 * KIB, is_ordered=True)
        await asyncio.sleep(0)
        assert servers.durable("a").max_pending == 1
        room.finish(batch)


async def test_the_problem_is_that_of_the_consumer_that_there_is(opened):
    """Another takes its place where it begins or ceases to matter in which order events come."""
    async with opened(FakeServers()) as room:
        before = room.stream.consumers["a"]
        before.problem = "nothing comes"
        assert room.incoming.problem == "nothing comes"
        room.incoming.reshape(64 * KIB, is_ordered=True)
        assert room.stream.consumers["a"] is not before
        assert room.incoming.problem == ""


async def test_what_comes_when_nobody_takes_any_more_goes_on_to_others(opened):
    """With what is ready; who takes again has more come."""
    servers = holding(*(whole_batch_of(n) for n in range(3)))
    async with opened(servers) as room:
        batch = await room.take()
        await room.until(lambda: len(room.incoming) == 3)
        room.incoming.rest()
        assert room.said == [[], ["nak 0"], ["nak 0"]]
        room.stream.consumers["a"].deliver(servers.batches.messages[3])
        await asyncio.sleep(0)
        assert room.said[-1] == ["nak 0"]
        room.finish(batch)
        assert events_of(await room.take()) == [1]


async def test_one_who_stops_waiting_takes_nothing_along(opened):
    """Also when a message has come in the same turn of the event loop."""
    servers = FakeServers()
    async with opened(servers) as room:
        waiting = asyncio.ensure_future(room.incoming.take())
        await asyncio.sleep(0.001)
        batch = whole_batch_of(1)
        servers.store(*wire.batch_message("test", batch, "1"))
        waiting.cancel()
        await asyncio.sleep(0)
        assert events_of(await room.take()) == [1]
