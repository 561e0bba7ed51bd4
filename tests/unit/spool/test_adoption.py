"""Taking over the files of workers that are no more."""

import os
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing, contextmanager
from itertools import chain, count
from pathlib import Path

import pytest
import structlog

from collector.board import Board, Post
from collector.ledger import Ledger
from collector.spool import Share, adoption, files, letters, requests
from collector.spool.adoption import Adoption
from collector.spool.bounds import UNBOUNDED
from collector.spool.files import Lock, LockedError
from collector.spool.letters import ALL, Choice
from collector.spool.opening import Opening
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import NUMBERS_PER_WORKER, Group, NewerVersionError, Store
from tests.spools import batch_of, letter_of, numbers_of

ACCOUNTS = {"copies": 0, "rejected": {}, "delivered": 0, "dropped": {}, "in_memory": 0}


KILLED = 9


def opening_of(directory, worker=0):
    return Opening(directory, "normal", 1 << 20, UNBOUNDED, worker)


def fill(directory, worker, *, batches=(), dead=(), delivered=0, dropped=0, notes=None):
    """Write a file as a worker that ended well has left it."""
    directory.mkdir(exist_ok=True)
    with closing(Store(directory, worker=worker)) as store:
        placed, number = [], 0
        for parts in batches:
            number += 1
            place, offset = number, 0
            for part in parts if isinstance(parts, list) else [parts]:
                part.number, part.place, part.offset = number, place, offset
                number, offset = number + 1, offset + part.events
                placed.append(part)
        received = sum(part.events for part in placed) + len(dead) + delivered + dropped
        accounts = {
            **ACCOUNTS,
            "received": received,
            "delivered": delivered,
            "dropped": {"max_rate": dropped},
        }
        store.commit(Group(placed, letters=dead, accounts=accounts, notes=notes or {}))


def adopt(directory, first=1, merge=adoption.NO_NOTES):
    """Start a daemon with so many workers, as far as adoption goes."""
    opening = opening_of(directory)
    with closing(opening.open()) as store:
        return Adoption(opening, merge).adopt_all(store, first)


async def come_back(directory, worker):
    """Start and stop a worker that there is again."""
    post = Post(worker, 3, Board.alone())
    shares = {"a": Share(None, "block"), "b": Share(None, "block")}
    spool = SqliteSpool(directory, 1 << 22, shares, Ledger(), synchronous="normal", post=post)
    await spool.start()
    await spool.close()


def drain(directory, worker):
    """Deliver what waits in a file."""
    with closing(Store(directory, worker=worker)) as store:
        removed = [row[0] for row in store.connection.execute("SELECT number FROM batch")]
        accounts = store.accounts()
        accounts["delivered"] += sum(entry.events for entry in store.waiting())
        store.commit(Group(removed=removed, accounts=accounts))


def write(directory, worker, *batches):
    """Put batches into a file, with numbers behind those that wait there."""
    with closing(Store(directory, worker=worker)) as store:
        accounts = store.accounts()
        for batch in batches:
            batch.number = batch.place = store.last_number() + 1
            accounts["received"] += batch.events
            store.commit(Group([batch], accounts=accounts))


def ledger_of(directory):
    """Return the ledger of all files together, and check that each balances."""
    whole = Ledger()
    for worker in files.workers(directory):
        with closing(Store(directory, worker=worker)) as store:
            ledger = Ledger()
            ledger.restore(store.accounts())
            ledger.spooled = sum(entry.events for entry in store.waiting())
            ledger.dead_lettered = letters.count(store.connection)
            assert ledger.imbalance() == 0, worker
            whole.restore(store.accounts())
            whole.spooled += ledger.spooled
            whole.dead_lettered += ledger.dead_lettered
    return whole


def events_of(directory, worker=0):
    """Return the events that wait in a file, by sink, in order of delivery."""
    with closing(Store(directory, worker=worker)) as store:
        return {
            entry.sink: [
                number
                for batch in store.fetch(entry.sink, 0, 1 << 40)
                for number in numbers_of(batch)
            ]
            for entry in store.waiting()
        }


