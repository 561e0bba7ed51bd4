"""What can be read of a spool's file."""

import os
import shutil
import sqlite3

import pytest

from collector.sinks.encoders import COMPRESS
from collector.sinks.formats.ndjson import Ndjson
from collector.spool import Batch, Letter, files
from collector.spool.entries import Entry, pack_entries
from collector.spool.store import VERSION, Group, Store
from collector.spool.verification import verify

BATCHES, EVENTS, LETTERS = 60, 20, 200


def batch(number, **changes):
    documents = [b'{"message":"%s"}' % os.urandom(100).hex().encode() for _ in range(EVENTS)]
    plain = Ndjson.join(documents)
    attributes = {
        "sink": "siem",
        "form": "ndjson:event",
        "codec": "gzip",
        "body": COMPRESS["gzip"](plain),
        "events": EVENTS,
        "octets": len(plain),
        "received": 1.0,
        "entries": pack_entries([Entry(f"{1:032x}", "edr", "192.0.2.1", 1.0)] * EVENTS),
        "number": number,
        "place": number,
    }
    return Batch(**{**attributes, **changes})


def letter(event=b"{}"):
    identifier = f"{1:032x}"
    raw = os.urandom(300)
    return Letter("refused", "", identifier, "edr", "siem", "", "", 1.0, raw, False, event)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A file with batches and letters, whose process has ended."""
    directory = tmp_path_factory.mktemp("spool")
    store = Store(directory)
    store.commit(
        Group(
            batches=[batch(number) for number in range(1, BATCHES + 1)],
            letters=[letter() for _ in range(LETTERS)],
        )
    )
    store.end({})
    return directory / files.DATABASE


@pytest.fixture
def path(sound, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copy(sound, tmp_path / files.DATABASE)


def execute(path, statement, *parameters):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, parameters)
    connection.close()


def test_all_of_a_sound_file_can_be_read(path):
    """Each row is told, for a progress bar, and nothing is left beside the file."""
    rows = []
    found = verify(path, lambda: rows.append(1))
    assert found.is_sound
    assert (found.batches, found.events, found.letters) == (BATCHES, BATCHES * EVENTS, LETTERS)
    assert len(rows) == BATCHES + LETTERS
    assert list(path.parent.iterdir()) == [path]


def test_a_file_in_use_can_be_read(tmp_path):
    """With what is in its write-ahead log alone."""
    store = Store(tmp_path)
    store.commit(Group(batches=[batch(1)]))
    assert verify(store.path).events == EVENTS
    store.commit(Group(batches=[batch(2)]))
    assert verify(store.path).events == 2 * EVENTS
    store.close()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"body": b"no gzip"}, "batch 1: "),
        ({"form": "telegram:event"}, "batch 1: "),
        ({"codec": "morse"}, "batch 1: "),
        ({"entries": b"[]\n"}, "20 documents and 0 entries of 20 events"),
        ({"events": 7}, "20 documents and 20 entries of 7 events"),
    ],
)
def test_a_batch_that_cannot_be_read_is_named(tmp_path, changes, problem):
    """The file may be sound all the same."""
    store = Store(tmp_path)
    store.commit(Group(batches=[batch(1, **changes), batch(2)]))
    store.close()
    found = verify(store.path)
    assert not found.is_sound
    assert (found.batches, found.events, found.unreadable) == (1, EVENTS, 1)
    assert problem in found.problems[0]


def test_a_dead_letter_that_cannot_be_read_is_named(path):
    execute(path, "UPDATE letter SET event = 'nonsense' WHERE number = 3")
    found = verify(path)
    assert (found.letters, found.unreadable) == (LETTERS - 1, 1)
    assert found.problems[0].startswith("dead letter 3: JSONDecodeError")


def test_what_lies_around_damage_is_read(path):
    """Octets of each page in turn are overwritten: no error escapes, and most of it is read."""
    whole = path.read_bytes()
    for offset in range(4096, len(whole), 4096 * 5):
        path.write_bytes(whole[:offset] + os.urandom(2000) + whole[offset + 2000 :])
        found = verify(path)
        assert found.batches + found.letters >= (BATCHES + LETTERS) // 2, offset
        assert found.events == found.batches * EVENTS
        assert found.batches == BATCHES or not found.is_sound


def test_what_is_no_database_is_said_to_be_none(path):
    path.write_bytes(b"nonsense" * 1000)
    found = verify(path)
    assert found.problems[0] == "file is not a database"
    assert (found.batches, found.letters) == (0, 0)


def test_problems_of_a_file_that_has_many_are_bounded(path):
    execute(path, "UPDATE letter SET event = 'nonsense'")
    found = verify(path)
    assert found.unreadable == LETTERS
    assert len(found.problems) == 20


def test_a_file_of_a_newer_version_is_not_judged(path):
    execute(path, f"PRAGMA user_version = {VERSION + 1}")
    found = verify(path)
    assert found.problems == [f"version {VERSION + 1}, this collector knows {VERSION}"]
    assert found.is_newer


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(sqlite3.OperationalError):
        verify(tmp_path / "missing")
