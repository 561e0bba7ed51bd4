"""Carries out in the daemon what the command line asks: replays, deletes and buries.

A request is carried out a piece at a time, and how far it came is written down after each: a long
one holds up neither the other requests nor what arrives, and a restart goes on with it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from collector.logs import audit
from collector.sinks.letters import letters_of
from collector.spool import Spool
from collector.spool.letters import Choice
from collector.stream import AwayError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from collector.batching import Batcher
    from collector.spool import Batch, Letter, Share
    from collector.spool.requests import Request, State

# Dead letters that are replayed without a pause: some milliseconds of work.
CHUNK: Final = 100

# What is done of a request before it is the turn of others, and of the rest of the daemon.
CHUNKS_AT_ONCE: Final = 50
DELETIONS_AT_ONCE: Final = 40
BATCHES_AT_ONCE: Final = 20

# For what takes milliseconds, unless the disk is full or broken.
PATIENCE_SECONDS: Final = 5.0

# For the next batch of a sink that is gone. Others may have taken it from a stream before it is
# known that nothing waits there any more.
TAKE_SECONDS: Final = 1.0

# Replaying leaves the rest of the spool, and of a sink's share, to what arrives.
ROOM_SHARE: Final = 1 / 2

BURIED: Final = "buried"
"""The reason of dead letters that waited for a sink that is gone."""

log = structlog.get_logger(__name__)


class RefusedError(Exception):
    """A request that is not carried out; the text tells who asked why."""


class LetterSpool(Spool, Protocol):
    """What a spool with a file offers besides; dead letters may be in a stream, too."""

    async def choose_letters(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return dead letters in order of their numbers, those behind `after`.

        Those that are not released before anything else is awaited may be elsewhere then.

        Raises:
            AwayError: others are in a stream, which is away.
        """

    def release(self, letters: Sequence[Letter]) -> None:
        """Let go of dead letters whose copies are on their way again.

        It is written together with the batches that were put in the same turn of the loop.
        """

    async def purge(self, choice: Choice) -> Counter[str]:
        """Delete some of the dead letters; return how many, by reason: none when all are gone.

        Raises:
            AwayError: others are in a stream, which is away.
        """

    def has_room(self, sinks: Collection[str], part: float) -> bool:
        """Say whether no more than a part of the bounds is taken, those of some sinks included."""

    async def answer(self, number: int, state: State, answer: Mapping[str, Any]) -> None:
        """Note how far a request has come."""


class Replayer(Protocol):
    """What sends dead letters through today's settings: the pipeline."""

    def replay(self, letter: Letter) -> bool:
        """Send a dead letter on its way; say whether it went."""


