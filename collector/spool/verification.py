"""What can be read of a spool's file, whole or damaged.

SQLite says whether the file is sound; what the collector wrote into it is read besides, row by row,
also around damage. Nothing is changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from collector.sinks.encoders import documents_of
from collector.spool import Batch
from collector.spool.entries import unpack
from collector.spool.files import address_to_read
from collector.spool.store import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Problems of one file that are told; more say nothing new.
MAX_PROBLEMS: Final = 20

_BATCH: Final = "SELECT sink, form, codec, body, events, octets, received, entries FROM batch"
_LETTER: Final = "SELECT raw, event FROM letter"
_LAST: Final = 2**63 - 1

Table = Literal["batch", "letter"]
_Read = Callable[[sqlite3.Connection, "Findings", int | None], None]


@dataclass(slots=True)
class Findings:
    """What was found in a file.

    Attributes:
        path: the file.
        problems: what is wrong with it, for people; the first `MAX_PROBLEMS`.
        batches: how many batches can be read.
        events: how many events they hold.
        letters: how many dead letters can be read.
        unreadable: rows that are there and cannot be read, and stretches of rows that cannot be
            counted, each as one.
        is_newer: whether a newer version of the collector wrote it, so that nothing was judged.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    batches: int = 0
    events: int = 0
    letters: int = 0
    unreadable: int = 0
    is_newer: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether all of the file can be read."""
        return not self.problems and not self.unreadable

    def add_problem(self, problem: str) -> None:
        """Note what is wrong."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def verify(path: Path, read: Callable[[], None] = lambda: None) -> Findings:
    """Read a file through.

    Args:
        path: the file; a daemon may use it.
        read: called after each row.

    Raises:
        sqlite3.OperationalError: the file cannot be opened, as for a lack of permissions.
    """
    findings = Findings(path)
    address = address_to_read(path)
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                findings.is_newer = True
                findings.add_problem(f"version {version}, this collector knows {VERSION}")
                return findings
            for (text,) in connection.execute(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
                if text != "ok":
                    findings.add_problem(text)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
                raise
            findings.add_problem(str(error))
        _read_rows(connection, findings, read)
    return findings


def _read_rows(
    connection: sqlite3.Connection, findings: Findings, read: Callable[[], None]
) -> None:
    """Read every batch and dead letter that can be found."""
    kinds: list[tuple[Table, str, _Read]] = [
        ("batch", "batch", _read_batch),
        ("letter", "dead letter", _read_letter),
    ]
    for table, name, read_one in kinds:
        for number in _numbers(connection, table):
            problem = _problem(partial(read_one, connection, findings, number))
            if problem is not None:
                findings.unreadable += 1
                findings.add_problem(f"{name} {number or '(unknown)'}: {problem}")
            read()


def _problem(read: Callable[[], None]) -> str | None:
    """Return why something cannot be read; None if it can."""
    try:
        read()
    except Exception as error:  # noqa: BLE001 - octets that are anything can fail in any way
        return f"{type(error).__name__}: {error}"
    return None


def _read_batch(connection: sqlite3.Connection, findings: Findings, number: int | None) -> None:
    row = _row(connection, _BATCH, number)
    batch = Batch(*row)
    documents, entries = len(documents_of(batch)), len(unpack(batch.entries))
    if not documents == entries == batch.events:
        raise ValueError(f"{documents} documents and {entries} entries of {batch.events} events")
    findings.batches += 1
    findings.events += batch.events


def _read_letter(connection: sqlite3.Connection, findings: Findings, number: int | None) -> None:
    _, event = _row(connection, _LETTER, number)
    if event is not None:
        orjson.loads(event)
    findings.letters += 1


def _row(connection: sqlite3.Connection, query: str, number: int | None) -> tuple[Any, ...]:
    if number is None:
        raise ValueError("cannot be found, nor can those beside it be counted")
    row: tuple[Any, ...] = connection.execute(f"{query} WHERE number = ?", (number,)).fetchone()
    return row


def _numbers(connection: sqlite3.Connection, table: Table) -> Iterator[int | None]:
    """Yield the number of each row that can be found, and None where some cannot."""
    found = 0
    while True:
        try:
            number = _beside(connection, table, found)
        except sqlite3.DatabaseError:
            yield None
            beyond = _beyond(connection, table, found)
            if not beyond:
                return
            yield from beyond
            found = beyond[-1]
            continue
        if number is None:
            return
        yield number
        found = number


def _beyond(connection: sqlite3.Connection, table: Table, found: int) -> list[int]:
    """Return the numbers of rows behind damage that begins after the row `found`, in order.

    Steps of growing width look for a row on the other side; from there it goes back as far as the
    damage lets it.
    """
    step, top = 1, _LAST
    while found + step < _LAST:
        try:
            top = _beside(connection, table, found + step) or _LAST
            break
        except sqlite3.DatabaseError:
            step *= 2
    numbers = [] if top == _LAST else [top]
    try:
        while (number := _beside(connection, table, top, forward=False) or 0) > found:
            numbers.append(number)
            top = number
    except sqlite3.DatabaseError:
        pass  # the other side of the damage
    return numbers[::-1]


def _beside(
    connection: sqlite3.Connection, table: Table, number: int, *, forward: bool = True
) -> int | None:
    """Return the number of the next row, or of the one before; None at the end.

    Raises:
        sqlite3.DatabaseError: damage is in the way.
    """
    # Without an index, which may be whole where the rows are not.
    direction = "> ? ORDER BY number" if forward else "< ? ORDER BY number DESC"
    query = f"SELECT number FROM {table} NOT INDEXED WHERE number {direction} LIMIT 1"  # noqa: S608
    row = connection.execute(query, (number,)).fetchone()
    if row is None:
        return None
    beside: int = row[0]
    again = f"SELECT 1 FROM {table} NOT INDEXED WHERE number = ?"  # noqa: S608
    is_found = connection.execute(again, (beside,)).fetchone() is not None
    if not is_found or (beside > number) is not forward:
        raise sqlite3.DatabaseError("a number is not where it should be")
    return beside
