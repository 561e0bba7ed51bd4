"""Notices that files have changed: secret mounts change without a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

WATCH_SECONDS: Final = 5.0
"""How often files are looked at."""


class Stamp(NamedTuple):
    """What changes with a file: when and to which length it was written, and which file it is."""

    modified: int
    length: int
    inode: int


def stamps(paths: Collection[Path]) -> dict[Path, Stamp | None]:
    """Return the stamp of each file; None for one that cannot be looked at, as while replaced."""
    return {path: _stamp(path) for path in paths}


def changed(before: Mapping[Path, Stamp | None], now: Mapping[Path, Stamp | None]) -> list[Path]:
    """Return the files that are there and not as they were; new ones are no change."""
    return [
        path
        for path, stamp in now.items()
        if stamp is not None and path in before and before[path] != stamp
    ]


def missing(before: Mapping[Path, Stamp | None], now: Mapping[Path, Stamp | None]) -> list[Path]:
    """Return the files that were there and are not."""
    return [path for path, stamp in now.items() if stamp is None and before.get(path) is not None]


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
