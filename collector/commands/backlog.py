"""What new settings mean for events that wait from before: sinks that are gone or changed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from collector.settings.problems import Problem
from collector.sinks.encoders import posted_codec
from collector.sinks.formats import format_of
from collector.spool import files
from collector.spool.store import DamagedError, NewerVersionError, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config


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
            with closing(Store(directory, worker=worker)) as store:
                for sink, form, codec, events in store.waiting_forms():
                    waiting[sink, form, codec] += events
    except (sqlite3.Error, OSError, DamagedError, NewerVersionError) as error:
        return [Problem("spool.path", f"what waits there cannot be looked at: {error}")]
    return list(_warnings(config, waiting))


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
