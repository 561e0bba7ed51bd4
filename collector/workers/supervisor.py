"""A daemon of several processes: starts the workers, looks after them, changes and ends them.

A change of settings takes one course for all: every process prepares what can fail, then all go by
the new settings, or none does. Connections are dealt (`accepting`), what workers say of themselves
is put together (`merging`), and a worker that ends is started again on its own spool file.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from collector import __version__
from collector.admin.status import listener_status
from collector.daemon import Daemon
from collector.intakes import read_keys
from collector.ledger import Ledger
from collector.listening import Listening
from collector.listening import Plan as ListeningPlan
from collector.metrics import ListenerStats, MetricsCollector, Stats
from collector.ratelimit import Grant
from collector.routing import Router
from collector.service import REFUSALS, RefusedError, StartError
from collector.settings.problems import ConfigError, Problem
from collector.sightings import CHECK_SECONDS
from collector.workers import board, merging
from collector.workers.accepting import DatagramSockets, Dealers, Dealing, as_json
from collector.workers.crew import GoneError, Looks, Member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from collector.config import Config
    from collector.listeners.opening import Place, Source
    from collector.loading import Load, Loaded
    from collector.systemd import Notifier
    from collector.workers.accepting import DealtSockets
    from collector.workers.channel import Message

# For a worker to open its spool, which may have to be put in order, and to bind nothing.
START_SECONDS: Final = 300.0

# For a worker to prepare settings, which reads a few files.
PREPARE_SECONDS: Final = 30.0

# For a worker to wind down what settings need no more: sinks have 5 seconds, listeners 2.
ADOPT_SECONDS: Final = 30.0

# For workers to end, beyond the grace period: listeners drain, and the spool is closed.
STOP_SECONDS: Final = 20.0

# For workers to end when they are told to hurry.
HURRY_SECONDS: Final = 5.0

# A worker that has not answered for so long hangs, and is ended.
HANG_SECONDS: Final = 60.0

# Between two grants of what the rates of intakes allow.
GRANT_SECONDS: Final = 0.02

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What settings need, ready to be gone by.

    Attributes:
        config: the settings.
        listening: the listeners, as the supervisor has them.
        asked: the workers that have prepared theirs.
        course: which change this is, from 0 on.
    """

    config: Config
    listening: ListeningPlan
    asked: list[Member]
    course: int