def letters_of(directory):
    with closing(Store(directory)) as store:
        return store.choose_letters(ALL, 0, 10_000)


def fill_all(directory):
    """Write the files of three workers, two of which will be no more."""
    fill(directory, 0, batches=[batch_of(1, 2), batch_of(3, sink="b")], dead=[letter_of(100)])
    for worker in (1, 2):
        base = 10 * worker
        fill(
            directory,
            worker,
            batches=[
                batch_of(base + 1),
                [batch_of(base + 2), batch_of(base + 3)],
                batch_of(base + 4, sink="b"),
                batch_of(base + 5),
            ],
            dead=[letter_of(base + number, kept=50.0) for number in range(5)],
            delivered=7,
            dropped=1,
            notes={"sightings": b"%d" % worker},
        )
        with closing(Store(directory, worker=worker)) as store:
            requests.ask(store.connection, "replay", {}, actor="uid 1", now=1.0)


EVENTS = {"a": [1, 2, 11, 12, 13, 15, 21, 22, 23, 25], "b": [3, 14, 24]}
LETTERS = Counter([100, *range(10, 15), *range(20, 25)])


@pytest.fixture(autouse=True)
def _in_small_portions(monkeypatch):
    """Make every file take several transactions."""
    monkeypatch.setattr(adoption, "PORTION_OCTETS", 1)
    monkeypatch.setattr(adoption, "PORTION_LETTERS", 2)


def test_everything_is_moved_and_the_files_are_removed(tmp_path):
    """Batches keep their order, parts of one their place; what was there comes first."""
    fill_all(tmp_path)
    before = ledger_of(tmp_path)
    with structlog.testing.capture_logs() as logs:
        assert adopt(tmp_path) == []
    assert ledger_of(tmp_path) == before
    assert events_of(tmp_path) == EVENTS
    assert Counter(int(letter.raw) for letter in letters_of(tmp_path)) == LETTERS
    assert files.databases(tmp_path) == [tmp_path / "spool.db"]
    assert [line["dead_letters"] for line in logs if "taken over" in line["event"]] == [5, 5]


def test_files_of_workers_that_there_are_stay(tmp_path):
    """Only what nobody else delivers is taken over."""
    fill_all(tmp_path)
    adopt(tmp_path, first=2)
    assert files.workers(tmp_path) == [0, 1]
    assert events_of(tmp_path)["b"] == [3, 24]


def test_a_new_first_file_takes_over_too(tmp_path):
    """As when the one that was there was damaged and moved aside."""
    fill(tmp_path, 3, batches=[batch_of(1)], dead=[letter_of(2)])
    adopt(tmp_path)
    assert ledger_of(tmp_path).received == 2
    assert [letter.number for letter in letters_of(tmp_path)] == [1]


def killed_at(step, directory, *, is_after):
    """Take over in a process that is killed at a step, if it comes so far; say whether it did.

    Args:
        step: which transaction, or which removal of a file, counted from 0.
        directory: the spool's.
        is_after: whether the kill comes after the step, or before.
    """
    child = os.fork()
    if child == 0:  # nothing of this process is cleaned up, as with SIGKILL
        steps = count()
        adoption.transaction = _deadly(adoption.transaction, steps, step, is_after=is_after)
        Path.unlink = _deadly(Path.unlink, steps, step, is_after=is_after)
        try:
            adopt(directory)
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, KILLED}
    return code == KILLED


def _deadly(function, steps, step, *, is_after):
    """Return a function, or what makes a context, that is the end if it is its turn."""

    def last(*args, **options):
        if next(steps) != step:
            return function(*args, **options)
        if not is_after:
            os._exit(KILLED)
        done = function(*args, **options)
        if done is None:
            os._exit(KILLED)
        return _ending_with_the_process(done)

    return last


@contextmanager
def _ending_with_the_process(context):
    with context as value:
        yield value
    os._exit(KILLED)


