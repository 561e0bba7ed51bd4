"""The spool's file: what one transaction does, and what can be asked. Used by one thread at a time.

A row of `batch` is a batch that waits, one of `letter` a dead letter; the accounts of the ledger
that cannot be counted from these rows stand in `meta` and change in the same transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from collector.spool import (
    EVICTED,
    EXPIRED,
    PURGED,
    Batch,
    Letter,
    files,
    letters,
    pool_of,
    requests,
)
from collector.spool.bounds import UNBOUNDED, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from collector.spool.letters import Choice
    from collector.spool.requests import Request

VERSION: Final = 1
"""Of the tables; a file of a later version is left alone."""

APPLICATION_ID: Final = 0x45445253

PAGE_OCTETS: Final = 8192

NUMBERS_PER_WORKER: Final = 10**12
"""Dead letters and requests of worker k have numbers above k times as many: each has its own."""

# Notes stand in `meta`, each under its name behind this: no other name there begins so.
_NOTE: Final = "note "

# A row takes about so much besides its body and entries.
ROW_OCTETS: Final = 160

# Other processes write for a moment only: a request, or its answer.
BUSY_SECONDS: Final = 10.0

# Free pages are given back to the file system when they are many, some at a time: a page that is
# moved takes about two of the write-ahead log.
VACUUM_MIN_PAGES: Final = 1024
VACUUM_STEPS: Final = 4

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    sink TEXT NOT NULL,
    form TEXT NOT NULL,
    codec TEXT NOT NULL,
    events INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    size INTEGER NOT NULL,
    received REAL NOT NULL,
    entries BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX batch_order ON batch (sink, place, offset, events, size);
"""

_INSERT: Final = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS: Final = (
    "sink, form, codec, body, events, octets, received, entries, number, place, offset"
)


class NewerVersionError(Exception):
    """The file was written by a newer version of the collector; the text names it."""


class DamagedError(Exception):
    """The file is not what it should be; the text says how that was found."""


class Waiting(NamedTuple):
    """What a file holds for one sink.

    Attributes:
        sink: its name.
        batches: how many batches.
        events: how many copies.
        octets: what they take.
        oldest: when the first was received, in seconds since 1970.
    """

    sink: str
    batches: int
    events: int
    octets: int
    oldest: float


class Summary(NamedTuple):
    """What a file holds.

    Attributes:
        accounts: the stored part of the ledger; empty in a new file.
        waiting: what waits, by sink.
        letters: how many dead letters, by reason.
        last_number: the highest number of a batch; 0 if there is none.
        is_clean: whether the last process that used it ended as it should.
        notes: what was noted, by name.
    """

    accounts: dict[str, Any]
    waiting: list[Waiting]
    letters: Counter[str]
    last_number: int
    is_clean: bool
    notes: dict[str, bytes]


@dataclass(slots=True)
class Group:
    """What one transaction does.

    Attributes:
        batches: rows to be added.
        removed: numbers of the batches to be deleted.
        letters: dead letters to be added.
        released: reasons of the dead letters to be deleted, by number.
        accounts: the ledger after it, without what is counted from rows.
        notes: what is to be kept under each name.
    """

    batches: Sequence[Batch] = ()
    removed: Sequence[int] = ()
    letters: Sequence[Letter] = ()
    released: Mapping[int, str] = field(default_factory=dict)
    accounts: dict[str, Any] = field(default_factory=dict)
    notes: Mapping[str, bytes] = field(default_factory=dict)


class Outcome(NamedTuple):
    """What became of dead letters in a transaction, by reason.

    Attributes:
        evicted: those that made room for others.
        missed: those that were to be deleted, but had been given up since they were read.
    """

    evicted: Counter[str]
    missed: Counter[str]


