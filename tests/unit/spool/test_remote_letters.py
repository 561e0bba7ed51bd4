"""Dead letters of a member's file and of the stream: how they move, and what becomes of them."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import structlog

from collector.config import SpoolSettings
from collector.ledger import Ledger
from collector.spool import Share, remote_letters
from collector.spool.letters import ALL, Choice
from collector.spool.looking import FIRST_NUMBER, letter_of
from collector.spool.remote_letters import RemoteLetters
from collector.spool.requests import Request
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import Store
from collector.stream import AwayError
from collector.stream.cluster import Cluster
from collector.stream.wire import FOREIGN_LETTER, letter_message
from tests.letter_stream import LetterStream
from tests.nats import Nats
from tests.spools import letter_of as made
from tests.spools import stored_ledger
from tests.unit.spool.conftest import Balanced

MIB = 1024 * 1024
SHARES = {"a": Share(None, "block")}


class Member(Balanced):
    """A file and what moves its letters; the durability of batches is the test's to say."""

    def __init__(self, directory, stream, name, settings):
        self.directory = directory
        self.stream = stream
        self.name = name
        self.ledger = Ledger()
        self.now = 1000.0
        self.local = SqliteSpool(directory, 64 * MIB, SHARES, self.ledger)
        self.durable = []
        self.letters = RemoteLetters(
            self.local,
            stream,
            self.ledger,
            name="s",
            when_durable=self.durable.append,
            clock=lambda: self.now,
            **settings,
        )

    async def start(self):
        await self.local.start()
        self.letters.start(self.name)

    async def close(self):
        await self.letters.close()
        await self.local.close()
        self.balance()
        assert stored_ledger(self.directory).imbalance() == 0

    def set_aside(self, *letters):
        for letter in letters:
            self.receive(1)
            self.local.set_aside(letter)

    async def fill(self, *letters):
        """Set letters aside, and wait until they are in the stream."""
        before = self.ledger.handed_over
        self.set_aside(*letters)
        await self.until(lambda: self.ledger.handed_over == before + len(letters))

    def kept(self):
        """Return how many letters the file has, by reason."""
        return +self.ledger.dead_lettered

    def replay(self, letter):
        """Do what the pipeline does with a letter that goes to one sink."""
        self.ledger.dead_lettered[letter.reason] -= 1
        self.ledger.in_memory += 1

    async def replay_all(self, choice=ALL):
        """Replay what is chosen, as the office does; return the letters."""
        found = await self.letters.choose(choice, 0, 100)
        for letter in found:
            self.replay(letter)
        self.letters.release(found)
        self.balance()
        return found

    def deliver(self, count):
        """Have so many copies that are in memory delivered, and batches be durable."""
        self.ledger.in_memory -= count
        self.ledger.delivered += count
        while self.durable:
            self.durable.pop()()

    async def chosen(self, choice=ALL, after=0, limit=100):
        return [letter.number for letter in await self.letters.choose(choice, after, limit)]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(remote_letters, "PAUSE_SECONDS", 0.002)


@pytest.fixture
def stream():
    return LetterStream()


@pytest.fixture
def joined(tmp_path, stream):
    """Return what starts a member with a directory of its own."""

    @asynccontextmanager
    async def joined(name="m", **settings):
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        member = Member(directory, settings.pop("stream", stream), name, settings)
        await member.start()
        try:
            yield member
        finally:
            await member.close()

    return joined


def in_stream(stream):
    """Return what the messages of the stream's letters say."""
    return [letter_of("s", stored).raw for stored in stream.held.values()]


def remote(*sequences):
    return [FIRST_NUMBER + sequence for sequence in sequences]


def lose_answers(stream):
    """Have a stream delete each letter, and not answer when it is asked to for the first time."""
    delete, asked = stream.delete, set()

    async def answer_late(sequence):
        was_there = await delete(sequence)
        if sequence not in asked:
            asked.add(sequence)
            raise AwayError("no answer")
        return was_there

    stream.delete = answer_late


# From the file into the stream.


