"""Files that settings refer to."""

import os
from pathlib import Path

import pytest

from collector.settings.files import FileError, read_beginning


def test_no_more_of_a_file_is_read_than_asked_for(tmp_path):
    """However long it is."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert read_beginning(file, 2) == b"ab"
    assert read_beginning(file, 9) == b"abc"


def test_what_cannot_be_read_is_told_with_its_path(tmp_path):
    """And the system's reason where it has one."""
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "missing", "cannot be read: No such file or directory"),
        (tmp_path, "is not a regular file"),
        (tmp_path / "pipe", "is not a regular file"),
        (Path("a\0b"), "is no file name"),
        (Path("\ud800"), "is no file name"),
    ):
        with pytest.raises(FileError) as caught:
            read_beginning(path, 1)
        assert (caught.value.path, caught.value.reason) == (path, reason)
        assert str(caught.value) == f"{path} {reason}"
