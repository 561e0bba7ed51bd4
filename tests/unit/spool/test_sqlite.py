"""A spool on disk: what it keeps over a restart, and what it does when the file fails it."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import asynccontextmanager
from itertools import count

import pytest
import structlog

from collector import board
from collector.board import Board, Post
from collector.ledger import Ledger
from collector.spool import POOLS, Share, files, sqlite
from collector.spool.bounds import Bounds
from collector.spool.letters import ALL
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import Store
from collector.spool.writer import Writer
from tests.spools import batch_of, letter_of, numbers_of, stored_ledger, stored_lines, stored_notes
from tests.unit.spool.conftest import SpoolRoom

MIB = 1024 * 1024
BLOCKS = {"a": Share(None, "block"), "b": Share(None, "block")}
DROPS = {"a": Share(None, "drop")}


class Room(SpoolRoom):
    """A spool with its ledger."""

    async def take_all(self, sink="a"):
        """Take and finish what waits; return it in order."""
        found = []
        while self.spool.backlog(sink).events:
            batch = await self.take(sink)
            found += numbers_of(batch)
            self.spool.finish(batch)
        return found


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Return what opens a spool of the test's directory, as often as is asked."""
    monkeypatch.setattr("collector.spool.writer.RETRY_SECONDS", 0.001)
    monkeypatch.setattr("collector.spool.sqlite.RETRY_SECONDS", 0.001)

    @asynccontextmanager
    async def opened(shares=BLOCKS, max_bytes=64 * MIB, **settings):
        ledger = Ledger()
        room = Room(SqliteSpool(tmp_path, max_bytes, shares, ledger, **settings), ledger)
        await room.spool.start()
        try:
            yield room
        finally:
            await room.close()
            assert stored_ledger(tmp_path).imbalance() == 0

    return opened


@pytest.fixture
def failing(monkeypatch):
    """Return what makes transactions fail: a list of errors, the next one first."""
    errors, commit = [], Store.commit

    def fail(store, group):
        if errors:
            raise errors[0] if errors[0].sqlite_errorcode == sqlite3.SQLITE_FULL else errors.pop()
        return commit(store, group)

    monkeypatch.setattr(Store, "commit", fail)
    return errors


def full():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def malformed():
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


async def test_what_waits_survives_a_restart(opened):
    """With what was taken and not finished, the dead letters and the ledger."""
    async with opened() as room:
        room.put(batch_of(1), batch_of(2), batch_of(9, sink="b"), batch_of(3))
        room.set_aside(letter_of(reason="parse_error"))
        room.spool.finish(await room.take())
        await room.take()
        await room.durable()
        before = room.ledger.as_dict()
    async with opened() as room:
        assert room.ledger.as_dict() == before
        assert room.spool.status()["in_memory_at_last_write"] == 0
        assert await room.take_all() == [2, 3]
        assert await room.take_all("b") == [9]


async def test_parts_survive_a_restart_in_order(opened):
    """However often a batch was halved, whatever of it was delivered, and others behind it."""
    async with opened() as room:
        room.put(batch_of(*range(1, 9)), batch_of(9))
        halves = [batch_of(1, 2, 3, 4), batch_of(5, 6, 7, 8)]
        room.spool.replace([await room.take()], halves)
        quarters = [batch_of(1, 2), batch_of(3, 4)]
        room.spool.replace([halves[0]], quarters)
        room.spool.finish(quarters[0], [batch_of(2)])
    async with opened() as room:
        assert await room.take_all() == list(range(2, 10))


async def test_a_backlog_larger_than_the_memory_for_it_comes_out_in_order(opened, monkeypatch):
    """Before and after a restart, while more comes in."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 2000)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 2000)
    async with opened() as room:
        room.put(*(batch_of(number, padding=300) for number in range(100)))
        await room.durable()
        assert room.spool._lanes["a"].ready.qsize() < 10
        found = []
        for number in range(100, 130):
            batch = await room.take()
            found += numbers_of(batch)
            room.spool.finish(batch)
            room.put(batch_of(number, padding=300))
        assert found == list(range(30))
    async with opened() as room:
        assert room.spool.backlog("a").events == 100
        assert await room.take_all() == list(range(30, 130))


async def test_batches_that_a_sink_holds_back_do_not_keep_it_from_others(opened, monkeypatch):
    """Though they take the memory that there is for those that are next."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 2000)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 2000)
    async with opened() as room:
        room.put(*(batch_of(number, padding=300) for number in range(100)))
        held_back = [await room.take() for _ in range(15)]
        assert numbers_of(held_back[-1]) == [14]
        for batch in held_back:
            room.spool.postpone(batch)
        assert sorted(await room.take_all()) == list(range(100))