class _Merged(Collector):
    """The metrics of all processes, as they were when they were asked."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield from self._families


class Supervisor(Daemon[Prepared]):
    """Several workers that are one daemon.

    `start` must be called on the event loop that then runs it; `stop` may be called once.

    Args:
        loaded: the settings.
        load: reads them again.
        sockets: bind what the listeners receive from.
        notifier: tells systemd how the daemon is.
        workers: how many there are.

    Raises:
        StartError: the admin server's token can no longer be read, or there is no memory.
    """

    def __init__(
        self, loaded: Loaded, load: Load, sockets: DealtSockets, notifier: Notifier, workers: int
    ) -> None:
        super().__init__(loaded, load, notifier, Stats(Ledger()))
        self._sockets = sockets
        self._failed = False
        self._is_listening = False
        self._is_stopping = False
        try:
            self._board, self._board_file = board.Board.create(1 + workers)
        except OSError as error:
            raise StartError(f"workers: no memory to share: {error.strerror}") from error
        self._members = [
            Member(number, self._hear, self._members_changed) for number in range(workers)
        ]
        self._looks = Looks(self._members)
        self._dealing = Dealing(self._members)
        self._listening = Listening(
            Dealers(self._dealing), sockets, self._stats, self._dealing.gate
        )
        self._courses = count()
        self._grants: list[Grant] = []
        self._registry = CollectorRegistry()
        self._registry.register(MetricsCollector(self._stats, None))
        PlatformCollector(self._registry)
        ProcessCollector(registry=self._registry)

    @property
    def failed(self) -> bool:
        """Whether a part that is needed has broken."""
        return self._failed

    def _fail(self) -> None:
        self._failed = True
        self.stop_asked.set()

    # What is told of it.

    def ready(self) -> bool:
        """Say whether every listener listens, and a worker is there to serve it."""
        return self._is_listening and any(member.is_running for member in self._members)

    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it."""
        await self._looks.lately()
        return self._known_degraded()

    def _known_degraded(self) -> list[dict[str, str]]:
        return merging.merged_degraded(
            [
                *(member.degraded for member in self._members),
                self._stats.sightings.degraded(),
                self._stale_files(),
            ]
        )

    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        await self._looks.now()
        addresses = self._listening.addresses()
        own = {
            **self._identity(),
            "degraded": self._known_degraded(),
            "ledger": self._stats.ledger.as_dict(),
            "listeners": [
                listener_status(item, self._stats.listeners[item.name], addresses.get(item.name))
                for item in self._loaded.config.listeners
                if item.name in self._stats.listeners
            ],
            **merging.blank(self._loaded.config),
        }
        states = [member.state for member in self._members if member.state]
        return {**merging.merged_status(own, states), "workers": [*map(self._told, self._members)]}

    def _told(self, member: Member) -> dict[str, Any]:
        """Return what `/api/status` says of a worker."""
        started = datetime.fromtimestamp(member.started, UTC).isoformat(timespec="seconds")
        return {
            "number": member.number,
            "pid": member.pid if member.is_running else None,
            "started": started,
            "restarts": member.restarts,
            "connections": self._dealing.connections(member),
            "ledger": member.ledger,
        }

    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""
        await self._looks.now()
        own = merging.packed(self._registry.collect())
        parts = [part for member in self._members for part in member.families]
        return _Merged(merging.merged_families([own, *parts]))

    # Beginning and end.

    async def start(self) -> None:
        """Start everything, listeners last.

        Raises:
            StartError: an address cannot be bound, or a worker cannot start; what had been started
            is stopped again.
        """
        try:
            async with self._changing:  # a reload that is asked for by now comes after it
                await self._start_admin()
                await self._go_by(self._loaded)
        except (StartError, OSError, *REFUSALS) as error:
            await self._break_off()
            raise StartError(str(error)) from error
        self._is_listening = True
        self._sockets.close_rest()
        for member in self._members:
            self._beside.begin(self._look_after(member), f"worker {member.number}")
        self._beside.begin(self._look_after_senders(), "senders")
        self._beside.begin(self._grant(), "rates")
        self._beside.begin(self.look_after_files(), "files")

    async def _start_members(self, sources: Mapping[Place, Source]) -> None:
        """Start all workers; raises as `_start_member` does, if one of them cannot."""
        starts = [asyncio.ensure_future(self._start_member(m, sources)) for m in self._members]
        done, pending = await asyncio.wait(starts, return_when=asyncio.FIRST_EXCEPTION)
        for start in pending:
            start.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for start in done:
            start.result()
        self._dealing.look()

    async def _break_off(self) -> None:
        """End what has been started before the start has failed."""
        for member in self._members:
            member.kill()
        await asyncio.gather(*(item.ended() for item in self._members if item.pid is not None))
        await self._listening.stop()
        await self._admin.stop()

    async def stop(self) -> None:
        """Stop listening, have all workers do what one daemon does, end those that take too long.

        If cancelled, they have no more than a moment.
        """
        self._is_listening = False
        self._is_stopping = True
        self._beside.cancel()
        grace = self._loaded.config.shutdown_grace
        log.info("stopping", grace_seconds=grace)
        try:
            await self._listening.stop()
            await self._end_members("stop", grace + STOP_SECONDS)
        except asyncio.CancelledError:
            await self._end_members("hurry", HURRY_SECONDS)
            raise
        finally:
            await self._admin.stop()
            ledger = merging.summed(member.ledger for member in self._members)
            log.info("stopped", **ledger)

    async def _end_members(self, kind: str, seconds: float) -> None:
        """Tell all workers to end, and end those that have not done so in time."""
        there = [item for item in self._members if item.pid is not None and item.exit_code is None]
        for member in there:
            member.tell({"kind": kind})
        ends = [asyncio.ensure_future(member.ended()) for member in there]
        if ends:
            await asyncio.wait(ends, timeout=seconds)
        for member, end in zip(there, ends, strict=True):
            if not end.done():
                log.error("worker does not end, it is killed", worker=member.number)
                member.kill()
        codes = await asyncio.gather(*ends)
        self._failed |= any(codes)

    # Workers.

    async def _start_member(self, member: Member, sources: Mapping[Place, Source]) -> None:
        """Start a worker by the settings of now.

        Args:
            member: the worker.
            sources: what the listeners receive from.

        Raises:
            StartError: it cannot start.
            OSError: there is no process or memory for it.
        """
        await member.launch()
        self._hand_sockets(member, sources)
        message = {
            "kind": "start",
            "version": __version__,
            "number": member.number,
            "count": len(self._members),
            **self._settings(self._loaded),
        }
        try:
            answer = await member.ask(message, START_SECONDS, os.dup(self._board_file))
        except (GoneError, TimeoutError) as error:
            how = "ended" if isinstance(error, GoneError) else "does not get ready"
            raise StartError(f"worker {member.number} {how}; the log has more") from error
        if answer["problem"]:
            raise StartError(answer["problem"])
        member.is_running = True
        log.info("worker started", worker=member.number, pid=member.pid)

    def _settings(self, loaded: Loaded) -> Message:
        """Return what a worker needs to know to go by settings."""
        inbox = self._inbox_access()
        return {
            "document": loaded.document,
            "sha256": loaded.sha256,
            "columns": self._board.columns,
            "inbox": {"url": inbox.url, "secret": inbox.secret},
        }

    def _hand_sockets(self, member: Member, sources: Mapping[Place, Source]) -> None:
        """Hand a worker its sockets for datagrams; it closes those that it has already."""
        for place, source in sources.items():
            if isinstance(source, DatagramSockets):
                bound = source.of_worker(member.number)
                if bound is not None:
                    message = {"kind": "socket", "place": as_json(place)}
                    member.tell(message, os.dup(bound.fileno()))

    async def _look_after(self, member: Member) -> None:
        """Start a worker again whenever it has ended."""
        while True:
            code = await member.ended()
            self._dealing.forget(member)
            self._board.strike_out(board.BUFFERED_OCTETS, 1 + member.number)
            pause = member.bury()
            log.error(
                "worker ended, it is started again",
                worker=member.number,
                exit_code=code,
                pause_seconds=pause,
            )
            await asyncio.sleep(pause)
            async with self._changing:
                if self._is_stopping:
                    return
                await self._restart(member)

    async def _restart(self, member: Member) -> None:
        member.restarts += 1
        self._stats.worker_restarts += 1
        try:
            await self._start_member(member, self._listening.sources())
        except (StartError, OSError) as error:
            log.error("worker cannot start", worker=member.number, problem=str(error))  # noqa: TRY400
            member.kill()
        self._dealing.look()

    def _hear(self, member: Member, message: Message) -> None:
        self._dealing.hear(member, message)

    def _members_changed(self) -> None:
        self._dealing.look()

    # Settings.

    async def _prepare(self, loaded: Loaded) -> Prepared:
        """Have all processes prepare settings; raises one of `REFUSALS`, and nothing changed."""
        config = loaded.config
        try:
            self._board.extend(board.names(config))
        except board.FullError as error:
            raise ConfigError("workers", [Problem("", str(error))]) from error
        read_keys(config)  # what is wrong with them is said in the words of one process
        plan = await self._listening.plan(config.listeners)
        running = [item for item in self._members if item.is_running and not item.is_leaving]
        prepared = Prepared(config, plan, running, next(self._courses))
        try:
            sources = {**self._listening.sources(), **plan.opened}
            for member in running:
                self._hand_sockets(member, sources)
            message = {"kind": "prepare", "course": prepared.course, **self._settings(loaded)}
            await _all_prepared(running, message)
        except BaseException:
            await self._discard(prepared)
            raise
        return prepared

    async def _take_over(self, prepared: Prepared) -> None:
        with self._failing():
            self._count_for(prepared.config)
        if not self._is_listening:
            await self._begin_with(prepared)
        with self._failing():
            await self._adopt(prepared)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Ask for a stop if settings are taken over in part only, as one process does."""
        try:
            yield
        except Exception:
            log.exception("settings taken over in part only, please report it")
            self._fail()
            raise

    def _count_for(self, config: Config) -> None:
        """Have counters and rates for everything that settings name."""
        for listener in config.listeners:
            self._stats.listeners.setdefault(listener.name, ListenerStats(listener.name))
        self._stats.sightings.configure(
            {intake.name: intake.expect_every for intake in config.intakes}, time.time()
        )
        self._make_grants(config)

    async def _adopt(self, prepared: Prepared) -> None:
        """Have all processes go by settings, then forget what they name no longer."""
        course = prepared.course
        adopted = [asyncio.ensure_future(_adopted(member, course)) for member in prepared.asked]
        await asyncio.sleep(0)  # all are told before anybody comes in by the new settings
        self._listening.adopt(prepared.listening, Router([], {}, {}, []))
        await asyncio.gather(self._listening.settle(), *adopted)
        names = {listener.name for listener in prepared.config.listeners}
        for name in self._stats.listeners.keys() - names:
            del self._stats.listeners[name]

    async def _begin_with(self, prepared: Prepared) -> None:
        """Start the workers before the first listener lets anybody in."""
        try:
            await self._start_members(prepared.listening.opened)
        except BaseException:
            self._listening.discard(prepared.listening)
            raise

    async def _discard(self, prepared: Prepared) -> None:
        self._listening.discard(prepared.listening)
        for member in prepared.asked:
            if member.is_running:
                member.tell({"kind": "discard", "course": prepared.course})

    # What goes on beside.

    def _make_grants(self, config: Config) -> None:
        now = time.monotonic()
        self._grants = [
            Grant(
                intake.max_rate.events_per_second,
                self._board.column(board.admitted(intake.name)),
                self._board.column(board.granted(intake.name)),
                now,
            )
            for intake in config.intakes
            if intake.max_rate is not None
        ]

    async def _grant(self) -> None:
        """Have the rates of intakes go on."""
        while True:
            await asyncio.sleep(GRANT_SECONDS if self._grants else 1.0)
            now = time.monotonic()
            for grant in self._grants:
                grant.fill(now)

    async def _look_after_senders(self) -> None:
        """Report who has fallen silent to all workers, and end a worker that hangs."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.gather(*(self._learn(member) for member in self._members))
            self._stats.sightings.check(time.time())

    async def _learn(self, member: Member) -> None:
        """Learn whom a worker has heard."""
        if not member.is_running:
            return
        try:
            answer = await member.ask({"kind": "sightings"}, CHECK_SECONDS / 2)
        except GoneError:
            return
        except TimeoutError:
            member.is_silent = True
            self._dealing.look()
            self._end_hanging(member)
            return
        self._stats.sightings.absorb(answer["sightings"].encode(), time.time())

    def _end_hanging(self, member: Member) -> None:
        silence = asyncio.get_running_loop().time() - member.heard
        if silence > HANG_SECONDS:
            log.error("worker hangs, it is killed", worker=member.number)
            member.kill()


async def _all_prepared(members: list[Member], message: Message) -> None:
    """Have workers prepare settings; raises RefusedError if one of them cannot."""
    problems = await asyncio.gather(*(_prepared(member, message) for member in members))
    for problem in filter(None, problems):
        raise RefusedError(problem)


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
