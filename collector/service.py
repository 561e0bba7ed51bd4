"""The daemon: builds the rooms, connects them, starts them, changes them and winds them down.

A reload takes the same course as a start. What can fail is done first and changes nothing; then all
rooms go by the new settings within one turn of the event loop; then what nobody needs any more is
wound down.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import SecretStr

from collector import __version__, drift, logs, memory, sightings, watching
from collector.admin.inbox import SECRET_HEADER, Inbox
from collector.admin.server import AdminServer
from collector.admin.status import intake_status, listener_status, sink_status
from collector.config import referenced_files, warnings
from collector.dead_letters import Office
from collector.deliveries import Deliveries
from collector.durability import Durability
from collector.events import filters
from collector.identity import TAIL_BITS, IdSource
from collector.intakes import IntakeMaker, Keys, read_keys
from collector.ledger import Ledger
from collector.listeners.buffers import Buffers
from collector.listeners.sockets import authority, reachable
from collector.listening import ListenError, Listening
from collector.loading import Reloaded
from collector.logs import Reports
from collector.metrics import IntakeStats, ListenerStats, MetricsCollector, Stats
from collector.pipeline import Pipeline, Rules
from collector.routing import Router
from collector.settings.changes import as_running, changes, needs_restart
from collector.settings.files import FileError
from collector.settings.problems import ConfigError
from collector.spool.building import build_spool, shares
from collector.spool.files import LockedError
from collector.spool.sqlite import SqliteSpool
from collector.spool.store import NewerVersionError
from collector.syslog.message import KeyName
from collector.systemd import InheritedSockets, Notifier

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from collector.config import Config, SinkSettings
    from collector.deliveries import Plan as DeliveryPlan
    from collector.listening import Plan as ListeningPlan
    from collector.loading import Load, Loaded
    from collector.spool import Share

# Between two lines about files that cannot be used while they are tried again and again.
FILES_REPORT_SECONDS = 300.0

STALE = "some cannot be used now, what they held before is; the log says which"
# Why nothing is reloaded then: it would begin to listen.
NOT_LISTENING = "the daemon does not listen: it is stopping, or delivers what waits and no more"

# What a change of settings may fail of.
_REFUSALS = (ConfigError, FileError, ListenError)

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The daemon cannot start; the text says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What settings need, ready to be gone by."""

    config: Config
    deliveries: DeliveryPlan
    listening: ListeningPlan
    keys: Keys
    token: str | None
    stamps: dict[Path, watching.Stamp | None]