def killed_at_each(path, *, is_after, stride):
    """Yield a copy of the files in `whole` for the steps that a start was killed at."""
    for step in count(0, stride):
        directory = path / str(step)
        shutil.copytree(path / "whole", directory)
        if not killed_at(step, directory, is_after=is_after):
            break
        yield directory
    assert step > 30


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.slow
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path, is_after, in_full):
    """Whatever a start is killed at, the next one finds it all."""
    fill_all(tmp_path / "whole")
    expected = ledger_of(tmp_path / "whole")
    for directory in killed_at_each(tmp_path, is_after=is_after, stride=1 if in_full else 3):
        adopt(directory)
        assert_all_there(directory, expected)


def test_kills_in_a_row_lose_and_double_nothing(tmp_path):
    """Each start comes a step or two further than the one before."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)
    for kills in count():
        if not killed_at(2 + kills % 2, tmp_path, is_after=kills % 3 == 0):
            break
        assert kills < 200
    assert kills > 10
    assert_all_there(tmp_path, expected)


def assert_all_there(directory, ledger):
    assert files.workers(directory) == [0]
    assert ledger_of(directory) == ledger
    assert events_of(directory) == EVENTS
    assert Counter(int(letter.raw) for letter in letters_of(directory)) == LETTERS


def test_what_was_cut_off_can_be_settled_without_going_on(tmp_path):
    """So that others may change what has not been moved."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)
    assert killed_at(5, tmp_path, is_after=True)
    assert ledger_of(tmp_path).received > expected.received
    for _ in range(2):
        with closing(Store(tmp_path)) as target, closing(Store(tmp_path, worker=1)) as source:
            adoption.settle(target, source)
            adoption.settle(target, target)
        assert ledger_of(tmp_path) == expected
    adopt(tmp_path)
    assert_all_there(tmp_path, expected)


def test_a_mark_means_nothing_for_another_file_of_the_same_name(tmp_path):
    """There may have been more workers again since."""
    fill_all(tmp_path)
    adopt(tmp_path)
    fill(tmp_path, 2, batches=[batch_of(91)], dead=[letter_of(92)])
    adopt(tmp_path)
    assert events_of(tmp_path)["a"][-1] == 91
    assert int(letters_of(tmp_path)[-1].raw) == 92


def cut_off(directory, monkeypatch):
    """Take over with a failure between the two transactions of a portion of file 1."""
    add, seen = adoption._add_received, []

    def fail_once(store, messages):
        if store.path.name == "spool-1.db" and messages < -1:
            seen.append(messages)
            if len(seen) == 1:
                raise sqlite3.OperationalError("database or disk is full")
        add(store, messages)

    with monkeypatch.context() as patch:
        patch.setattr(adoption, "_add_received", fail_once)
        left = adopt(directory)
    assert left == [directory / "spool-1.db"]


def requests_of(directory):
    """Return the requests that wait in all files."""
    found = []
    for worker in files.workers(directory):
        with closing(Store(directory, worker=worker)) as store:
            found += store.waiting_requests()
    return found


def marks_of(directory):
    with closing(Store(directory)) as store:
        query = "SELECT name FROM meta WHERE name LIKE 'adopting%'"
        return store.connection.execute(query).fetchall()