async def test_letters_move_into_the_stream(joined, stream):
    """There they are as they were; they are in this member's accounts as handed over."""
    async with joined() as member:
        await member.fill(made(1), made(2, "gave_up", event=b"{}"))
        assert member.kept() == {}
        assert (member.ledger.received, member.ledger.handed_over) == (2, 2)
    found = [letter_of("s", stored) for stored in stream.held.values()]
    assert [(letter.reason, letter.raw, letter.event) for letter in found] == [
        ("refused", b"1", None),
        ("gave_up", b"2", b"{}"),
    ]
    assert all(letter.kept > 1e9 for letter in found)
    assert stored_ledger(member.directory).handed_over == 2


async def test_what_anybody_can_cause_stays_in_the_file(joined, stream):
    async with joined() as member:
        member.set_aside(made(1, "unknown_intake"))
        await member.fill(made(2), made(3))
        assert member.kept() == {"unknown_intake": 1}
        assert await member.chosen() == [1]
    assert in_stream(stream) == [b"2", b"3"]


async def test_letters_stay_in_the_file_while_the_cluster_is_away(joined, stream):
    """They outlast a restart, and move when it is back."""
    stream.is_up = False
    async with joined() as member:
        member.set_aside(made(1), made(2))
        await member.until(lambda: member.kept() == {"refused": 2})
        with pytest.raises(AwayError):
            await member.letters.choose(ALL, 2, 100)
        assert await member.chosen() == [1, 2]
    async with joined() as member:
        assert member.kept() == {"refused": 2}
        stream.is_up = True
        await member.until(lambda: member.ledger.handed_over == 2)
    assert in_stream(stream) == [b"1", b"2"]


async def test_a_letter_whose_acknowledgement_is_lost_is_in_the_stream_once(joined, stream):
    """It is published again under the same id."""
    stream.unanswered = 2
    async with joined() as member:
        await member.fill(made(1), made(2), made(3))
    assert sorted(in_stream(stream)) == [b"1", b"2", b"3"]


async def test_a_letter_that_cannot_leave_the_file_is_not_published_again(
    joined, stream, monkeypatch
):
    """It leaves once the file can be written."""
    errors = [sqlite3.OperationalError("disk I/O error") for _ in range(3)]
    hand_over = Store.hand_over_letters

    def fail(store, numbers):
        if errors:
            raise errors.pop()
        return hand_over(store, numbers)

    monkeypatch.setattr(Store, "hand_over_letters", fail)
    async with joined() as member:
        with structlog.testing.capture_logs() as logged:
            await member.fill(made(1))
    assert stream.story.count("publish") == 1
    (line,) = logged
    assert (line["event"], line["problem"]) == ("dead letters stay in the file", "disk I/O error")


async def test_a_letter_that_was_given_up_while_it_moved_is_counted_twice(joined, stream):
    """It is in the stream and dropped: so it is received once more."""
    async with joined() as member:
        publish = stream.publish

        async def slow(*message):
            ack = await publish(*message)
            await member.local.purge(ALL)
            return ack

        stream.publish = slow
        await member.fill(made(1))
        assert (member.ledger.received, member.ledger.dropped.total()) == (2, 1)
        assert member.kept() == {}
    assert stored_ledger(member.directory).received == 2


async def test_a_letter_too_large_for_the_stream_stays(joined, stream, monkeypatch):
    """Those behind it move; it does so when larger ones are allowed, even if the clock is set."""
    monkeypatch.setattr(remote_letters, "EXPIRY_SECONDS", 0.01)
    async with joined() as member:
        stream.largest = 1000
        member.set_aside(made(1, raw=b"x" * 1000))
        await member.fill(made(2))
        assert member.kept() == {"refused": 1}
        member.now = 0.0
        stream.largest = 2000
        await member.until(lambda: member.ledger.handed_over == 2)


async def test_a_letter_that_the_stream_refuses_stays(joined, stream):
    """The log says so."""
    stream.refuses.add("s-dead-letters.gave_up")
    async with joined() as member:
        with structlog.testing.capture_logs() as logged:
            member.set_aside(made(1, "gave_up"))
            await member.fill(made(2))
        assert member.kept() == {"gave_up": 1}
    assert {line["event"] for line in logged} == {
        "dead letter stays in the file, the stream refuses it"
    }


async def test_letters_of_a_new_file_move_though_their_numbers_begin_again(
    joined, stream, monkeypatch
):
    monkeypatch.setattr(remote_letters, "EXPIRY_SECONDS", 0.01)
    async with joined() as member:
        await member.fill(made(1), made(2))
        await member.local._writer.damaged(member.local._writer.store, "it is torn")
        await member.fill(made(3))
    assert in_stream(stream) == [b"1", b"2", b"3"]


