"""Opening a spool's file, whatever is there in its place."""

from contextlib import closing

import pytest
import structlog

from collector.spool import files
from collector.spool.bounds import UNBOUNDED
from collector.spool.opening import Opening
from collector.spool.store import PAGE_OCTETS, VERSION, Group, NewerVersionError, Store
from tests.spools import batch_of

DAMAGED = "spool file damaged and moved aside; `collector spool verify` says what can be read"


@pytest.fixture
def opening(tmp_path):
    return Opening(tmp_path, "normal", 1 << 20, UNBOUNDED)


@pytest.fixture
def path(tmp_path, opening):
    """Return a spool file that holds some batches."""
    with closing(opening.open()) as store:
        for number in range(1, 51):
            batch = batch_of(number, padding=9000)
            batch.number = batch.place = number
            store.commit(Group([batch]))
    return tmp_path / files.DATABASE


def moved(directory):
    return [found for found in files.databases(directory) if found.name != files.DATABASE]


@pytest.mark.usefixtures("path")
def test_a_whole_file_is_opened_as_it_is(tmp_path, opening):
    """It is private, and so are the files beside it."""
    with closing(opening.open()) as store:
        assert [waiting.events for waiting in store.waiting()] == [50]
        assert store.is_clean()
        assert {item.stat().st_mode & 0o777 for item in tmp_path.iterdir()} == {0o600}
    assert moved(tmp_path) == []


def damage(octets, what):
    match what:
        case "header":
            octets[:100] = b"g" * 100
        case "middle":
            middle = len(octets) // 2 // PAGE_OCTETS * PAGE_OCTETS
            octets[middle : middle + 4 * PAGE_OCTETS] = b"\xff" * 4 * PAGE_OCTETS
        case "end":
            del octets[len(octets) // 2 :]
        case "tables":
            octets[PAGE_OCTETS - 400 : PAGE_OCTETS] = b"\xff" * 400
    return octets


@pytest.mark.parametrize("what", ["header", "middle", "end", "tables"])
def test_a_damaged_file_is_moved_aside(tmp_path, opening, path, what):
    """A new one takes its place, and the old one stays as it was found."""
    octets = damage(bytearray(path.read_bytes()), what)
    path.write_bytes(octets)
    with structlog.testing.capture_logs() as logs, closing(opening.open()) as store:
        assert store.waiting() == []
    [there] = moved(tmp_path)
    assert there.read_bytes() == octets
    [line] = logs
    assert (line["event"], line["log_level"], line["moved_to"]) == (DAMAGED, "error", str(there))
    assert line["problem"]


def test_a_file_that_lost_all_it_held_but_its_log_is_damaged(tmp_path, opening, path):
    """SQLite would throw the log away without a word."""
    path.write_bytes(b"")
    path.with_name("spool.db-wal").write_bytes(b"what was committed last")
    with closing(opening.open()) as store:
        assert store.waiting() == []
    [there] = moved(tmp_path)
    assert there.with_name(f"{there.name}-wal").read_bytes() == b"what was committed last"


@pytest.mark.usefixtures("path")
def test_accounts_that_cannot_be_read_are_damage(tmp_path, opening):
    """There is no going on without them."""
    with closing(Store(tmp_path)) as store:
        store.connection.execute("INSERT OR REPLACE INTO meta VALUES ('accounts', x'ff')")
    with closing(opening.open()) as store:
        assert store.accounts() == {}
    assert len(moved(tmp_path)) == 1


@pytest.mark.usefixtures("path")
def test_a_file_of_a_newer_version_stays_where_it_is(tmp_path, opening):
    """It is no damage."""
    with closing(Store(tmp_path)) as store:
        store.connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(NewerVersionError):
        opening.open()
    assert moved(tmp_path) == []


@pytest.mark.usefixtures("path")
def test_a_large_file_that_was_closed_well_is_not_read_through(opening, monkeypatch):
    """That would take minutes; one that was not is."""
    monkeypatch.setattr("collector.spool.opening.MAX_CHECKED_OCTETS", 1)
    asked = []
    monkeypatch.setattr(Store, "problems", lambda _: asked.append("all") or [])
    with closing(opening.open()) as store:
        store.mark_in_use()
    assert asked == []
    opening.open().close()
    assert asked == ["all"]


@pytest.mark.usefixtures("path")
def test_an_open_file_found_damaged_is_closed_and_moved_aside(tmp_path, opening):
    """The next to be opened is a new one."""
    store = opening.open()
    opening.set_aside(store, "malformed")
    assert store.is_closed
    assert len(moved(tmp_path)) == 1
    with closing(opening.open()) as another:
        assert another.waiting() == []