def test_a_failure_between_two_transactions_doubles_nothing(tmp_path, monkeypatch):
    """Also where another file is taken over after it."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)
    cut_off(tmp_path, monkeypatch)
    assert ledger_of(tmp_path).received > expected.received
    assert len(marks_of(tmp_path)) == 1
    adopt(tmp_path)
    assert ledger_of(tmp_path) == expected
    assert sorted(events_of(tmp_path)["a"]) == sorted(EVENTS["a"])
    assert marks_of(tmp_path) == []


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.slow
def test_a_worker_that_comes_back_has_what_was_not_moved(tmp_path, is_after, in_full):
    """And nothing else: each event is delivered by one of them, wherever the start was killed."""
    fill_all(tmp_path / "whole")
    expected = ledger_of(tmp_path / "whole")
    for directory in killed_at_each(tmp_path, is_after=is_after, stride=1 if in_full else 3):
        for worker in files.workers(directory)[1:]:
            with closing(Store(directory, worker=worker)) as store:
                adoption.settle_own(store)
        assert ledger_of(directory) == expected
        found = [events_of(directory, worker) for worker in range(3)]
        for sink, numbers in EVENTS.items():
            assert sorted(chain(*(each.get(sink, []) for each in found))) == numbers
        assert len(requests_of(directory)) == 2


async def test_what_a_worker_writes_when_it_is_back_is_not_taken_for_moved(tmp_path, monkeypatch):
    """Its numbers begin anew once its file is empty."""
    fill_all(tmp_path)
    room = iter([adoption.FREE_PORTIONS * adoption.PORTION_OCTETS] * 9)
    with monkeypatch.context() as patch:
        patch.setattr(adoption.files, "free_octets", lambda _: next(room, 0))
        assert adopt(tmp_path) == [tmp_path / "spool-2.db"]
    await come_back(tmp_path, 2)
    drain(tmp_path, 2)
    await come_back(tmp_path, 2)
    write(tmp_path, 2, batch_of(61, 62), batch_of(63), batch_of(64))
    before = ledger_of(tmp_path)
    adopt(tmp_path)
    assert ledger_of(tmp_path) == before
    assert events_of(tmp_path)["a"][-4:] == [61, 62, 63, 64]
    assert marks_of(tmp_path) == []


def test_what_is_written_after_settling_is_not_taken_for_moved(tmp_path):
    """As by a command that replays dead letters while no daemon runs."""
    fill_all(tmp_path)
    assert killed_at(5, tmp_path, is_after=True)
    with closing(Store(tmp_path)) as target, closing(Store(tmp_path, worker=1)) as source:
        adoption.settle(target, source)
    drain(tmp_path, 1)
    write(tmp_path, 1, batch_of(61))
    before = ledger_of(tmp_path)
    adopt(tmp_path)
    assert ledger_of(tmp_path) == before
    assert 61 in events_of(tmp_path)["a"]


async def test_a_worker_comes_back_beside_a_first_one_that_runs(tmp_path, monkeypatch):
    """Whose file it only reads."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)
    cut_off(tmp_path, monkeypatch)
    with files.locked(tmp_path, [0]), closing(Store(tmp_path)) as store:
        store.connection.execute("BEGIN IMMEDIATE")
        await come_back(tmp_path, 1)
    assert ledger_of(tmp_path) == expected


@pytest.mark.parametrize("content", [None, b"", b"x" * 10_000], ids=["missing", "new", "damaged"])
async def test_a_worker_comes_back_without_a_first_file(tmp_path, monkeypatch, content):
    """What was moved into another one is not there: what is left is the worker's."""
    fill_all(tmp_path)
    cut_off(tmp_path, monkeypatch)
    before = events_of(tmp_path, worker=1)
    for path in tmp_path.glob("spool.db*"):
        path.unlink()
    if content is not None:
        (tmp_path / "spool.db").write_bytes(content)
    await come_back(tmp_path, 1)
    assert events_of(tmp_path, worker=1) == before
    with closing(Store(tmp_path, worker=1)) as store:
        assert adoption._identity(store.connection) is None


async def test_a_worker_does_not_begin_while_the_first_file_cannot_be_read(tmp_path, monkeypatch):
    """It would deliver what the first delivers too."""
    fill_all(tmp_path)
    cut_off(tmp_path, monkeypatch)
    before = events_of(tmp_path, worker=1)
    (tmp_path / "spool.db").rename(tmp_path / "elsewhere")
    (tmp_path / "spool.db").mkdir()
    with pytest.raises(sqlite3.OperationalError):
        await come_back(tmp_path, 1)
    assert events_of(tmp_path, worker=1) == before
    Lock(tmp_path, 1).release()