async def test_the_oldest_letters_of_a_full_stream_make_room(joined):
    """Whoever put them there, this member has dropped them."""
    stream = LetterStream(max_bytes=2000)
    async with joined(stream=stream) as member:
        for number in range(10):
            await member.fill(made(number, raw=b"%03d" % number + b"x" * 297))
        evicted = member.ledger.dropped["dead_letter_evicted"]
        assert evicted == member.ledger.taken_over > 0
        assert len(stream.held) == 10 - evicted
    assert [raw[:3] for raw in in_stream(stream)] == [b"%03d" % it for it in range(evicted, 10)]


@pytest.mark.parametrize("octets", [3000, 20_000])
async def test_a_large_letter_does_not_have_others_deleted(joined, octets):
    """Not one that would fit, nor one that never can: it stays in the file."""
    stream = LetterStream(max_bytes=10_000)
    async with joined(stream=stream, max_bytes=10_000) as member:
        await member.fill(*(made(number, raw=b"x" * 600) for number in range(10)))
        before = list(stream.held)
        member.set_aside(made(11, raw=b"y" * octets))
        await member.fill(made(12))
        assert member.kept() == {"refused": 1}
        assert list(stream.held)[:-1] == before
        assert member.ledger.dropped.total() == 0


async def test_servers_that_are_short_of_room_do_not_cost_letters(joined, stream):
    """To delete some would make none; they move when there is room, and the log says so."""
    async with joined() as member:
        await member.fill(made(1))
        stream.shortage = "insufficient storage resources available"
        with structlog.testing.capture_logs() as logged:
            member.set_aside(made(2))
            await member.until(lambda: stream.story.count("publish") > 4)
        assert (len(stream.held), member.kept()) == (1, {"refused": 1})
        stream.shortage = ""
        await member.until(lambda: member.ledger.handed_over == 2)
        assert member.ledger.dropped.total() == 0
    assert {(line["event"], line["problem"]) for line in logged} == {
        (
            "dead letters stay in the file, the stream is full",
            "insufficient storage resources available",
        )
    }


async def test_a_letter_has_no_more_deleted_than_it_is_long(joined):
    """About: where others take the room that it makes, it waits."""
    stream = LetterStream(max_bytes=10_000)
    async with joined(stream=stream) as member:
        await member.fill(*(made(number, raw=b"x" * 500) for number in range(10)))
        stream.put("s-dead-letters.refused", b"x" * (10_000 - stream.letter_holdings.octets))
        delete = stream.delete

        async def delete_for_others(sequence):
            octets = len(stream.held[sequence].body)
            was_there = await delete(sequence)
            stream.put("s-dead-letters.refused", b"x" * octets)
            return was_there

        stream.delete = delete_for_others
        assert not await member.letters._publish(made(11, raw=b"y" * 500))
        assert member.ledger.dropped.total() == 2
        stream.delete = delete
        await member.fill(made(12, raw=b"y" * 500))


async def test_two_members_that_make_room_count_each_letter_once(joined):
    stream = LetterStream(max_bytes=3000)
    async with joined("m", stream=stream) as one, joined("n", stream=stream) as other:
        for number in range(10):
            one.set_aside(*(made(number * 4 + more, raw=b"x" * 300) for more in range(4)))
            other.set_aside(*(made(number * 4 + more, raw=b"y" * 300) for more in range(4)))
        await one.until(lambda: one.ledger.handed_over == other.ledger.handed_over == 40)
        taken = one.ledger.taken_over + other.ledger.taken_over
    assert len(stream.held) == 80 - taken


async def test_letters_expire_by_their_age(joined, stream):
    """That was counted where they were set aside first, by any member."""
    for kept in (10.0, 500.0, 20.0, 995.0):
        message = letter_message("s", made(kept=kept), "id")
        stream.put(message.subject, message.body, message.headers)
    async with joined(max_age=600.0) as member:
        await member.until(lambda: len(stream.held) == 3)
        assert member.ledger.dropped["dead_letter_expired"] == member.ledger.taken_over == 1
    async with joined("n", max_age=400.0) as member:
        await member.until(lambda: len(stream.held) == 1)


# Replaying.


