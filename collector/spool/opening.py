"""Opening the spool's file; one that is damaged is moved aside, so that collecting goes on."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from collector.spool import files
from collector.spool.store import Bounds, DamagedError, Store, is_damage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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

    def open(self) -> Store:
        """Open the file, or a new one where it is damaged or missing.

        Raises:
            NewerVersionError: a newer version wrote it.
            OSError: it cannot be created.
            sqlite3.Error: it cannot be opened.
        """
        try:
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

    def _open(self) -> Store:
        files.make_private(self.directory / files.DATABASE)
        return Store(
            self.directory,
            synchronous=self.synchronous,
            log_octets=self.log_octets,
            bounds=self.bounds,
        )

    def _problems(self, store: Store) -> list[str]:
        try:
            if store.is_clean() and store.path.stat().st_size > MAX_CHECKED_OCTETS:
                return []
            return store.problems()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return [str(error)]

    def _move_aside(self, problems: Sequence[str]) -> None:
        moved = files.quarantine(self.directory / files.DATABASE)
        log.error(
            "spool file damaged and moved aside; `collector spool verify` says what can be read",
            moved_to=str(moved),
            problem="; ".join(problems[:SHOWN_PROBLEMS]),
        )
