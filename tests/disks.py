"""Small disks, for tests in which there is no room left."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@contextmanager
def small_disk(directory: Path, octets: int) -> Iterator[Path]:
    """Mount a disk of some octets in a directory, which is made; the test is skipped where not."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={octets}", "tmpfs", str(directory)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program to mount a disk with")
    if mounted.returncode:
        pytest.skip(f"mounting a disk is not permitted here: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(path: Path, octets: int | None = None) -> None:
    """Write somebody else's file, until the disk is full if it is not said how much."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while octets is None or file.tell() < octets:
            file.write(bytes(MIB))
        return
    assert octets is None
