"""Opening the spool's file; one that is damaged is moved aside, so that collecting goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from collector.spool import files
from collector.spool.store import DamagedError, Store, is_damage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.spool.bounds import Bounds

# A larger file is not read through at start, unless the last process did not end well.
MAX_CHECKED_OCTETS: Final = 512 * 1024 * 1024
SHOWN_PROBLEMS: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """How the file is opened; the arguments are those of `Store`."""

    directory: Path
    synchronous: str
    log_octets: int
    bounds: Bounds
    worker: int = 0

    @property
    def path(self) -> Path:
        """The file."""
        return files.place(self.directory, files.DATABASE, self.worker)

    def open(self) -> Store:
        """Open the file, or a new one where it is damaged or missing.

        Raises:
            NewerVersionError: a newer version wrote it.
            OSError: it cannot be created.
            sqlite3.Error: it cannot be opened.
        """
        try:
            self._look_for_log()
            store = self._open()
        except DamagedError as error:
            problems = [str(error)]
        else:
            problems = self._problems(store)
            if not problems:
                return store
            store.close()
        self._move_aside(problems)
        return self._open()

    def set_aside(self, store: Store, problem: str) -> None:
        """Close a file that turned out to be damaged, and move it aside."""
        with suppress(sqlite3.Error):
            store.close()
        self._move_aside([problem])

    def restore(self, store: Store) -> Store:
        """Write a file anew that somebody has deleted: as long as it is open, it is whole.

        What stands in its place is moved aside.

        Args:
            store: the open file; it is closed if this goes well.

        Raises:
            OSError: the new file cannot be created.
            sqlite3.Error: it cannot be written, or the old one not be read.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path
        moved = files.quarantine(path) if path.exists() else None
        files.remove_companions(path)  # of the deleted file, which has them open
        files.make_private(path)
        with closing(sqlite3.connect(path)) as copy:
            store.connection.backup(copy)
        restored = self._open()
        store.close()
        log.error(
            "spool file was deleted by somebody, what it held is written anew",
            path=str(path),
            found_in_its_place=str(moved) if moved else None,
        )
        return restored

    def _look_for_log(self) -> None:
        """Raise DamagedError if there is only the write-ahead log, which SQLite would delete."""
        path = self.path
        log_path = path.with_name(path.name + files.LOG_SUFFIX)
        if _octets(log_path) and not _octets(path):
            raise DamagedError("all but the write-ahead log is missing")

    def _open(self) -> Store:
        files.make_private(self.path)
        return Store(
            self.directory,
            synchronous=self.synchronous,
            log_octets=self.log_octets,
            bounds=self.bounds,
            worker=self.worker,
        )

    def _problems(self, store: Store) -> list[str]:
        try:
            store.summary()
            if store.is_clean() and store.path.stat().st_size > MAX_CHECKED_OCTETS:
                return []
            return store.problems()
        except ValueError as error:
            return [f"the accounts cannot be read: {error}"]
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return [str(error)]

    def _move_aside(self, problems: Sequence[str]) -> None:
        moved = files.quarantine(self.path)
        log.error(
            "spool file damaged and moved aside; `collector spool verify` says what can be read",
            moved_to=str(moved),
            problem="; ".join(problems[:SHOWN_PROBLEMS]),
        )


def _octets(path: Path) -> int:
    """Return how long a file is; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