class Service:
    """One daemon, made from its settings.

    `start` must be called on the event loop that then runs it; `stop` may be called once.

    Args:
        loaded: the settings.
        load: reads them again.
        inherited: sockets that systemd has opened for the process.
        notifier: tells systemd how the daemon is.

    Raises:
        StartError: the admin server's token can no longer be read.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Load,
        *,
        inherited: InheritedSockets | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._config = config = loaded.config
        self._load = load
        self._inherited = inherited or InheritedSockets([])
        self._notifier = notifier or Notifier({})
        try:
            admin_token = config.admin.read_token()
        except FileError as error:
            raise StartError(str(error)) from error
        self._started = time.time()
        self._is_listening = False
        self.stats = Stats(Ledger())
        self.stats.config_sha256 = loaded.sha256
        self._watches: dict[str, drift.DriftWatch] = {}
        self._spool = build_spool(config, self.stats.ledger)
        self._buffers = Buffers(config.max_buffered_bytes)
        self._shares: dict[str, Share] = {}
        self._inbox = Inbox()
        self._admin = AdminServer(
            config.admin.host,
            config.admin.port,
            token=admin_token,
            daemon=self,
            registry=self._registry(),
        )
        self._stamps: dict[Path, watching.Stamp | None] = {}
        self._is_stale = False
        self._changing = asyncio.Lock()
        self._reports = Reports(log, period=FILES_REPORT_SECONDS)
        self._tasks: list[asyncio.Task[None]] = []
        self.stop_asked = asyncio.Event()
        self.failed = False

    # What the admin server asks.

    @property
    def admin_address(self) -> tuple[str, int]:
        """Where the admin server listens."""
        return self._admin.address

    def ready(self) -> bool:
        """Say whether every listener listens."""
        return self._is_listening

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
            *([{"files": "secrets and certificates", "reason": STALE}] if self._is_stale else []),
            *self.stats.sightings.degraded(),
        ]

    def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        stats = self.stats
        addresses = self._listening.addresses()
        return {
            "version": __version__,
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            "config_sha256": stats.config_sha256,
            "ready": self.ready(),
            "degraded": self.degraded(),
            "ledger": stats.ledger.as_dict(),
            "buffered_bytes": self._buffers.octets,
            "listeners": [
                listener_status(item, stats.listeners[item.name], addresses.get(item.name))
                for item in self._config.listeners
            ],
            "intakes": [
                intake_status(stats.intakes[item.name], stats.sightings)
                for item in self._config.intakes
            ],
            "sinks": [
                sink_status(sink, stats.sinks[sink.name], self._spool.backlog(sink.name))
                for sink in self._deliveries.sinks
            ],
            "spool": {"type": self._config.spool.type, **self._spool.status()},
            "drift": drift.status(self._watches.values()),
        }

    # What a drain asks.

    async def emptied(self) -> None:
        """Wait until nothing waits for any sink that is configured."""
        await self._spool.emptied()

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return self._deliveries.waiting()

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
        self._build()
        try:
            async with self._changing:  # a reload that is asked for by now comes after it
                await self._start_admin()
                await self._take_over(await self._prepare(self._config, listen=listen))
                self._is_listening = listen
        except (StartError, *_REFUSALS) as error:
            await self._wind_down()
            raise StartError(str(error)) from error
        self._inherited.close_rest()
        self._serve_requests()
        if listen:
            self._begin(self._look_after_senders(), "senders")
            self._begin(self._look_after_files(), "files")
            self._begin(self._look_after_memory(), "memory")

    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""
        end = asyncio.get_running_loop().time() + self._config.shutdown_grace
        self._is_listening = False
        log.info("stopping", grace_seconds=self._config.shutdown_grace)
        try:
            await self._listening.stop()
            self._deliveries.flush()
            self._deliveries.hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._spool.emptied()
        finally:
            await self._wind_down()

    async def reload(self, actor: str) -> Reloaded:
        """Read the settings again and go by them; a mistake in them changes nothing.

        Args:
            actor: who asks, for the audit.
        """
        async with self._changing:
            self._notifier.reloading()
            try:
                reloaded = await self._reload()
            finally:
                self._notifier.ready()
        outcome = "failed" if reloaded.problem else "ok"
        self.stats.config_reloads[outcome] += 1
        logs.audit(
            "reload",
            actor,
            outcome=outcome,
            config_sha256=self.stats.config_sha256,
            **{name: value for name, value in asdict(reloaded).items() if value},
        )
        return reloaded

    async def _reload(self) -> Reloaded:
        if not self._is_listening:
            return Reloaded(problem=NOT_LISTENING)
        before = self._config
        try:
            loaded = self._load()
            config = as_running(before, loaded.config)
            prepared = await self._prepare(config, listen=True)
        except _REFUSALS as error:
            problem = str(error)
            log.error("settings not reloaded, nothing has changed", problem=problem)  # noqa: TRY400
            return Reloaded(problem=problem)
        except Exception as error:  # a mistake of ours costs the reload, not the daemon
            log.exception("settings not reloaded, nothing has changed; please report it")
            return Reloaded(problem=f"internal error: {type(error).__name__}; the log has more")
        if not self.ready():  # no longer: a stop does not wait for us
            prepared.listening.discard()
            return Reloaded(problem=NOT_LISTENING)
        await self._take_over(prepared)
        self.stats.config_sha256 = loaded.sha256
        logs.configure(config.logging.level, config.logging.format)
        for warning in warnings(config):
            log.warning("configuration", path=warning.path, problem=warning.message)
        kept = needs_restart(before, loaded.config)
        if kept:
            log.warning("settings that need a restart go on as they were", settings=kept)
        return Reloaded(
            changes=[str(change) for change in changes(before, config)], needs_restart=kept
        )

    # The course of a change.

    def _build(self) -> None:
        """Make the rooms that stay, whatever changes."""
        loop = asyncio.get_running_loop()
        stats, spool = self.stats, self._spool
        ids = IdSource(secrets.randbits(TAIL_BITS))
        self._pipeline = Pipeline(Rules(Router([], {}, {}, []), KeyName()), ids, stats, spool)
        self._deliveries = Deliveries(spool, stats, self._pipeline.read_again, self._fail)
        self._listening = Listening(
            self._pipeline,
            stats,
            spool.gate,
            buffers=self._buffers,
            durability=Durability(spool, self._deliveries.flush, loop),
            inherited=self._inherited,
        )

    async def _prepare(self, config: Config, *, listen: bool) -> _Prepared:
        """Do what can fail of going by settings; raises one of `_REFUSALS`, and nothing changed."""
        stamps = await _stamps_of(config)
        deliveries = self._deliveries.plan(
            [self._with_inbox(sink) for sink in config.sinks], config.intakes, shares(config)
        )
        keys, token = read_keys(config), config.admin.read_token()
        listening = await self._listening.plan(config.listeners if listen else ())
        return _Prepared(config, deliveries, listening, keys, token, stamps)

    async def _take_over(self, prepared: _Prepared) -> None:
        """Go by other settings, then wind down what only the former ones needed."""
        try:
            self._adopt(prepared)
            await asyncio.gather(self._deliveries.settle(), self._settle_listeners())
        except Exception:  # half changed, it might answer for messages that are not safe
            log.exception("settings taken over in part only, please report it")
            self._fail()
            raise
        self._forget()

    async def _settle_listeners(self) -> None:
        await self._listening.settle()
        self._deliveries.forget_former()

    def _adopt(self, prepared: _Prepared) -> None:
        """Have all rooms go by settings from now on; nothing here waits or fails."""
        config = prepared.config
        self._count_for(config)
        self._deliveries.adopt(prepared.deliveries)
        self._shares.clear()
        self._shares.update(prepared.deliveries.shares)
        key_name = KeyName(config.routing.structured_data_id, config.routing.parameter)
        maker = IntakeMaker(config, self._deliveries, self.stats, self._watches, key_name)
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
        self._buffers.bound = config.max_buffered_bytes
        self._listening.adopt(prepared.listening, router)
        self._admin.token = prepared.token
        self._use_inbox(config)
        self._config, self._stamps = config, prepared.stamps
        self._is_stale = False

    def _count_for(self, config: Config) -> None:
        """Have counters for everything that settings name."""
        stats = self.stats
        for intake in config.intakes:
            stats.intakes.setdefault(intake.name, IntakeStats(intake.name))
        for listener in config.listeners:
            stats.listeners.setdefault(listener.name, ListenerStats(listener.name))
        reasons = (*stats.drop_reasons, *filters.reasons(config))
        stats.drop_reasons = tuple(dict.fromkeys(reasons))
        stats.sightings.configure(
            {intake.name: intake.expect_every for intake in config.intakes}, time.time()
        )
        self._watches = drift.watches(config, stats, self._watches)

    def _forget(self) -> None:
        """Let go of the counters of what is no longer there."""
        for known, entries in (
            (self.stats.intakes, self._config.intakes),
            (self.stats.listeners, self._config.listeners),
        ):
            for name in known.keys() - {entry.name for entry in entries}:
                del known[name]

    def _use_inbox(self, config: Config) -> None:
        """Serve the inbox if it is a sink."""
        is_used = any(sink.is_inbox for sink in config.sinks)
        if is_used and self._admin.inbox is None:
            log.warning("events are kept in the inbox, in memory only; a sink's url forwards them")
        self._admin.inbox = self._inbox if is_used else None

    def _with_inbox(self, settings: SinkSettings) -> SinkSettings:
        """Return the settings, with the address and secret of the inbox if it is the sink."""
        if not settings.is_inbox:
            return settings
        host, port = self._admin.address
        return settings.model_copy(
            update={
                "url": f"http://{authority(reachable(host), port)}/inbox",
                "headers": {SECRET_HEADER: SecretStr(self._inbox.secret)},
            }
        )

    # What goes on beside.

    async def _look_after_senders(self) -> None:
        """Report who has fallen silent, and have the spool keep who was seen when."""
        while True:
            await asyncio.sleep(sightings.CHECK_SECONDS)
            self._spool.note(sightings.NOTE, self.stats.sightings.check(time.time()))

    async def _look_after_files(self) -> None:
        """Read secrets and certificates again when their files change; miss those that are gone."""
        gone: set[Path] = set()
        while True:
            await asyncio.sleep(watching.WATCH_SECONDS)
            now = await _stamps_of(self._config)
            missing = set(watching.missing(self._stamps, now))
            if found := watching.changed(self._stamps, now):
                await self._read_again([str(path) for path in found])
            elif missing & gone:  # for longer than it takes to replace a file
                self._report_files(sorted(map(str, missing & gone)), "there is no such file")
            elif not missing:
                self._is_stale = False
            gone = missing

    def _report_files(self, files: list[str], problem: str) -> None:
        self._is_stale = True
        self._reports.error(
            f"files {problem} {files}",
            "files cannot be used, what they held before is",
            files=files,
            problem=problem,
        )

    async def _look_after_memory(self) -> None:
        """Give back what connections that are gone have left."""
        while True:
            await asyncio.sleep(memory.GIVE_BACK_SECONDS)
            await asyncio.to_thread(memory.give_back)

    async def _read_again(self, files: list[str]) -> None:
        """Go by the same settings, with what files hold now; if they cannot be used, as before."""
        async with self._changing:
            if not self._is_listening:
                return
            try:
                prepared = await self._prepare(self._config, listen=True)
            except _REFUSALS as error:
                self._report_files(files, str(error))
                return
            if not self.ready():
                prepared.listening.discard()
                return
            await self._take_over(prepared)
        logs.audit("files read again", logs.FILE, files=files)

    def _serve_requests(self) -> None:
        """Have what the command line asks for carried out, where there is a file to ask in."""
        if isinstance(self._spool, SqliteSpool):
            office = Office(
                self._pipeline,
                self._deliveries.batchers,
                self._spool,
                self._shares,
            )
            self._spool.on_requests = office.carry_out
            self._spool.on_failure = self._fail

    def _begin(self, course: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(course, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Ask for a stop when a mistake of ours has ended what is needed."""
        if not task.cancelled():
            log.error(
                "task failed, please report it", task=task.get_name(), exc_info=task.exception()
            )
            self._fail()

    def _fail(self) -> None:
        """Ask for a stop with exit code 1: a part that is needed has broken."""
        self.failed = True
        self.stop_asked.set()

    # Beginning and end.

    async def _start_spool(self) -> None:
        try:
            await self._spool.start()
        except (LockedError, NewerVersionError) as error:
            raise StartError(f"spool.path: {error}") from error
        except (OSError, sqlite3.Error) as error:
            problem = f"{self._config.spool.path} cannot be used: {error}"
            raise StartError(f"spool.path: {problem}") from error
        self.stats.mark_start()
        self.stats.sightings.restore(self._spool.noted(sightings.NOTE), time.time())

    async def _start_admin(self) -> None:
        admin = self._config.admin
        try:
            await self._admin.start()
        except OSError as error:
            where = authority(admin.host, admin.port)
            problem = f"cannot listen on {where}: {error.strerror or error}"
            raise StartError(f"admin: {problem}") from error
        host, port = self._admin.address
        log.info("admin server listening", url=f"http://{authority(host, port)}")

    def _registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(MetricsCollector(self.stats, self._spool))
        PlatformCollector(registry)
        ProcessCollector(registry=registry)
        return registry

    async def _wind_down(self) -> None:
        """Stop what runs behind the listeners, the spool once nobody uses it."""
        for task in self._tasks:
            task.cancel()
        await self._listening.stop()
        await self._deliveries.stop()
        await self._close_spool()
        await self._admin.stop()

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


async def _stamps_of(config: Config) -> dict[Path, watching.Stamp | None]:
    """Look at the files that settings name; on a thread, since a file system may be slow."""
    return await asyncio.to_thread(watching.stamps, referenced_files(config))
