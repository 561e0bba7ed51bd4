"""All workers of a daemon: started, looked after, asked as one, and ended."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from collector import __version__
from collector.board import Board
from collector.refusals import RefusedError, StartError
from collector.workers import columns
from collector.workers.datagrams import DatagramSockets
from collector.workers.member import GoneError, Member
from collector.workers.places import as_json
from collector.workers.pulse import BEAT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from collector.listeners.opening import Place, Source
    from collector.workers.channel import Message

# A worker that starts gets no further for so long: it may wait for a disk. However large the files
# are that it reads through or takes over, it tells of its progress.
STANDSTILL_SECONDS: Final = 300.0

# For a worker to prepare settings, which reads a few files.
PREPARE_SECONDS: Final = 30.0

# For a worker to wind down what settings need no more: sinks have 5 seconds, listeners 2.
ADOPT_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What workers are to go by.

    Attributes:
        settings: as messages have them.
        sources: what the listeners receive from, as far as workers do not have it already.
    """

    settings: Message
    sources: Mapping[Place, Source]


class Crew:
    """The workers.

    Args:
        count: how many there are.
        hear: is told what one of them says of connections.
        changed: is called when connections can be handed to one of them again, or no longer.

    Attributes:
        board: what all processes tell each other; the supervisor has the first row.
        members: the workers.

    Raises:
        OSError: there is no memory.
    """

    def __init__(
        self, count: int, hear: Callable[[Member, Message], None], changed: Callable[[], None]
    ) -> None:
        self.board, self._board_file = Board.create(1 + count)
        self.board.extend(columns.OF_WORKERS)
        self._changed = changed
        self.members = [Member(number, self.board, hear, changed) for number in range(count)]

    @property
    def at_work(self) -> list[Member]:
        """Those that have started and do not wind down."""
        return [item for item in self.members if item.is_running and not item.is_leaving]

    # Beginning.

    async def start(self, order: Order) -> None:
        """Start all; raises as `start_one` does, if one of them cannot."""
        starts = [asyncio.ensure_future(self.start_one(item, order)) for item in self.members]
        done, pending = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        for start in pending:
            start.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for start in done:
            start.result()

    async def start_one(self, member: Member, order: Order) -> None:
        """Start a worker.

        Raises:
            StartError: it cannot start.
            OSError: there is no process or memory for it.
        """
        await member.launch()
        hand_sockets(member, order.sources)
        message = {
            "kind": "start",
            "version": __version__,
            "number": member.number,
            "count": len(self.members),
            **order.settings,
        }
        try:
            answer = await self._got_ready(member, message)
        except (GoneError, TimeoutError) as error:
            how = "ended" if isinstance(error, GoneError) else "does not get ready"
            raise StartError(f"worker {member.number} {how}; the log has more") from error
        if answer["problem"]:
            raise StartError(answer["problem"])
        member.is_running = True
        self._changed()
        log.info("worker started", worker=member.number, pid=member.pid)

    async def _got_ready(self, member: Member, message: Message) -> Message:
        """Have a worker start; that may take long, as long as it gets further.

        Raises:
            GoneError: it has ended.
            TimeoutError: it gets no further.
        """
        asking = asyncio.ensure_future(member.ask(message, None, os.dup(self._board_file)))
        try:
            while True:
                reached = member.progress
                await asyncio.wait([asking], timeout=STANDSTILL_SECONDS)
                if asking.done():
                    return asking.result()
                if member.progress == reached:
                    raise TimeoutError
        finally:
            asking.cancel()

    # While they work.

    async def watch(self) -> None:
        """Feel the pulse of all workers, and end one that hangs."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for member in self.members:
                member.pulse.feel(loop.time())
                if member.pulse.hangs and not member.is_killed and member.exit_code is None:
                    log.error("worker hangs, it is killed", worker=member.number)
                    member.kill()
            self._changed()

    async def keep(
        self,
        member: Member,
        dismiss: Callable[[Member], None],
        replace: Callable[[Member], Awaitable[None]],
    ) -> None:
        """Have a worker started again whenever it has ended.

        Args:
            member: the worker.
            dismiss: forgets what its process had.
            replace: starts it, with `start_again`.
        """
        while True:
            code = await member.ended()
            dismiss(member)
            pause = member.bury()
            log.error(
                "worker ended, it is started again",
                worker=member.number,
                exit_code=code,
                pause_seconds=pause,
            )
            await asyncio.sleep(pause)
            await replace(member)

    async def start_again(self, member: Member, order: Order) -> None:
        """Start a worker in the place of one that has ended; if it cannot, it ends again."""
        member.restarts += 1
        try:
            await self.start_one(member, order)
        except (StartError, OSError) as error:
            log.error("worker cannot start", worker=member.number, problem=str(error))  # noqa: TRY400
            member.kill()

    # Other settings.

    async def prepare(self, members: list[Member], course: int, order: Order) -> None:
        """Have workers prepare settings; raises RefusedError if one of them cannot."""
        for member in members:
            hand_sockets(member, order.sources)
        message = {"kind": "prepare", "course": course, **order.settings}
        problems = await asyncio.gather(*(_prepared(member, message) for member in members))
        for problem in filter(None, problems):
            raise RefusedError(problem)

    def adopt(self, members: list[Member], course: int) -> Awaitable[object]:
        """Have workers go by settings that they have prepared, from the next turn of the loop on.

        Returns:
            What is done once they have wound down what the former settings needed.
        """
        return asyncio.gather(*(_adopted(member, course) for member in members))

    def discard(self, members: list[Member], course: int) -> None:
        """Have workers let go of settings."""
        for member in members:
            if member.is_running:
                member.tell({"kind": "discard", "course": course})

    # The end.

    async def end(self, kind: str, seconds: float) -> bool:
        """Tell all workers to end, and end those that have not done so in time.

        Args:
            kind: `stop` or `hurry`.
            seconds: how long they may take.

        Returns:
            Whether one of them did not end as it should.
        """
        there = [item for item in self.members if item.pid is not None and item.exit_code is None]
        for member in there:
            member.tell({"kind": kind})
        ends = [asyncio.ensure_future(member.ended()) for member in there]
        if ends:
            await asyncio.wait(ends, timeout=seconds)
        for member, end in zip(there, ends, strict=True):
            if not end.done():
                log.error("worker does not end, it is killed", worker=member.number)
                member.kill()
        return any(await asyncio.gather(*ends))

    async def break_off(self) -> None:
        """End what has been started before the start has failed."""
        for member in self.members:
            member.kill()
        await asyncio.gather(*(item.ended() for item in self.members if item.pid is not None))


def hand_sockets(member: Member, sources: Mapping[Place, Source]) -> None:
    """Hand a worker its sockets for datagrams."""
    for place, source in sources.items():
        if isinstance(source, DatagramSockets):
            bound = source.of_worker(member.number)
            if bound is not None:
                message = {"kind": "socket", "place": as_json(place)}
                member.tell(message, os.dup(bound.fileno()))


async def _prepared(member: Member, message: Message) -> str:
    """Have a worker prepare settings; return why it cannot, or nothing if it can."""
    try:
        problem: str = (await member.ask(message, PREPARE_SECONDS))["problem"]
    except TimeoutError:
        return f"worker {member.number} does not answer"
    except GoneError:
        return f"worker {member.number} has ended meanwhile"
    return problem


async def _adopted(member: Member, course: int) -> None:
    """Have a worker go by the settings that it has prepared; its successor begins with them."""
    try:
        await member.ask({"kind": "adopt", "course": course}, ADOPT_SECONDS)
    except TimeoutError:
        log.warning("worker takes long to go by other settings", worker=member.number)
    except GoneError:
        log.warning("worker ended while settings changed", worker=member.number)
