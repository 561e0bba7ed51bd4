"""What is said of events that wait from before, by `check` as by `doctor`."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from collector.config import load
from collector.doctor import backlog
from collector.spool.store import VERSION, Group
from tests.unit.commands.conftest import Place, batch, letter


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def warnings(place):
    code, output, _ = place.call("check")
    assert code == 0
    return [line for line in output.splitlines() if line.endswith("(warning)")]


def test_events_of_a_sink_that_is_gone_are_named(place):
    """With how to get rid of them."""
    place.fill([letter()], [batch("gone"), batch("gone")])
    (line,) = warnings(place)
    assert "sinks: 4 events wait for 'gone', which is not configured" in line
    assert "`collector dead-letters bury --sink gone`" in line


def test_events_that_will_be_encoded_anew_are_named(place):
    waiting = batch("siem")
    waiting.form = "elasticsearch:event:logs-edr.{intake}-default"
    place.fill([], [waiting, batch("siem")])
    (line,) = warnings(place)
    assert "sinks[0]: 2 events wait in another form (elasticsearch:event, gzip)" in line


def test_events_that_are_compressed_for_the_disk_alone_are_as_their_sink_wants_them(place):
    """Nothing is encoded anew."""
    settings = place.config.read_text()
    place.config.write_text(settings.replace('"inbox:"', '"inbox:", compression: none'))
    waiting = batch("siem")
    waiting.codec = "zstd"
    place.fill([], [waiting])
    assert warnings(place) == []


def test_a_spool_that_is_not_there_yet_is_no_matter(place):
    assert warnings(place) == []
    assert not place.spool.exists()


def test_a_spool_that_cannot_be_read_is_said_to_be_so(place):
    """It is moved aside when the daemon starts, not before."""
    place.fill([letter()])
    file = place.spool / "spool.db"
    file.write_bytes(b"nonsense" * 1000)
    (line,) = warnings(place)
    assert "spool.path: what waits there cannot be looked at: file is not a database" in line
    assert file.exists()


def test_what_waits_in_the_files_of_all_workers_is_added_up(place):
    """It is one sink, and one warning."""
    place.fill(batches=[batch("gone")])
    place.fill(batches=[batch("gone")], worker=1)
    (problem,) = warnings(place)
    assert "4 events wait for 'gone'" in str(problem)


# What a daemon does that is killed.
DYING = """
import os, sys
from pathlib import Path
from tests.unit.commands.conftest import Place, batch
place = Place(Path(sys.argv[1]))
store = place.store()
store.close = lambda: None
place.store = lambda *_: store
place.fill(batches=[batch("gone"), batch("gone")])
os.kill(os.getpid(), 9)
"""


def left_by_one_that_died(place):
    """Have a process write to the spool and die; what it wrote is in the log alone."""
    subprocess.run([sys.executable, "-c", DYING, str(place.directory)], check=False)
    assert (place.spool / "spool.db-wal").stat().st_size > 0


def state(directory):
    """Return what files there are, what they hold and when they were written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_what_a_daemon_that_died_has_left_is_seen_and_stays_as_it_is(place):
    """Its log is not taken over: that is for its next start."""
    left_by_one_that_died(place)
    before = state(place.spool)
    (problem,) = backlog.warnings(load(place.config))
    assert "4 events wait for 'gone'" in str(problem)
    assert state(place.spool) == before


def test_what_was_left_without_the_index_of_its_log_is_seen_too(place):
    """As after a copy; files with events are as they were."""
    left_by_one_that_died(place)
    (place.spool / "spool.db-shm").unlink()
    before = state(place.spool)
    (problem,) = backlog.warnings(load(place.config))
    assert "4 events wait for 'gone'" in str(problem)
    assert before.items() <= state(place.spool).items()


def test_a_spool_that_was_closed_gets_no_log(place):
    place.fill(batches=[batch("gone")])
    before = state(place.spool)
    assert set(before) == {"spool.db"}
    assert len(backlog.warnings(load(place.config))) == 1
    assert state(place.spool) == before


def test_beside_a_daemon_that_writes_what_it_wrote_last_is_seen(place):
    """It goes on."""
    store = place.store()
    for number in (1, 2, 3):
        item = batch("gone")
        item.number = item.place = number
        store.commit(Group(batches=[item], accounts={"received": 2 * number}))
        (problem,) = backlog.warnings(load(place.config))
        assert f"{2 * number} events wait for 'gone'" in str(problem)
    store.close()


def test_a_file_of_a_newer_version_is_left_alone(place):
    place.fill(batches=[batch("gone")])
    with closing(sqlite3.connect(place.spool / "spool.db")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = state(place.spool)
    (problem,) = backlog.warnings(load(place.config))
    assert f"has version {VERSION + 1}, this collector knows {VERSION}" in str(problem)
    assert state(place.spool) == before


def test_in_a_file_that_is_still_empty_nothing_waits(place):
    """A daemon makes its tables a moment later."""
    place.spool.mkdir()
    (place.spool / "spool.db").touch()
    assert backlog.warnings(load(place.config)) == []
    assert (place.spool / "spool.db").stat().st_size == 0
