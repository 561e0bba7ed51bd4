"""The spool's file: transactions, order, and what a next process finds in it."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from collector.board import Board, Post
from collector.spool import EVICTED, files, requests
from collector.spool.bounds import Bounds
from collector.spool.letters import ALL, Choice
from collector.spool.store import (
    NUMBERS_PER_WORKER,
    PAGE_OCTETS,
    VERSION,
    DamagedError,
    Group,
    NewerVersionError,
    Store,
    is_damage,
    stored_size,
)
from tests.spools import batch_of, letter_of, numbers_of

ACCOUNTS = {"received": 0}
MIB = 1024 * 1024


def placed(number, place=None, offset=0, *, sink="a", **changes):
    """Return a batch of one event, its number, that stands at a place."""
    batch = batch_of(number, sink=sink, **changes)
    batch.number, batch.place, batch.offset = number, place or number, offset
    return batch


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path, bounds=Bounds(1000, 1000), clock=lambda: 50.0)) as store:
        yield store


def in_order(store, sink="a", after=0, max_octets=MIB):
    return [numbers_of(batch)[0] for batch in store.fetch(sink, after, max_octets)]


def test_what_is_committed_is_found_by_the_next_process(tmp_path, store):
    """Batches and dead letters as they were, and the accounts."""
    batch = placed(7, 3, 1)
    batch.received = 12.5
    group = Group([batch, placed(8, sink="b")], letters=[letter_of()], accounts={"received": 3})
    store.commit(group)
    store.close()
    with closing(Store(tmp_path)) as another:
        [found] = another.fetch("a", 0, MIB)
        names = [name for name in batch.__slots__ if name != "refused_at"]
        assert {name: getattr(found, name) for name in names} == {
            name: getattr(batch, name) for name in names
        }
        [letter] = another.choose_letters(ALL, 0, 10)
        assert (letter.raw, letter.reason, letter.kept) == (b"1", "refused", 50.0)
        summary = another.summary()
        assert summary.accounts == {"received": 3}
        assert summary.letters == {"refused": 1}
        assert summary.last_number == 8
        waiting = [(item.sink, item.batches, item.events, item.oldest) for item in summary.waiting]
        assert waiting == [("a", 1, 1, 12.5), ("b", 1, 1, 0.0)]


def test_a_transaction_that_fails_changes_nothing(store):
    """Not its deletions either."""
    store.commit(Group([placed(1), placed(2)], accounts={"received": 2}))
    with pytest.raises(sqlite3.IntegrityError):
        store.commit(Group([placed(3), placed(2)], [1], accounts={"received": 9}))
    assert in_order(store) == [1, 2]
    assert store.accounts() == {"received": 2}
    store.commit(Group([placed(3)], [1]))
    assert in_order(store) == [2, 3]


def test_notes_are_kept_by_their_names(store):
    """A later one in the place of the former, and none is mistaken for what else is kept."""
    store.commit(Group(notes={"a": b"1", "accounts": b"2"}, accounts={"received": 3}))
    store.commit(Group(notes={"a": b"3"}, accounts={"received": 4}))
    assert store.notes() == {"a": b"3", "accounts": b"2"}
    assert store.summary().notes == store.notes()
    assert store.accounts() == {"received": 4}
    assert store.is_clean()


def test_a_note_that_is_no_octets_is_none(store):
    """Somebody else has written it."""
    store.connection.execute("INSERT INTO meta VALUES ('note a', 'text'), ('note b', 5)")
    assert store.notes() == {}


def test_parts_stand_where_the_whole_stood(store):
    """However often they were parted, and whatever their numbers."""
    store.commit(Group([placed(1, 1), placed(2, 2, 2), placed(4, 2, 0), placed(5, 2, 1)]))
    store.commit(Group([placed(3, 3)]))
    assert in_order(store) == [1, 4, 5, 2, 3]
    assert in_order(store, after=1) == [4, 5, 2, 3]


def test_what_is_read_ends_with_a_whole_place(store):
    """Once there is enough; the next read goes on behind it."""
    store.commit(Group([placed(1), placed(2, 2, 0), placed(4, 2, 1), placed(3)]))
    size = placed(1).size
    assert in_order(store, max_octets=size) == [1]
    assert in_order(store, max_octets=size + 1) == [1, 2, 4]
    assert in_order(store, after=2) == [3]
    assert in_order(store, sink="b") == []


def test_dead_letters_that_make_room_are_dropped_in_the_same_transaction(store):
    """Those that anybody can cause do not push out the others."""
    kept = letter_of(raw=b"x" * 300)
    unknown = letter_of(reason="unknown_intake", raw=b"x" * 300)
    store.commit(Group(letters=[kept], accounts={"dropped": {"spool_full": 4}}))
    outcome = store.commit(Group(letters=[unknown] * 3, accounts=store.accounts()))
    assert outcome.evicted == {"unknown_intake": 2}
    assert store.accounts()["dropped"] == {"spool_full": 4, "dead_letter_evicted": 2}
    assert store.summary().letters == {"refused": 1, "unknown_intake": 1}


def test_a_letter_released_when_it_had_been_given_up_is_received_once_more(store):
    """It was counted as dropped, and is on its way again."""
    store.commit(Group(letters=[letter_of()], accounts={"received": 1}))
    [letter] = store.choose_letters(ALL, 0, 10)
    assert store.purge(ALL) == {"refused": 1}
    group = Group([placed(1)], released={letter.number: "refused"}, accounts=store.accounts())
    assert store.commit(group).missed == {"refused": 1}
    assert store.accounts() == {"received": 2, "dropped": {"dead_letter_purged": 1}}


def test_letters_that_are_handed_over_are_deleted(store):
    """One that had been given up is in the stream all the same: it is received once more."""
    store.commit(Group(letters=[letter_of(1), letter_of(2)], accounts={"received": 2}))
    numbers = [letter.number for letter in store.choose_letters(ALL, 0, 10)]
    assert store.purge(Choice(numbers=(numbers[0],))) == {"refused": 1}
    assert store.hand_over_letters(numbers) == {"refused": 1}
    assert store.choose_letters(ALL, 0, 10) == []
    assert store.accounts() == {
        "received": 3,
        "handed_over": 2,
        "dropped": {"dead_letter_purged": 1},
    }


def test_a_letter_that_is_released_is_deleted(store):
    """Nothing is missed then."""
    store.commit(Group(letters=[letter_of(), letter_of(2)]))
    [letter, _] = store.choose_letters(ALL, 0, 10)
    outcome = store.commit(Group(released={letter.number: "refused"}))
    assert outcome == (Counter(), Counter())
    assert store.summary().letters == {"refused": 1}


def test_dead_letters_expire(store):
    """They are counted as dropped in the same transaction."""
    store.commit(Group(letters=[letter_of()], accounts={"received": 1}))
    assert store.expire(1.0) == {}
    store._clock = lambda: 52.0
    assert store.expire(1.0) == {"refused": 1}
    assert store.accounts()["dropped"] == {"dead_letter_expired": 1}


def test_a_process_that_did_not_end_well_is_noticed(tmp_path, store):
    """A file is clean until it is used, and again when its process ends as it should."""
    assert store.is_clean()
    store.mark_in_use()
    store.close()
    with closing(Store(tmp_path)) as second:
        assert not second.is_clean()
        second.end({"received": 5})
        assert second.is_closed
    with closing(Store(tmp_path)) as third:
        assert third.is_clean()
        assert third.accounts() == {"received": 5}


def test_a_file_of_a_newer_version_is_left_alone(tmp_path, store):
    """Both versions are named, and what can be done."""
    store.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    store.close()
    expected = f"has version {VERSION + 1}, this collector knows {VERSION}: use the newer one"
    with pytest.raises(NewerVersionError, match=expected):
        Store(tmp_path)


def test_garbage_is_damage(tmp_path):
    """So is a database of something else."""
    path = tmp_path / files.DATABASE
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(DamagedError, match="not a database"):
        Store(tmp_path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DamagedError, match="something else"):
        Store(tmp_path)


def test_a_full_disk_is_no_damage():
    """Only what says that the file is not what it should be."""
    full, corrupt = sqlite3.OperationalError("full"), sqlite3.DatabaseError("malformed")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT | 1 << 8
    assert not is_damage(full)
    assert is_damage(corrupt)
    assert not is_damage(sqlite3.ProgrammingError("closed"))


def test_a_damaged_file_names_its_problems(tmp_path, store):
    """A whole one has none."""
    assert store.problems() == []
    store.commit(Group([placed(number, padding=9000) for number in range(1, 100)]))
    store.end({})
    path = tmp_path / files.DATABASE
    octets = bytearray(path.read_bytes())
    octets[3 * PAGE_OCTETS : 9 * PAGE_OCTETS] = b"\xff" * 6 * PAGE_OCTETS
    path.write_bytes(octets)
    with closing(Store(tmp_path)) as damaged:
        assert damaged.problems() != []


def test_what_is_deleted_makes_room_that_is_given_back(tmp_path):
    """Not all at once, so that nobody waits for it."""
    with closing(Store(tmp_path, log_octets=MIB)) as store:
        numbers = range(1, 41)
        store.commit(Group([placed(number, padding=MIB) for number in numbers]))
        store.checkpoint()
        full = store.path.stat().st_size
        store.commit(Group(removed=list(numbers)))
        assert store.free_octets() > 39 * MIB
        sizes = []
        for _ in range(40):
            store.vacuum()
            store.checkpoint()
            sizes.append(store.path.stat().st_size)
        assert full > sizes[0] > sizes[-1]
        assert sizes[-1] <= 10 * MIB


def test_deleting_writes_little(tmp_path):
    """Some builds of SQLite write zeros over all that is deleted unless told not to."""
    with closing(Store(tmp_path, log_octets=MIB)) as store:
        store.commit(Group([placed(number, padding=MIB) for number in range(1, 21)]))
        store.checkpoint()
        store.commit(Group(removed=list(range(1, 21))))
        assert (tmp_path / "spool.db-wal").stat().st_size < MIB


@pytest.mark.parametrize("padding", [0, 300, 1500, 3000, 7000, 40_000, 500_000])
def test_the_size_of_a_batch_is_about_what_it_takes_in_the_file(tmp_path, padding):
    """Within an eighth, so that bounds can be kept."""
    batches = [placed(number, padding=padding) for number in range(1, 200)]
    with closing(Store(tmp_path)) as store:
        store.commit(Group(batches))
        store.checkpoint()
        octets = store.path.stat().st_size - 20 * PAGE_OCTETS
    assert octets <= sum(map(stored_size, batches)) * 9 / 8
    assert sum(map(stored_size, batches)) <= (octets + 20 * PAGE_OCTETS) * 9 / 8


def test_each_worker_gives_other_numbers(tmp_path):
    """So that a number says whose dead letter, or whose request, it is of."""
    with closing(Store(tmp_path, worker=2)) as store:
        store.commit(Group(letters=[letter_of(1)], accounts=ACCOUNTS))
        asked = requests.ask(store.connection, "replay", {}, actor="uid 0", now=1.0)
        (found,) = store.choose_letters(ALL, 0, 10)
    assert (found.number, asked) == (2 * NUMBERS_PER_WORKER + 1, 2 * NUMBERS_PER_WORKER + 1)


def test_pools_that_others_let_become_too_large_are_cut(tmp_path):
    """The ledger counts what goes as evicted, and the others see what is left."""
    post = Post(0, 2, Board.alone())
    bounds = Bounds(4 * letter_of(1).size, 0, post)
    with closing(Store(tmp_path, bounds=bounds)) as store:
        store.commit(Group(letters=[letter_of(number) for number in range(4)], accounts=ACCOUNTS))
        assert store.evict() == {}
        smaller = Bounds(2 * letter_of(1).size, 0, post)
    with closing(Store(tmp_path, bounds=smaller)) as store:
        assert store.evict() == {"refused": 2}
        assert store.accounts()["dropped"] == {EVICTED: 2}
    assert post.board.column("letters:").value == 2 * letter_of(1).size
