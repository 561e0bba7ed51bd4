"""What new settings mean for events that wait from before: sinks that are gone or changed.

The spool's files are read as they are, also those of a daemon that has died: it alone takes over
what its write-ahead log holds, at its next start.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.settings.problems import Problem
from collector.sinks.encoders import posted_codec
from collector.sinks.formats import format_of
from collector.spool import files
from collector.spool.store import VERSION, NewerVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config

_FORMS: Final = "SELECT sink, form, codec, sum(events) FROM batch GROUP BY sink, form, codec"

_Forms = list[tuple[str, str, str, int]]
"""Sink, form, codec and number of copies of what waits."""


def warnings(config: Config) -> list[Problem]:
    """Find what waits for sinks that the settings no longer have, or have in another form.

    Args:
        config: the settings, whose spool is looked at where it is.
    """
    if config.spool.type == "memory":
        return []
    directory = Path(config.spool.path)
    waiting = Counter[tuple[str, str, str]]()
    try:
        for worker in files.workers(directory):
            database = files.place(directory, files.DATABASE, worker)
            for sink, form, codec, events in _waiting_forms(database):
                waiting[sink, form, codec] += events
    except (sqlite3.Error, OSError, NewerVersionError) as error:
        return [Problem("spool.path", f"what waits there cannot be looked at: {error}")]
    return list(_warnings(config, waiting))


def _waiting_forms(database: Path) -> _Forms:
    """Read what waits in a file.

    Nothing of it is changed, its write-ahead log included. The log's index, which holds nothing
    that is not in the log, may have to be made or marked where that is missing or a daemon runs.

    Raises:
        sqlite3.Error: it cannot be read.
        NewerVersionError: a newer version wrote it.
    """
    address = files.address_to_read(database)
    try:
        # The index of a daemon that has died is left too: SQLite makes another in memory
        # (sqlite.org/wal.html, "Read-Only Databases").
        found = _read_forms(f"{address}&readonly_shm=1", database)
    except sqlite3.OperationalError:
        found = _read_forms(address, database)
    now = files.address_to_read(database)
    # Otherwise a daemon has begun to write, or has ended, while we looked.
    return found if now == address else _read_forms(now, database)


def _read_forms(address: str, database: Path) -> _Forms:
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NewerVersionError(
                f"{database} has version {version}, this collector knows {VERSION}"
            )
        # Without a version nothing has been written yet.
        return connection.execute(_FORMS).fetchall() if version else []


def _warnings(config: Config, waiting: Mapping[tuple[str, str, str], int]) -> Iterator[Problem]:
    """Yield what is to be said of copies that wait, by sink, form and codec."""
    sinks = {sink.name: (index, sink) for index, sink in enumerate(config.sinks)}
    for (sink, form, codec), events in sorted(waiting.items()):
        if sink not in sinks:
            yield Problem(
                "sinks",
                f"{events} events wait for {sink!r}, which is not configured; they stay until it "
                f"is again, or `collector dead-letters bury --sink {sink}` releases them",
            )
            continue
        index, settings = sinks[sink]
        wanted = settings.compression
        if form != format_of(settings).form or posted_codec(codec, wanted) != wanted:
            yield Problem(
                f"sinks[{index}]",
                f"{events} events wait in another form ({_name(form)}, {codec}), or for another "
                "index; they are encoded anew at delivery",
            )


def _name(form: str) -> str:
    """Return the part of a form that names format and payload."""
    return ":".join(form.split(":")[:2])
