"""What new settings mean for events that wait from before: sinks that are gone or changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from collector.settings.problems import Problem
from collector.sinks.encoders import posted_codec
from collector.sinks.formats import format_of
from collector.spool import files
from collector.spool.store import DamagedError, NewerVersionError, Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config import Config


def warnings(config: Config) -> list[Problem]:
    """Find what waits for sinks that the settings no longer have, or have in another form.

    Args:
        config: the settings, whose spool is looked at where it is.
    """
    directory = Path(config.spool.path)
    if config.spool.type == "memory" or not _exists(directory / files.DATABASE):
        return []
    try:
        with closing(Store(directory)) as store:
            return list(_warnings(config, store))
    except (sqlite3.Error, DamagedError, NewerVersionError) as error:
        return [Problem("spool.path", f"what waits there cannot be looked at: {error}")]


def _warnings(config: Config, store: Store) -> Iterator[Problem]:
    sinks = {sink.name: (index, sink) for index, sink in enumerate(config.sinks)}
    for sink, form, codec, events in store.waiting_forms():
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


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a directory that others may not look into
        return False
