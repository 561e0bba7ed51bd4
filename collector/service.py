"""What receives, keeps and delivers: the rooms, how they are connected, changed and wound down.

A change of settings takes the same course as a start. What can fail is done first and changes
nothing; then all rooms go by the new settings within one turn of the event loop; then what nobody
needs any more is wound down.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import SecretStr

from collector import drift, memory, sightings
from collector.admin.inbox import SECRET_HEADER
from collector.admin.status import (
    intake_status,
    listener_status,
    sink_status,
    unused_sink_status,
)
from collector.board import BUFFERED_OCTETS, Post
from collector.courses import Courses, whole
from collector.dead_letters import Office
from collector.deliveries import Deliveries
from collector.durability import Durability
from collector.events import filters
from collector.exposition import MetricsCollector
from collector.identity import TAIL_BITS, IdSource
from collector.intakes import IntakeMaker, Keys, masker_of, read_keys
from collector.ledger import Ledger
from collector.listeners.buffers import Buffers
from collector.listening import Listening, Receivers
from collector.masking import Masker
from collector.metrics import IntakeStats, ListenerStats, Stats
from collector.pipeline import Pipeline, Rules
from collector.refusals import StartError
from collector.roles import Role
from collector.routing import Router
from collector.spool.building import build_spool, shares
from collector.spool.files import LockedError
from collector.spool.memory import MemorySpool
from collector.spool.store import NewerVersionError
from collector.stream import MismatchError
from collector.syslog.message import KeyName
from collector.tail import Tail

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.config import Config, SinkSettings
    from collector.deliveries import Plan as DeliveryPlan
    from collector.listeners.opening import Sockets
    from collector.listening import Plan as ListeningPlan
    from collector.spool import Share
    from collector.tail import Tailed, Wanted


# Between two looks at what all workers hold of unfinished messages.
BUFFERS_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InboxAccess:
    """How the daemon's own inbox is reached.

    Attributes:
        url: where events are posted to.
        secret: what shows that the daemon posts them.
    """

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What settings need, ready to be gone by."""

    config: Config
    deliveries: DeliveryPlan
    listening: ListeningPlan
    keys: Keys