async def test_what_is_taken_without_waiting_makes_room_for_what_is_next(opened, monkeypatch):
    """As anything else that is taken."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 2000)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 2000)
    async with opened() as room:
        room.put(*(batch_of(number, padding=300) for number in range(100)))
        await room.durable()
        found = []
        while len(found) < 100:
            batch = room.spool.take_if("a", lambda _: True) or await room.take()
            found += numbers_of(batch)
            room.spool.finish(batch)
        assert found == list(range(100))
        assert room.spool.take_if("a", lambda _: True) is None


async def test_a_take_that_is_given_up_takes_nothing(opened):
    """The next one gets the batch."""
    async with opened() as room:
        impatient = asyncio.ensure_future(room.spool.take("a"))
        await asyncio.sleep(0)
        room.put(batch_of(1))
        impatient.cancel()
        assert await room.take_all() == [1]


async def test_the_ledger_counts_what_never_reaches_the_spool(opened, tmp_path, monkeypatch):
    """It is noted after a moment, and so survives a kill."""
    monkeypatch.setattr("collector.spool.sqlite.HOUSEKEEPING_SECONDS", 0.001)
    async with opened() as room:
        room.ledger.received += 3
        room.ledger.rejected["unknown_intake"] += 3
        await room.until(lambda: stored_ledger(tmp_path).rejected == {"unknown_intake": 3})


async def test_a_spool_that_is_full_blocks_or_drops_over_a_restart(opened):
    """A gate that was closed is closed again."""
    async with opened(max_bytes=MIB) as room:
        while not room.spool.full:
            room.put(batch_of(1, padding=50_000))
        await room.durable()
    async with opened(max_bytes=MIB) as room:
        assert room.spool.gate.closed
        await room.take_all()
        assert not room.spool.gate.closed
    async with opened(DROPS, max_bytes=MIB) as room:
        for _ in range(30):
            room.put(batch_of(1, padding=50_000))
        await room.durable()
        dropped = room.ledger.dropped["spool_full"]
        assert 0 < dropped < 30
        [problem] = room.spool.degraded()
        assert problem == {"sink": "a", "reason": "spool full, its events are dropped"}
        await room.take_all()
        assert room.spool.degraded() == []


async def test_while_the_disk_is_full_senders_wait(opened, failing):
    """Nothing is lost, and order holds; it is named as long as it lasts."""
    async with opened() as room:
        room.put(batch_of(1))
        await room.durable()
        failing.append(full())
        room.put(batch_of(2))
        await room.until(lambda: room.spool.gate.closed)
        assert room.spool.degraded() == [
            {"spool": "disk", "reason": "cannot be written, see the log"}
        ]
        room.put(batch_of(3))
        failing.clear()
        await room.until(lambda: not room.spool.gate.closed)
        await room.durable()
        assert room.spool.degraded() == []
        assert await room.take_all() == [1, 2, 3]


async def test_whether_there_is_room_is_known_before_anything_comes_in(opened, failing):
    """A spool that cannot be written yet begins as one that cannot be written any more."""
    failing.append(full())
    async with opened() as room:
        assert room.spool.in_trouble
        assert room.spool.gate.closed
        assert room.spool.degraded() == [
            {"spool": "disk", "reason": "cannot be written, see the log"}
        ]
        failing.clear()
        await room.until(lambda: not room.spool.in_trouble)
        assert not room.spool.gate.closed


async def test_a_start_that_goes_through_large_files_tells_of_its_progress(opened, monkeypatch):
    """As long as the thread works; one that waits for a disk gets no further."""
    monkeypatch.setattr(sqlite, "PROGRESS_SECONDS", 0.001)
    worked = count()
    monkeypatch.setattr(Writer, "worked", lambda _: min(5, next(worked)))
    learn, seen = SqliteSpool._learn, []

    async def slowly(spool):
        progress = spool._post.board.column(board.PROGRESS)
        await asyncio.sleep(0.2)
        seen.append(progress.value)
        await learn(spool)

    monkeypatch.setattr(SqliteSpool, "_learn", slowly)
    async with opened():
        assert seen == [5]


async def test_while_the_disk_is_full_what_comes_in_is_dropped_if_settings_say_so(
    opened, failing, monkeypatch
):
    """No gate closes, however much it is; dead letters cannot be kept either."""
    monkeypatch.setattr("collector.spool.writer.RETRY_SECONDS", 0.05)
    async with opened(DROPS, max_bytes=MIB) as room:
        room.put(batch_of(1))
        await room.durable()
        failing.append(full())
        with structlog.testing.capture_logs() as logs:
            room.put(batch_of(2, 3))
            room.set_aside(letter_of())
            await room.until(lambda: not room.ledger.in_memory)
            room.put(*(batch_of(4, padding=30_000) for _ in range(5)))
            await room.until(lambda: not room.ledger.in_memory)
        assert room.ledger.dropped == {"spool_full": 7, "dead_letter_evicted": 1}
        assert "spool cannot be written, events are dropped" in {line["event"] for line in logs}
        await room.until(lambda: not room.spool.gate.closed)
        failing.clear()
        await room.until(lambda: not room.spool._writer.in_trouble)
        room.put(batch_of(5))
        assert await room.take_all() == [1, 5]


async def test_a_sink_is_served_while_the_disk_is_full(opened, failing):
    """From memory and from disk; what it accepted is noted when that can be done."""
    async with opened() as room:
        room.put(*(batch_of(number) for number in range(5)))
        await room.durable()
        failing.append(full())
        room.put(batch_of(5))
        await room.until(lambda: room.spool._writer.in_trouble)
        for _ in range(5):
            room.spool.finish(await room.take())
        assert (room.ledger.delivered, room.ledger.spooled) == (5, 0)
        failing.clear()
        assert await room.take_all() == [5]
        assert room.ledger.delivered == 6


async def test_what_cannot_be_written_until_the_end_is_accounted_for(opened, failing, tmp_path):
    """As dropped, what was in memory; what was delivered and not noted waits again."""
    async with opened() as room:
        room.put(batch_of(1), batch_of(2))
        await room.durable()
        failing.append(full())
        room.put(batch_of(3, 4))
        room.spool.finish(await room.take())
        assert await room.close() == 2
        assert room.ledger.dropped == {"shutdown": 2}
        failing.clear()
        assert stored_lines(tmp_path) == [b"1", b"2"]
    async with opened() as room:
        assert await room.take_all() == [1, 2]


async def test_a_file_damaged_while_in_use_is_moved_aside(opened, failing, tmp_path):
    """What is in memory is saved and delivered; what only the file held is accounted for."""
    async with opened() as room:
        room.put(batch_of(1), batch_of(2, sink="b"))
        room.set_aside(letter_of(), letter_of())
        await room.durable()
        taken = await room.take()
        failing.append(malformed())
        room.put(batch_of(3))
        await room.until(lambda: room.ledger.dropped)
        await room.durable()
        assert room.ledger.dropped == {"quarantined": 2}
        assert room.ledger.spooled == 3
        assert room.spool.quarantined() > 0
        assert sorted(stored_lines(tmp_path)) == [b"1", b"2", b"3"]
        room.spool.finish(taken)
        assert await room.take_all() == [3]
        assert await room.take_all("b") == [2]
    async with opened() as room:
        assert room.ledger.delivered == 3
        assert room.ledger.dropped == {"quarantined": 2}


@pytest.mark.parametrize("what", ["file", "all files", "directory", "replaced"])
async def test_a_file_deleted_while_in_use_is_written_anew(opened, monkeypatch, tmp_path, what):
    """With all that it held, which as long as it is open can be read."""
    monkeypatch.setattr("collector.spool.sqlite.HOUSEKEEPING_SECONDS", 0.01)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 1000)
    path = tmp_path / files.DATABASE
    async with opened() as room:
        room.put(*(batch_of(number, padding=300) for number in range(10)))
        room.set_aside(letter_of())
        await room.durable()
        if what == "directory":
            # Moved first: what is in use would come to life again in the middle of it.
            shutil.rmtree(tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-gone")))
        else:
            for found in tmp_path.glob(files.DATABASE + ("" if what == "file" else "*")):
                found.unlink()
        if what == "replaced":
            path.write_bytes(b"something else")
        inode = path.stat().st_ino if path.exists() else None
        await room.until(lambda: path.exists() and path.stat().st_ino != inode)
        room.put(batch_of(10))
        await room.durable()
        assert sorted(map(int, stored_lines(tmp_path))) == list(range(11))
        assert stored_ledger(tmp_path).dead_lettered == {"refused": 1}
        assert await room.take_all() == list(range(11))
        assert bool(room.spool.quarantined()) is (what == "replaced")
    async with opened() as room:
        assert room.ledger.delivered == 11
        assert room.ledger.dead_lettered == {"refused": 1}


async def test_a_file_that_cannot_be_read_back_is_moved_aside(opened, monkeypatch):
    """The events that were on disk alone are accounted for, and delivery goes on."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 1000)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 1000)
    async with opened() as room:
        room.put(*(batch_of(number, padding=300) for number in range(20)))
        await room.durable()
        in_memory = room.spool._lanes["a"].ready.qsize()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "fetch", lambda *_: (_ for _ in ()).throw(malformed()))
            found = []
            for _ in range(in_memory):
                batch = await room.take()
                found += numbers_of(batch)
                room.spool.finish(batch)
            await room.until(lambda: room.ledger.dropped)
        assert found == list(range(in_memory))
        assert room.ledger.dropped == {"quarantined": 20 - in_memory}
        room.put(batch_of(20))
        assert await room.take_all() == [20]


