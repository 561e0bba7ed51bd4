"""One worker, as its supervisor sees it: a process that is started, asked, told and ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from collector import board
from collector.ledger import Ledger
from collector.workers import merging
from collector.workers.channel import Channel
from collector.workers.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.board import Board
    from collector.workers.channel import Message
    from collector.workers.merging import Left, Packed

# What systemd tells a process is for that one alone.
_NOT_INHERITED: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

PROGRAM: Final = "collector.workers.worker"
"""What a worker runs: a module."""

# Runs the module with the arguments before it, and finds code where its supervisor does: not in the
# directory that happens to be the current one, nor in another installation.
_LAUNCH: Final = (
    "import runpy, sys; _, _, program, *sys.path = sys.argv; "
    "runpy.run_module(program, run_name='__main__', alter_sys=True)"
)

REPORT_SECONDS: Final = 1.0
"""How long a worker may take to say how it is; after that, what it said last is taken."""

DEATHS_SECONDS: Final = 60.0
"""For how long it counts that a worker has died."""

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
"""Before a worker is started again: longer with each death, and never longer than this."""


class GoneError(Exception):
    """A worker that is asked has ended."""


class Member:
    """One worker.

    Args:
        number: which it is, from 0 on.
        shown: the board, where it shows that it lives.
        hear: is told what it says of connections.
        changed: is called when connections can be handed to it again, or no longer.

    Attributes:
        number: as above.
        is_running: whether it has started and not ended.
        is_leaving: whether it winds down, asked to or not.
        is_killed: whether its process was told to end at once, which it may not do yet: while it
            waits for a disk.
        pulse: whether it comes round to answers.
        room: how many connections it may have; none until it has said so.
        restarts: how often it was started in the place of one that had died.
        started: when it was started last, in seconds since 1970.
        ledger: its accounts, as last known.
    """

    def __init__(
        self,
        number: int,
        shown: Board,
        hear: Callable[[Member, Message], None],
        changed: Callable[[], None],
    ) -> None:
        self.number = number
        self.is_running = False
        self.is_leaving = False
        self.is_killed = False
        self.pulse = Pulse(partial(shown.read, board.BEATS, 1 + number))
        self.room = 0
        self.restarts = 0
        self.started = 0.0
        self._board = shown
        self._hear = hear
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._questions = count()
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._deaths: deque[float] = deque()
        self._status: dict[str, Any] = {}
        self._degraded: list[dict[str, str]] = []
        self._families: Packed = []
        self._carried: Packed = []
        self._left: Left = {}
        self._is_late = False

    # Life.

    @property
    def pid(self) -> int | None:
        """Its process; None if there is none."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What its last process ended with; None while it has not."""
        return None if self._process is None else self._process.returncode

    async def launch(self) -> None:
        """Start its process, which is to be told to start then.

        Raises:
            OSError: it cannot be started.
        """
        mine, theirs = socket.socketpair()
        channel = Channel(mine, self._receive, self._cut_off, self._changed)
        try:
            self._process = await _process(theirs)
        except BaseException:
            channel.close()
            raise
        self._channel = channel
        self.is_leaving = self.is_killed = self._is_late = False
        self.room = 0
        self.pulse.begin(self._process.pid, self._loop.time())
        self.started = time.time()

    async def ended(self) -> int:
        """Wait for the end of its process; return its exit code."""
        assert self._process is not None  # noqa: S101 - it was launched
        code: int = await self._process.wait()
        self.is_running = False
        if self._channel is not None:
            self._channel.finish()
        for held in (board.BUFFERED_OCTETS, board.HINDERED):
            self._board.strike_out(held, 1 + self.number)
        self._cut_off()
        return code

    def kill(self) -> None:
        """End its process at once."""
        if self._process is not None and self._process.returncode is None:
            self.is_killed = True
            with suppress(ProcessLookupError):
                self._process.kill()

    def bury(self) -> float:
        """Keep what it has counted; return how many seconds its successor is to wait."""
        self._carried = merging.carried(self._carried, self._families)
        self._families = merging.uncounted(self._families)
        self._left = merging.counts_left(self._left, self._status)
        self._status = merging.uncounted_state(self._status)
        now = self._loop.time()
        self._deaths.append(now)
        while self._deaths[0] < now - DEATHS_SECONDS:
            self._deaths.popleft()
        pause: float = FIRST_PAUSE_SECONDS * 2 ** (len(self._deaths) - 1)
        return min(LONGEST_PAUSE_SECONDS, pause)

    # What it is told and asked.

    @property
    def can_take(self) -> bool:
        """Whether connections can be handed to it."""
        channel = self._channel
        is_there = self.is_running and channel is not None and not channel.is_congested
        return is_there and not self.is_leaving and not self.pulse.is_silent

    @property
    def is_hindered(self) -> bool:
        """Whether it can keep nothing that comes in."""
        return self._board.read(board.HINDERED, 1 + self.number) > 0

    @property
    def progress(self) -> int:
        """How far its start has come, as a number that grows."""
        return self._board.read(board.PROGRESS, 1 + self.number)

    def tell(self, message: Message, descriptor: int = -1) -> None:
        """Send it a message, and maybe a descriptor, which is closed here then."""
        assert self._channel is not None  # noqa: S101 - it was launched
        self._channel.send(message, descriptor)

    async def ask(self, message: Message, seconds: float | None, descriptor: int = -1) -> Message:
        """Send it a message and return its answer.

        Args:
            message: the question.
            seconds: how long the answer may take; None for as long as the process is there.
            descriptor: goes along, and is closed here then; -1 for none.

        Raises:
            GoneError: it has ended, or ends before it answers.
            TimeoutError: it takes longer than it may.
        """
        question = next(self._questions)
        answer = self._answers[question] = self._loop.create_future()
        try:
            self.tell({**message, "question": question}, descriptor)
            if not self._is_reachable and not answer.done():
                answer.set_exception(GoneError())
            async with asyncio.timeout(seconds):
                answered: Message = await answer
                return answered
        finally:
            del self._answers[question]

    @property
    def _is_reachable(self) -> bool:
        return self._channel is not None and self._channel.is_open

    def _receive(self, message: Message, descriptor: int) -> None:
        if descriptor >= 0:  # a worker hands over nothing
            os.close(descriptor)
        match message["kind"]:
            case "answer":
                if "status" in message:
                    self._take_report(message)
                answer = self._answers.get(message["question"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case "room":
                self.room = message["connections"]
                self._changed()
            case "leaving":
                self.is_leaving = True
                self._changed()
            case "farewell":
                self._status["ledger"] = message["ledger"]
            case _:
                self._hear(self, message)

    def _cut_off(self) -> None:
        """Answer in its place those who still wait."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(GoneError())
        self._changed()

    # How it is.

    async def look(self, *, families: bool = False) -> None:
        """Learn how it is; if it does not say so in time, it is as it was.

        Nobody waits for one that is silent.

        Args:
            families: whether it is to tell its metrics too.
        """
        if not self.is_running:
            return
        if self.pulse.is_silent:
            self._is_late = True
            return
        try:
            await self.ask({"kind": "report", "families": families}, REPORT_SECONDS)
        except (GoneError, TimeoutError) as error:
            self._is_late = isinstance(error, TimeoutError)

    def _take_report(self, report: Message) -> None:
        """Take in how it is, at once: when it has ended, what it said was counted among the rest.

        Who has asked goes on some turns of the event loop later, and it may be buried by then.
        """
        self._is_late = False
        self._status = report["status"]
        self._degraded = report["degraded"]
        self._families = report.get("families", self._families)

    @property
    def state(self) -> dict[str, Any]:
        """What it said last of the way of messages."""
        return self._status

    @property
    def left(self) -> Left:
        """What its predecessors had counted, as its state has it."""
        return self._left

    @property
    def families(self) -> list[Packed]:
        """Its metrics, and those that its predecessors have left."""
        return [self._carried, self._families]

    @property
    def degraded(self) -> list[dict[str, str]]:
        """What works only in part of it, or that it does not work at all."""
        worker = {"worker": str(self.number)}
        if not self.is_running:
            return [{**worker, "reason": self._absence()}]
        if self.is_leaving:
            return [*self._degraded, {**worker, "reason": "is ending"}]
        if self._is_late:
            return [*self._degraded, {**worker, "reason": "does not answer"}]
        if self.is_hindered:
            reason = "cannot write its spool, others get the connections if they can"
            return [*self._degraded, {**worker, "reason": reason}]
        return self._degraded

    def _absence(self) -> str:
        deaths = len(self._deaths)
        if deaths > 1:
            return f"has ended {deaths} times within a minute, it is started again"
        return "has ended, it is started again" if deaths else "has not started yet"

    @property
    def ledger(self) -> dict[str, Any]:
        """Its accounts, as last known."""
        found: dict[str, Any] | None = self._status.get("ledger")
        return Ledger().as_dict() if found is None else found


async def _process(connected: socket.socket) -> asyncio.subprocess.Process:
    """Return a process that is started with its end of a channel, which is closed here.

    Raises:
        OSError: it cannot be started.
    """
    with connected:
        descriptor = connected.fileno()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _LAUNCH,
            str(descriptor),
            PROGRAM,
            *map(os.path.abspath, sys.path),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env={name: v for name, v in os.environ.items() if name not in _NOT_INHERITED},
        )
