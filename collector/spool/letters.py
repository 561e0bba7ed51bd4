"""Dead letters in the spool's file: what is kept of each, how they are chosen, and how they go.

Every function works on a connection and leaves the transaction to its caller. `insert` and what
deletes keep the totals of `letter_octets`, so that `evict` need not add anything up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import orjson

from collector.spool import Letter, pool_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

# Numbers are never given twice: what an operator has seen by its number cannot become another
# letter before it is purged. The first index is read in place of the table, whose rows are long.
SCHEMA: Final = """
CREATE TABLE letter (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    reason TEXT NOT NULL,
    intake TEXT NOT NULL,
    sink TEXT NOT NULL,
    listener TEXT NOT NULL,
    peer TEXT NOT NULL,
    identifier TEXT NOT NULL,
    problem TEXT NOT NULL,
    received REAL NOT NULL,
    kept REAL NOT NULL,
    is_frame INTEGER NOT NULL,
    is_cut INTEGER NOT NULL,
    pool TEXT NOT NULL,
    size INTEGER NOT NULL,
    raw BLOB NOT NULL,
    event BLOB
);
CREATE INDEX letter_kind ON letter (number, reason, intake, sink, kept, pool, size);
CREATE INDEX letter_pool ON letter (pool, number, reason, size);
CREATE INDEX letter_age ON letter (kept);
CREATE TABLE letter_octets (pool TEXT PRIMARY KEY, octets INTEGER NOT NULL) WITHOUT ROWID
"""

# What `choose` returns at once, so that few large letters take no more memory than many small ones.
MAX_OCTETS: Final = 4 * 1024 * 1024

# What `delete` deletes at once: a tenth of a second's work, during which nothing else is written,
# and a few MiB of the write-ahead log.
MAX_DELETED: Final = 2500

_COLUMNS: Final = (
    "reason, problem, identifier, intake, sink, listener, peer, received, raw, is_frame, event, "
    "is_cut, number, kept"
)
_INSERT: Final = (
    "INSERT INTO letter (reason, problem, identifier, intake, sink, listener, peer, received, raw, "
    "is_frame, event, is_cut, pool, size, kept, number) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CHOSEN: Final = """
    (:reason IS NULL OR reason = :reason)
    AND (:intake IS NULL OR intake = :intake)
    AND (:sink IS NULL OR sink = :sink)
    AND (:since IS NULL OR kept >= :since)
    AND (:numbers IS NULL OR number IN (SELECT value FROM json_each(:numbers)))
    AND (:last IS NULL OR number <= :last)
    AND (:first IS NULL OR number >= :first)
    AND (:until IS NULL OR kept <= :until)
    AND (:pool IS NULL OR pool = :pool)
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters are meant; None stands for any.

    Attributes:
        reason: why they were set aside.
        intake: name of their intake; empty for those of none.
        sink: name of the sink that did not get them; empty for those that were for all.
        since: when they were set aside at the earliest, in seconds since 1970.
        numbers: by which the spool knows them.
        last: the highest number; what comes later is not meant.
        first: the lowest number.
        until: when they were set aside at the latest; what comes later is not meant.
        pool: of which pool they are (`pool_of`).
        standing: the highest number that a letter of the stream had when it was asked for: these
            are meant whatever `until` is, as those who set them aside have clocks of their own.
    """

    reason: str | None = None
    intake: str | None = None
    sink: str | None = None
    since: float | None = None
    numbers: tuple[int, ...] | None = None
    last: int | None = None
    first: int | None = None
    until: float | None = None
    pool: str | None = None
    standing: int | None = None

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Self:
        """Return the choice that `as_dict` wrote.

        Raises:
            TypeError: it is none, or one of a later version.
        """
        numbers = written.get("numbers")
        return cls(**{**written, "numbers": None if numbers is None else tuple(numbers)})

    def as_dict(self) -> dict[str, Any]:
        """Return what is given of it, as JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out but what comes later."""
        return not self.as_dict().keys() - {"last", "until", "standing"}

    def admits(self, letter: Letter) -> bool:
        """Say whether a letter that a spool has kept is among those that are meant."""
        return (
            self.reason in {None, letter.reason}
            and self.intake in {None, letter.intake}
            and self.sink in {None, letter.sink}
            and (self.since is None or letter.kept >= self.since)
            and (self.until is None or letter.kept <= self.until)
            and (self.numbers is None or letter.number in self.numbers)
            and (self.last is None or letter.number <= self.last)
            and (self.first is None or letter.number >= self.first)
            and self.pool in {None, pool_of(letter.reason)}
        )


ALL: Final = Choice()
"""Every dead letter."""


class Kind(NamedTuple):
    """Dead letters of one kind.

    Attributes:
        reason: why they were set aside.
        intake: name of their intake; empty if they belong to none.
        sink: name of the sink that did not get them; empty if they were for all of the intake's.
        letters: how many they are.
        octets: what they take in the spool, roughly.
        oldest: when the first of them was set aside, in seconds since 1970.
        newest: when the last of them was.
    """

    reason: str
    intake: str
    sink: str
    letters: int
    octets: int
    oldest: float
    newest: float


def insert(connection: sqlite3.Connection, letters: Sequence[Letter], now: float) -> None:
    """Keep dead letters, in their order.

    Args:
        connection: to the spool's file.
        letters: the dead letters; their numbers are of no account.
        now: when they are set aside, in seconds since 1970.
    """
    _insert(connection, letters, ((*_row(letter), now, None) for letter in letters))


def move_in(connection: sqlite3.Connection, letters: Sequence[Letter]) -> None:
    """Keep dead letters of another file, under the numbers that they have now (`reserve`)."""
    rows = ((*_row(letter), letter.kept, letter.number) for letter in letters)
    _insert(connection, letters, rows)


def reserve(connection: sqlite3.Connection, count: int) -> int:
    """Give numbers to dead letters that will be moved in; return the one before the first.

    Args:
        connection: to the spool's file.
        count: how many numbers.
    """
    query = "SELECT seq FROM sqlite_sequence WHERE name = 'letter'"
    row = connection.execute(query).fetchone()
    if row is None:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('letter', ?)", (count,))
        return 0
    connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'letter'", (count,))
    last: int = row[0]
    return last


def _insert(
    connection: sqlite3.Connection, letters: Sequence[Letter], rows: Iterable[tuple[Any, ...]]
) -> None:
    connection.executemany(_INSERT, rows)
    octets: Counter[str] = Counter()
    for letter in letters:
        octets[pool_of(letter.reason)] += letter.size
    for pool, added in octets.items():
        _add_octets(connection, pool, added)


def choose(
    connection: sqlite3.Connection, choice: Choice, after: int = 0, limit: int = 100
) -> list[Letter]:
    """Return dead letters in order of their numbers, about `MAX_OCTETS` of them at most.

    Args:
        connection: to the spool's file.
        choice: which.
        after: the number behind which they stand.
        limit: how many at most.

    Returns:
        The letters; none if there is none behind `after`.
    """
    query = f"""
        SELECT {_COLUMNS} FROM letter WHERE number IN (
            SELECT number FROM letter INDEXED BY letter_kind
            WHERE number > :after AND {_CHOSEN} ORDER BY number LIMIT :limit
        ) ORDER BY number
    """  # noqa: S608 - made of constants
    parameters = {**_parameters(choice), "after": after, "limit": limit}
    found: list[Letter] = []
    octets = 0
    for row in connection.execute(query, parameters):
        letter = _letter(row)
        found.append(letter)
        octets += letter.size
        if octets >= MAX_OCTETS:
            break
    return found


def count(connection: sqlite3.Connection, choice: Choice = ALL) -> Counter[str]:
    """Return how many dead letters there are, by reason."""
    query = f"SELECT reason, count(*) FROM letter INDEXED BY letter_kind WHERE {_CHOSEN} GROUP BY 1"  # noqa: S608 - made of constants
    return Counter(dict(connection.execute(query, _parameters(choice)).fetchall()))


def summary(connection: sqlite3.Connection, choice: Choice = ALL) -> list[Kind]:
    """Return the kinds of dead letters there are, by reason, intake and sink."""
    query = f"""
        SELECT reason, intake, sink, count(*), sum(size), min(kept), max(kept)
        FROM letter INDEXED BY letter_kind WHERE {_CHOSEN} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """  # noqa: S608 - made of constants
    return [Kind(*row) for row in connection.execute(query, _parameters(choice))]


def kind_of(letter: Letter) -> Kind:
    """Return the kind of dead letters that a single one makes."""
    return Kind(letter.reason, letter.intake, letter.sink, 1, letter.size, letter.kept, letter.kept)


def together(summaries: Iterable[Sequence[Kind]]) -> list[Kind]:
    """Return the kinds of dead letters there are in several files, in the order of `summary`."""
    found: dict[tuple[str, str, str], Kind] = {}
    for kind in (kind for summary in summaries for kind in summary):
        known = found.get(kind[:3], kind._replace(letters=0, octets=0))
        found[kind[:3]] = kind._replace(
            letters=known.letters + kind.letters,
            octets=known.octets + kind.octets,
            oldest=min(known.oldest, kind.oldest),
            newest=max(known.newest, kind.newest),
        )
    return sorted(found.values())


def last_number(connection: sqlite3.Connection) -> int:
    """Return the highest number that a dead letter has; 0 if there is none."""
    row = connection.execute("SELECT max(number) FROM letter").fetchone()
    return row[0] or 0


def sizes(connection: sqlite3.Connection) -> Counter[str]:
    """Return how many octets there are of the dead letters of each pool, roughly."""
    return Counter(dict(connection.execute("SELECT pool, octets FROM letter_octets").fetchall()))


def delete(connection: sqlite3.Connection, choice: Choice) -> Counter[str]:
    """Delete dead letters, `MAX_DELETED` at most; return how many, by reason.

    Whoever wants all of them gone calls it, in a new transaction each time, until it returns none.
    """
    condition = f"""number IN (
        SELECT number FROM letter INDEXED BY letter_kind WHERE {_CHOSEN} ORDER BY number LIMIT :most
    )"""  # noqa: S608 - made of constants
    return _delete(connection, condition, {**_parameters(choice), "most": MAX_DELETED})


def delete_numbers(connection: sqlite3.Connection, numbers: Sequence[int]) -> Counter[str]:
    """Delete the dead letters of these numbers; return how many of them there were, by reason."""
    listed = {"numbers": orjson.dumps(list(numbers)).decode()}
    return _delete(connection, "number IN (SELECT value FROM json_each(:numbers))", listed)


def evict(connection: sqlite3.Connection, pool: str, max_bytes: int) -> Counter[str]:
    """Delete the oldest dead letters until those that are left fit; return how many, by reason.

    Args:
        connection: to the spool's file.
        pool: those of which pool.
        max_bytes: octets that may be kept of them.
    """
    excess = sizes(connection)[pool] - max_bytes
    if excess <= 0:
        return Counter()
    query = "SELECT number, size FROM letter WHERE pool = ? ORDER BY number"
    last = 0
    for number, size in connection.execute(query, (pool,)):
        last = number
        excess -= size
        if excess <= 0:
            break
    return _delete(connection, "pool = :pool AND number <= :last", {"pool": pool, "last": last})


def expire(connection: sqlite3.Connection, before: float) -> Counter[str]:
    """Delete the dead letters that were set aside before a time; return how many, by reason.

    Args:
        connection: to the spool's file.
        before: the time, in seconds since 1970.
    """
    return _delete(connection, "kept < :before", {"before": before})


def _delete(
    connection: sqlite3.Connection, condition: str, parameters: Mapping[str, Any]
) -> Counter[str]:
    """Delete the letters of a condition, which is a constant of this module."""
    deleted: Counter[str] = Counter()
    tally = f"""
        SELECT reason, count(*), sum(size) FROM letter WHERE {condition} GROUP BY reason
    """  # noqa: S608 - made of constants
    for reason, number, octets in connection.execute(tally, parameters).fetchall():
        deleted[reason] += number
        _add_octets(connection, pool_of(reason), -octets)
    if deleted:
        connection.execute(f"DELETE FROM letter WHERE {condition}", parameters)  # noqa: S608
    return deleted


def _add_octets(connection: sqlite3.Connection, pool: str, octets: int) -> None:
    connection.execute(
        "INSERT INTO letter_octets VALUES (?, ?) "
        "ON CONFLICT (pool) DO UPDATE SET octets = octets + excluded.octets",
        (pool, octets),
    )


def _parameters(choice: Choice) -> dict[str, Any]:
    numbers = None if choice.numbers is None else orjson.dumps(choice.numbers).decode()
    return {**asdict(choice), "numbers": numbers}


def _letter(row: tuple[Any, ...]) -> Letter:
    letter = Letter(*row)  # the columns stand in the order of its fields
    letter.is_frame, letter.is_cut = bool(letter.is_frame), bool(letter.is_cut)
    return letter


def _row(letter: Letter) -> tuple[Any, ...]:
    return (
        letter.reason,
        letter.problem,
        letter.identifier,
        letter.intake,
        letter.sink,
        letter.listener,
        letter.peer,
        letter.received,
        letter.raw,
        letter.is_frame,
        letter.event,
        letter.is_cut,
        pool_of(letter.reason),
        letter.size,
    )