def stored_size(batch: Batch) -> int:
    """Return about how many octets of the file a batch takes."""
    octets = len(batch.body) + len(batch.entries) + ROW_OCTETS
    if octets < PAGE_OCTETS:
        return PAGE_OCTETS // (PAGE_OCTETS // octets)  # a page holds so many of them, and no part
    return -(-octets // PAGE_OCTETS) * PAGE_OCTETS


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is not what it should be."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Have everything that is done meanwhile done, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
            connection.execute("ROLLBACK")
        raise


def insert(connection: sqlite3.Connection, batches: Iterable[Batch]) -> None:
    """Add batches under the numbers that they have."""
    connection.executemany(_INSERT, map(_row, batches))


class Store:
    """An open spool file.

    Args:
        directory: where it is; the caller holds its lock, or only reads.
        synchronous: `full` or `normal`.
        log_octets: about how large the write-ahead log becomes.
        bounds: how many dead letters are kept.
        clock: seconds since 1970.
        worker: whose file it is.

    Attributes:
        path: the file.
        is_closed: whether it has been closed.

    Raises:
        NewerVersionError: a newer version wrote it.
        DamagedError: it cannot be read.
        sqlite3.OperationalError: it cannot be opened.
    """

    def __init__(
        self,
        directory: Path,
        *,
        synchronous: str = "full",
        log_octets: int = 4 * 1024 * 1024,
        bounds: Bounds = UNBOUNDED,
        clock: Callable[[], float] = time.time,
        worker: int = 0,
    ) -> None:
        self.path = files.place(directory, files.DATABASE, worker)
        self.is_closed = False
        self._bounds = bounds
        self._clock = clock
        self._worker = worker
        self._vacuum_pages = max(1, log_octets // PAGE_OCTETS // 2)
        self._connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        try:
            self._prepare(synchronous, log_octets)
            file = self.path.stat()
            self._identity = file.st_dev, file.st_ino
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if is_damage(error):
                raise DamagedError(str(error)) from error
            raise
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, synchronous: str, log_octets: int) -> None:
        run = self._connection.execute
        version = run("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NewerVersionError(
                f"{self.path} has version {version}, this collector knows {VERSION}: "
                "use the newer one, or another spool.path"
            )
        if version == 0:
            run(f"PRAGMA page_size = {PAGE_OCTETS}")
            run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {synchronous.upper()}")
        run(f"PRAGMA wal_autocheckpoint = {max(1, log_octets // PAGE_OCTETS)}")
        run(f"PRAGMA journal_size_limit = {log_octets}")
        # In KiB. What is read back comes from the system's cache, and once; what a transaction
        # changes is written to the log before its end if there is no room for it.
        run("PRAGMA cache_size = -2048")
        # Some builds overwrite what is deleted: as much to write again as was written first.
        run("PRAGMA secure_delete = OFF")
        if version == 0:
            self._create()

    def _create(self) -> None:
        with self._transaction():
            if self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise DamagedError("it holds tables of something else")
            for statements in (_TABLES, letters.SCHEMA, requests.SCHEMA):
                for statement in statements.split(";"):
                    self._connection.execute(statement)
            if self._worker:
                self._connection.executemany(
                    "INSERT INTO sqlite_sequence VALUES (?, ?)",
                    ((table, self._worker * NUMBERS_PER_WORKER) for table in ("letter", "request")),
                )
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def is_missing(self) -> bool:
        """Say whether the file is not where it was opened: what is in it ends with the process."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return (found.st_dev, found.st_ino) != self._identity

    @property
    def connection(self) -> sqlite3.Connection:
        """For reading, and for what stands in a transaction of its own."""
        return self._connection

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._connection)

    # Writing.

    def commit(self, group: Group) -> Outcome:
        """Do what a group asks for, all or nothing.

        A dead letter that is to be deleted and was given up before is counted as dropped already,
        though its copy is on its way again: so it is received once more.
        """
        run = self._connection.executemany
        evicted: Counter[str] = Counter()
        missed = Counter(group.released.values())
        with self._transaction():
            run("DELETE FROM batch WHERE number = ?", ((number,) for number in group.removed))
            insert(self._connection, group.batches)
            if group.released:
                missed -= letters.delete_numbers(self._connection, list(group.released))
            if group.letters:
                letters.insert(self._connection, group.letters, self._clock())
                for pool in {pool_of(letter.reason) for letter in group.letters}:
                    evicted += letters.evict(self._connection, pool, self._bounds.of(pool))
            accounts = _with_dropped(group.accounts, EVICTED, evicted)
            if missed:
                accounts = {**accounts, "received": accounts["received"] + missed.total()}
            self.write_accounts(accounts)
            self.write_notes(group.notes)
            sizes = self._sizes() if group.letters or group.released else None
        if sizes is not None:
            self._bounds.tell(sizes)
        return Outcome(evicted, missed)

    def purge(self, choice: Choice, account: str = PURGED) -> Counter[str]:
        """Delete dead letters; return how many, by reason."""
        with self._transaction():
            deleted = letters.delete(self._connection, choice)
            self.write_accounts(_with_dropped(self.accounts(), account, deleted))
            sizes = self._sizes()
        self._bounds.tell(sizes)
        return deleted

    def hand_over_letters(self, numbers: Sequence[int]) -> Counter[str]:
        """Delete dead letters that are durable in a stream; return how many, by reason.

        One that was given up meanwhile is counted as dropped already, though it is in the stream:
        so it is received once more.
        """
        with self._transaction():
            deleted = letters.delete_numbers(self._connection, numbers)
            accounts = self.accounts()
            missed = len(numbers) - deleted.total()
            for account, more in (("handed_over", len(numbers)), ("received", missed)):
                accounts[account] = accounts.get(account, 0) + more
            self.write_accounts(accounts)
            sizes = self._sizes()
        self._bounds.tell(sizes)
        return deleted

    def expire(self, max_age: float) -> Counter[str]:
        """Delete the dead letters that were kept for longer than `max_age` seconds."""
        with self._transaction():
            expired = letters.expire(self._connection, self._clock() - max_age)
            self.write_accounts(_with_dropped(self.accounts(), EXPIRED, expired))
            sizes = self._sizes()
        self._bounds.tell(sizes)
        return expired

    def evict(self) -> Counter[str]:
        """Delete the oldest dead letters of pools that others have let become too large."""
        with self._transaction():
            evicted: Counter[str] = Counter()
            for pool in self._bounds.exceeded():
                evicted += letters.evict(self._connection, pool, self._bounds.of(pool))
            self.write_accounts(_with_dropped(self.accounts(), EVICTED, evicted))
            sizes = self._sizes()
        self._bounds.tell(sizes)
        return evicted

    def _sizes(self) -> Counter[str]:
        """Return how large the pools of dead letters are, to be told to the other workers.

        It is read within a transaction: what fails after one would seem not to have been done.
        """
        return letters.sizes(self._connection)

    def write_accounts(self, accounts: Mapping[str, Any]) -> None:
        """Put accounts in the place of those that are stored; within a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO meta VALUES ('accounts', ?)", (orjson.dumps(accounts),)
        )

    def write_notes(self, notes: Mapping[str, bytes]) -> None:
        """Keep something under each name; within a transaction."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            ((_NOTE + name, value) for name, value in notes.items()),
        )

    def answer(self, number: int, state: str, answer: Mapping[str, Any]) -> None:
        """Note how far a request has come."""
        with self._transaction():
            requests.answer(self._connection, number, state, answer)

    def mark_in_use(self) -> None:
        """Note that a process uses the file and has not ended as it should yet."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 0)")
            sizes = self._sizes()
        self._bounds.tell(sizes)

    def vacuum(self, *, however_few: bool = False) -> None:
        """Give some pages back to the file system if many are free, or however few there are."""
        run = self._connection.execute
        free = run("PRAGMA freelist_count").fetchone()[0]
        pages = run("PRAGMA page_count").fetchone()[0]
        if however_few or (free > VACUUM_MIN_PAGES and free > pages // 4):
            for _ in range(VACUUM_STEPS):
                # A row of its result, which has no columns, stands for a page: `execute` ends with
                # the first.
                self._connection.executescript(f"PRAGMA incremental_vacuum({self._vacuum_pages})")

    def free_octets(self) -> int:
        """Return how much of the file can be written without making it longer."""
        pages: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        return pages * PAGE_OCTETS

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, and give its room back."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def end(self, accounts: Mapping[str, Any]) -> None:
        """Note the accounts with which the process ends as it should, and close the file."""
        try:
            with self._transaction():
                self.write_accounts(accounts)
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 1)")
            self.checkpoint()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self.is_closed = True
        self._connection.close()

    # Reading.

    def accounts(self) -> dict[str, Any]:
        """Return the stored part of the ledger; empty in a new file."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'accounts'").fetchone()
        return {} if row is None else dict(orjson.loads(row[0]))

    def is_clean(self) -> bool:
        """Say whether the last process that used the file ended as it should."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'clean'").fetchone()
        return row is None or bool(row[0])

    def notes(self) -> dict[str, bytes]:
        """Return what was noted, by name; what are no octets was not noted by us."""
        rows = self._connection.execute("SELECT name, value FROM meta WHERE typeof(value) = 'blob'")
        return {name.removeprefix(_NOTE): value for name, value in rows if name.startswith(_NOTE)}

    def summary(self) -> Summary:
        """Return what the file holds, for a process that takes it over."""
        return Summary(
            self.accounts(),
            self.waiting(),
            letters.count(self._connection, letters.Choice()),
            self.last_number(),
            self.is_clean(),
            self.notes(),
        )

    def waiting(self) -> list[Waiting]:
        """Return what waits, by sink."""
        query = "SELECT sink, count(*), sum(events), sum(size) FROM batch GROUP BY sink"
        rows = self._connection.execute(query).fetchall()
        return [
            Waiting(sink, batches, events, octets, self._oldest(sink))
            for sink, batches, events, octets in rows
        ]

    def last_number(self) -> int:
        """Return the highest number of a batch; 0 if there is none."""
        row = self._connection.execute("SELECT max(number) FROM batch").fetchone()
        return row[0] or 0

    def _oldest(self, sink: str) -> float:
        query = "SELECT received FROM batch WHERE sink = ? ORDER BY place, offset LIMIT 1"
        oldest: float = self._connection.execute(query, (sink,)).fetchone()[0]
        return oldest

    def fetch(self, sink: str, after: int, max_octets: int) -> list[Batch]:
        """Return the next batches of a sink in order, all of a place together.

        Args:
            sink: its name.
            after: the place behind which they stand.
            max_octets: once there is so much, no further place is begun.
        """
        query = f"SELECT {_COLUMNS} FROM batch WHERE sink = ? AND place > ? ORDER BY place, offset"  # noqa: S608
        found: list[Batch] = []
        octets = 0
        for (
            sink_,
            form,
            codec,
            body,
            events,
            plain,
            received,
            entries,
            number,
            place,
            offset,
        ) in self._connection.execute(query, (sink, after)):
            if octets >= max_octets and place != found[-1].place:
                break
            batch = Batch(sink_, form, codec, body, events, plain, received, entries)
            batch.number, batch.place, batch.offset = number, place, offset
            found.append(batch)
            octets += batch.size
        return found

    def choose_letters(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return dead letters in order of their numbers, those behind `after`."""
        return letters.choose(self._connection, choice, after, limit)

    def waiting_requests(self) -> list[Request]:
        """Return the requests that nobody has answered."""
        return requests.waiting(self._connection)

    def problems(self) -> list[str]:
        """Return what is wrong with the file (`PRAGMA quick_check`); nothing if it is whole."""
        try:
            rows = self._connection.execute("PRAGMA quick_check(10)").fetchall()
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [text for (text,) in rows if text != "ok"]


def _row(batch: Batch) -> tuple[Any, ...]:
    return (
        batch.number,
        batch.place,
        batch.offset,
        batch.sink,
        batch.form,
        batch.codec,
        batch.events,
        batch.octets,
        stored_size(batch),
        batch.received,
        batch.entries,
        batch.body,
    )


def _with_dropped(
    accounts: Mapping[str, Any], account: str, counts: Counter[str]
) -> Mapping[str, Any]:
    """Return accounts with dead letters that are no more."""
    if not counts:
        return accounts
    dropped = dict(accounts.get("dropped", {}))
    dropped[account] = dropped.get(account, 0) + counts.total()
    return {**accounts, "dropped": dropped}