async def test_a_replayed_letter_leaves_the_stream_once_its_copies_are_durable(joined, stream):
    """Until then it is there, and is not chosen again."""
    async with joined() as member:
        await member.fill(made(1), made(2))
        (first, second) = await member.replay_all()
        assert await member.chosen() == []
        assert len(stream.held) == 2
        member.deliver(2)
        await member.until(lambda: not stream.held)
        ledger = member.ledger
        await member.until(lambda: ledger.taken_over == 2)
        assert (ledger.received, ledger.handed_over, ledger.delivered) == (2, 2, 2)
        assert ledger.dead_lettered.total() == 0
        assert (first.number, second.number) == tuple(remote(1, 2))


async def test_a_replay_leaves_no_word_of_the_stream_in_the_accounts(joined, stream):
    """Whoever may publish letters could make up any number of reasons."""
    message = letter_message("s", made(1, "of_somebody"), "id")
    stream.put(message.subject, message.body, message.headers)
    async with joined() as member:
        assert len(await member.replay_all()) == 1
        assert "of_somebody" not in member.ledger.dead_lettered
        member.deliver(1)
        await member.until(lambda: member.ledger.taken_over == 1)


async def test_letters_of_both_places_are_replayed_together(joined):
    async with joined() as member:
        member.set_aside(made(1, "unknown_intake"))
        await member.fill(made(2))
        assert len(await member.replay_all()) == 1
        assert len(await member.replay_all()) == 1
        member.deliver(2)
        await member.until(lambda: member.ledger.taken_over == 1 and not member.kept())


async def test_a_letter_that_two_members_replay_is_received_once_more(joined):
    """Who deletes it first has taken it over; the copy of the other is one more."""
    async with joined("m") as one, joined("n") as other:
        await one.fill(made(1))
        for member in (one, other):
            assert len(await member.replay_all()) == 1
        for member in (one, other):
            member.deliver(1)
        await one.until(lambda: not one.letters._leaving and not other.letters._leaving)
        assert one.ledger.taken_over + other.ledger.taken_over == 1
        assert one.ledger.received + other.ledger.received == 2
        assert one.ledger.delivered + other.ledger.delivered == 2


async def test_what_a_crash_leaves_in_the_stream_is_received_once_more(joined, stream):
    """Its copies were on their way when it ended; the accounts in the file balance."""
    async with joined() as member:
        await member.fill(made(1))
        await member.replay_all()
        member.ledger.in_memory -= 1
        member.ledger.delivered += 1
    assert member.ledger.received == 2
    assert len(stream.held) == 1


async def test_a_replayed_letter_is_deleted_when_the_cluster_is_back(joined, stream):
    async with joined() as member:
        await member.fill(made(1))
        await member.replay_all()
        stream.is_up = False
        member.deliver(1)
        await member.until(lambda: stream.story.count("delete") > 2)
        assert member.ledger.taken_over == 0
        stream.is_up = True
        await member.until(lambda: member.ledger.taken_over == 1)


async def test_the_end_waits_for_what_is_being_deleted(joined, stream):
    """And for what is being moved."""
    async with joined() as member:
        await member.fill(*(made(number) for number in range(100)))
        await member.replay_all()
        member.deliver(100)
        member.set_aside(made(200))
    assert in_stream(stream) in ([b"200"], [])
    assert member.ledger.taken_over == 100


async def test_a_letter_is_not_moved_between_its_choice_and_its_release(joined, stream):
    """Else it would be in the stream and on its way."""
    stream.is_up = False
    async with joined() as member:
        member.set_aside(*(made(number) for number in range(20)))
        await member.until(lambda: member.kept() == {"refused": 20})
        stream.is_up = True
        local = 0
        while found := await member.letters.choose(ALL, 0, 1):
            local += found[0].number < FIRST_NUMBER
            member.replay(found[0])
            member.letters.release(found)
        member.deliver(20)
        await member.until(lambda: member.ledger.taken_over == 20 - local and not stream.held)
        assert (member.ledger.received, member.ledger.handed_over) == (20, 20 - local)


async def test_choosing_goes_on_in_the_stream_where_it_had_come_to(joined):
    async with joined() as member:
        member.set_aside(made(1, "unknown_intake"))
        await member.fill(*(made(number) for number in range(5)))
        assert await member.chosen(limit=2) == [1]
        assert await member.chosen(after=1, limit=2) == remote(1, 2)
        assert await member.chosen(after=FIRST_NUMBER + 2, limit=2) == remote(3, 4)
        assert await member.chosen(after=FIRST_NUMBER + 5, limit=2) == []


