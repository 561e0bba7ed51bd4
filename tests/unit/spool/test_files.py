"""The files of a spool: who may use them, the room that is kept, and what was found damaged."""

import os
import stat
from unittest import mock

import pytest

from collector.spool import files


def test_a_directory_is_made_for_its_owner_alone_and_locked(tmp_path):
    """Parents too; who holds it is named."""
    directory = tmp_path / "a" / "b"
    lock = files.Lock(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with pytest.raises(files.LockedError, match=f"in use by process {os.getpid()}$"):
        files.Lock(directory)
    lock.release()
    files.Lock(directory).release()


def test_a_lock_whose_holder_left_no_number_is_a_lock(tmp_path):
    """There may have been no room for it."""
    lock = files.Lock(tmp_path)
    (tmp_path / files.LOCK).write_text("")
    with pytest.raises(files.LockedError, match="in use by another process"):
        files.Lock(tmp_path)
    lock.release()


def test_a_reserve_takes_the_room_it_keeps(tmp_path):
    """Until it is released; releasing it twice is nothing."""
    reserve = files.Reserve(tmp_path, 100_000)
    assert reserve.keep()
    assert reserve.keep()
    assert (tmp_path / files.RESERVE).stat().st_blocks * 512 >= 100_000
    reserve.release()
    reserve.release()
    assert not (tmp_path / files.RESERVE).exists()


def test_a_reserve_of_another_size_is_made_anew(tmp_path):
    """The bound may have been changed."""
    assert files.Reserve(tmp_path, 100).keep()
    assert files.Reserve(tmp_path, 200).keep()
    assert (tmp_path / files.RESERVE).stat().st_size == 200


@pytest.mark.parametrize(
    ("free", "reusable", "is_kept", "expected"),
    [
        (200, 0, False, True),
        (199, 0, False, False),
        (100, 0, True, True),
        (99, 0, True, False),
        (150, 50, False, True),
        (50, 50, True, True),
        (None, 0, False, True),
    ],
)
def test_a_reserve_is_kept_if_there_is_as_much_room_beside_it(
    tmp_path, free, reusable, is_kept, expected
):
    """Room in other files counts; where nobody knows, there is enough."""
    reserve = files.Reserve(tmp_path, 100)
    if is_kept:
        (tmp_path / files.RESERVE).write_bytes(bytes(100))
    with mock.patch.object(files, "free_octets", return_value=free):
        assert reserve.keep(reusable) is expected
    assert (tmp_path / files.RESERVE).exists() is (is_kept or expected)


def test_a_reserve_that_cannot_be_had_leaves_nothing_behind(tmp_path):
    """A part of it would only be in the way."""
    reserve = files.Reserve(tmp_path / "missing", 100)
    assert not reserve.keep()


def test_a_database_is_private(tmp_path):
    """It holds what was sent to the collector, and what was in it stays."""
    path = tmp_path / files.DATABASE
    files.make_private(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("kept")
    files.make_private(path)
    assert path.read_text() == "kept"


def test_damaged_files_are_kept_beside_one_another(tmp_path, monkeypatch):
    """With the files that belong to them, also two of the same second."""
    monkeypatch.setattr(files.time, "strftime", lambda *_: "now")
    path = tmp_path / files.DATABASE
    for text in ("first", "second"):
        path.write_text(text)
        path.with_name("spool.db-wal").write_text("log")
        moved = files.quarantine(path)
        assert moved.read_text() == text
        assert moved.with_name(f"{moved.name}-wal").read_text() == "log"
        assert not path.exists()
    assert files.quarantined_octets(tmp_path) == len("firstlogsecondlog")
    path.write_text("third")
    names = ["spool.db", "spool.db.damaged-now", "spool.db.damaged-now-2"]
    assert [found.name for found in files.databases(tmp_path)] == names


def test_a_disk_says_how_much_is_free(tmp_path):
    """None stands for one that does not."""
    assert files.free_octets(tmp_path) > 0
    assert files.free_octets(tmp_path / "missing") is None


def test_each_worker_has_files_of_its_own(tmp_path):
    """Those of the first have the names they have without workers."""
    names = [files.place(tmp_path, name, 2).name for name in (files.DATABASE, files.LOCK)]
    assert names == ["spool-2.db", "lock-2"]
    assert files.place(tmp_path, files.DATABASE, 0) == tmp_path / "spool.db"
    one, other = files.Lock(tmp_path), files.Lock(tmp_path, 1)
    assert files.Reserve(tmp_path, 100, worker=1).keep()
    assert (tmp_path / "reserve-1").exists()
    one.release()
    other.release()


def test_databases_are_found_whoever_they_are_of(tmp_path):
    """By number, not by name; what is none of ours is not among them."""
    names = ["spool.db", "spool-2.db", "spool-2.db.damaged-now", "spool-10.db"]
    for name in [*names, "spool.db-wal", "spool-2.db-shm", "spool-02.db", "spool.db.bak", "spool-"]:
        (tmp_path / name).write_text("x")
    assert [path.name for path in files.databases(tmp_path)] == names
    assert files.workers(tmp_path) == [0, 2, 10]
    assert files.quarantined_octets(tmp_path) == 1


def test_a_directory_is_in_use_while_any_worker_is(tmp_path):
    """Also while the first is being started again."""
    assert not files.is_locked(tmp_path)
    (tmp_path / "spool-3.db").write_text("x")
    lock = files.Lock(tmp_path, 3)
    assert files.is_locked(tmp_path)
    lock.release()
    assert not files.is_locked(tmp_path)


def test_the_files_of_workers_are_locked_together_or_not_at_all(tmp_path):
    """Nothing stays locked where one is in use."""
    lock = files.Lock(tmp_path, 2)
    with pytest.raises(files.LockedError), files.locked(tmp_path, [0, 1, 2]):
        pytest.fail("one is in use")
    lock.release()
    with files.locked(tmp_path, [0, 1, 2]):
        assert files.is_locked(tmp_path)
    assert not files.is_locked(tmp_path)
