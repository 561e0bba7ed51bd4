"""A daemon of several processes: hands out what comes in, and leads all through a change.

A change of settings takes one course for all: every process prepares what can fail, then all go by
the new settings, or none does. Connections are dealt (`dealing`), workers are started, looked after
and ended together (`crew`), and what they say of themselves is put together (`picture`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector import board
from collector.courses import whole
from collector.daemon import Daemon
from collector.intakes import read_keys
from collector.ledger import Ledger
from collector.listening import Listening
from collector.listening import Plan as ListeningPlan
from collector.metrics import ListenerStats, Stats
from collector.refusals import StartError
from collector.routing import Router
from collector.settings.problems import ConfigError, Problem
from collector.sightings import CHECK_SECONDS
from collector.workers import columns, merging
from collector.workers.accepting import Dealers
from collector.workers.crew import Crew, Order
from collector.workers.dealing import Dealing
from collector.workers.member import GoneError
from collector.workers.picture import Picture
from collector.workers.rates import Rates
from collector.workers.tailing import Tails

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from prometheus_client.registry import Collector

    from collector.admin.history import Series
    from collector.config import Config
    from collector.listeners.opening import Place, Source
    from collector.loading import Load, Loaded
    from collector.systemd import Notifier
    from collector.tail import Tailed, Wanted
    from collector.workers.accepting import DealtSockets
    from collector.workers.channel import Message
    from collector.workers.member import Member

# For workers to end, beyond the grace period: listeners drain, and the spool is closed.
STOP_SECONDS: Final = 20.0

# For workers to end when they are told to hurry.
HURRY_SECONDS: Final = 5.0

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
        try:
            self._crew = Crew(workers, self._hear, self._workers_changed)
        except OSError as error:
            raise StartError(f"workers: no memory to share: {error.strerror}") from error
        super().__init__(
            loaded, load, sockets, notifier, stats=Stats(Ledger()), shown=self._crew.board
        )
        self._failed = False
        self._role = loaded.role
        self._is_ready = False
        self._dealing = Dealing(self._crew.members)
        self._listening = Listening(
            Dealers(self._dealing), sockets, self._stats, self._dealing.gate
        )
        self._picture = Picture(self._crew.members, self._dealing, self._listening, self._stats)
        self._rates = Rates(self._crew.board)
        self._tails = Tails(lambda: self._crew.at_work)
        self._changes = count()

    @property
    def failed(self) -> bool:
        """Whether a part that is needed has broken."""
        return self._failed

    def _fail(self) -> None:
        self._failed = True
        self.stop_asked.set()

    # What is told of it.

    def ready(self) -> bool:
        """Say whether every listener listens, and a worker is there to do the work."""
        return self._is_ready and any(member.is_running for member in self._crew.members)

    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it."""
        return await self._picture.degraded(self._degraded())

    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        return await self._picture.status(self._loaded.config, self._identity(), self._degraded())

    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""
        return await self._picture.metrics(self._degraded())

    async def counts(self) -> dict[Series, int]:
        """Return how many messages and events have come and gone so far in all workers."""
        return await self._picture.counts()

    def tail(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield messages as they are dealt with, until it is closed."""
        return self._tails.follow(wanted)

    # Beginning and end.

    def _begin(self) -> None:
        self._is_ready = True
        for member in self._crew.members:
            course = self._crew.keep(member, self._dealing.forget, self._replace)
            self._beside.begin(course, f"worker {member.number}")
        if self._role.receives:
            self._beside.begin(self._look_after_senders(), "senders")
        self._beside.begin(self._rates.go_on(), "rates")
        self._beside.begin(self.look_after_files(), "files")
        self._beside.begin(self.look_after_history(), "history")

    async def _break_off(self) -> None:
        self._beside.cancel()
        await self._crew.break_off()
        await self._listening.stop()

    async def stop(self) -> None:
        """Stop listening, have all workers do what one daemon does, end those that take too long.

        If cancelled, they have no more than a moment.
        """
        self._is_ready = False
        self._beside.cancel()
        self._admin.end_streams()
        grace = self._loaded.config.shutdown_grace
        log.info("stopping", grace_seconds=grace)
        try:
            await self._listening.stop()
            self._failed |= await self._crew.end("stop", grace + STOP_SECONDS)
        except asyncio.CancelledError:
            self._failed |= await self._crew.end("hurry", HURRY_SECONDS)
            raise
        finally:
            await self._admin.stop()
            ledger = merging.summed(member.ledger for member in self._crew.members)
            log.info("stopped", **ledger)

    # Workers.

    def _order(self, loaded: Loaded, sources: Mapping[Place, Source]) -> Order:
        """Return what workers need to know to go by settings."""
        inbox = self._inbox_access()
        settings = {
            "document": loaded.document,
            "sha256": loaded.sha256,
            "role": loaded.role,
            "columns": self._board.columns,
            "inbox": {"url": inbox.url, "secret": inbox.secret},
        }
        return Order(settings, sources)

    async def _replace(self, member: Member) -> None:
        """Start a worker again, by the settings of now."""
        async with self._changing:
            self._stats.worker_restarts += 1
            order = self._order(self._loaded, self._listening.sources())
            await self._crew.start_again(member, order)
        self._tails.begin(member)

    def _hear(self, member: Member, message: Message) -> None:
        if message["kind"] == "tail":
            self._tails.hear(message)
        else:
            self._dealing.hear(member, message)

    def _workers_changed(self) -> None:
        self._dealing.look()

    # Settings.

    async def _prepare(self, loaded: Loaded) -> Prepared:
        """Have all processes prepare settings; raises one of `REFUSALS`, and nothing changed."""
        config = loaded.config
        try:
            self._board.extend(columns.names(config))
        except board.FullError as error:
            raise ConfigError("workers", [Problem("", str(error))]) from error
        read_keys(config)  # what is wrong with them is said in the words of one process
        plan = await self._listening.plan(self._role.listeners(config))
        prepared = Prepared(config, plan, self._crew.at_work, next(self._changes))
        try:
            order = self._order(loaded, plan.opened)
            await self._crew.prepare(prepared.asked, prepared.course, order)
        except BaseException:
            await self._discard(prepared)
            raise
        return prepared

    async def _take_over(self, prepared: Prepared) -> None:
        with whole(self._fail):
            self._count_for(prepared.config)
        if not self._is_ready:
            await self._start_with(prepared)
        with whole(self._fail):
            await self._adopt(prepared)

    def _count_for(self, config: Config) -> None:
        """Have counters and rates for everything that settings name."""
        for listener in self._role.listeners(config):
            self._stats.listeners.setdefault(listener.name, ListenerStats(listener.name))
        hears = self._role.receives
        self._stats.sightings.configure(
            {intake.name: intake.expect_every if hears else None for intake in config.intakes},
            time.time(),
        )
        self._rates.configure(config)

    async def _start_with(self, prepared: Prepared) -> None:
        """Start the workers before the first listener lets anybody in."""
        self._beside.begin(self._crew.watch(), "pulses")
        try:
            await self._crew.start(self._order(self._loaded, prepared.listening.opened))
        except BaseException:
            self._listening.discard(prepared.listening)
            raise

    async def _adopt(self, prepared: Prepared) -> None:
        """Have all processes go by settings, then forget what they name no longer."""
        adopted = self._crew.adopt(prepared.asked, prepared.course)
        await asyncio.sleep(0)  # all are told before anybody comes in by the new settings
        self._listening.adopt(prepared.listening, Router([], {}, {}, []))
        await asyncio.gather(self._listening.settle(), adopted)
        names = {listener.name for listener in self._role.listeners(prepared.config)}
        for name in self._stats.listeners.keys() - names:
            del self._stats.listeners[name]

    async def _discard(self, prepared: Prepared) -> None:
        self._listening.discard(prepared.listening)
        self._crew.discard(prepared.asked, prepared.course)

    # What goes on beside.

    async def _look_after_senders(self) -> None:
        """Report who has fallen silent to all workers."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.gather(*map(self._learn, self._crew.at_work))
            self._stats.sightings.check(time.time())

    async def _learn(self, member: Member) -> None:
        """Learn whom a worker has heard; one that does not answer in time is asked again later."""
        try:
            answer = await member.ask({"kind": "sightings"}, CHECK_SECONDS / 2)
        except (GoneError, TimeoutError):
            return
        self._stats.sightings.absorb(answer["sightings"].encode(), time.time())
