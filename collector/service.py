"""The daemon: builds the rooms, connects them, starts them and winds them down."""

from __future__ import annotations

import asyncio
import random
import secrets
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import SecretStr

from collector import __version__, drift
from collector.admin.inbox import SECRET_HEADER, Inbox
from collector.admin.server import AdminServer
from collector.admin.status import intake_status, listener_status, sink_status
from collector.batching import Batcher
from collector.dead_letters import Office
from collector.events import filters
from collector.events.constant_fields import adder
from collector.events.envelope import finisher
from collector.identity import TAIL_BITS, IdSource
from collector.ledger import Ledger
from collector.listeners.sockets import authority, reachable
from collector.listeners.tcp import TcpListener
from collector.listeners.udp import UdpListener
from collector.metrics import (
    DROPPED,
    IntakeStats,
    ListenerStats,
    MetricsCollector,
    SinkStats,
    Stats,
)
from collector.parsers import build
from collector.pipeline import Intake, Outlet, Pipeline
from collector.ratelimit import TokenBucket
from collector.routing import Router
from collector.settings.secret_files import SecretFileError
from collector.sinks.formats import format_of
from collector.sinks.http import HttpSink
from collector.sinks.recoding import recode
from collector.spool.building import build_spool, shares
from collector.spool.files import LockedError
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import NewerVersionError
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Collection

    from collector.config import Config, IntakeSettings, SinkSettings
    from collector.sinks.formats import Format

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The daemon cannot start; the text says what is wrong and where."""


class Service:
    """One daemon, made from its settings.

    `start` must be called on the event loop that then runs it; `stop` may be called once.

    Args:
        config: the settings.

    Raises:
        StartError: the admin server's token can no longer be read.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        try:
            admin_token = config.admin.read_token()
        except SecretFileError as error:
            raise StartError(str(error)) from error
        self._started = time.time()
        self._listening = False
        self._key_name = KeyName(config.routing.structured_data_id, config.routing.parameter)
        ledger = Ledger()
        self.stats = Stats(ledger, drop_reasons=(*DROPPED, *filters.reasons(config)))
        for sink in config.sinks:
            self.stats.sinks[sink.name] = SinkStats(sink.name, self.stats.ingest_to_delivery)
        for intake in config.intakes:
            self.stats.intakes[intake.name] = IntakeStats(intake.name)
        for listener in config.listeners:
            self.stats.listeners[listener.name] = ListenerStats(listener.name)
        self._watches = drift.watches(config, self.stats)
        self._spool = build_spool(config, ledger)
        self._inbox = Inbox() if any(sink.is_inbox for sink in config.sinks) else None
        self._admin = AdminServer(
            config.admin.host,
            config.admin.port,
            token=admin_token,
            daemon=self,
            registry=self._registry(),
            inbox=self._inbox,
        )
        self._intakes = {intake.name: intake for intake in config.intakes}
        self._forms: dict[str, Format] = {}
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._sinks: list[HttpSink] = []
        self._sessions: list[aiohttp.ClientSession] = []
        self._deliveries: list[asyncio.Task[None]] = []
        self.stop_asked = asyncio.Event()
        self.failed = False
        self.listeners: dict[str, TcpListener | UdpListener] = {}

    # What the admin server asks.

    @property
    def admin_address(self) -> tuple[str, int]:
        """Where the admin server listens."""
        return self._admin.address

    def ready(self) -> bool:
        """Say whether every listener listens."""
        return self._listening

    def degraded(self) -> list[dict[str, str]]:
        """Name each sink that fails or is paused, and a spool that is full, with the reason.

        Anybody may read it: what a sink said may hold parts of events and is in `status` alone.
        """
        degraded = [
            {"sink": sink.name, "reason": sink.reason} for sink in self._sinks if sink.reason
        ]
        degraded += self._spool.degraded()
        return degraded

    def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        stats = self.stats
        return {
            "version": __version__,
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            "ready": self.ready(),
            "degraded": self.degraded(),
            "ledger": stats.ledger.as_dict(),
            "listeners": [
                listener_status(item, stats.listeners[item.name], self._address_of(item.name))
                for item in self._config.listeners
            ],
            "intakes": [intake_status(item) for item in stats.intakes.values()],
            "sinks": [
                sink_status(sink, stats.sinks[sink.name], self._spool.backlog(sink.name))
                for sink in self._sinks
            ],
            "spool": {"type": self._config.spool.type, **self._spool.status()},
            "drift": drift.status(self._watches.values()),
        }

    def _address_of(self, name: str) -> tuple[str, int] | None:
        """Return where a listener listens; None if it does not."""
        listener = self.listeners.get(name)
        return None if listener is None else listener.address

    # What a drain asks.

    async def emptied(self) -> None:
        """Wait until nothing waits for any sink that is configured."""
        await self._spool.emptied()

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return sum(self._spool.backlog(sink.name).events for sink in self._config.sinks)

    # Life.

    async def start(self, *, listen: bool = True) -> None:
        """Start everything, listeners last.

        Args:
            listen: whether to start listeners at all; without, only what waits is delivered.

        Raises:
            StartError: an address cannot be bound, or a secret file that could be read a moment ago
            no longer can; what had been started is stopped again.
        """
        await self._start_spool()
        try:
            await self._start_admin()
            sinks = [self._with_inbox(sink) for sink in self._config.sinks]
            self._forms = {sink.name: format_of(sink, self._config.intakes) for sink in sinks}
            router = self._router()
            self._pipeline = self._build_pipeline(router)
            for sink in sinks:
                self._start_sink(sink)
            self._serve_requests()
            if listen:
                await self._start_listeners(router)
        except (StartError, SecretFileError) as error:
            await self._stop_listeners()
            await self._wind_down()
            raise StartError(str(error)) from error
        self._listening = listen
        if self._inbox is not None:
            log.warning("events are kept in the inbox, in memory only; a sink's url forwards them")

    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""
        end = asyncio.get_running_loop().time() + self._config.shutdown_grace
        self._listening = False
        log.info("stopping", grace_seconds=self._config.shutdown_grace)
        try:
            await self._stop_listeners()
            self._flush()
            for sink in self._sinks:
                sink.hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._spool.emptied()
        finally:
            await self._wind_down()

    def _flush(self) -> None:
        for batcher in self._batchers.values():
            batcher.flush()

    async def _close_spool(self) -> None:
        """Have what is left written, or account for it, and say so."""
        self._flush()
        lost = await self._spool.close()
        ledger = self.stats.ledger.as_dict()
        if lost:
            log.error("stopped, what was in memory alone is lost", **ledger)
        else:
            log.info("stopped", **ledger)

    async def _start_spool(self) -> None:
        try:
            await self._spool.start()
            self.stats.mark_start()
        except (LockedError, NewerVersionError) as error:
            raise StartError(f"spool.path: {error}") from error
        except (OSError, sqlite3.Error) as error:
            problem = f"{self._config.spool.path} cannot be used: {error}"
            raise StartError(f"spool.path: {problem}") from error

    def _serve_requests(self) -> None:
        """Have what the command line asks for carried out, where there is a file to ask in."""
        if isinstance(self._spool, SqliteSpool):
            office = Office(
                self._pipeline, self._batchers.values(), self._spool, shares(self._config)
            )
            self._spool.on_requests = office.carry_out
            self._spool.on_failure = self._fail

    async def _start_admin(self) -> None:
        admin = self._config.admin
        try:
            await self._admin.start()
        except OSError as error:
            raise StartError(f"admin: {_cannot_bind(admin.host, admin.port, error)}") from error
        host, port = self._admin.address
        log.info("admin server listening", url=f"http://{authority(host, port)}")

    def _start_sink(self, settings: SinkSettings) -> None:
        form = self._forms[settings.name]
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            connector=aiohttp.TCPConnector(limit=settings.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._sessions.append(session)
        sink = HttpSink(
            settings,
            form=form,
            spool=self._spool,
            session=session,
            rng=random.SystemRandom(),
            stats=self.stats.sinks[settings.name],
            dead_lettered=self.stats.dead_lettered,
            recode=lambda batch: recode(
                batch, form, settings.compression, self._intakes, self._pipeline.read_again
            ),
        )
        self._sinks.append(sink)
        delivery = asyncio.get_running_loop().create_task(sink.run(), name=f"sink {sink.name}")
        delivery.add_done_callback(self._delivery_ended)
        self._deliveries.append(delivery)

    def _batcher(self, sink: SinkSettings, intake: str) -> Batcher:
        """Return what gathers an intake's documents for a sink."""
        form = self._forms[sink.name]
        name = (sink.name, intake if form.per_intake else "")
        if name not in self._batchers:
            self._batchers[name] = Batcher(
                sink.name,
                form=form,
                codec=sink.compression,
                max_events=sink.batch.max_events,
                max_bytes=sink.batch.max_bytes,
                max_wait=sink.batch.max_wait,
                spool=self._spool,
                ledger=self.stats.ledger,
                loop=asyncio.get_running_loop(),
            )
        return self._batchers[name]

    def _delivery_ended(self, delivery: asyncio.Task[None]) -> None:
        """Ask for a stop when delivery breaks: a daemon that only collects is of no use."""
        if not delivery.cancelled():
            log.error(
                "delivery failed, please report it",
                task=delivery.get_name(),
                exc_info=delivery.exception(),
            )
            self._fail()

    def _fail(self) -> None:
        """Ask for a stop with exit code 1: a part that is needed has broken."""
        self.failed = True
        self.stop_asked.set()

    def _build_pipeline(self, router: Router) -> Pipeline:
        return Pipeline(
            router,
            self._key_name,
            IdSource(secrets.randbits(TAIL_BITS)),
            self.stats,
            self._spool,
            identify_by_content=self._config.identity == "content",
            keep_unknown=self._config.routing.on_unknown == "dead_letter",
            zones={listener.name: listener.timezone for listener in self._config.listeners},
        )

    async def _start_listeners(self, router: Router) -> None:
        for settings in self._config.listeners:
            kind = TcpListener if settings.transport == "tcp" else UdpListener
            listener = kind(settings, self._pipeline, router, self.stats.listeners[settings.name])
            try:
                await listener.start()
            except OSError as error:
                problem = _cannot_bind(settings.host, settings.port, error)
                raise StartError(f"listener {settings.name}: {problem}") from error
            self.listeners[settings.name] = listener
            self._spool.gate.join([listener])
            log.info(
                "listening",
                listener=settings.name,
                transport=settings.transport,
                address=authority(*listener.address),
                intake=settings.intake or "by key",
            )

    def _router(self) -> Router:
        owners = {
            key: settings.name for settings in self._config.intakes for key in settings.read_keys()
        }
        intakes = {
            settings.name: self._intake(settings, owners) for settings in self._config.intakes
        }
        return Router(
            intakes.values(),
            keys={key: intakes[name] for key, name in owners.items()},
            bound={
                listener.name: intakes[listener.intake]
                for listener in self._config.listeners
                if listener.intake is not None
            },
            sources=[
                (network, intakes[settings.name])
                for settings in self._config.intakes
                for network in settings.sources
            ],
        )

    def _intake(self, settings: IntakeSettings, keys: Collection[str]) -> Intake:
        """Build an intake; `keys` are those of all intakes, which none of them shows."""
        sinks = self._config.sinks_of(settings)
        outlets = tuple(
            Outlet(
                settings.name,
                self._batcher(sink, settings.name),
                self._forms[sink.name].document_of(settings),
            )
            for sink in sinks
        )
        rate = settings.max_rate
        return Intake(
            settings.name,
            build(settings.parser, settings.profile),
            outlets,
            self.stats.intakes[settings.name],
            self._watches[settings.name],
            finish=finisher(
                settings.envelope,
                key_name=self._key_name,
                keys=keys,
                timestamp_fallback=settings.timestamp_fallback,
                add_fields=adder(settings.fields),
            ),
            select=filters.selector(settings.drop, zip(sinks, outlets, strict=True)),
            limit=None if rate is None else TokenBucket(rate.events_per_second),
            keep_excess=rate is not None and rate.when_over == "dead_letter",
            keep_unparsed=settings.on_parse_error == "dead_letter",
        )

    def _with_inbox(self, settings: SinkSettings) -> SinkSettings:
        """Return the settings, with the address and secret of the inbox if it is the sink."""
        if self._inbox is None or not settings.is_inbox:
            return settings
        host, port = self._admin.address
        return settings.model_copy(
            update={
                "url": f"http://{authority(reachable(host), port)}/inbox",
                "headers": {SECRET_HEADER: SecretStr(self._inbox.secret)},
            }
        )

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(MetricsCollector(self.stats, self._spool))
        PlatformCollector(registry)
        ProcessCollector(registry=registry)
        return registry

    async def _stop_listeners(self) -> None:
        await asyncio.gather(*(listener.stop() for listener in self.listeners.values()))

    async def _wind_down(self) -> None:
        """Stop what runs behind the listeners, the spool once nobody uses it."""
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        for session in self._sessions:
            await session.close()
        await self._close_spool()
        await self._admin.stop()


def _cannot_bind(host: str, port: int, error: OSError) -> str:
    return f"cannot listen on {authority(host, port)}: {error.strerror or error}"