class Service:
    """Receives, keeps and delivers, as settings say.

    `open` must be called first, on the event loop that then runs it; `stop` may be called once.

    Args:
        config: the settings.
        sockets: give the listeners what they receive from.
        post: its place among the workers; by default it is the only one.
        uses_kernel: whether messages of known shapes are read by the compiled kernel.
        role: what it does of the work that several daemons share.

    Attributes:
        stats: its counters.
        registry: its metrics.
        inbox: how a sink reaches the daemon's own inbox; to be set before settings are prepared.
        stop_asked: set when it can do its work no longer, by whoever wants it to stop, too.
        failed: whether a part that is needed has broken.
    """

    def __init__(
        self,
        config: Config,
        sockets: Sockets,
        post: Post | None = None,
        *,
        uses_kernel: bool = True,
        role: Role = Role.ALL,
    ) -> None:
        self._config = config
        self._role = role
        self._sockets = sockets
        self._post = post or Post.alone()
        self._uses_kernel = uses_kernel
        self._is_ready = False
        self.stats = Stats(Ledger(), delivers=role.delivers)
        self._watches: dict[str, drift.DriftWatch] = {}
        self._tail = Tail()
        self._masker = Masker(KeyName())
        self._spool = build_spool(
            config, self.stats.ledger, self._post, role, self.stats.dead_lettered
        )
        self._buffers = Buffers(
            config.max_buffered_bytes, self._post.board.column(BUFFERED_OCTETS), self._post.count
        )
        self._shares: dict[str, Share] = {}
        self._beside = Courses(self.fail)
        self.registry = self._registry()
        self.inbox = InboxAccess("", "")
        self.stop_asked = asyncio.Event()
        self.failed = False

    # What is told of it.

    def ready(self) -> bool:
        """Say whether it does all of its part: every listener listens, what waits goes out."""
        return self._is_ready

    def is_hindered(self) -> bool:
        """Say whether nothing that comes in can be kept: the spool cannot be written."""
        return self._spool.in_trouble

    def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason.

        That is each sink that fails or is paused, a spool that is full, and who has fallen silent.
        Anybody may read it: what a sink said may hold parts of events and is in `status` alone.
        """
        return [
            *(
                {"sink": sink.name, "reason": sink.reason}
                for sink in self._deliveries.sinks
                if sink.reason
            ),
            *self._spool.degraded(),
            *self.stats.sightings.degraded(),
        ]

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` says of the way of messages."""
        stats = self.stats
        addresses = self._listening.addresses()
        return {
            "ledger": stats.ledger.as_dict(),
            "buffered_bytes": self._buffers.octets,
            "listeners": [
                listener_status(item, stats.listeners[item.name], addresses.get(item.name))
                for item in self._role.listeners(self._config)
            ],
            "intakes": [
                intake_status(item, stats.intakes[item.name], stats.sightings)
                for item in self._config.intakes
            ],
            "sinks": self._sinks_status(),
            "spool": {"type": self._config.spool.type, **self._spool.status()},
            "drift": drift.status(self._watches.values()),
        }

    def _sinks_status(self) -> list[dict[str, Any]]:
        backlog = self._spool.backlog
        if not self._role.delivers:
            return [
                unused_sink_status(sink.name, backlog(sink.name)) for sink in self._config.sinks
            ]
        return [
            sink_status(sink, self.stats.sinks[sink.name], backlog(sink.name))
            for sink in self._deliveries.sinks
        ]

    def tail(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield messages as they are dealt with, until it is closed."""
        return self._tail.follow(wanted)

    # What a drain asks.

    async def emptied(self) -> None:
        """Wait until nothing waits for any sink that is configured."""
        await self._spool.emptied()

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return self._deliveries.waiting()

    # Life.

    async def open(self) -> None:
        """Open the spool and make the rooms that stay, whatever changes.

        Raises:
            StartError: the spool cannot be used.
        """
        await self._start_spool()
        self._build()

    def begin(self, *, stays: bool = True) -> None:
        """Begin what goes on beside, once the first settings are gone by.

        Args:
            stays: whether it does its part from now on; else it delivers what waits, and no more.
        """
        self._is_ready = stays
        self._serve_requests()
        if stays and self._role.receives:
            self._beside.begin(self._look_after_senders(), "senders")
            self._beside.begin(self._look_after_memory(), "memory")
            self._beside.begin(self._look_after_buffers(), "buffers")

    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""
        end = asyncio.get_running_loop().time() + self._config.shutdown_grace
        self._is_ready = False
        log.info("stopping", grace_seconds=self._config.shutdown_grace)
        try:
            await self._listening.stop()
            self._deliveries.flush()
            self._deliveries.hurry()
            self._spool.wind_down()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._spool.emptied()
        finally:
            await self.wind_down()

    async def wind_down(self) -> None:
        """Stop what runs behind the listeners, the spool once nobody uses it."""
        self._beside.cancel()
        await self._listening.stop()
        await self._deliveries.stop()
        await self._close_spool()

    def _masked(self, text: str) -> str:
        """Return what a sink said without intake keys; it may have cut what it repeats."""
        return self._masker.mask_text(text, is_cut=True)

    # The course of a change.

    def _build(self) -> None:
        """Make the rooms that stay, whatever changes."""
        loop = asyncio.get_running_loop()
        stats, spool = self.stats, self._spool
        ids = IdSource(secrets.randbits(TAIL_BITS))
        rules = Rules(Router([], {}, {}, []), KeyName())
        self._pipeline = Pipeline(rules, ids, stats, spool, self._tail)
        self._deliveries = Deliveries(
            spool,
            stats,
            self._pipeline.read_again,
            self.fail,
            self._masked,
            delivers=self._role.delivers,
        )
        durability = Durability(spool, self._deliveries.flush, loop)
        receivers = Receivers(self._pipeline, self._buffers, durability)
        self._listening = Listening(receivers, self._sockets, stats, spool.gate)

    async def prepare(self, config: Config, *, listen: bool = True) -> Prepared:
        """Do what can fail of going by settings; nothing has changed then.

        Args:
            config: the settings.
            listen: whether to listen, as far as that is its part.

        Raises:
            ConfigError, FileError or ListenError: they cannot be gone by.
        """
        deliveries = self._deliveries.plan(
            [self._with_inbox(sink) for sink in config.sinks], config.intakes, shares(config)
        )
        keys = read_keys(config)
        listening = await self._listening.plan(self._role.listeners(config) if listen else ())
        return Prepared(config, deliveries, listening, keys)

    def discard(self, prepared: Prepared) -> None:
        """Let go of what was prepared for nothing."""
        self._listening.discard(prepared.listening)

    def adopt(self, prepared: Prepared) -> None:
        """Go by other settings from now on; `settle` is to follow."""
        with whole(self.fail):
            self._adopt(prepared)

    async def settle(self) -> None:
        """Wind down what only the former settings needed."""
        with whole(self.fail):
            await asyncio.gather(self._deliveries.settle(), self._settle_listeners())
        self._forget()

    async def _settle_listeners(self) -> None:
        await self._listening.settle()
        self._deliveries.forget_former()

    def _adopt(self, prepared: Prepared) -> None:
        """Have all rooms go by settings from now on; nothing here waits or fails."""
        config = prepared.config
        self._count_for(config)
        self._deliveries.adopt(prepared.deliveries)
        self._shares.clear()
        self._shares.update(prepared.deliveries.shares)
        key_name = KeyName(config.routing.structured_data_id, config.routing.parameter)
        maker = IntakeMaker(
            config,
            self._deliveries,
            self.stats,
            self._watches,
            key_name,
            self._post,
            self._uses_kernel,
        )
        router = maker.router(prepared.keys)
        self._pipeline.reconfigure(
            Rules(
                router,
                key_name,
                identify_by_content=config.identity == "content",
                keep_unknown=config.routing.on_unknown == "dead_letter",
                zones={listener.name: listener.timezone for listener in config.listeners},
            )
        )
        self._masker = masker_of(config, prepared.keys)
        self._tail.go_by(self._masker)
        self._buffers.bound = config.max_buffered_bytes
        self._listening.adopt(prepared.listening, router)
        self._config = config

    def _count_for(self, config: Config) -> None:
        """Have counters for everything that settings name."""
        stats = self.stats
        for intake in config.intakes:
            stats.intakes.setdefault(intake.name, IntakeStats(intake.name))
        for listener in self._role.listeners(config):
            stats.listeners.setdefault(listener.name, ListenerStats(listener.name))
        reasons = (*stats.drop_reasons, *filters.reasons(config))
        stats.drop_reasons = tuple(dict.fromkeys(reasons))
        stats.sightings.configure(self._expected(config), time.time())
        self._watches = drift.watches(config, stats, self._watches)

    def _expected(self, config: Config) -> dict[str, float | None]:
        """Return for each intake how long its senders may be silent.

        One of several workers hears only some of them: the supervisor tells who is silent. Who only
        delivers hears nobody.
        """
        tells = self._post.count == 1 and self._role.receives
        return {intake.name: intake.expect_every if tells else None for intake in config.intakes}

    def _forget(self) -> None:
        """Let go of the counters of what is no longer there."""
        for known, entries in (
            (self.stats.intakes, self._config.intakes),
            (self.stats.listeners, self._role.listeners(self._config)),
        ):
            for name in known.keys() - {entry.name for entry in entries}:
                del known[name]

    def _with_inbox(self, settings: SinkSettings) -> SinkSettings:
        """Return the settings, with the address and secret of the inbox if it is the sink."""
        if not settings.is_inbox:
            return settings
        return settings.model_copy(
            update={
                "url": self.inbox.url,
                "headers": {SECRET_HEADER: SecretStr(self.inbox.secret)},
                "compression": "none",  # which it does not undo, and nothing travels
            }
        )

    # What goes on beside.

    async def _look_after_senders(self) -> None:
        """Report who has fallen silent, and have the spool keep who was seen when."""
        while True:
            await asyncio.sleep(sightings.CHECK_SECONDS)
            self._spool.note(sightings.NOTE, self.stats.sightings.check(time.time()))

    async def _look_after_memory(self) -> None:
        """Give back what connections that are gone have left."""
        while True:
            await asyncio.sleep(memory.GIVE_BACK_SECONDS)
            await asyncio.to_thread(memory.give_back)

    async def _look_after_buffers(self) -> None:
        """Make room when other workers hold more, also while nothing is read here."""
        while True:
            await asyncio.sleep(BUFFERS_SECONDS)
            self._buffers.keep_bound()

    def _serve_requests(self) -> None:
        """Have what the command line asks for carried out, where there is a file to ask in."""
        if not isinstance(self._spool, MemorySpool):
            office = Office(
                self._pipeline,
                self._deliveries.batchers,
                self._spool,
                self._shares,
            )
            self._spool.on_requests = office.carry_out
            self._spool.on_failure = self.fail

    def fail(self) -> None:
        """Ask for a stop with exit code 1: a part that is needed has broken."""
        self.failed = True
        self.stop_asked.set()

    # Beginning and end.

    async def _start_spool(self) -> None:
        try:
            await self._spool.start()
        except (LockedError, NewerVersionError) as error:
            raise StartError(f"spool.path: {error}") from error
        except MismatchError as error:
            raise StartError(f"spool.stream: {error}") from error
        except (OSError, sqlite3.Error) as error:
            problem = f"{self._config.spool.path} cannot be used: {error}"
            raise StartError(f"spool.path: {problem}") from error
        self.stats.mark_start()
        self.stats.sightings.restore(self._spool.noted(sightings.NOTE), time.time())

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(MetricsCollector(self.stats, self._spool))
        PlatformCollector(registry)
        ProcessCollector(registry=registry)
        return registry

    async def _close_spool(self) -> None:
        """Have what is left written, or account for it, and say so."""
        self._deliveries.flush()
        self._spool.note(sightings.NOTE, self.stats.sightings.packed())
        lost = await self._spool.close()
        ledger = self.stats.ledger.as_dict()
        if self.stats.ledger.in_memory:
            log.error("messages were not handed to the spool, please report it", **ledger)
        if lost:
            log.error("stopped, what was in memory alone is lost", **ledger)
        else:
            log.info("stopped", **ledger)
