"""What the command line asks of the daemon: requests, kept in the spool's file with their answers.

A request outlives both sides: where no daemon runs, its next start carries it out. Every function
works on a connection and leaves the transaction to its caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

Command = Literal["replay", "purge", "bury"]
"""What is asked for: that dead letters are sent again, that they are deleted, or that what waits
for a sink that is gone becomes dead letters."""

State = Literal["waiting", "running", "done", "failed"]
"""How far a request has come: a running one has been begun, the last two are answered."""

SCHEMA: Final = """
CREATE TABLE request (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    asked REAL NOT NULL,
    actor TEXT NOT NULL,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,
    state TEXT NOT NULL,
    answer TEXT NOT NULL
)
"""

# Who asked may look at the answer for so long; it goes with a later request.
KEPT_SECONDS: Final = 7 * 86400.0

_COLUMNS: Final = "number, asked, actor, command, arguments, state, answer"


@dataclass(frozen=True, slots=True)
class Request:
    """Something the daemon is asked to do.

    Attributes:
        number: by which it is known.
        asked: when, in seconds since 1970.
        actor: who asked, as `uid 0`.
        command: what for; one of `Command`, or one of a later version.
        arguments: of the command, as JSON has them.
        state: how far it has come.
        answer: what came of it so far, as JSON has it; `problem` says why it failed.
    """

    number: int
    asked: float
    actor: str
    command: str
    arguments: dict[str, Any]
    state: State = "waiting"
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in {"done", "failed"}


def ask(
    connection: sqlite3.Connection,
    command: Command,
    arguments: Mapping[str, Any],
    *,
    actor: str,
    now: float,
) -> int:
    """Leave a request, and return its number; requests answered long ago are deleted.

    Args:
        connection: to the spool's file.
        command: what for.
        arguments: of the command, as JSON can hold them.
        actor: who asks.
        now: seconds since 1970.
    """
    forget = "DELETE FROM request WHERE state IN ('done', 'failed') AND asked < ?"
    connection.execute(forget, (now - KEPT_SECONDS,))
    cursor = connection.execute(
        "INSERT INTO request (asked, actor, command, arguments, state, answer) "
        "VALUES (?, ?, ?, ?, 'waiting', '{}')",
        (now, actor, command, _text(arguments)),
    )
    return cursor.lastrowid or 0  # there is one after an INSERT


def move_in(connection: sqlite3.Connection, request: Request) -> None:
    """Keep a request of another file, under a number of its own here."""
    connection.execute(
        "INSERT INTO request (asked, actor, command, arguments, state, answer) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            request.asked,
            request.actor,
            request.command,
            _text(request.arguments),
            request.state,
            _text(request.answer),
        ),
    )


def waiting(connection: sqlite3.Connection) -> list[Request]:
    """Return the requests that are not answered, in the order in which they were asked."""
    query = f"SELECT {_COLUMNS} FROM request WHERE state IN ('waiting', 'running') ORDER BY number"  # noqa: S608 - made of constants
    return [_request(row) for row in connection.execute(query)]


def read(connection: sqlite3.Connection, number: int) -> Request | None:
    """Return a request; None if it has been deleted."""
    query = f"SELECT {_COLUMNS} FROM request WHERE number = ?"  # noqa: S608 - made of constants
    row = connection.execute(query, (number,)).fetchone()
    return None if row is None else _request(row)


def answer(
    connection: sqlite3.Connection, number: int, state: str, answer: Mapping[str, Any]
) -> None:
    """Note how far a request has come.

    Args:
        connection: to the spool's file.
        number: of the request.
        state: one of `State`.
        answer: what came of it so far, as JSON can hold it.
    """
    connection.execute(
        "UPDATE request SET state = ?, answer = ? WHERE number = ?", (state, _text(answer), number)
    )


def _request(row: tuple[Any, ...]) -> Request:
    number, asked, actor, command, arguments, state, found = row
    return Request(
        number, asked, actor, command, orjson.loads(arguments), state, orjson.loads(found)
    )


def _text(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
