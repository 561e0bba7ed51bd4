"""The files of a spool: its lock, its reserve for a full disk, and those found damaged.

A directory holds the files of every worker of a daemon. Those of the first have the names below,
and so has a daemon of one process; those of the others have their number in them, as `spool-2.db`.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

DATABASE: Final = "spool.db"
LOCK: Final = "lock"
RESERVE: Final = "reserve"
DAMAGED: Final = ".damaged-"

# SQLite's own, beside the database: the write-ahead log and its index.
LOG_SUFFIX: Final = "-wal"
COMPANIONS: Final = (LOG_SUFFIX, "-shm")

_DATABASES: Final = re.compile(
    rf"spool(?:-(?P<worker>[1-9][0-9]{{0,3}}))?\.db(?P<damaged>{DAMAGED}.*)?"
)


class LockedError(Exception):
    """Another process uses the directory; the text says which."""


def place(directory: Path, name: str, worker: int) -> Path:
    """Return where a file of a worker is.

    Args:
        directory: the spool's.
        name: of the file of the first worker.
        worker: its number, from 0 on.
    """
    stem, dot, suffix = name.partition(".")
    return directory / (f"{stem}-{worker}{dot}{suffix}" if worker else name)


class Lock:
    """Keeps other processes from the files of a worker for as long as it is held.

    It goes with the process that holds it, however that ends (flock(2)).

    Args:
        directory: the spool's; made, for its owner alone, where it is missing.
        worker: whose files.

    Raises:
        LockedError: another process holds it.
        OSError: the directory cannot be made or written to.
    """

    def __init__(self, directory: Path, worker: int = 0) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = place(directory, LOCK, worker)
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


@contextmanager
def locked(directory: Path, workers: Iterable[int]) -> Iterator[None]:
    """Keep other processes from the files of some workers.

    Raises:
        LockedError: another process holds one of the locks.
        OSError: the directory cannot be made or written to.
    """
    with ExitStack() as held:
        for worker in workers:
            held.callback(Lock(directory, worker).release)
        yield


def is_locked(directory: Path) -> bool:
    """Say whether a process holds a lock of any worker."""
    paths = (place(directory, LOCK, worker) for worker in {0, *workers(directory)})
    return any(map(_is_locked, paths))


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


class Reserve:
    """Room on the disk that is kept for the day there is none.

    On a full disk even deleting fails, since the write-ahead log grows by it: then the reserve is
    released. Nobody else's file can take it before.

    Args:
        directory: the spool's.
        octets: how much is kept.
        worker: for whose files.
    """

    def __init__(self, directory: Path, octets: int, worker: int = 0) -> None:
        self._path = place(directory, RESERVE, worker)
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


def address_to_read(database: Path) -> str:
    """Return what opens a database for reading alone (a URI of SQLite).

    One without a write-ahead log is left without one: that of a running daemon always has it.
    """
    is_alone = not any(database.with_name(database.name + suffix).exists() for suffix in COMPANIONS)
    return f"file:{quote(str(database))}?mode=ro{'&immutable=1' if is_alone else ''}"


def remove_companions(database: Path) -> None:
    """Delete what SQLite left beside a database that is no longer there."""
    for suffix in COMPANIONS:
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def databases(directory: Path) -> list[Path]:
    """Return the databases of a directory, damaged ones too, by worker and name."""
    found = [(int(match["worker"] or 0), path) for match, path in _matches(directory)]
    return [path for _, path in sorted(found)]


def workers(directory: Path) -> list[int]:
    """Return the numbers of the workers that there are databases of, damaged ones aside."""
    return sorted(
        int(match["worker"] or 0) for match, _ in _matches(directory) if not match["damaged"]
    )


def _matches(directory: Path) -> Iterator[tuple[re.Match[str], Path]]:
    for path in directory.glob("spool*"):
        match = _DATABASES.fullmatch(path.name)
        if match and not path.name.endswith(COMPANIONS) and path.is_file():
            yield match, path


def quarantined_octets(directory: Path) -> int:
    """Return how much room damaged files take, those of SQLite beside them too."""
    total = 0
    for path in directory.glob(f"spool*{DAMAGED}*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def free_octets(directory: Path) -> int | None:
    """Return how much room the file system has left; None if it does not say."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