async def test_replayed_letters_are_chosen_once(opened, failing):
    """Also while it cannot be written that they are on their way; then they are gone."""
    async with opened() as room:
        room.set_aside(*(letter_of(number) for number in range(4)))
        await room.durable()
        failing.append(full())
        letters = await room.spool.choose_letters(ALL, 0, 2)
        for letter in letters:
            room.ledger.dead_lettered[letter.reason] -= 1
            room.ledger.in_memory += 1
            room.spool.put(batch_of(int(letter.raw)))
        room.spool.release(letters)
        others = await room.spool.choose_letters(ALL, 0, 2)
        assert [letter.raw for letter in others] == [b"2", b"3"]
        failing.clear()
        assert await room.take_all() == [0, 1]
        assert +room.ledger.dead_lettered == {"refused": 2}
    async with opened() as room:
        assert room.ledger.dead_lettered == {"refused": 2}
        assert room.ledger.delivered == 2


async def test_letters_that_are_handed_over_are_no_longer_here(opened):
    async with opened() as room:
        room.set_aside(*(letter_of(number) for number in range(3)))
        await room.durable()
        letters = await room.spool.choose_letters(ALL, 0, 2)
        await room.spool.hand_over_letters([letter.number for letter in letters])
        assert room.ledger.imbalance() == 0
        assert room.ledger.dead_lettered == {"refused": 1}
        assert room.ledger.handed_over == 2
    async with opened() as room:
        assert (room.ledger.received, room.ledger.handed_over) == (3, 2)
        assert room.ledger.dead_lettered == {"refused": 1}