def test_what_came_between_two_starts_is_not_in_the_way(tmp_path):
    """A file that could not be taken over whole waits, while the first goes on."""
    fill_all(tmp_path)
    assert killed_at(12, tmp_path, is_after=True)
    with closing(Store(tmp_path)) as store:
        batch = batch_of(71)
        batch.number = batch.place = store.last_number() + 1
        accounts = store.accounts()
        accounts["received"] += 2
        store.commit(Group([batch], letters=[letter_of(72)], accounts=accounts))
    adopt(tmp_path)
    assert sorted(events_of(tmp_path)["a"]) == sorted([*EVENTS["a"], 71])
    found = letters_of(tmp_path)
    assert Counter(int(letter.raw) for letter in found) == LETTERS + Counter([72])
    assert len({letter.number for letter in found}) == len(found)
    assert ledger_of(tmp_path).imbalance() == 0


def test_dead_letters_keep_all_but_their_numbers(tmp_path):
    """Since when they are kept above all; the next one has a number behind them."""
    fill(tmp_path, 0, dead=[letter_of(1)])
    fill(tmp_path, 1, dead=[letter_of(2), letter_of(3, reason="unknown_intake", sink="")])
    with closing(Store(tmp_path, worker=1)) as store:
        before = store.choose_letters(ALL, 0, 10)
        store.connection.execute("UPDATE letter SET kept = 50.0")
    assert [letter.number for letter in before] == [
        NUMBERS_PER_WORKER + 1,
        NUMBERS_PER_WORKER + 2,
    ]
    adopt(tmp_path)
    found = letters_of(tmp_path)
    assert [(item.number, item.reason) for item in found[1:]] == [
        (2, "refused"),
        (3, "unknown_intake"),
    ]
    assert [item.kept for item in found[1:]] == [50.0, 50.0]
    with closing(Store(tmp_path)) as store:
        size = letter_of(1).size
        assert letters.sizes(store.connection) == {"": 2 * size, "unknown_intake": size}
        store.commit(Group(letters=[letter_of(4)], accounts=store.accounts()))
    assert letters_of(tmp_path)[-1].number == 4


def test_requests_go_with_the_dead_letters_they_mean(tmp_path):
    """Those of the first file are none of theirs; what is answered stays behind."""
    fill(tmp_path, 0, dead=[letter_of(1)])
    fill(tmp_path, 1, dead=[letter_of(number) for number in range(2, 6)])
    base = NUMBERS_PER_WORKER
    asked = [
        ("replay", {"reason": "refused", "last": base + 3}),
        ("purge", {"numbers": [base + 2, base + 9], "last": base + 9}),
        ("bury", {"sink": "gone"}),
    ]
    with closing(Store(tmp_path, worker=1)) as store:
        for command, arguments in asked:
            number = requests.ask(store.connection, command, arguments, actor="uid 1", now=1.0)
        store.answer(number - 2, "running", {"replayed": 1, "after": base + 1})
        done = requests.ask(store.connection, "replay", {}, actor="uid 1", now=1.0)
        store.answer(done, "done", {})
    adopt(tmp_path)
    with closing(Store(tmp_path)) as store:
        replay, purge, bury = store.waiting_requests()
        chosen = store.choose_letters(Choice.of(replay.arguments), replay.answer["after"], 10)
        assert [int(letter.raw) for letter in chosen] == [3, 4]
        purged = store.choose_letters(Choice.of(purge.arguments), 0, 10)
        assert [int(letter.raw) for letter in purged] == [3]
        assert (bury.command, bury.arguments) == ("bury", {"sink": "gone"})
        assert (replay.actor, replay.state) == ("uid 1", "running")


def test_whoever_waits_for_an_answer_is_told_that_there_is_none(tmp_path):
    """Its request is gone from the file that it has open."""
    fill(tmp_path, 1, batches=[batch_of(1)])
    with closing(Store(tmp_path, worker=1)) as waiting:
        number = requests.ask(waiting.connection, "replay", {}, actor="uid 1", now=1.0)
        adopt(tmp_path)
        assert requests.read(waiting.connection, number) is None


