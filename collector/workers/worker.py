"""A worker: a service that is handed what it receives from, and told what to do.

It is a program of its own, which `crew` starts with a descriptor as its argument, so that nothing
of the supervisor is in its memory; the descriptor is that of the channel between the two. It takes
no signals: those are the supervisor's. When the channel ends, the supervisor is gone; then it winds
down as at a stop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector import __version__, logs, process
from collector import config as settings
from collector.board import Board, Post
from collector.courses import watch
from collector.listeners.entrances import Visitor
from collector.logs import Reports
from collector.refusals import REFUSALS, RefusedError, StartError
from collector.roles import Role
from collector.routing import peer_address
from collector.service import InboxAccess, Prepared, Service
from collector.switches import uses_kernel
from collector.workers import descriptors
from collector.workers.channel import Channel
from collector.workers.handing import HandedSockets
from collector.workers.merging import packed
from collector.workers.places import read_place
from collector.workers.pulse import Heart
from collector.workers.tailing import Watching

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from collector.config import Config
    from collector.workers.channel import Message

SOURCE: Final = "settings"
"""What messages call the settings: the supervisor names their file."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Settings that are prepared.

    Attributes:
        course: which change they are, as the supervisor counts.
        prepared: what they need.
        sha256: of their file.
    """

    course: int
    prepared: Prepared
    sha256: str


class Worker:
    """Does what the supervisor says.

    Args:
        connected: the channel's socket.

    Attributes:
        is_done: set when it is to end.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._channel = Channel(connected, self._receive, self._orphaned)
        self._sockets = HandedSockets(self._channel.send)
        self._service: Service | None = None
        self._watching: Watching | None = None
        self._board: Board | None = None
        self._number = -1
        self._wanted: int | None = None
        self._is_preparing = False
        self._has_missed = False  # a socket that settings to be prepared need
        self._plan: _Plan | None = None
        self._is_hurried = False
        self._reports = Reports(log)
        self._stop_asked = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._courses: set[asyncio.Task[None]] = set()

    async def ended(self) -> int:
        """Work until told to stop; return the exit code."""
        await self._stop_asked.wait()
        # Nobody is to be sent here any more, whoever has asked for the stop.
        self._channel.send({"kind": "leaving"})
        if self._courses:
            await asyncio.wait(self._courses)
        service = self._service
        if service is None:
            return 1
        stop = service.wind_down() if self._is_hurried else service.stop()
        self._stopping = asyncio.ensure_future(stop)
        is_cut_short = self._is_hurried
        try:
            await self._stopping
        except asyncio.CancelledError:
            is_cut_short = True
        self._channel.send({"kind": "farewell", "ledger": service.stats.ledger.as_dict()})
        self._channel.close()
        return int(is_cut_short or service.failed)

    def _orphaned(self) -> None:
        log.error("the channel to the supervisor has ended, winding down")
        self._stop_asked.set()

    # What the supervisor says.

    def _receive(self, message: Message, descriptor: int) -> None:
        try:
            self._obey(message, descriptor)
        except Exception:
            log.exception("what the supervisor said cannot be done, please report it")
            self._fail()

    def _obey(self, message: Message, descriptor: int) -> None:
        match message["kind"]:
            case "connection" | "socket" | "start" if descriptor < 0:
                self._miss(message)
            case "connection":
                self._take(message, socket.socket(fileno=descriptor))
            case "end" | "entered":
                self._sockets.hear(message)
            case "report":
                self._report(message)
            case "sightings":
                self._answer(message, sightings=self._seen())
            case "watch" | "watch no more" if self._watching is not None:
                self._watching.obey(message)
            case "stop":
                self._stop_asked.set()
            case "hurry":
                self._hurry()
            case _:
                self._change(message, descriptor)

    def _change(self, message: Message, descriptor: int) -> None:
        """Obey in what is about settings."""
        match message["kind"]:
            case "socket":
                bound = socket.socket(fileno=descriptor)
                bound.setblocking(False)
                self._sockets.keep(read_place(message["place"]), bound)
            case "start":
                self._begin(self._start(message, descriptor))
            case "prepare":
                self._wanted = message["course"]
                self._begin(self._prepare(message))
            case "adopt":
                self._adopt(message)
            case "discard":
                self._discard(message["course"])

    def _miss(self, message: Message) -> None:
        """Do without what should have come along: this process may have no more descriptors.

        A connection is lost, and the supervisor counts it. Settings that add a socket are refused.
        Without a socket or the board there is no start: then this process ends, and its successor
        is handed all anew.
        """
        self._reports.error(
            "descriptors",
            "no descriptor is free, what the supervisor hands over is lost",
            lost=message["kind"],
        )
        if message["kind"] == "connection":
            self._channel.send({"kind": "lost", "number": message["number"]})
        elif message["kind"] == "socket" and self._service is not None:
            self._has_missed = True
        else:
            self._fail()

    def _hurry(self) -> None:
        self._stop_asked.set()
        if self._stopping is None:
            self._is_hurried = True
        else:
            self._stopping.cancel()

    def _answer(self, message: Message, **answer: Any) -> None:
        self._channel.send({"kind": "answer", "question": message["question"], **answer})

    def _begin(self, course: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(course)
        self._courses.add(task)
        task.add_done_callback(self._courses.discard)
        watch(task, self._fail, "task failed, please report it")

    def _fail(self) -> None:
        if self._service is not None:
            self._service.fail()
        self._stop_asked.set()

    # Beginning.

    async def _start(self, message: Message, descriptor: int) -> None:
        self._number = number = message["number"]
        if message["version"] != __version__:
            os.close(descriptor)
            self._refuse_to_start(message, _other_version(message["version"]))
            return
        self._board = Board.attach(descriptor, 1 + number, message["columns"])
        os.close(descriptor)
        heart = Heart(self._board, self._is_hindered)
        heart.beat()
        try:
            config = settings.build(message["document"], source=SOURCE)
            self._configure_logs(config)
            post = Post(number, message["count"], self._board)
            kernel = uses_kernel(os.environ)
            role = Role(message["role"])
            service = Service(config, self._sockets, post, uses_kernel=kernel, role=role)
            service.inbox = InboxAccess(**message["inbox"])
            service.stop_asked = self._stop_asked
            await service.open()
        except (StartError, *REFUSALS) as error:
            self._refuse_to_start(message, str(error))
            return
        try:
            descriptors.check(0, config)
            prepared = await service.prepare(config)
        except REFUSALS as error:
            await service.wind_down()
            self._refuse_to_start(message, str(error))
            return
        _go_by(service, prepared, message["sha256"])
        await service.settle()
        service.begin()
        self._sockets.close_rest()
        self._service = service
        self._watching = Watching(service.tail, self._channel.send, self._is_congested)
        heart.show()
        self._tell_room(config)
        self._answer(message, problem="")

    def _refuse_to_start(self, message: Message, problem: str) -> None:
        self._answer(message, problem=problem)
        self._stop_asked.set()

    def _configure_logs(self, config: Config) -> None:
        marks = {"worker": self._number}
        logs.configure(config.logging.level, config.logging.format, marks=marks)

    # Settings.

    async def _prepare(self, message: Message) -> None:
        """Do what can fail of going by settings, and keep it if it is still wanted then."""
        service, board = self._service, self._board
        has_missed, self._has_missed = self._has_missed, False
        if service is None or board is None or self._is_preparing:
            busy = "prepares other settings still" if self._is_preparing else "has not started"
            self._answer(message, problem=f"worker {self._number} {busy}")
            return
        board.learn(message["columns"])
        self._is_preparing = True
        try:
            config = settings.build(message["document"], source=SOURCE)
            self._check_descriptors(config, has_missed=has_missed)
            prepared = await service.prepare(config)
        except REFUSALS as error:
            self._answer(message, problem=str(error))
            return
        finally:
            self._is_preparing = False
            self._sockets.close_rest()
        if self._wanted != message["course"]:  # the supervisor has waited long enough
            service.discard(prepared)
            return
        self._plan = _Plan(message["course"], prepared, message["sha256"])
        self._answer(message, problem="")

    def _check_descriptors(self, config: Config, *, has_missed: bool) -> None:
        """Raise RefusedError if there are too few descriptors for settings."""
        if has_missed:
            raise RefusedError(
                f"worker {self._number} has no descriptor left for another socket:"
                f" {descriptors.ADVICE}"
            )
        descriptors.check(len(self._sockets.numbers), config)

    def _adopt(self, message: Message) -> None:
        """Go by the settings at once: what comes in next comes in by them."""
        service, plan = self._service, self._plan
        self._plan = None
        if service is None or plan is None or plan.course != message["course"]:
            raise RuntimeError("these settings are not prepared")
        self._configure_logs(plan.prepared.config)
        _go_by(service, plan.prepared, plan.sha256)
        self._begin(self._settle(service, plan.prepared.config, message))

    async def _settle(self, service: Service, config: Config, message: Message) -> None:
        await service.settle()
        self._tell_room(config)
        self._answer(message)

    def _discard(self, course: int) -> None:
        """Let go of settings, also of those that are still being prepared."""
        if self._wanted == course:
            self._wanted = None
        plan = self._plan
        if self._service is not None and plan is not None and plan.course == course:
            self._service.discard(plan.prepared)
            self._plan = None

    # At work.

    def _is_hindered(self) -> bool:
        return self._service is not None and self._service.is_hindered()

    def _tell_room(self, config: Config) -> None:
        """Tell for how many connections there are descriptors."""
        found = descriptors.room(len(self._sockets.numbers), config)
        self._channel.send({"kind": "room", "connections": found})

    def _take(self, message: Message, connected: socket.socket) -> None:
        """Let in a connection that the supervisor has accepted."""
        connected.setblocking(False)
        number, place, peer = message["number"], read_place(message["place"]), message["peer"]
        visitor = Visitor(connected, peer and peer_address(peer), message["is_proxied"])
        visitor.sender = None if visitor.is_proxied else visitor.peer
        self._sockets.let_in(place, number, visitor)

    def _seen(self) -> str:
        return "" if self._service is None else self._service.stats.sightings.packed().decode()

    def _is_congested(self) -> bool:
        return self._channel.is_congested

    def _report(self, message: Message) -> None:
        """Say how the service is; a mistake in that costs the answer, not the service."""
        service = self._service
        if service is None:
            return
        try:
            report = {"status": service.status(), "degraded": service.degraded()}
            if message["families"]:
                report["families"] = packed(service.registry.collect())
        except Exception:
            log.exception("how the worker is cannot be told, please report it")
            return
        self._answer(message, **report)


def _go_by(service: Service, prepared: Prepared, sha256: str) -> None:
    service.adopt(prepared)
    service.stats.config_sha256 = sha256


def _other_version(version: str) -> str:
    """Say why a worker does not work for a supervisor of another version."""
    return f"worker has version {__version__}, its supervisor {version}: restart the daemon"


async def work(connected: socket.socket) -> int:
    """Be a worker; return the exit code."""
    return await Worker(connected).ended()


def main() -> int:
    """Run the worker that a supervisor has started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logs.configure()
    connected = socket.socket(fileno=int(sys.argv[1]))
    return process.run(work(connected))


if __name__ == "__main__":
    sys.exit(main())