async def test_few_large_letters_are_chosen_at_once(joined, monkeypatch):
    """They take memory."""
    monkeypatch.setattr(remote_letters, "MAX_OCTETS", 1000)
    async with joined() as member:
        await member.fill(*(made(number, raw=b"x" * 300) for number in range(5)))
        assert await member.chosen() == remote(1, 2)


# Purging.


async def test_letters_of_both_places_are_purged(joined):
    """Each is dropped, and those of the stream are taken over."""
    async with joined() as member:
        member.set_aside(made(1, "unknown_intake"))
        await member.fill(made(2), made(3, "gave_up"))
        assert await member.letters.purge(ALL) == {"unknown_intake": 1}
        assert await member.letters.purge(ALL) == {"refused": 1, "gave_up": 1}
        assert await member.letters.purge(ALL) == {}
        assert member.ledger.dropped == {"dead_letter_purged": 3}
        assert (member.ledger.received, member.ledger.taken_over) == (3, 2)


async def test_only_what_is_meant_is_purged(joined, stream):
    async with joined() as member:
        await member.fill(made(1), made(2, "gave_up"), made(3))
        assert await member.letters.purge(Choice(numbers=tuple(remote(3, 9)))) == {"refused": 1}
        assert await member.letters.purge(Choice(reason="gave_up")) == {"gave_up": 1}
        assert await member.letters.purge(Choice(until=1.0)) == {}
    assert in_stream(stream) == [b"1"]


async def test_a_long_purge_does_not_begin_again_each_time(joined, stream, monkeypatch):
    """What it leaves alone is looked at once."""
    monkeypatch.setattr(remote_letters, "AT_ONCE", 2)
    async with joined() as member:
        letters = [made(number, "gave_up" if number % 2 else "refused") for number in range(40)]
        await member.fill(*letters)
        stream.story.clear()
        while await member.letters.purge(Choice(reason="gave_up")):
            pass
        assert len(stream.held) == 20
    assert stream.story.count("next") < 200


async def test_two_members_that_purge_count_each_letter_once(joined):
    async def purged(member):
        total = Counter()
        while deleted := await member.letters.purge(ALL):
            total += deleted
        return total

    async with joined("m") as one, joined("n") as other:
        await one.fill(*(made(number) for number in range(300)))
        totals = await asyncio.gather(purged(one), purged(other))
        assert totals[0] + totals[1] == {"refused": 300}
        assert (one.ledger.taken_over, other.ledger.taken_over) == tuple(
            total.total() for total in totals
        )


async def test_a_purge_that_the_cluster_interrupts_tells_what_it_did(joined, stream):
    """All of it is counted once, whoever does the rest."""
    async with joined() as member:
        await member.fill(*(made(number) for number in range(10)))
        delete = stream.delete

        async def failing(sequence):
            if sequence > 4:
                raise AwayError("no answer")
            return await delete(sequence)

        stream.delete = failing
        assert await member.letters.purge(ALL) == {"refused": 4}
        with pytest.raises(AwayError):
            await member.letters.purge(ALL)
        stream.delete = delete
        await member.letters.purge(ALL)
        await member.until(lambda: member.ledger.taken_over == 10)
        assert member.ledger.dropped == {"dead_letter_purged": 10}


@pytest.mark.parametrize("account", ["dead_letter_purged", "dead_letter_evicted"])
async def test_a_deletion_whose_answer_is_lost_is_counted_all_the_same(joined, account):
    """It is asked for again: a letter that is gone then was deleted here."""
    stream = LetterStream(max_bytes=1000)
    lose_answers(stream)
    async with joined(stream=stream) as member:
        await member.fill(made(1, raw=b"x" * 400))
        if account == "dead_letter_purged":
            with pytest.raises(AwayError):
                await member.letters.purge(ALL)
            assert await member.letters.purge(ALL) == {}
        else:
            await member.fill(made(2, raw=b"x" * 400))
        await member.until(lambda: member.ledger.dropped == {account: 1})
        assert member.ledger.handed_over - member.ledger.taken_over == len(stream.held)


