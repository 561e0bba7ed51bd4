"""The daemon: builds the rooms, connects them, starts them and winds them down."""

from __future__ import annotations

import asyncio
import random
import resource
import secrets
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
import uvloop
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import SecretStr

from collector import __version__, drift
from collector.admin.inbox import SECRET_HEADER, Inbox
from collector.admin.server import AdminServer
from collector.backpressure import Gate
from collector.batching import Batcher
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
from collector.pipeline import Intake, Pipeline
from collector.routing import Router
from collector.settings.secret_files import SecretFileError
from collector.sinks.http import HttpSink
from collector.spool.memory import MemorySpool
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from collector.config import Config, IntakeSettings, ListenerSettings, SinkSettings

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
        self._gate = Gate()
        self._spool = MemorySpool(config.spool.max_bytes, self.stats.sinks, ledger, self._gate)
        self._inbox = Inbox() if any(sink.is_inbox for sink in config.sinks) else None
        self._admin = AdminServer(
            config.admin.host,
            config.admin.port,
            token=admin_token,
            daemon=self,
            registry=self._registry(),
            inbox=self._inbox,
        )
        self._batchers: dict[str, Batcher] = {}
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
            {"sink": sink.name, "reason": _in_short(sink.health.code)}
            for sink in self._sinks
            if not sink.health.up
        ]
        if self._gate.closed:
            degraded.append({"spool": "memory", "reason": "full, listeners do not read"})
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
            "listeners": [self._listener_status(item) for item in self._config.listeners],
            "intakes": [
                {
                    "name": item.name,
                    "events": {"ok": item.ok, "pipeline_error": item.pipeline_error},
                    "parse_errors": dict(item.parse_errors),
                    "repaired": dict(item.repaired),
                }
                for item in stats.intakes.values()
            ],
            "sinks": [self._sink_status(sink) for sink in self._sinks],
            "spool": {
                "type": "memory",
                "octets": self._spool.octets,
                "max_bytes": self._spool.max_bytes,
                "full": self._gate.closed,
            },
            "drift": drift.status(self._watches.values()),
        }

    def _listener_status(self, settings: ListenerSettings) -> dict[str, Any]:
        item = self.stats.listeners[settings.name]
        listener = self.listeners.get(settings.name)
        host, port = listener.address if listener else (settings.host, settings.port)
        return {
            "name": item.name,
            "transport": settings.transport,
            "host": host,
            "port": port,
            "messages": item.messages,
            "rejected": dict(item.rejected),
            "truncated": item.truncated,
            "connections": item.connections,
            "connections_rejected": dict(item.connections_rejected),
            "kernel_drops": item.kernel_drops(),
        }

    def _sink_status(self, sink: HttpSink) -> dict[str, Any]:
        item = self.stats.sinks[sink.name]
        backlog = self._spool.backlog(sink.name)
        return {
            "name": sink.name,
            "up": sink.health.up,
            "problem": sink.health.problem,
            "delivered": item.delivered,
            "requests": dict(item.requests),
            "in_flight": item.in_flight,
            "waiting": {
                "events": backlog.events,
                "octets": backlog.octets,
                "oldest_seconds": round(backlog.oldest_seconds, 3),
            },
        }

    # Life.

    async def start(self) -> None:
        """Start everything, listeners last.

        Raises:
            StartError: an address cannot be bound, or a secret file that could be read a moment ago
            no longer can; what had been started is stopped again.
        """
        raise_file_limit()
        try:
            await self._start_admin()
            self._start_sinks()
            await self._start_listeners()
        except (StartError, SecretFileError) as error:
            await self._stop_listeners()
            await self._wind_down()
            raise StartError(str(error)) from error
        self._listening = True
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
            self._give_up_rest()
            await self._wind_down()

    def _flush(self) -> None:
        for batcher in self._batchers.values():
            batcher.flush()

    def _give_up_rest(self) -> None:
        """Account for what could not be delivered, and say so."""
        self._flush()
        lost = self._spool.close()
        ledger = self.stats.ledger.as_dict()
        if lost:
            log.error("stopped, undelivered events are lost with the memory spool", **ledger)
        else:
            log.info("stopped", **ledger)

    async def _start_admin(self) -> None:
        admin = self._config.admin
        try:
            await self._admin.start()
        except OSError as error:
            raise StartError(f"admin: {_cannot_bind(admin.host, admin.port, error)}") from error
        host, port = self._admin.address
        log.info("admin server listening", url=f"http://{authority(host, port)}")

    def _start_sinks(self) -> None:
        loop = asyncio.get_running_loop()
        for declared in self._config.sinks:
            settings = self._with_inbox(declared)
            session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=settings.timeout),
                connector=aiohttp.TCPConnector(limit=settings.concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
            sink = HttpSink(
                settings,
                spool=self._spool,
                session=session,
                rng=random.SystemRandom(),
                stats=self.stats.sinks[settings.name],
            )
            self._sessions.append(session)
            self._sinks.append(sink)
            delivery = loop.create_task(sink.run(), name=f"sink {sink.name}")
            delivery.add_done_callback(self._delivery_ended)
            self._deliveries.append(delivery)
            self._batchers[settings.name] = Batcher(
                settings.name,
                codec=settings.compression,
                max_events=settings.batch.max_events,
                max_bytes=settings.batch.max_bytes,
                max_wait=settings.batch.max_wait,
                spool=self._spool,
                ledger=self.stats.ledger,
                loop=loop,
            )

    def _delivery_ended(self, delivery: asyncio.Task[None]) -> None:
        """Ask for a stop when delivery breaks: a daemon that only collects is of no use."""
        if not delivery.cancelled():
            log.error(
                "delivery failed, please report it",
                task=delivery.get_name(),
                exc_info=delivery.exception(),
            )
            self.failed = True
            self.stop_asked.set()

    async def _start_listeners(self) -> None:
        router = self._router()
        pipeline = Pipeline(
            router,
            self._key_name,
            IdSource(secrets.randbits(TAIL_BITS)),
            self.stats,
            zones={listener.name: listener.timezone for listener in self._config.listeners},
        )
        for settings in self._config.listeners:
            kind = TcpListener if settings.transport == "tcp" else UdpListener
            listener = kind(settings, pipeline, router, self.stats.listeners[settings.name])
            try:
                await listener.start()
            except OSError as error:
                problem = _cannot_bind(settings.host, settings.port, error)
                raise StartError(f"listener {settings.name}: {problem}") from error
            self.listeners[settings.name] = listener
            self._gate.join([listener])
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
        batchers = tuple(self._batchers[sink.name] for sink in sinks)
        return Intake(
            settings.name,
            build(settings.parser, settings.profile),
            batchers,
            self.stats.intakes[settings.name],
            self._watches[settings.name],
            finish=finisher(
                settings.envelope,
                key_name=self._key_name,
                keys=keys,
                timestamp_fallback=settings.timestamp_fallback,
                add_fields=adder(settings.fields),
            ),
            select=filters.selector(settings.drop, zip(sinks, batchers, strict=True)),
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
        """Stop what runs behind the listeners."""
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        for session in self._sessions:
            await session.close()
        await self._admin.stop()


async def serve(config: Config, started: Callable[[Service], None] = lambda _: None) -> int:
    """Run a daemon until a signal asks it to stop.

    The first SIGTERM or SIGINT winds down within the grace period, the second ends at once.

    Args:
        config: the settings.
        started: called once everything listens.

    Returns:
        The exit code: 0, or 1 when a second signal cut the winding down short or delivery broke.

    Raises:
        StartError: the daemon cannot start.
    """
    loop = asyncio.get_running_loop()
    service = Service(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop_asked.set)
    await service.start()
    started(service)
    await service.stop_asked.wait()
    stopping = loop.create_task(service.stop())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.cancel)
    try:
        await stopping
    except asyncio.CancelledError:
        return 1
    return int(service.failed)


def run(config: Config, started: Callable[[Service], None] = lambda _: None) -> int:
    """Run a daemon on a loop of its own; arguments and result are those of `serve`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(config, started))


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _in_short(code: str) -> str:
    return f"HTTP {code}" if code.isdigit() else f"no answer: {code}"


def _cannot_bind(host: str, port: int, error: OSError) -> str:
    return f"cannot listen on {authority(host, port)}: {error.strerror or error}"
