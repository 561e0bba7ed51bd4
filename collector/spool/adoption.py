"""Taking over the files of workers that are no more, at the start of a daemon with fewer of them.

What a file holds is moved into the first worker's, a portion at a time: a transaction adds it
there, together with a mark of what it was; another deletes it here. SQLite does not make one
transaction of both (a write-ahead log is each file's own), so whoever is killed between the two
leaves the portion in both files. The mark tells the next start, which first deletes what is marked.
So does a worker that comes back to its file before it is taken over whole.

A mark is of what a file holds, by an identity that is put into the file when taking it over begins,
and removed when its worker comes back: what that worker writes has numbers that were marked before.

Each transaction moves messages in the accounts as well: those of both files balance after each, and
what the accounts hold besides moves last, with requests and notes. Then the file is removed, and
its mark after it.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import structlog

from collector.spool import files, letters, requests
from collector.spool.files import COMPANIONS
from collector.spool.letters import Choice
from collector.spool.store import BUSY_SECONDS, insert, is_damage, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from collector.spool import Batch, Letter
    from collector.spool.opening import Opening
    from collector.spool.requests import Request
    from collector.spool.store import Store

    Merge = Callable[[bytes, bytes], bytes]

NO_NOTES: Final[Mapping[str, Merge]] = MappingProxyType({})
"""Of two notes of the same name the first worker's stays."""

# What one transaction moves; the write-ahead log of each file grows by as much.
PORTION_OCTETS: Final = 8 * 1024 * 1024
PORTION_LETTERS: Final = 1000

# What is left of the disk: write-ahead logs take some portions until they are moved into the files,
# and the spool has to start with what remains.
FREE_PORTIONS: Final = 5

