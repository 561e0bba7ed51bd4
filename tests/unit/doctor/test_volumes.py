"""Asking about the disk of the spool."""

import errno
import os

import pytest

from collector.doctor import volumes


def test_a_directory_that_is_there_is_measured_and_left_as_it_was(tmp_path):
    (tmp_path / "spool.db").write_bytes(b"x" * 1000)
    found = volumes.look_at(tmp_path)
    assert found.is_there
    assert found.problem == ""
    assert found.used == 1000
    assert found.free > 0
    assert found.has_inodes
    assert found.sync_seconds >= 0
    assert [path.name for path in tmp_path.iterdir()] == ["spool.db"]


def test_of_one_that_is_not_there_the_nearest_parent_is_looked_at(tmp_path):
    found = volumes.look_at(tmp_path / "a" / "b")
    assert not found.is_there
    assert found.looked_at == tmp_path
    assert found.problem == ""
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_looked_for_is_not_there(tmp_path):
    """As below a directory of others, or with a name that is too long."""
    found = volumes.look_at(tmp_path / ("x" * 300) / "spool")
    assert not found.is_there
    assert found.looked_at == tmp_path


def test_a_file_in_its_place_is_a_problem(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    found = volumes.look_at(file)
    assert not found.is_there
    assert (found.problem, found.number) == ("Not a directory", errno.ENOTDIR)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_of_others_is_a_problem(tmp_path):
    tmp_path.chmod(0o500)
    assert volumes.look_at(tmp_path).problem == "Permission denied"


def test_the_kind_is_that_of_the_innermost_mount(tmp_path):
    """Of two on one another it is the later one; blanks are escaped."""
    inner = tmp_path / "a b"
    inner.mkdir()
    written = str(inner).replace(" ", r"\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 1 0:1 / / rw - ext4 /dev/x rw\n"
        f"2 1 0:2 / {written} rw shared:1 - xfs /dev/y rw\n"
        f"3 1 0:3 / {written} rw - nfs4 host:/x rw\n"
        "nonsense\n"
    )
    assert volumes.look_at(inner, mounts).kind == "nfs4"
    assert volumes.look_at(tmp_path, mounts).kind == "ext4"


def test_a_system_without_mounts_names_no_kind(tmp_path):
    assert volumes.look_at(tmp_path, tmp_path / "none").kind == ""
