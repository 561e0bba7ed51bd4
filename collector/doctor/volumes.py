"""Asks about the disk that the spool is to be on."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Final

# So much is written at a time, so often, for so long at most: as small transactions do.
_WRITTEN_OCTETS: Final = 4096
_WRITES: Final = 16
_WRITING_SECONDS: Final = 0.5

_MOUNTS: Final = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """The disk of a directory.

    Attributes:
        directory: the directory.
        is_there: whether it exists; else its nearest parent was looked at.
        looked_at: what was looked at.
        problem: why nothing can be written there; empty if something can.
        number: of that error (errno(3)); 0 for none.
        kind: of the file system, as `ext4`; empty if the system does not say.
        free: octets that we may still write.
        has_inodes: whether there may be more files.
        used: octets of the spool's files.
        sync_seconds: how long a small write takes until the disk has it; None if nothing was
            written.
    """

    directory: Path
    is_there: bool
    looked_at: Path
    problem: str = ""
    number: int = 0
    kind: str = ""
    free: int = 0
    has_inodes: bool = True
    used: int = 0
    sync_seconds: float | None = None


def look_at(directory: Path, mounts: Path = _MOUNTS) -> Volume:
    """Ask about the disk of a directory; what is written there for a moment has no name.

    Args:
        directory: need not exist.
        mounts: where the system lists its mounts.
    """
    place = _nearest(directory.absolute())
    is_there = place == directory.absolute() and place.is_dir()
    sync_seconds, problem, number = None, "", 0
    try:
        sync_seconds = _sync_seconds(place)
    except OSError as error:
        number = error.errno or 0
        problem = os.strerror(number) if number else str(error)
    free, has_inodes = 0, True
    with suppress(OSError):
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
        has_inodes = not found.f_files or found.f_favail > 0  # some count none
    return Volume(
        directory=directory,
        is_there=is_there,
        looked_at=place,
        problem=problem,
        number=number,
        kind=_kind(place, mounts),
        free=free,
        has_inodes=has_inodes,
        used=_used(place) if is_there else 0,
        sync_seconds=sync_seconds,
    )


def _nearest(path: Path) -> Path:
    """Return what is there of a path: itself, or the nearest of its parents."""
    return next((place for place in (path, *path.parents) if _is_there(place)), Path("/"))


def _is_there(path: Path) -> bool:
    """Say whether we find something at a path; what we may not look for is not there for us."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _sync_seconds(directory: Path) -> float:
    """Measure how long the disk takes to have what was written.

    Raises:
        OSError: nothing can be written there.
    """
    taken: list[float] = []
    with TemporaryFile(dir=directory, prefix=".doctor-") as file:
        end = time.monotonic() + _WRITING_SECONDS
        while len(taken) < _WRITES and (not taken or time.monotonic() < end):
            begin = time.monotonic()
            file.write(os.urandom(_WRITTEN_OCTETS))
            file.flush()
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - begin)
    return median(taken)


def _used(directory: Path) -> int:
    total = 0
    for path in directory.glob("spool*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _kind(path: Path, mounts: Path) -> str:
    """Return the kind of the file system of a path (proc(5), mountinfo)."""
    best, kind = -1, ""
    with suppress(OSError):
        resolved = path.resolve()
        for line in mounts.read_text(errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            fields = before.split()
            if len(fields) < 5 or not after:
                continue
            point = Path(_unescaped(fields[4]))
            # Of mounts on one another the last one is seen.
            if resolved.is_relative_to(point) and len(point.parts) >= best:
                best, kind = len(point.parts), after.split()[0]
    return kind


def _unescaped(text: str) -> str:
    r"""Return a path as it is: the system writes blanks in it as `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