async def test_batches_of_a_sink_that_is_gone_wait_and_are_named(opened):
    """They go out when its name returns."""
    async with opened() as room:
        room.put(batch_of(1), batch_of(2, sink="b"))
    async with opened({"a": Share(None, "block")}) as room:
        assert room.spool.gone() == ["b"]
        assert room.spool.degraded() == [{"sink": "b", "reason": "not configured, events wait"}]
        assert room.spool.status()["gone"] == {"b": 1}
        assert await room.take_all() == [1]
        async with asyncio.timeout(30):
            await room.spool.emptied()
    async with opened() as room:
        assert room.spool.gone() == []
        assert await room.take_all("b") == [2]


async def test_a_mistake_in_writing_stops_what_comes_in(opened, monkeypatch):
    """It is said, and the daemon does not go on as if nothing had happened."""
    failures = []
    async with opened() as room:
        room.spool.on_failure = lambda: failures.append("failed")
        monkeypatch.setattr(room.spool, "written", lambda *_: 1 / 0)
        with structlog.testing.capture_logs() as logs:
            room.put(batch_of(1))
            await room.until(lambda: room.spool.gate.closed)
        assert logs[-1]["event"] == "spool failed, please report it"
        assert failures == ["failed"]
        assert room.spool.degraded() != []


