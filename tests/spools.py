"""Spool files as a process that takes them over would find them, and batches to fill them with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson

from collector.ledger import Ledger
from collector.spool import Batch, Letter
from collector.spool.files import DATABASE

if TYPE_CHECKING:
    from pathlib import Path


def batch_of(*numbers: int, sink: str = "a", padding: int = 0) -> Batch:
    """Return a batch whose events are numbers."""
    body = b"\n".join(b"%d" % number for number in numbers) + b" " * padding
    return Batch(sink, "ndjson:event", "none", body, len(numbers), len(body), 0.0, b"[]\n")


def numbers_of(batch: Batch) -> list[int]:
    """Return the events of a batch."""
    return [int(line) for line in batch.body.split(b"\n")]


def letter_of(number: int = 1, reason: str = "refused", **changes: Any) -> Letter:
    """Return a dead letter whose message is a number."""
    attributes = {
        "reason": reason,
        "problem": "it is refused",
        "identifier": f"{number:032x}",
        "intake": "edr",
        "sink": "a",
        "listener": "l",
        "peer": "192.0.2.1",
        "received": 10.0,
        "raw": b"%d" % number,
        "is_frame": False,
    }
    return Letter(**{**attributes, **changes})


def stored_ledger(directory: Path) -> Ledger:
    """Return the ledger that the next process would begin with, if this one were killed now."""
    ledger = Ledger()
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        connection.execute("BEGIN")
        row = connection.execute("SELECT value FROM meta WHERE name = 'accounts'").fetchone()
        if row is not None:
            ledger.restore(orjson.loads(row[0]))
        ledger.spooled = connection.execute("SELECT sum(events) FROM batch").fetchone()[0] or 0
        letters = connection.execute("SELECT reason, count(*) FROM letter GROUP BY reason")
        ledger.dead_lettered.update(dict(letters.fetchall()))
    return ledger


def stored_numbers(directory: Path) -> list[int]:
    """Return the events that a spool file holds, in the order in which they would be delivered."""
    query = "SELECT body FROM batch ORDER BY sink, place, offset"
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        bodies = connection.execute(query).fetchall()
    return [int(line) for (body,) in bodies for line in body.split(b"\n")]
