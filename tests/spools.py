"""Spool files as a process that takes them over would find them, and batches to fill them with."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.ledger import Ledger
from collector.sinks.encoders import DECOMPRESS, documents_of
from collector.sinks.formats.ndjson import Ndjson
from collector.spool import Batch, Letter
from collector.spool.entries import Entry, pack_entries
from collector.spool.files import DATABASE
from collector.spool.memory import MemorySpool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


HELD: Final = {
    "connected": True,
    "octets": 300,
    "max_bytes": 4000,
    "oldest_seconds": 2.5,
    "max_age_seconds": 3600.0,
    "events": {"siem": 7},
    "redelivered": {"siem": 1},
    "dead_letters": {"events": {"refused": 3}},
}


class SharedSpool(MemorySpool):
    """Has a stream that others share, as far as it says."""

    stream: Mapping[str, Any] = HELD

    def status(self) -> dict[str, Any]:
        """Return what a spool with a stream tells of it."""
        return {**super().status(), "stream": self.stream}


def batch_of(*numbers: int, sink: str = "a", padding: int = 0) -> Batch:
    """Return a batch whose events are numbers."""
    body = b"\n".join(b"%d" % number for number in numbers) + b" " * padding
    return Batch(sink, "ndjson:event", "none", body, len(numbers), len(body), 0.0, b"[]\n")


def numbers_of(batch: Batch) -> list[int]:
    """Return the events of a batch."""
    return [int(line) for line in batch.body.split(b"\n")]


def whole_batch_of(
    *numbers: int, sink: str = "a", received: float = 0.0, padding: int = 0
) -> Batch:
    """Return a batch whose events are numbers, and with which everything can be done."""
    documents = [b'{"message":"%d"}' % number + b" " * padding for number in numbers]
    entries = [Entry(f"{number:032x}", "edr", "192.0.2.1", received) for number in numbers]
    body = Ndjson.join(documents)
    packed = pack_entries(entries)
    return Batch(sink, "ndjson:event", "none", body, len(numbers), len(body), received, packed)


def events_of(batch: Batch) -> list[int]:
    """Return the numbers that such a batch, or a part of it, holds."""
    return [int(orjson.loads(document)["message"]) for document in documents_of(batch)]


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
    with _reading(directory) as connection:
        ledger.restore(_accounts(connection))
        ledger.spooled = connection.execute("SELECT sum(events) FROM batch").fetchone()[0] or 0
        letters = connection.execute("SELECT reason, count(*) FROM letter GROUP BY reason")
        ledger.dead_lettered.update(dict(letters.fetchall()))
    return ledger


def stored_accounts(directory: Path) -> dict[str, Any]:
    """Return the accounts that a spool file holds; empty if it is new."""
    with _reading(directory) as connection:
        return _accounts(connection)


def stored_lines(directory: Path) -> list[bytes]:
    """Return the lines of all batches in a spool file, in the order of delivery to each sink."""
    query = "SELECT codec, body FROM batch ORDER BY sink, place, offset"
    with _reading(directory) as connection:
        found = connection.execute(query).fetchall()
    return [line for codec, body in found for line in DECOMPRESS[codec](body, 1 << 24).splitlines()]


def stored_numbers(directory: Path) -> list[int]:
    """Return the numbers of all batches in a spool file."""
    with _reading(directory) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM batch")]


def stored_notes(directory: Path) -> dict[str, bytes]:
    """Return what the next process would find noted in a spool file."""
    with _reading(directory) as connection:
        rows = connection.execute(
            "SELECT substr(name, 6), value FROM meta WHERE name LIKE 'note %'"
        )
        return dict(rows.fetchall())


@contextmanager
def _reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open a spool file so that nothing is changed, its write-ahead log included."""
    path = directory / DATABASE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        yield connection


def _accounts(connection: sqlite3.Connection) -> dict[str, Any]:
    row = connection.execute("SELECT value FROM meta WHERE name = 'accounts'").fetchone()
    return {} if row is None else orjson.loads(row[0])