async def test_two_processes_do_not_use_one_directory(opened, tmp_path):
    """The second gives up and leaves the first alone."""
    async with opened() as room:
        with pytest.raises(files.LockedError):
            await SqliteSpool(tmp_path, MIB, BLOCKS, Ledger()).start()
        room.put(batch_of(1))
        assert await room.take_all() == [1]
        assert room.spool.degraded() == []


async def test_what_is_given_back_stands_before_what_is_on_disk_alone(opened, monkeypatch):
    """The window counts it as ready again."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 60)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 80)
    async with opened() as room:
        room.put(*(batch_of(n, padding=20) for n in range(1, 41)))
        await room.durable()
        for _ in range(5):
            await room.take()
        room.spool.give_back("a")
        assert await room.take_all() == list(range(1, 41))


async def test_a_sink_that_comes_back_after_a_restart_gets_what_waited(opened):
    """The file remembers it."""
    async with opened() as room:
        room.put(batch_of(1), batch_of(2))
        room.spool.reshape({"b": BLOCKS["b"]})
    async with opened(shares={"b": BLOCKS["b"]}) as room:
        assert room.spool.gone() == ["a"]
        room.spool.reshape(BLOCKS)
        assert await room.take_all() == [1, 2]


async def test_larger_batches_leave_less_room_for_what_waits(opened):
    """The files are to stay within their bound all the same."""
    async with opened(shares={"a": Share(None, "block", MIB)}) as room:
        before = room.spool._lanes.max_bytes
        room.spool.reshape({"a": Share(None, "block", 5 * MIB)})
        assert room.spool._lanes.max_bytes == before - 8 * MIB


async def test_nobody_waits_for_a_disk_where_all_sinks_drop_from_now_on(opened, failing):
    """What does not fit is dropped, as the settings ask for."""
    async with opened() as room:
        failing.append(full())
        room.put(batch_of(1))
        await room.until(lambda: room.spool.gate.closed)
        room.spool.reshape(DROPS)
        await room.until(lambda: not room.spool.gate.closed)
        failing.clear()


# Notes.


async def test_what_is_noted_survives_a_restart(opened):
    """Also where nothing else is written with it."""
    async with opened() as room:
        room.spool.note("a", b"1")
    async with opened() as room:
        assert room.spool.noted("a") == b"1"


async def test_a_note_is_written_though_nothing_else_is(opened, tmp_path):
    """So that it survives a SIGKILL."""
    async with opened() as room:
        room.spool.note("a", b"1")
        await room.until(lambda: stored_notes(tmp_path) == {"a": b"1"})


async def test_a_note_that_is_as_it_was_is_not_written_again(opened):
    """Neither by this process nor by the next."""
    async with opened() as room:
        room.spool.note("a", b"1")
        await room.durable()
        room.spool.note("a", b"1")
        assert not room.spool._writer.pending
    async with opened() as room:
        room.spool.note("a", b"1")
        assert not room.spool._writer.pending


async def test_what_was_noted_is_in_the_file_that_takes_the_place_of_a_damaged_one(
    opened, failing, tmp_path
):
    """It is in memory, too."""
    async with opened() as room:
        room.spool.note("a", b"1")
        await room.durable()
        failing.append(malformed())
        room.put(batch_of(1))
        await room.durable()
        assert stored_notes(tmp_path) == {"a": b"1"}
        assert room.spool.noted("a") == b"1"


async def test_a_note_waits_while_the_file_cannot_be_written(opened, failing, tmp_path):
    """And what is noted meanwhile takes its place."""
    async with opened() as room:
        failing.append(full())
        room.spool.note("a", b"1")
        await room.until(room.spool.degraded)
        room.spool.note("a", b"2")
        assert stored_notes(tmp_path) == {}
        failing.clear()
        await room.durable()
        assert stored_notes(tmp_path) == {"a": b"2"}


async def test_fewer_sinks_have_more_in_memory_each(opened, monkeypatch):
    """One whose sink holds much back is read on at once."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 60)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 200)
    async with opened() as room:
        room.put(*(batch_of(n, padding=20) for n in range(1, 41)))
        await room.durable()
        lane, tail, taken = room.spool._lanes["a"], room.spool._tails["a"], 0
        while not lane.ready.empty() or room.spool._reads or tail.octets_in_memory <= 4 * 100:
            await room.take()
            taken += 1
            while room.spool._reads:
                await asyncio.sleep(0)
        waiting = asyncio.ensure_future(room.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        room.spool.reshape({"a": BLOCKS["a"]})
        assert numbers_of(await waiting) == [taken + 1]


@asynccontextmanager
async def two_workers(directory, max_bytes=MIB, shares=BLOCKS, **options):
    """Run the spools of two workers that share their bounds."""
    supervisor, descriptor = Board.create(3)
    pools = map(board.letters, POOLS)
    supervisor.extend([board.SPOOL_OCTETS, *map(board.share, shares), *pools])
    rooms = []
    try:
        for number in (0, 1):
            ledger = Ledger()
            post = Post(number, 2, Board.attach(descriptor, number + 1, supervisor.columns))
            bounds = Bounds(options.get("letters", MIB), MIB, post)
            spool = SqliteSpool(directory, max_bytes, shares, ledger, bounds=bounds, post=post)
            await spool.start()
            rooms.append(Room(spool, ledger))
        yield rooms
    finally:
        for room in rooms:
            await room.close()
        os.close(descriptor)


async def test_two_workers_keep_to_one_bound(tmp_path, monkeypatch):
    """Both gates are closed when both have filled it, and open when one has made room."""
    monkeypatch.setattr("collector.spool.sqlite.HOUSEKEEPING_SECONDS", 0.001)
    shares = {"a": Share(None, "block", 20_000)}
    async with two_workers(tmp_path, 4 * MIB, shares) as rooms:
        numbers = count()
        while not all(room.spool.gate.closed for room in rooms):
            for room in rooms:
                if not room.spool.gate.closed:
                    room.put(batch_of(next(numbers), padding=20_000))
                    await room.durable()
        taken = sum(path.stat().st_size for path in tmp_path.glob("spool*.db*"))
        assert 2 * MIB < taken <= 4 * MIB
        first, second = rooms
        await first.take_all()
        await second.until(lambda: not second.spool.gate.closed)


async def test_two_workers_keep_to_one_bound_of_dead_letters(tmp_path, monkeypatch):
    """Each lets its own oldest go; who came late keeps a part."""
    monkeypatch.setattr("collector.spool.sqlite.HOUSEKEEPING_SECONDS", 0.001)
    size = letter_of(10).size
    async with two_workers(tmp_path, letters=10 * size) as (first, second):
        first.set_aside(*(letter_of(number) for number in range(10, 20)))
        await first.durable()
        second.set_aside(*(letter_of(number) for number in range(20, 30)))
        await second.until(lambda: second.ledger.dead_lettered.total() == 5)
        await first.until(lambda: first.ledger.dead_lettered.total() == 5)
        kept = [
            [int(item.raw) for item in await room.spool.choose_letters(ALL, 0, 100)]
            for room in (first, second)
        ]
    assert kept == [list(range(15, 20)), list(range(25, 30))]


async def test_a_spool_takes_over_what_workers_before_it_have_left(tmp_path):
    """It goes out with what was there, and the accounts are of all."""
    async with two_workers(tmp_path) as rooms:
        for number, room in enumerate(rooms):
            room.put(batch_of(number))
            room.set_aside(letter_of(number))
            room.spool.note("n", b"%d" % number)
            await room.durable()
    ledger = Ledger()
    spool = SqliteSpool(tmp_path, MIB, BLOCKS, ledger, merge={"n": lambda one, two: one + two})
    await spool.start()
    room = Room(spool, ledger)
    assert ledger.as_dict() == {
        **Ledger(received=4, spooled=2).as_dict(),
        "dead_lettered": {"refused": 2},
    }
    assert spool.noted("n") == b"01"
    assert await room.take_all() == [0, 1]
    await room.close()
    assert files.workers(tmp_path) == [0]


async def test_a_file_that_is_not_taken_over_is_named(tmp_path, monkeypatch):
    """What is in it waits, and somebody has to make room."""
    async with two_workers(tmp_path) as (_, second):
        second.put(batch_of(1))
        await second.durable()

    def insert(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("collector.spool.adoption.insert", insert)
    ledger = Ledger()
    spool = SqliteSpool(tmp_path, MIB, BLOCKS, ledger)
    await spool.start()
    reason = "left by a former worker, its events wait, see the log"
    assert spool.degraded() == [{"spool": "spool-1.db", "reason": reason}]
    await Room(spool, ledger).close()


async def test_a_new_file_in_the_place_of_a_damaged_one_has_no_dead_letters(tmp_path):
    """The other workers learn at once that there is room for theirs."""
    async with two_workers(tmp_path) as (first, _):
        first.set_aside(letter_of(1))
        await first.durable()
        column = first.spool._post.board.column(board.letters(""))
        assert column.value == letter_of(1).size
        writer = first.spool._writer
        await writer.damaged(writer.store, "malformed")
        assert column.value == 0


async def test_what_is_adopted_is_taken_and_counts_at_once(opened, tmp_path):
    """It was durable elsewhere, and is here in a moment."""
    async with opened() as room:
        room.ledger.received += 2
        batch = batch_of(1, 2)
        room.spool.adopt(batch)
        assert (room.ledger.spooled, room.ledger.imbalance()) == (2, 0)
        assert room.spool.batches("a") == 1
        await room.durable()
        assert stored_lines(tmp_path) == [b"1", b"2"]
        room.spool.finish(batch)
    async with opened() as room:
        assert room.ledger.delivered == 2
        assert room.spool.batches("a") == 0


async def test_what_is_adopted_is_not_read_with_what_is_on_disk_alone(opened, monkeypatch):
    """It is taken already; after a restart it stands in its place."""
    monkeypatch.setattr("collector.spool.sqlite.MIB", 60)
    monkeypatch.setattr("collector.spool.sqlite.WINDOW_OCTETS", 80)
    async with opened() as room:
        room.put(*(batch_of(n, padding=20) for n in range(20)))
        await room.durable()
        room.ledger.received += 2
        room.spool.adopt(batch_of(100))
        room.spool.adopt(late := batch_of(101))
        room.put(*(batch_of(n, padding=20) for n in range(20, 40)))
        await room.durable()
        for number in range(30):
            batch = await room.take()
            assert numbers_of(batch) == [number]
            room.spool.finish(batch)
        room.spool.finish(late)
        assert room.ledger.spooled == 11
    async with opened() as room:
        assert await room.take_all() == [100, *range(30, 40)]


async def test_what_is_handed_over_is_no_longer_here(opened):
    """It is in a stream, and in nobody's account."""
    async with opened() as room:
        room.put(batch_of(1, 2), batch_of(3))
        await room.durable()
        room.spool.hand_over(await room.take())
        assert (room.ledger.spooled, room.ledger.handed_over) == (1, 2)
        assert room.ledger.imbalance() == 0
    async with opened() as room:
        assert await room.take_all() == [3]
        assert room.ledger.handed_over == 2


async def test_dead_letters_of_what_was_durable_elsewhere_are_adopted(opened):
    """They count at once."""
    async with opened() as room:
        room.ledger.received += 2
        room.spool.adopt_letters([letter_of(1), letter_of(2)])
        assert room.ledger.dead_lettered == {"refused": 2}
        assert room.ledger.imbalance() == 0
        await room.durable()
        assert len(await room.spool.choose_letters(ALL, 0, 9)) == 2
