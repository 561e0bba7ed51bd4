"""A spool that several daemons share."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from collector.config import SpoolSettings
from collector.ledger import Ledger
from collector.roles import Role
from collector.sinks.letters import letters_of
from collector.spool import Backlog, Share
from collector.spool.jetstream import MEMBER_NOTE, JetstreamSpool
from collector.spool.letters import ALL
from collector.spool.sqlite import SqliteSpool
from collector.stream import MismatchError, wire
from collector.stream.cluster import Cluster
from tests.nats import Nats
from tests.spools import events_of, letter_of, stored_notes, whole_batch_of
from tests.streams import FakeServers, FakeStream
from tests.unit.spool.conftest import SpoolRoom

SHARES = {"a": Share(None, "block", is_ordered=True), "b": Share(2000, "block")}
ACK_WAIT = 0.06


class Room(SpoolRoom):
    """A member with what surrounds it."""

    def __init__(self, directory, servers, *, is_up=True, role=Role.ALL, events_max_age=None):
        ledger = Ledger()
        self.stream = FakeStream(servers, is_up=is_up)
        self.local = SqliteSpool(directory, 1 << 20, SHARES, ledger)
        spool = JetstreamSpool(
            self.local,
            self.stream,
            SHARES,
            ledger,
            name="test",
            max_bytes=10_000,
            ack_wait=ACK_WAIT,
            events_max_age=events_max_age,
            role=role,
        )
        super().__init__(spool, ledger)


@pytest.fixture
def opened(tmp_path):
    """Return what opens a `Room` by the name of the member."""

    @asynccontextmanager
    async def opened(servers, name="one", **changes):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        room = Room(directory, servers, **changes)
        await room.spool.start()
        try:
            yield room
        finally:
            await room.close()

    return opened


async def test_what_one_receives_another_delivers(opened):
    """Each accounts for its part, and together they know where everything is."""
    servers = FakeServers()
    async with opened(servers, "in", role=Role.RECEIVE) as one, opened(servers, "out") as other:
        one.put(whole_batch_of(1, 2), whole_batch_of(3))
        await one.durable()
        assert (one.ledger.handed_over, one.ledger.spooled) == (3, 0)
        batch = await other.take()
        assert events_of(batch) == [1, 2]
        other.spool.finish(batch)
        other.balance()
        assert (other.ledger.taken_over, other.ledger.delivered) == (2, 2)
        assert one.ledger.handed_over - other.ledger.taken_over == servers.held() == 1


async def test_what_a_member_that_died_had_is_delivered_by_another(opened):
    """In the order that counted."""
    servers = FakeServers(ack_wait=ACK_WAIT)
    async with opened(servers, "dies") as one, opened(servers) as other:
        one.put(whole_batch_of(1), whole_batch_of(2))
        await one.durable()
        assert events_of(await one.take()) == [1]
        one.stream.disconnect()
        for expected in (1, 2):
            batch = await other.take()
            assert events_of(batch) == [expected]
            other.spool.finish(batch)


async def test_what_a_member_works_on_for_long_stays_with_it(opened):
    """It shows that it lives."""
    servers = FakeServers(ack_wait=ACK_WAIT)
    async with opened(servers) as one, opened(servers, "other") as other:
        one.put(whole_batch_of(1))
        batch = await one.take()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * ACK_WAIT):
                await other.spool.take("a")
        one.spool.finish(batch)
        assert servers.deliveries == {1: 1}


async def test_what_is_ready_goes_to_others_when_no_sign_is_heard_for_long(opened):
    """It is not posted here then."""
    servers = FakeServers(ack_wait=ACK_WAIT)
    async with opened(servers) as one, opened(servers, "other") as other:
        one.put(*(whole_batch_of(n, sink="b") for n in range(3)))
        await one.durable()
        first = await one.take("b")
        await one.until(lambda: one.spool.status()["stream"]["in_hand"] == {"b": 3})
        one.stream.disconnect()
        taken = [await other.take("b") for _ in range(3)]
        await one.until(lambda: one.spool.status()["stream"]["in_hand"] == {"b": 1})
        one.spool.finish(first)
        for batch in taken:
            other.spool.finish(batch)
        assert other.ledger.delivered == 3


async def test_who_hears_the_servers_keeps_what_it_has_while_the_stream_is_unfit(opened):
    """They hear it as well: it goes on, and nobody else gets it."""
    servers = FakeServers(ack_wait=ACK_WAIT)
    async with opened(servers) as one, opened(servers, "other") as other:
        one.put(*(whole_batch_of(n, sink="b") for n in range(3)))
        await one.durable()
        batches = [await one.take("b")]
        await one.until(lambda: one.spool.status()["stream"]["in_hand"] == {"b": 3})
        one.stream.be_unfit("max_bytes: 5, settings say 6")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * ACK_WAIT):
                await other.spool.take("b")
        batches += [await one.take("b"), await one.take("b")]
        for batch in batches:
            one.spool.finish(batch)
        assert [events_of(batch) for batch in batches] == [[0], [1], [2]]
        assert set(servers.deliveries.values()) == {1}


async def test_a_sink_that_was_left_alone_can_be_tried_at_once(opened):
    """Also before anything was taken for it."""
    async with opened(FakeServers()) as room:
        room.spool.resume("a")
        room.put(whole_batch_of(1))
        assert room.spool.relinquish(await room.take(), 3600.0)
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0.002)
        room.spool.resume("a")
        assert events_of(await waiting) == [1]


async def test_while_the_servers_are_away_the_file_is_the_spool(opened):
    """It answers for what comes, and drains when they are back."""
    servers = FakeServers()
    async with opened(servers, is_up=False) as room:
        room.put(whole_batch_of(1, received=5.0), whole_batch_of(2))
        await room.durable()
        assert room.ledger.spooled == 2
        assert room.spool.backlog("a").events == 2
        assert room.spool.backlog("a").oldest_seconds > 10**9
        reason = "cannot be used, events wait in files"
        assert {"spool": "stream", "reason": reason} in room.spool.degraded()
        status = room.spool.status()["stream"]
        assert (status["connected"], status["problem"]) == (False, "not connected yet")
        room.stream.connect()
        await room.until(lambda: room.ledger.handed_over == 2)
        assert room.spool.degraded() == []
        assert room.spool.backlog("a") == (0, 0, 0.0)
        assert [events_of(await room.take()) for _ in range(1)] == [[1]]


async def test_what_a_file_of_before_holds_goes_into_the_stream(opened, tmp_path):
    """A daemon that changes its settings loses nothing."""
    ledger = Ledger()
    (tmp_path / "one").mkdir()
    local = SqliteSpool(tmp_path / "one", 1 << 20, SHARES, ledger)
    await local.start()
    ledger.received = ledger.in_memory = 2
    local.put(whole_batch_of(1, 2))
    await local.close()
    async with opened(FakeServers(), role=Role.DELIVER) as room:
        assert room.ledger.received == 2
        batch = await room.take()
        assert events_of(batch) == [1, 2]
        room.spool.finish(batch)
        await room.until(lambda: room.ledger.handed_over == 2)


async def test_the_backlog_here_is_what_has_not_reached_the_stream(opened):
    """In memory or in the file; what the stream holds is told apart from it."""
    async with opened(FakeServers()) as room:
        room.stream.delay = 0.01
        room.put(whole_batch_of(1, 2), whole_batch_of(3))
        backlog = room.spool.backlog("a")
        assert (backlog.events, backlog.octets > 0) == (3, True)
        assert room.spool.status()["stream"]["outgoing_octets"] == backlog.octets
        await room.durable()
        assert room.spool.backlog("a").events == 0
        assert room.spool.status()["stream"]["events"] == {"a": 3}


async def test_the_status_has_what_the_stream_holds(opened):
    """And what of it is here."""
    async with opened(FakeServers()) as room:
        room.put(whole_batch_of(1), whole_batch_of(2, sink="b"))
        await room.durable()
        await room.take()
        status = room.spool.status()
        stream = status["stream"]
        assert status["max_bytes"] == room.spool.max_bytes == 1 << 20
        assert stream.pop("octets") > 0
        assert 0.0 <= stream.pop("oldest_seconds") < 30.0
        assert stream == {
            "name": "test",
            "connected": True,
            "problem": "",
            "leader": "fake",
            "messages": 2,
            "max_bytes": 10_000,
            "max_age_seconds": None,
            "events": {"a": 1, "b": 1},
            "redelivered": {"a": 0},
            "outgoing_octets": 0,
            "in_hand": {"a": 1},
            "dead_letters": {"messages": 0, "octets": 0, "events": {}},
        }


async def test_a_deliverer_without_the_stream_says_nothing_of_files(opened):
    """Unless something waits in one."""
    async with opened(FakeServers(), role=Role.DELIVER, is_up=False) as room:
        assert room.spool.degraded() == [{"spool": "stream", "reason": "cannot be used"}]
        room.put(whole_batch_of(1))
        reason = "cannot be used, events wait in files"
        assert room.spool.degraded() == [{"spool": "stream", "reason": reason}]


async def test_a_consumer_that_cannot_be_used_degrades_its_sink(opened):
    """Not while the stream itself cannot be used: that is told, and mended first."""
    async with opened(FakeServers()) as room:
        taking = asyncio.create_task(room.take("a"))
        await room.until(lambda: "a" in room.stream.consumers)
        assert room.spool.degraded() == []
        reason = "nothing comes from the stream: $JS.API.CONSUMER.CREATE.x is not permitted"
        room.stream.consumers["a"].problem = reason
        assert room.spool.degraded() == [{"sink": "a", "reason": reason}]
        room.stream.be_unfit("stream not found")
        assert [set(entry) for entry in room.spool.degraded()] == [{"spool", "reason"}]
        room.stream.connect()
        assert room.spool.degraded() == [{"sink": "a", "reason": reason}]
        room.stream.consumers["a"].problem = ""
        assert room.spool.degraded() == []
        room.put(whole_batch_of(1))
        room.spool.finish(await taking)


@pytest.mark.parametrize("role", [Role.RECEIVE, Role.ALL])
async def test_events_that_reach_their_greatest_age_degrade_each_member(opened, role):
    """Until somebody has taken them."""
    reason = "the oldest events reach max_age, then the servers delete them"
    servers = FakeServers()
    async with (
        opened(servers, "other") as other,
        opened(servers, role=role, events_max_age=0.001) as room,
    ):
        assert room.spool.degraded() == []
        room.put(whole_batch_of(1))
        await room.until(lambda: room.spool.degraded() == [{"spool": "stream", "reason": reason}])
        assert room.spool.status()["stream"]["max_age_seconds"] == 0.001
        assert other.spool.degraded() == []  # its settings say that they may wait for ever
        other.spool.finish(await other.take())
        await room.until(lambda: room.spool.degraded() == [])


async def test_a_full_stream_degrades_the_member(opened):
    """Nobody waits while the file has room."""
    servers = FakeServers(max_octets=300)
    async with opened(servers) as room:
        room.put(*(whole_batch_of(n, padding=100) for n in range(5)))
        reason = "full, events wait in files"
        await room.until(lambda: {"spool": "stream", "reason": reason} in room.spool.degraded())
        assert not room.spool.full
        assert not room.spool.gate.closed
        servers.batches.max_octets = 1 << 20
        await room.until(lambda: room.ledger.handed_over == 5)


async def test_replays_leave_room_in_the_stream(opened):
    """As they do in a file: of the whole, and of the share of the sink."""
    async with opened(FakeServers()) as room:
        assert room.spool.has_room({"b"}, 0.5)
        room.put(*(whole_batch_of(n, sink="b", padding=50) for n in range(12)))
        await room.durable()
        assert not room.spool.has_room({"b"}, 0.5)
        assert not room.spool.has_room({""}, 0.5)
        assert room.spool.has_room({"a"}, 0.5)
        room.put(whole_batch_of(0, padding=6000))
        await room.durable()
        assert not room.spool.has_room({"a"}, 0.5)


async def test_at_a_stop_what_nobody_here_took_is_left_to_others(opened):
    """What was taken is waited for, what is in the stream is not."""
    servers = FakeServers()
    async with opened(servers) as room, opened(servers, "other") as other:
        room.put(*(whole_batch_of(n, sink="b") for n in range(3)))
        await room.durable()
        batch = await room.take("b")
        room.spool.wind_down()
        emptied = asyncio.ensure_future(room.spool.emptied())
        await asyncio.sleep(0.01)
        assert not emptied.done()
        room.spool.finish(batch)
        async with asyncio.timeout(30):
            await emptied
        assert servers.events() == {"b": 2}
        assert [events_of(await other.take("b")) for _ in range(2)] == [[1], [2]]


async def test_a_drain_waits_until_the_stream_holds_nothing(opened):
    """For the sinks that are configured; a member that only receives waits for itself alone."""
    servers = FakeServers()
    async with opened(servers, "in", role=Role.RECEIVE) as one, opened(servers) as other:
        one.put(whole_batch_of(1))
        async with asyncio.timeout(30):
            await one.spool.emptied()
        emptied = asyncio.ensure_future(other.spool.emptied())
        batch = await other.take()
        await asyncio.sleep(0.03)
        assert not emptied.done()
        other.spool.finish(batch)
        async with asyncio.timeout(30):
            await emptied


async def test_what_cannot_be_read_is_not_waited_for_at_a_stop(opened):
    """It stays in the file, and is named."""
    async with opened(FakeServers()) as room:
        damaged = whole_batch_of(1)
        damaged.codec = "of a later version"
        room.stream.fault = lambda: "refused"
        room.put(damaged)
        await room.until(lambda: room.spool.degraded() != [])
        assert room.spool.degraded()[0]["sink"] == "a"
        room.spool.wind_down()
        async with asyncio.timeout(30):
            await room.spool.emptied()
        assert await room.close() == 0
        assert room.ledger.spooled == 1


async def test_what_is_left_at_the_end_goes_back_to_the_stream(opened):
    """What was set aside as well: the file may never be seen again."""
    servers = FakeServers()
    async with opened(servers) as room:
        room.put(whole_batch_of(1, 2), whole_batch_of(3))
        await room.durable()
        suspect = await room.take()
        suspect.refused_at = 0
        await room.take()
        assert room.ledger.spooled == 2
        assert await room.close() == 0
        assert room.ledger.spooled == 0
        assert servers.events() == {"a": 3}
        assert room.ledger.handed_over - room.ledger.taken_over == 3


async def test_what_is_set_aside_when_the_servers_are_away_waits_in_the_file(opened):
    """The next process puts it into the stream."""
    servers = FakeServers(ack_wait=ACK_WAIT)
    async with opened(servers) as room:
        room.put(whole_batch_of(1), whole_batch_of(2))
        await room.durable()
        await room.take()
        await room.take()
        await room.durable()
        room.stream.disconnect()
        assert await room.close() == 0
        assert room.ledger.spooled == 1
    async with opened(servers) as room:
        await room.until(lambda: room.ledger.spooled == 0)
        assert servers.events() == {"a": 2}


async def test_what_is_set_aside_comes_behind_what_is_on_its_way(opened):
    """The file reads on in the order of numbers: what came later with a lower one would stay."""
    async with opened(FakeServers()) as room:
        room.put(whole_batch_of(1), whole_batch_of(2))
        await room.durable()
        first = await room.take()
        room.stream.delay = 0.05
        room.put(whole_batch_of(3))
        second = await room.take()
        assert room.local.batches("a") == 2
        for batch in (first, second):
            room.spool.finish(batch)
        room.spool.finish(await room.take())
        await room.until(lambda: room.ledger.delivered == 3)


async def test_a_number_is_given_once_even_if_the_file_knows_of_none(opened):
    """What was published, came back and was set aside would else have the id that it had."""
    published = []
    for _ in range(2):
        async with opened(FakeServers()) as room:
            room.put(whole_batch_of(1))
            await room.durable()
            published += room.stream.published
    numbers = [int(identifier.split("-")[2], 16) for identifier in published]
    assert numbers[0] < numbers[1]


async def test_a_member_keeps_its_name(opened, tmp_path):
    """So that what it publishes again is known."""
    async with opened(FakeServers()) as room:
        await room.durable()
    name = stored_notes(tmp_path / "one")[MEMBER_NOTE]
    async with opened(FakeServers()) as room:
        assert room.spool.noted(MEMBER_NOTE) == name
        room.spool.note("other", b"1")
        assert room.spool.noted("other") == b"1"
        room.put(whole_batch_of(1))
        await room.durable()
        assert f"-{name.decode()}-" in room.stream.published[0]


async def test_a_stream_that_is_not_as_settings_have_it_stops_the_start(tmp_path):
    """The file is closed again."""
    room = Room(tmp_path, FakeServers())

    async def start(_):
        raise MismatchError("replicas: 1, settings say 3")

    room.stream.start = start
    with pytest.raises(MismatchError):
        await room.spool.start()
    again = SqliteSpool(tmp_path, 1 << 20, SHARES, Ledger())
    await again.start()
    await again.close()


async def test_sinks_that_are_gone_are_named_by_those_who_deliver(opened):
    """What waits in the stream can be taken, and buried."""
    servers = FakeServers()
    async with opened(servers, "in", role=Role.RECEIVE) as one, opened(servers) as other:
        one.put(whole_batch_of(1, sink="b"), whole_batch_of(2, sink="b"))
        await one.durable()
        for room in (one, other):
            room.spool.reshape({"a": SHARES["a"]})
        assert one.spool.gone() == []
        assert other.spool.gone() == ["b"]
        assert other.spool.status()["gone"] == {"b": 2}
        servers.store(*wire.batch_message("test", whole_batch_of(3, sink="never.here"), "3"))
        await other.until(lambda: other.spool.gone() == ["b", "never.here"])
        assert other.spool.backlog("never.here") == Backlog(0, 0, 0.0)  # it is not here
        servers.batches.messages.popitem()
        await other.until(lambda: other.spool.gone() == ["b"])
        found = other.spool.degraded()
        assert found == [{"sink": "b", "reason": "not configured, events wait"}]
        for _ in range(2):
            batch = await other.take("b")
            assert other.spool.status()["stream"]["in_hand"] == {"b": 1}
            other.spool.bury(batch, letters_of(batch, "buried", "its sink is gone"))
            other.balance()
        await other.until(lambda: other.spool.gone() == [])
        await other.until(lambda: other.spool.status()["stream"]["in_hand"] == {})
        assert "b" not in other.stream.consumers


async def test_sinks_that_others_have_made_up_are_named_up_to_a_bound(opened):
    """Those that can be one, which is all that can be buried."""
    servers = FakeServers()
    async with opened(servers) as room:
        made_up = [f"test.made-up-{number:04}.1" for number in range(200)]
        for subject in ("test.x y.1", *made_up):
            servers.batches.add(subject, {}, b"")
        await room.until(lambda: len(room.spool.gone()) == 200)
        assert "x y" not in room.spool.gone()
        reason = "not configured, events wait"
        assert room.spool.degraded() == [
            {"sink": sink, "reason": reason} for sink in room.spool.gone()[:100]
        ]


async def test_what_was_taken_for_a_sink_that_goes_is_returned(opened):
    """Others may have it configured still."""
    servers = FakeServers()
    async with opened(servers) as room, opened(servers, "other") as other:
        room.put(whole_batch_of(1, sink="b"), whole_batch_of(2, sink="b"))
        await room.durable()
        await room.take("b")
        room.spool.reshape({"a": SHARES["a"]})
        room.spool.give_back("b")
        room.balance()
        taken = [await other.take("b") for _ in range(2)]
        assert sorted(map(events_of, taken)) == [[1], [2]]
        await room.until(lambda: "b" not in room.stream.consumers)


async def test_dead_letters_are_those_of_the_file_and_of_the_stream(opened):
    """They can be chosen, replayed and purged in either."""
    servers = FakeServers()
    async with opened(servers) as room:
        for reason in ("refused", "unknown_intake"):
            room.ledger.received += 1
            room.ledger.in_memory += 1
            room.spool.set_aside(letter_of(1, reason))
        await room.durable()
        await room.until(lambda: len(servers.letters.messages) == 1)
        await room.until(lambda: room.ledger.dead_lettered["refused"] == 0)
        here = await room.spool.choose_letters(ALL, 0, 10)
        there = await room.spool.choose_letters(ALL, here[-1].number, 10)
        assert [letter.reason for letter in (*here, *there)] == ["unknown_intake", "refused"]
        room.ledger.dead_lettered["refused"] -= 1
        room.ledger.in_memory += 1
        room.spool.put(whole_batch_of(1))
        room.spool.release(there)
        await room.until(lambda: not servers.letters.messages)
        assert await room.spool.purge(ALL) == {"unknown_intake": 1}
        room.balance()


async def test_a_mistake_of_ours_asks_for_a_stop(opened):
    """Nothing goes into the stream any more: that is not to go unnoticed."""
    async with opened(FakeServers()) as room:
        failed = asyncio.Event()
        room.spool.on_failure = failed.set
        assert room.spool.on_failure == room.local.on_failure

        async def publish(*_):
            raise ZeroDivisionError

        room.stream.publish = publish
        room.put(whole_batch_of(1))
        async with asyncio.timeout(30):
            await failed.wait()


async def test_a_mistake_in_what_keeps_the_connection_asks_for_a_stop(opened):
    """Nobody would see to it that there is one."""
    async with opened(FakeServers()) as room:
        failed = asyncio.Event()
        room.spool.on_failure = failed.set
        room.stream.on_failure()
        assert failed.is_set()


async def test_requests_of_the_command_line_come_through(opened):
    """The file has them."""
    async with opened(FakeServers()) as room:

        async def carry_out(_):
            pass

        room.spool.on_requests = carry_out
        assert room.spool.on_requests is carry_out
        assert not room.spool.in_trouble
        assert room.spool.quarantined() == 0
        assert room.spool.disk_free() > 0


async def test_servers_of_nats_may_be_killed_while_members_share_a_stream(tmp_path):
    """What one receives goes on into its file, and the other has everything, in order."""
    ledgers, delivered = (Ledger(), Ledger()), []
    async with Nats(tmp_path / "nats") as servers:
        one, other = [
            on_servers(servers, tmp_path / name, ledger)
            for name, ledger in zip(("one", "other"), ledgers, strict=True)
        ]
        for spool in (one, other):
            await spool.start()
        delivering = asyncio.create_task(deliver(other, delivered))
        for number in range(60):
            ledgers[0].received += 1
            ledgers[0].in_memory += 1
            one.put(whole_batch_of(number))
            if number == 20:
                await until(lambda: ledgers[0].handed_over > 5)
                await servers.kill()
            if number == 40:
                assert ledgers[0].imbalance() == 0
                await until(lambda: ledgers[0].spooled > 20)
                servers.start()
            await asyncio.sleep(0.001)
        await until(lambda: len(set(delivered)) == 60)
        await until(lambda: ledgers[0].handed_over == 60)
        assert list(dict.fromkeys(delivered)) == list(range(60))
        delivering.cancel()
        assert [await spool.close() for spool in (one, other)] == [0, 0]
    assert [ledger.imbalance() for ledger in ledgers] == [0, 0]
    between = sum(ledger.handed_over - ledger.taken_over for ledger in ledgers)
    assert between == 60 - len(delivered)


def on_servers(servers, directory, ledger):
    """Return a spool of a member on servers of NATS."""
    settings = SpoolSettings(
        type="jetstream",
        servers=servers.urls,
        stream="test",
        replicas=1,
        ack_wait="2s",
        max_bytes="64MiB",
    )
    directory.mkdir()
    return JetstreamSpool(
        SqliteSpool(directory, 1 << 22, SHARES, ledger),
        Cluster(settings, 1 << 20, directory.name),
        SHARES,
        ledger,
        name="test",
        max_bytes=settings.stream_bound,
        ack_wait=settings.ack_wait,
    )


async def deliver(spool, delivered):
    while True:
        batch = await spool.take("a")
        delivered.extend(events_of(batch))
        spool.finish(batch)
        await asyncio.sleep(0.002)


async def until(condition):
    async with asyncio.timeout(50):
        while not condition():
            await asyncio.sleep(0.01)