def test_notes_of_both_are_merged(tmp_path):
    """By who knows how; else that of the first file stays."""
    fill(tmp_path, 0, notes={"a": b"1", "b": b"1"})
    fill(tmp_path, 1, notes={"a": b"2", "b": b"2", "c": b"2"})
    adopt(tmp_path, merge={"a": lambda one, other: one + other})
    with closing(Store(tmp_path)) as store:
        assert store.notes() == {"a": b"12", "b": b"1", "c": b"2"}


def test_what_a_worker_may_have_lost_is_known_after_it(tmp_path):
    """It was killed: what it had in memory is an upper bound, as for the first."""
    fill(tmp_path, 0)
    fill(tmp_path, 1, batches=[batch_of(1)])
    with closing(Store(tmp_path, worker=1)) as store:
        store.commit(Group(accounts={**store.accounts(), "in_memory": 9}))
        store.mark_in_use()
    adopt(tmp_path)
    with closing(Store(tmp_path)) as store:
        assert not store.is_clean()
        assert store.accounts()["in_memory"] == 9


def test_a_file_that_is_in_use_is_not_taken_over(tmp_path):
    """Its worker may be winding down still, of a supervisor that was killed."""
    fill_all(tmp_path)
    lock = Lock(tmp_path, 2)
    with pytest.raises(LockedError):
        adopt(tmp_path)
    lock.release()
    assert files.workers(tmp_path) == [0, 1, 2]
    Lock(tmp_path, 1).release()


def test_a_file_that_cannot_be_moved_waits_for_the_next_start(tmp_path, monkeypatch):
    """As for want of room on the disk; others are taken over nevertheless."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)

    def insert(_connection, batches):
        if numbers_of(batches[0])[0] < 20:
            raise sqlite3.OperationalError("database or disk is full")
        insert_batches(_connection, batches)

    insert_batches = adoption.insert
    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
        patch.setattr(adoption, "insert", insert)
        assert adopt(tmp_path) == [tmp_path / "spool-1.db"]
    assert [line["log_level"] for line in logs] == ["info", "error", "info", "info"]
    assert ledger_of(tmp_path) == expected
    adopt(tmp_path)
    assert ledger_of(tmp_path) == expected
    assert sorted(events_of(tmp_path)["a"]) == EVENTS["a"]


def test_the_last_room_of_a_disk_is_left_alone(tmp_path, monkeypatch):
    """The daemon has to start with it; what has been moved stays moved."""
    fill_all(tmp_path)
    expected = ledger_of(tmp_path)
    room = iter([adoption.FREE_PORTIONS * adoption.PORTION_OCTETS] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(adoption.files, "free_octets", lambda _: next(room, 0))
        with structlog.testing.capture_logs() as logs:
            assert adopt(tmp_path) == [tmp_path / "spool-1.db", tmp_path / "spool-2.db"]
    assert {line.get("problem") for line in logs} == {None, "[Errno 28] No space left on device"}
    assert ledger_of(tmp_path) == expected
    assert events_of(tmp_path)["a"] == [1, 2, 11, 12, 13, 15]
    adopt(tmp_path)
    assert_all_there(tmp_path, expected)


def test_a_damaged_file_is_moved_aside(tmp_path):
    """As that of a worker that there is."""
    fill_all(tmp_path)
    path = tmp_path / "spool-1.db"
    path.write_bytes(b"x" * 10_000)
    assert adopt(tmp_path) == []
    first, damaged = files.databases(tmp_path)
    assert (first.name, damaged.name[:19]) == ("spool.db", "spool-1.db.damaged-")
    assert events_of(tmp_path)["b"] == [3, 24]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    """The daemon does not start, rather than begin with half of what there is."""
    fill_all(tmp_path)
    with closing(sqlite3.connect(tmp_path / "spool-2.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerVersionError):
        adopt(tmp_path)