async def test_a_replayed_letter_is_counted_once_though_the_answer_was_lost(joined, stream):
    lose_answers(stream)
    async with joined() as member:
        await member.fill(made(1))
        await member.replay_all()
        member.deliver(1)
        await member.until(lambda: member.ledger.taken_over == 1)
        assert member.ledger.received == 1


async def test_a_foreign_letter_can_be_looked_at_and_purged(joined, stream):
    """It was no copy of a member before: who deletes it has received it."""
    stream.put("s-dead-letters.x", b"what is this?")
    async with joined() as member:
        (letter,) = await member.letters.choose(ALL, 0, 10)
        assert (letter.reason, letter.raw) == (FOREIGN_LETTER, b"what is this?")
        assert await member.letters.purge(ALL) == {FOREIGN_LETTER: 1}
        assert (member.ledger.received, member.ledger.taken_over) == (1, 0)


# With servers of NATS.


async def test_servers_hold_letters_as_the_fake_does(joined, tmp_path):
    """They move, make room, are found, replayed and purged; a restart of the servers included."""
    kib = 1024
    async with Nats(tmp_path / "nats") as servers:
        spool = SpoolSettings(
            type="jetstream", servers=servers.urls, stream="s", replicas=1, max_bytes="1MiB"
        )
        cluster = Cluster(spool, 64 * kib, "m")
        await cluster.start(30.0)
        async with joined(stream=cluster) as member:
            ledger = member.ledger
            for first in range(0, 40, 10):
                numbers = range(first, first + 10)
                await member.fill(*(made(number, raw=bytes(4 * kib)) for number in numbers))
            evicted = ledger.dropped["dead_letter_evicted"]
            assert 20 < evicted == ledger.taken_over < 30
            assert len(await member.chosen()) == 40 - evicted
            await servers.kill()
            await member.until(lambda: not cluster.is_up)
            member.set_aside(made(40))
            servers.start()
            await member.until(lambda: ledger.handed_over == 41)
            (last,) = await member.replay_all(Choice(numbers=tuple(remote(41))))
            assert last.raw == b"40"
            member.deliver(1)
            await member.until(lambda: not member.letters._leaving)
            while await member.letters.purge(ALL):
                pass
            assert ledger.taken_over == ledger.handed_over == 41
            await member.until(lambda: cluster.letter_holdings.messages == 0)
            assert member.letters.status() == {"messages": 0, "octets": 0, "events": {}}
        await cluster.close()


# Requests, and what is told.


async def test_requests_are_carried_out_beside_the_housekeeping(joined, monkeypatch):
    """One after the other; what goes wrong with the file is reported with the next."""
    monkeypatch.setattr("collector.spool.sqlite.HOUSEKEEPING_SECONDS", 0.002)
    async with joined() as member:
        served, ended = asyncio.Event(), asyncio.Event()
        found = []

        async def carry_out(requests):
            found.append(requests)
            served.set()
            await ended.wait()
            raise sqlite3.OperationalError("disk I/O error")

        member.letters.on_requests = carry_out
        request = Request(1, 0.0, "uid 0", "purge", {})
        store = member.local._writer.store
        monkeypatch.setattr(store, "waiting_requests", lambda: [request])
        with structlog.testing.capture_logs() as logged:
            async with asyncio.timeout(30):
                await served.wait()
                await member.fill(made(1))
                assert found == [[request]]
                ended.set()
                await member.until(lambda: logged and len(found) > 1)
        assert logged[0]["event"] == "spool not tidied up"


async def test_the_status_says_what_the_stream_holds(joined):
    async with joined() as member:
        assert member.letters.status() == {"messages": 0, "octets": 0, "events": {}}
        await member.fill(made(1), made(2, "gave_up"))
        status = member.letters.status()
        assert (status["messages"], status["events"]) == (2, {"refused": 1, "gave_up": 1})


async def test_a_mistake_of_ours_ends_the_daemon(joined, stream, monkeypatch):
    """Its letters stay where they are."""
    async with joined() as member:
        failed = asyncio.Event()
        member.local.on_failure = failed.set
        monkeypatch.setattr(stream, "publish", lambda *_: 1 / 0)
        with structlog.testing.capture_logs() as logged:
            member.set_aside(made(1))
            async with asyncio.timeout(30):
                await failed.wait()
        assert [line["event"] for line in logged] == ["dead letters failed, please report it"]
        assert member.kept() == {"refused": 1}
