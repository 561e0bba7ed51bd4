"""The files of a spool: its lock, its reserve for a full disk, and those found damaged."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DATABASE: Final = "spool.db"
LOCK: Final = "lock"
RESERVE: Final = "reserve"
DAMAGED: Final = ".damaged-"

# SQLite's own, beside the database: the write-ahead log and its index.
LOG_SUFFIX: Final = "-wal"
COMPANIONS: Final = (LOG_SUFFIX, "-shm")


class LockedError(Exception):
    """Another process uses the directory; the text says which."""


class Lock:
    """Keeps other processes out of a directory for as long as it is held.

    It goes with the process that holds it, however that ends (flock(2)).

    Args:
        directory: the spool's; made, for its owner alone, where it is missing.

    Raises:
        LockedError: another process holds it.
        OSError: the directory cannot be made or written to.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / LOCK
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise LockedError(f"{directory} is in use by {who}") from None
        with suppress(OSError):  # the number is for people; on a full disk there is none
            os.ftruncate(self._file, 0)
            os.write(self._file, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let others in."""
        os.close(self._file)


class Reserve:
    """Room on the disk that is kept for the day there is none.

    On a full disk even deleting fails, since the write-ahead log grows by it: then the reserve is
    released. Nobody else's file can take it before.

    Args:
        directory: the spool's.
        octets: how much is kept.
    """

    def __init__(self, directory: Path, octets: int) -> None:
        self._path = directory / RESERVE
        self._octets = octets

    def keep(self, reusable: int = 0) -> bool:
        """Make sure that the room is there, and as much again beside it; say whether it is.

        Args:
            reusable: octets of other files that can be written without making them longer.
        """
        is_kept = self._is_kept()
        free = free_octets(self._path.parent)
        if free is not None and free + is_kept * self._octets + reusable < 2 * self._octets:
            return False
        return is_kept or self._allocate()

    def _is_kept(self) -> bool:
        try:
            return self._path.stat().st_size == self._octets
        except OSError:
            return False

    def _allocate(self) -> bool:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(file, 0)
                os.posix_fallocate(file, 0, self._octets)
            finally:
                os.close(file)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the room to whoever needs it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def make_private(database: Path) -> None:
    """Create an empty file for its owner alone, where there is none; SQLite's others follow it."""
    os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def quarantine(database: Path) -> Path:
    """Move a damaged database and its companions aside; return where it is now."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    place = database.with_name(f"{database.name}{DAMAGED}{stamp}")
    number = 1
    while place.exists():
        number += 1
        place = database.with_name(f"{database.name}{DAMAGED}{stamp}-{number}")
    for suffix in ("", *COMPANIONS):
        with suppress(FileNotFoundError):
            database.with_name(database.name + suffix).rename(place.with_name(place.name + suffix))
    return place


def remove_companions(database: Path) -> None:
    """Delete what SQLite left beside a database that is no longer there."""
    for suffix in COMPANIONS:
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def databases(directory: Path) -> list[Path]:
    """Return the databases of a directory, damaged ones too, by name."""
    return sorted(
        path
        for path in directory.glob(f"{DATABASE}*")
        if not path.name.endswith(COMPANIONS) and path.is_file()
    )


def quarantined_octets(directory: Path) -> int:
    """Return how much room damaged files take."""
    total = 0
    for path in directory.glob(f"{DATABASE}{DAMAGED}*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def free_octets(directory: Path) -> int | None:
    """Return how much room the file system has left; None if it does not say."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