class Office:
    """Carries out requests.

    Args:
        replayer: sends dead letters on their way.
        batchers: gather what it sends; all there are at any time.
        spool: holds dead letters and requests.
        shares: the share of each configured sink.
    """

    def __init__(
        self,
        replayer: Replayer,
        batchers: Collection[Batcher],
        spool: LetterSpool,
        shares: Mapping[str, Share],
    ) -> None:
        self._replayer = replayer
        self._batchers = batchers
        self._spool = spool
        self._shares = shares
        self._begun: set[int] = set()
        self._burying: set[str] = set()  # sinks that something was taken for, or is to be

    async def carry_out(self, requests: Iterable[Request]) -> None:
        """Carry out a piece of each request; to be called again for those it does not answer.

        Args:
            requests: those that are not answered.

        Raises:
            sqlite3.Error: the spool's file cannot be used at present.
        """
        for request in requests:
            self._log_beginning(request)
            try:
                state, answer = await self._carry_out(request)
            except RefusedError as error:
                state, answer = "failed", {**request.answer, "problem": str(error)}
            except sqlite3.Error:
                raise  # the spool's trouble: the request waits until that is over
            except Exception:  # a mistake of ours costs the request, not the daemon
                log.exception("request failed, please report it", request=request.number)
                problem = "the daemon could not carry it out; its log has the details"
                state, answer = "failed", {**request.answer, "problem": problem}
            if (state, answer) == (request.state, request.answer):
                continue
            await self._spool.answer(request.number, state, answer)
            if state in {"done", "failed"}:
                self._begun.discard(request.number)
                _audit(request, state, result=answer)

    def _log_beginning(self, request: Request) -> None:
        """Log that a request is begun, or that one which a daemon before this one began goes on."""
        if request.number not in self._begun:
            self._begun.add(request.number)
            state = "begun" if request.state == "waiting" else "continued"
            _audit(request, state, arguments=request.arguments)

    async def _carry_out(self, request: Request) -> tuple[State, dict[str, Any]]:
        match request.command:
            case "replay":
                return await self._replay(_choice(request), request.answer)
            case "purge":
                return await self._purge(_choice(request), request.answer)
            case "bury":
                return await self._bury(str(request.arguments.get("sink")), request.answer)
            case _:
                raise RefusedError(f"this version of the daemon knows no {request.command!r}")

    async def _replay(
        self, choice: Choice, answer: Mapping[str, Any]
    ) -> tuple[State, dict[str, Any]]:
        """Replay some chunks of what is chosen.

        A letter that is refused again has a new number, behind `choice.last`, and was set aside
        after `choice.until`: it is not met twice.
        """
        replayed, kept = answer.get("replayed", 0), answer.get("kept", 0)
        after, waits = answer.get("after", 0), False
        for _ in range(CHUNKS_AT_ONCE):
            try:
                letters = await self._spool.choose_letters(choice, after, CHUNK)
            except AwayError:
                return "running", {"replayed": replayed, "kept": kept, "after": after, "away": True}
            if not letters:
                return "done", {"replayed": replayed, "kept": kept}
            sinks = {letter.sink for letter in letters}  # each for one sink, or for any
            if waits := not self._spool.has_room(sinks, ROOM_SHARE):
                break
            went = self._replay_chunk(letters)
            replayed += went
            kept += len(letters) - went
            after = letters[-1].number
            if waits := not await self._is_durable():
                break
        return "running", {"replayed": replayed, "kept": kept, "after": after, "waits": waits}

    def _replay_chunk(self, letters: Sequence[Letter]) -> int:
        """Replay dead letters and let go of those that went, in one turn of the loop.

        Whatever goes wrong with one, those before it have gone and are let go of.

        Returns:
            How many went.
        """
        self._flush()
        went: list[Letter] = []
        try:
            for letter in letters:
                if self._replayer.replay(letter):
                    went.append(letter)  # noqa: PERF401 - what went counts even if the next fails
        finally:
            self._flush()
            self._spool.release(went)
        return len(went)

    def _flush(self) -> None:
        for batcher in self._batchers:
            batcher.flush()

    async def _purge(
        self, choice: Choice, answer: Mapping[str, Any]
    ) -> tuple[State, dict[str, Any]]:
        """Delete a part of what is chosen."""
        purged = Counter(answer.get("purged", {}))
        for _ in range(DELETIONS_AT_ONCE):
            try:
                deleted = await self._spool.purge(choice)
            except AwayError:
                return "running", {"purged": dict(purged), "away": True}
            if not deleted:
                return "done", {"purged": dict(purged)}
            purged += deleted
        return "running", {"purged": dict(purged)}

    async def _bury(self, sink: str, answer: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
        """Make dead letters of a part of what waits for a sink that is gone."""
        if sink in self._shares:
            raise RefusedError(
                f"sink {sink!r} is configured in the running daemon, which delivers to it"
            )
        buried = answer.get("buried", 0)
        for _ in range(BATCHES_AT_ONCE):
            if sink not in self._spool.gone():
                self._leave(sink)
                return "done", {"buried": buried}
            self._burying.add(sink)
            try:
                async with asyncio.timeout(TAKE_SECONDS):
                    batch = await self._spool.take(sink)
            except TimeoutError:
                break
            try:
                letters = buried_letters(batch)
            except BaseException:
                self._spool.postpone(batch)
                self._leave(sink)
                raise
            self._spool.bury(batch, letters)
            buried += len(letters)
            if not await self._is_durable():
                break
        return "running", {"buried": buried}

    def _leave(self, sink: str) -> None:
        """Leave what may have come from a stream since to daemons that deliver to the sink."""
        if sink in self._burying:
            self._burying.remove(sink)
            self._spool.give_back(sink)

    async def _is_durable(self) -> bool:
        """Wait until what was done so far is written; say whether it was, within some seconds."""
        written = asyncio.Event()
        self._spool.when_durable(written.set)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await written.wait()
        except TimeoutError:
            return False
        return True


def buried_letters(batch: Batch) -> list[Letter]:
    """Return a dead letter for each event of a batch whose sink is gone."""
    return letters_of(batch, BURIED, "its sink is no longer configured")


def _audit(request: Request, state: str, **details: Any) -> None:
    """Log for the audit how far a request has come."""
    audit(request.command, request.actor, state=state, request=request.number, **details)


def _choice(request: Request) -> Choice:
    try:
        return Choice.of(request.arguments)
    except TypeError as error:
        problem = f"this version of the daemon does not understand {request.arguments}"
        raise RefusedError(problem) from error