# Marks stand in `meta`, each under the identity of its file behind this.
_MARK: Final = "adopting "

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file has been moved.

    Attributes:
        identity: of the file.
        first: the lowest number of a dead letter that it had; 1 if it had none.
        last: the highest; 0 if it had none.
        shift: what is added to these numbers.
        sink: whose batches were moved last.
        place: up to which place.
        letter: up to which number dead letters were moved.
        is_done: whether there is nothing left to be moved.
    """

    identity: str
    first: int
    last: int
    shift: int
    sink: str = ""
    place: int = 0
    letter: int = 0
    is_done: bool = False

    @classmethod
    def read(cls, connection: sqlite3.Connection, identity: str) -> Self | None:
        """Return the mark of the file with an identity; None if there is none."""
        value = _get(connection, _MARK + identity)
        return None if value is None else cls(**orjson.loads(value))

    def write(self, connection: sqlite3.Connection) -> None:
        """Put it into the file that everything is moved into, in the place of the one before."""
        _set(connection, _MARK + self.identity, orjson.dumps(asdict(self)))

    def remove(self, connection: sqlite3.Connection) -> None:
        """Delete it there; its file is gone."""
        with transaction(connection):
            _unset(connection, _MARK + self.identity)


class Adoption:
    """Moves what files hold into another.

    Args:
        opening: opens the file that everything is moved into.
        merge: what makes one note of two, by the name of the note.
    """

    def __init__(self, opening: Opening, merge: Mapping[str, Merge] = NO_NOTES) -> None:
        self._opening = opening
        self._merge = merge

    def adopt_all(self, store: Store, first: int) -> list[Path]:
        """Take over the files of all workers from a number on.

        A file that cannot be taken over, as for want of room on the disk, stays as it is for the
        next start, and the log says so.

        Args:
            store: the file that everything is moved into; no other process uses it.
            first: the number of the first worker that there is no longer.

        Returns:
            The files that stay.

        Raises:
            LockedError: a process uses one of them.
            NewerVersionError: a newer version wrote one of them.
        """
        directory = self._opening.directory
        abandoned = [worker for worker in files.workers(directory) if worker >= first]
        left: list[Path] = []
        with files.locked(directory, abandoned):
            for worker in abandoned:
                opening = replace(self._opening, worker=worker)
                try:
                    self._adopt(store, opening)
                except (sqlite3.Error, OSError) as error:
                    log.error(  # noqa: TRY400 - the text says it all
                        "spool file of a former worker is not taken over, its events wait",
                        path=str(opening.path),
                        problem=str(error),
                    )
                    left.append(opening.path)
        if files.workers(directory) == [0]:
            _forget_marks(store.connection)
        return left

    def _adopt(self, store: Store, opening: Opening) -> None:
        """Move what a file holds, and remove it; some 100 MB a second."""
        log.info("taking over the spool file of a former worker", path=str(opening.path))
        source = opening.open()
        try:
            move = _Move(store, source, self._merge)
            move.carry_out()
            source.checkpoint()
        finally:
            source.close()
        for path in (opening.path, *_beside(opening.path)):
            path.unlink(missing_ok=True)
        files.place(opening.directory, files.RESERVE, opening.worker).unlink(missing_ok=True)
        with suppress(sqlite3.Error):  # a mark without its file means nothing
            move.mark.remove(store.connection)
        log.info(
            "spool file of a former worker is taken over", path=str(opening.path), **move.moved
        )


def settle(target: Store, source: Store) -> None:
    """Finish what was cut off: nothing that has been moved into one file stays in the other.

    Before anything of the source is changed by others; what has not been moved stays where it is,
    and whoever takes it over begins anew.

    Args:
        target: the file that it was moved into.
        source: the file that it was moved from; no other process uses it.
    """
    identity = _identity(source.connection)
    if identity is not None:
        _give_back(source, Mark.read(target.connection, identity))


def settle_own(source: Store) -> None:
    """Finish, as `settle` does, what was cut off of a file whose worker has come back to it.

    The first worker may use its own file meanwhile. That one is only read here, and as long as this
    worker has its lock, nobody writes a mark of its file.

    Args:
        source: the worker's file, before anything of it is used.

    Raises:
        sqlite3.Error: one of the files cannot be used.
    """
    identity = _identity(source.connection)
    if identity is not None:
        target = files.place(source.path.parent, files.DATABASE, worker=0)
        _give_back(source, _mark_in(target, identity))


def _mark_in(path: Path, identity: str) -> Mark | None:
    """Return the mark of a file from another that may be in use, new, damaged or missing."""
    if not path.exists():
        return None
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
        try:
            tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'")
            return Mark.read(connection, identity) if tables.fetchone() else None
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # It is moved aside by its worker, and what was moved into it with it.
            return None


def _give_back(source: Store, mark: Mark | None) -> None:
    """Let a file be its worker's again, with what has not been moved; as a new one if all has been.

    Args:
        source: the file.
        mark: how far it has been moved; None if not at all, or into a file that is no more.
    """
    with transaction(source.connection):
        if mark is not None:
            _delete(source, mark)
        if mark is not None and mark.is_done:  # accounts, notes and requests have been moved too
            source.connection.execute("DELETE FROM meta")
            source.connection.execute("DELETE FROM request")
        _unset(source.connection, "identity")


class _Move:
    """Moves what one file holds into another.

    Args:
        target: where everything goes.
        source: where it is.
        merge: what makes one note of two, by the name of the note.

    Attributes:
        mark: how far it has come.
        moved: how many events, dead letters and requests were moved now.
    """

    def __init__(self, target: Store, source: Store, merge: Mapping[str, Merge]) -> None:
        self._target = target
        self._source = source
        self._merge = merge
        self.moved = {"events": 0, "dead_letters": 0, "requests": 0}
        self.mark = self._begin()

    def carry_out(self) -> None:
        """Move all there is."""
        if not self.mark.is_done:
            self._delete_moved()
            for waiting in self._source.waiting():
                while batches := self._source.fetch(waiting.sink, 0, PORTION_OCTETS):
                    self._make_room()
                    self._move_batches(batches)
            while chosen := self._source.choose_letters(letters.ALL, 0, PORTION_LETTERS):
                self._make_room()
                self._move_letters(chosen)
            self._move_rest()
        # A command that waits for an answer may have the file open, also when it is gone.
        self._source.connection.execute("DELETE FROM request")

    def _make_room(self) -> None:
        """Give back what the source no longer needs.

        Raises:
            OSError: there is too little room nevertheless.
        """
        self._source.vacuum()
        if self._has_room():
            return
        self._target.checkpoint()
        self._source.vacuum(however_few=True)
        self._source.checkpoint()
        if not self._has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _has_room(self) -> bool:
        free = files.free_octets(self._target.path.parent)
        return free is None or free >= FREE_PORTIONS * PORTION_OCTETS

    def _begin(self) -> Mark:
        """Return the mark of this file; a new one, with numbers for its dead letters, if needed."""
        identity = self._identity()
        mark = Mark.read(self._target.connection, identity)
        if mark is not None:
            return mark
        query = "SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM letter"
        first, last = self._source.connection.execute(query).fetchone()
        with transaction(self._target.connection):
            shift = letters.reserve(self._target.connection, last - first + 1) + 1 - first
            mark = Mark(identity, first, last, shift)
            mark.write(self._target.connection)
        return mark

    def _identity(self) -> str:
        """Return by which the file is known; it is given one if it has none."""
        connection = self._source.connection
        identity = _identity(connection)
        if identity is None:
            identity = secrets.token_hex(16)
            with transaction(connection):
                _set(connection, "identity", identity)
        return identity

    def _move_batches(self, batches: Sequence[Batch]) -> None:
        """Move batches of one sink, all of a place together; they keep their order."""
        sink, last = batches[-1].sink, batches[-1].place
        self._renumber(batches)
        events = sum(batch.events for batch in batches)
        self.moved["events"] += events
        mark = replace(self.mark, sink=sink, place=last, letter=0)
        with self._marked(mark):
            insert(self._target.connection, batches)
            _add_received(self._target, events)
        self._delete_moved()

    def _delete_moved(self) -> None:
        with transaction(self._source.connection):
            _delete(self._source, self.mark)

    def _renumber(self, batches: Sequence[Batch]) -> None:
        """Give batches numbers behind all that there are; parts of a place stay in one."""
        number, place, former = self._target.last_number(), 0, 0
        for batch in batches:
            number += 1
            if batch.place != former:
                former, place = batch.place, number
            batch.number, batch.place = number, place

    def _move_letters(self, chosen: Sequence[Letter]) -> None:
        """Move dead letters, in order of their numbers."""
        last = chosen[-1].number
        for letter in chosen:
            letter.number += self.mark.shift
        self.moved["dead_letters"] += len(chosen)
        with self._marked(replace(self.mark, sink="", place=0, letter=last)):
            letters.move_in(self._target.connection, chosen)
            _add_received(self._target, len(chosen))
        self._delete_moved()

    def _move_rest(self) -> None:
        """Move what stands beside batches and dead letters; there are none left."""
        source, target = self._source, self._target
        with self._marked(replace(self.mark, is_done=True)):
            accounts = source.accounts()
            if source.is_clean():
                accounts.pop("in_memory", None)
            else:
                target.connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 0)")
                log.warning("a former worker did not end well", path=str(source.path))
            target.write_accounts(_sum(target.accounts(), accounts))
            target.write_notes(self._notes())
            for request in source.waiting_requests():
                requests.move_in(target.connection, self._shifted(request))
                self.moved["requests"] += 1

    def _notes(self) -> dict[str, bytes]:
        """Return what is noted in either file, where the source has something."""
        notes, before = self._source.notes(), self._target.notes()
        for name in notes.keys() & before.keys():
            merge = self._merge.get(name)
            notes[name] = merge(before[name], notes[name]) if merge else before[name]
        return notes

    def _shifted(self, request: Request) -> Request:
        """Return a request with the numbers that dead letters have now; it means no others."""
        if request.command == "bury":
            return request
        mark, arguments, answer = self.mark, dict(request.arguments), dict(request.answer)
        arguments["first"] = max(arguments.get("first", 0), mark.first) + mark.shift
        arguments["last"] = min(arguments.get("last", mark.last), mark.last) + mark.shift
        if "numbers" in arguments:
            arguments["numbers"] = [number + mark.shift for number in arguments["numbers"]]
        if "after" in answer:
            answer["after"] += mark.shift
        return replace(request, arguments=arguments, answer=answer)

    @contextmanager
    def _marked(self, mark: Mark) -> Iterator[None]:
        """Have what is done in the target done together with a mark."""
        with transaction(self._target.connection):
            yield
            mark.write(self._target.connection)
        self.mark = mark


def _identity(connection: sqlite3.Connection) -> str | None:
    """Return by which a file is known; None if nobody has begun to take it over."""
    value = _get(connection, "identity")
    return None if value is None else str(value)


def _delete(source: Store, mark: Mark) -> None:
    """Delete what a mark says has been moved, if that has not been done; within a transaction."""
    run, marked = source.connection.execute, {"sink": mark.sink, "place": mark.place}
    events = run(
        "SELECT coalesce(sum(events), 0) FROM batch WHERE sink = :sink AND place <= :place", marked
    ).fetchone()[0]
    run("DELETE FROM batch WHERE sink = :sink AND place <= :place", marked)
    deleted = letters.delete(source.connection, Choice(last=mark.letter))
    _add_received(source, -events - deleted.total())


def _forget_marks(connection: sqlite3.Connection) -> None:
    """Delete the marks of all files; there are none left that could have one of the identities."""
    with transaction(connection):
        connection.execute("DELETE FROM meta WHERE name GLOB ?", (f"{_MARK}*",))


def _beside(path: Path) -> list[Path]:
    """Return what SQLite keeps beside a file."""
    return [path.with_name(path.name + suffix) for suffix in COMPANIONS]


def _get(connection: sqlite3.Connection, name: str) -> Any:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def _set(connection: sqlite3.Connection, name: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _unset(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM meta WHERE name = ?", (name,))


def _add_received(store: Store, messages: int) -> None:
    """Count messages that were moved here, or away if they are less than none."""
    store.write_accounts(_sum(store.accounts(), {"received": messages}))


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Add up stored accounts."""
    total = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            total[name] = _sum(total.get(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
    return total
