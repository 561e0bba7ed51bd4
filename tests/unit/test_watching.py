"""Files that change without a signal."""

import os

import pytest

from collector.watching import changed, missing, stamps


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key"
    path.write_text("one")
    return path


def renewed(file):
    """Return what has changed since; `file` is looked at now."""
    before = stamps([file])
    return lambda: changed(before, stamps([file]))


def test_a_file_that_stays_as_it_is_has_not_changed(file):
    """Reading it is no change."""
    find = renewed(file)
    file.read_text()
    assert find() == []


def test_a_file_that_is_written_again_has_changed(file):
    """Also to the same length, or within one tick of the clock to another."""
    find = renewed(file)
    file.write_text("two")
    os.utime(file, ns=(0, 1))
    assert find() == [file]
    find = renewed(file)
    file.write_text("three")
    os.utime(file, ns=(0, 1))
    assert find() == [file]


def test_a_file_that_is_replaced_has_changed(file):
    """Though the other one is as old and as long."""
    find = renewed(file)
    other = file.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    os.utime(file, ns=(0, file.stat().st_mtime_ns))
    assert find() == [file]


def test_a_link_that_leads_elsewhere_has_changed(tmp_path):
    """As in secret mounts of Kubernetes, which swap a directory."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(name)
    link = tmp_path / "..data"
    link.symlink_to("..1")
    path = link / "key"
    find = renewed(path)
    link.unlink()
    link.symlink_to("..2")
    assert find() == [path]


def test_a_file_that_is_away_has_not_changed_until_it_is_back(file):
    """Nobody could read it meanwhile."""
    find = renewed(file)
    file.unlink()
    assert find() == []
    file.write_text("something else")
    assert find() == [file]


def test_a_file_that_was_away_has_changed_when_it_is_there(tmp_path):
    path = tmp_path / "late"
    find = renewed(path)
    path.write_text("one")
    assert find() == [path]


def test_a_file_that_nobody_looked_at_before_is_no_change(file):
    """It is read when settings begin to name it."""
    assert changed({}, stamps([file])) == []


def test_a_file_that_is_gone_is_missed_once_it_was_there(tmp_path):
    """One that never was is not."""
    file, never = tmp_path / "secret", tmp_path / "never"
    file.write_text("one")
    before = stamps([file, never])
    assert missing(before, stamps([file, never])) == []
    file.unlink()
    assert missing(before, stamps([file, never])) == [file]
