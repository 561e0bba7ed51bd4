"""Dead letters in two places: the file of a member, and a stream that all members share.

A dead letter is durable in the file of the member that made it first; from there it moves into the
stream, where every member can look at it and act on it. Those of reasons that anybody who reaches a
listener can cause stay in the file, within their own bound.

What is in the stream is in no member's account (`collector.ledger`). Who deletes a letter there has
taken its copy over, and of several that try one is told so: each letter is counted once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector.courses import watch
from collector.logs import Reports
from collector.spool import EVICTED, EXPIRED, POOLS, PURGED, pool_of
from collector.spool.letters import MAX_OCTETS, Choice
from collector.spool.looking import (
    FIRST_NUMBER,
    identifier_of,
    is_remote,
    letter_of,
    look_through,
    sequence_of,
)
from collector.stream import AwayError, FullError, RefusedError
from collector.stream.wire import FOREIGN_LETTER, letter_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from collector.ledger import Ledger
    from collector.spool import Letter
    from collector.spool.requests import Request
    from collector.spool.sqlite import SqliteSpool
    from collector.stream import Stream
    from collector.stream.wire import Message

# Letters that are published, or deleted, before the servers have answered to the first.
AT_ONCE: Final = 64

# Between two looks at the file, and after something did not work.
PAUSE_SECONDS: Final = 1.0

EXPIRY_SECONDS: Final = 600.0

# Of what the stream may hold, the part for which a letter may have older ones deleted.
LARGE_PART: Final = 4

# For what is under way at the end; with a cluster that answers it takes milliseconds.
CLOSE_SECONDS: Final = 2.0

# The pool of letters that move.
TRUSTED: Final = POOLS[0]

log = structlog.get_logger(__name__)


class RemoteLetters:
    """Moves dead letters into the stream, and acts on those of both places.

    `start` must be called first, when the local spool has been started. While it is used, nobody
    else chooses, purges or releases letters of the local spool.

    Args:
        local: has the member's file.
        stream: has the letters of all.
        ledger: accounts of the process.
        name: of the stream of batches; that of dead letters is called after it.
        when_durable: calls back once what was put so far is durable, wherever (`Spool`).
        max_bytes: octets that the stream of letters may hold.
        max_age: for how many seconds a letter is kept.
        clock: seconds since 1970.

    Attributes:
        on_requests: is given what the command line has asked for.
    """

    def __init__(
        self,
        local: SqliteSpool,
        stream: Stream,
        ledger: Ledger,
        *,
        name: str,
        when_durable: Callable[[Callable[[], None]], None],
        max_bytes: float = float("inf"),
        max_age: float = float("inf"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_requests: Callable[[list[Request]], Awaitable[None]] | None = None
        self._local = local
        self._stream = stream
        self._ledger = ledger
        self._name = name
        self._when_durable = when_durable
        self._largest = max_bytes / LARGE_PART
        self._max_age = max_age
        self._clock = clock
        self._member = ""
        self._reports = Reports(log)
        # Held by whoever reads letters of the file in order to act on them.
        self._acting = asyncio.Lock()
        self._evicting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._serving: asyncio.Task[None] | None = None
        self._is_closing = False
        # What has been looked at in the file, up to which number; what stayed is looked at again
        # now and then: a message may be larger by then, and a new file begins its numbers again.
        self._after = 0
        # Ids of letters that are in the stream, and could not be deleted from the file yet.
        self._published: set[str] = set()
        # Sequences of letters of the stream that were replayed; of those that are to be deleted,
        # with what accounts for each; of those that may have been, but there was no answer.
        self._leaving: set[int] = set()
        self._due: dict[int, Callable[[], None]] = {}
        self._unsure: set[int] = set()
        self._awake = asyncio.Event()
        # How far purges have come: nothing that they mean stands before that sequence.
        self._purged: dict[Choice, int] = {}

    def start(self, member: str) -> None:
        """Begin to move letters, and to carry out requests.

        Args:
            member: names this member in the ids of what it publishes.
        """
        self._member = member
        self._local.on_requests = self._serve
        courses = {
            "move": self._keep_moving,
            "expire": self._keep_expiring,
            "let go": self._keep_letting_go,
        }
        self._tasks = [
            asyncio.create_task(course(), name=f"dead letters: {name}")
            for name, course in courses.items()
        ]
        for task in self._tasks:
            watch(task, self._fail, "dead letters failed, please report it")

    def _fail(self) -> None:
        """Ask for a stop, as a spool does: a mistake of ours has ended a course."""
        if self._local.on_failure is not None:
            self._local.on_failure()

    async def close(self) -> None:
        """End; before the local spool and the stream are closed.

        What is under way ends well if it ends soon: otherwise a letter may stay although it was
        replayed, or be in both places, which the next start finds out.
        """
        self._is_closing = True
        self._local.on_requests = None
        self._awake.set()
        if self._serving is not None:
            self._serving.cancel()
        move, expire, let_go = self._tasks
        expire.cancel()
        await asyncio.wait((move, let_go), timeout=CLOSE_SECONDS if self._stream.is_up else 0)
        for task in self._tasks:
            task.cancel()
        ending = [*self._tasks, *([self._serving] if self._serving else [])]
        await asyncio.gather(*ending, return_exceptions=True)

    # From the file into the stream.

    async def _keep_moving(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._is_closing:
            if (now := loop.time()) >= due:
                self._after, due = 0, now + EXPIRY_SECONDS
            try:
                if self._stream.is_up and self._has_some() and await self._move():
                    continue
            except sqlite3.Error as error:
                self._reports.warning("move", "dead letters stay in the file", problem=str(error))
            if not self._is_closing:
                await self._pause()

    def _has_some(self) -> bool:
        """Say whether the file has any letters that may move; without a look at it."""
        return any(
            count > 0 and pool_of(reason) == TRUSTED
            for reason, count in self._ledger.dead_lettered.items()
        )

    async def _move(self) -> bool:
        """Move some letters; say whether there may be more to be moved at once."""
        async with self._acting:
            choice = Choice(pool=TRUSTED)
            found = await self._local.choose_letters(choice, self._after, AT_ONCE)
            if not found:
                return False
            outcomes = await asyncio.gather(*map(self._publish, found))
            moved = [letter for letter in found if self._identify(letter) in self._published]
            if moved:
                await self._local.hand_over_letters([letter.number for letter in moved])
            self._published.clear()
        if all(outcomes):
            self._after = found[-1].number
        return all(outcomes)

    def _identify(self, letter: Letter) -> str:
        return identifier_of(letter, self._member)

    async def _publish(self, letter: Letter) -> bool:
        """Put a letter into the stream; say whether all was done that can be for now.

        One that the servers do not take stays in the file.
        """
        identifier = self._identify(letter)
        message = letter_message(self._name, letter, identifier)
        if identifier in self._published or message.size > self._stream.largest:
            return True
        try:
            await self._store(message)
        except FullError as error:
            self._reports.warning(
                "full", "dead letters stay in the file, the stream is full", problem=str(error)
            )
            return error.is_bound and message.size > self._largest
        except AwayError:
            return False
        except RefusedError as error:
            self._reports.error(
                "refused",
                "dead letter stays in the file, the stream refuses it",
                problem=str(error),
            )
            return True
        self._published.add(identifier)
        return True

    async def _store(self, message: Message) -> None:
        """Publish a letter; where the stream has reached its bound, its oldest letters make room.

        No more of them go than are about as long as this one: if others take that room, it waits.

        Raises:
            FullError: there is no room, and this letter cannot make any, or not for now.
            AwayError or RefusedError: as `Stream.publish`.
        """
        with suppress(FullError):
            await self._stream.letters.publish(*message)
            return
        async with self._evicting:
            room = 0
            while True:
                try:
                    await self._stream.letters.publish(*message)
                except FullError as error:
                    is_futile = not error.is_bound or message.size > self._largest
                    if is_futile or room >= message.size or not (freed := await self._evict()):
                        raise
                    room += freed
                else:
                    return

    async def _evict(self) -> int:
        """Delete the oldest letter of the stream; return how long it was, 0 if there is none."""
        stored = await self._stream.letters.next(0)
        if stored is None:
            return 0
        await self._delete(letter_of(self._name, stored), EVICTED)
        return max(1, len(stored.body))

    # In the stream.

    async def _delete(self, letter: Letter, account: str) -> bool:
        """Delete a letter of the stream; say whether it was there, and count it as dropped then.

        Raises:
            AwayError: there is no answer; it is asked for again beside, to account for it.
        """
        sequence = sequence_of(letter)
        settle = partial(self._drop, letter, account)
        try:
            return await self._try_to_delete(sequence, settle)
        except AwayError:
            if sequence in self._unsure:
                self._due[sequence] = settle
            raise

    async def _try_to_delete(self, sequence: int, settle: Callable[[], None]) -> bool:
        """Delete a letter of the stream; say whether it was there, and account for it then.

        One that is gone when it is tried again was deleted before, and there was no answer.
        """
        is_sent = self._stream.is_up
        try:
            was_there = await self._stream.letters.delete(sequence)
        except AwayError:
            if is_sent:
                self._unsure.add(sequence)
            raise
        is_ours = was_there or sequence in self._unsure
        self._unsure.discard(sequence)
        if is_ours:
            settle()
        return is_ours

    def _drop(self, letter: Letter, account: str) -> None:
        """Account for a copy of the stream that is given up; what is foreign was none before."""
        if letter.reason == FOREIGN_LETTER:
            self._ledger.received += 1
        else:
            self._ledger.taken_over += 1
        self._ledger.dropped[account] += 1

    def _take_back(self) -> None:
        """Account for a copy of the stream that was replayed, as `release` has counted it."""
        self._ledger.received -= 1
        self._ledger.taken_over += 1

    async def _keep_letting_go(self) -> None:
        """Delete letters that are due, and again where there was no answer; at the end, too."""
        while self._due or not self._is_closing:
            with suppress(AwayError):
                while self._due:
                    await self._let_go(sorted(self._due)[:AT_ONCE])
            if not self._is_closing or self._due:
                await self._pause()

    async def _let_go(self, sequences: Iterable[int]) -> None:
        """Delete letters that are due; raises AwayError where one is not known to be gone."""
        deleting = [self._let_one_go(sequence) for sequence in sequences]
        for outcome in await asyncio.gather(*deleting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _let_one_go(self, sequence: int) -> None:
        await self._try_to_delete(sequence, self._due[sequence])
        del self._due[sequence]
        self._leaving.discard(sequence)

    async def _keep_expiring(self) -> None:
        while True:
            is_up = self._stream.is_up
            with suppress(AwayError):
                await self._expire(self._clock() - self._max_age)
            await asyncio.sleep(EXPIRY_SECONDS if is_up else PAUSE_SECONDS)

    async def _expire(self, before: float) -> None:
        """Delete the letters that were set aside before a time, oldest first.

        One that came into the stream late, behind younger ones, stays as long as these.
        """
        while self._stream.is_up and (stored := await self._stream.letters.next(0)) is not None:
            letter = letter_of(self._name, stored)
            if min(letter.kept, stored.moment) >= before:
                return
            await self._delete(letter, EXPIRED)

    async def _pause(self) -> None:
        """Wait a moment, or until there is something to do."""
        self._awake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await self._awake.wait()

    # What the command line asks for.

    async def _serve(self, _: list[Request]) -> None:
        """Have requests carried out beside: to look through the stream may take long.

        Raises:
            sqlite3.Error: the file could not be used when that was done last.
        """
        served = self._serving
        if served is None or served.done():
            self._serving = asyncio.create_task(self._carry_out(), name="dead letters: requests")
            if served is not None:
                served.result()

    async def _carry_out(self) -> None:
        found = await self._local.waiting_requests()
        if found and self.on_requests is not None:
            await self.on_requests(found)

    async def choose(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return dead letters, those of the file first (`LetterSpool.choose_letters`).

        Those of the file are not moved before who awaits this has acted on them, if that is done
        before anything else is awaited.

        Raises:
            AwayError: the cluster does not answer.
        """
        async with self._acting:
            if found := await self._local.choose_letters(choice, after, limit):
                return found
        return await self._choose_remote(choice, max(0, after - FIRST_NUMBER), limit)

    async def _choose_remote(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return letters of the stream that nobody here has replayed, about `MAX_OCTETS` at most.

        Args:
            choice: which.
            after: the sequence behind which they stand.
            limit: how many at most.
        """
        found: list[Letter] = []
        octets = 0
        looking = look_through(self._stream.letters, self._name, choice, after)
        try:
            async with aclosing(looking):
                async for letter in looking:
                    if sequence_of(letter) in self._leaving:
                        continue
                    found.append(letter)
                    octets += letter.size
                    if len(found) >= limit or octets >= MAX_OCTETS:
                        break
        except AwayError:
            if not found:
                raise
        return found

    def release(self, letters: Sequence[Letter]) -> None:
        """Let go of dead letters whose copies are on their way again (`LetterSpool.release`).

        One of the stream is deleted there once its copies are durable. Until then it is a dead
        letter still, and its copies are received besides; so they are for good where somebody else
        was the first to delete it, or where this process ends before.
        """
        self._local.release([letter for letter in letters if not is_remote(letter)])
        replayed = [letter for letter in letters if is_remote(letter)]
        for letter in replayed:
            self._ledger.dead_lettered[letter.reason] += 1
            if not self._ledger.dead_lettered[letter.reason]:
                # Or the word would stay, which others may have made up.
                del self._ledger.dead_lettered[letter.reason]
            self._ledger.received += 1
        leaving = [sequence_of(letter) for letter in replayed]
        if leaving:
            self._leaving.update(leaving)
            self._when_durable(partial(self._can_go, leaving))

    def _can_go(self, sequences: Iterable[int]) -> None:
        self._due |= dict.fromkeys(sequences, self._take_back)
        self._awake.set()

    async def purge(self, choice: Choice) -> Counter[str]:
        """Delete dead letters; return how many, by reason: none when all are gone.

        Raises:
            AwayError: the cluster does not answer.
        """
        async with self._acting:
            if deleted := await self._local.purge(choice):
                return deleted
        while found := await self._choose_remote(choice, self._purged.get(choice, 0), AT_ONCE):
            if deleted := await self._purge_remote(choice, found):
                return deleted
        self._purged.pop(choice, None)
        return Counter()

    async def _purge_remote(self, choice: Choice, letters: Sequence[Letter]) -> Counter[str]:
        """Delete letters of the stream; return how many of them nobody had deleted, by reason."""
        deleting = [self._delete(letter, PURGED) for letter in letters]
        outcomes = await asyncio.gather(*deleting, return_exceptions=True)
        deleted = Counter[str]()
        for letter, outcome in zip(letters, outcomes, strict=True):
            deleted[letter.reason] += outcome is True
        problems = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if not problems:
            self._purged[choice] = sequence_of(letters[-1])
        elif not deleted.total():
            raise problems[0]
        return +deleted

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of the letters in the stream."""
        holdings = self._stream.letter_holdings
        if holdings is None:
            return {"messages": None, "octets": None, "events": {}}
        return {
            "messages": holdings.messages,
            "octets": holdings.octets,
            "events": dict(holdings.events),
        }
