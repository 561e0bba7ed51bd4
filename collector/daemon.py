"""A daemon, of one process or of several: its settings, which may change, and its admin server.

What goes by the settings is left to those that derive from this: `single.SingleDaemon` and
`workers.supervisor.Supervisor`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import structlog

from collector import __version__, board, logs, watching
from collector.admin import history
from collector.admin.history import History
from collector.admin.inbox import Inbox
from collector.admin.server import AdminServer
from collector.config import files_of_connections, referenced_files, warnings
from collector.courses import Courses
from collector.intakes import masker_of, read_keys
from collector.listeners.sockets import authority, reachable
from collector.loading import Reloaded
from collector.logs import Reports
from collector.refusals import REFUSALS, StartError
from collector.roles import STREAM
from collector.service import InboxAccess
from collector.settings.changes import as_running, changes, document_as_running, needs_restart
from collector.settings.files import FileError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from prometheus_client.registry import Collector

    from collector.admin.history import Series
    from collector.board import Board
    from collector.config import Config
    from collector.listeners.opening import OwnSockets
    from collector.loading import Load, Loaded
    from collector.metrics import Stats
    from collector.systemd import Notifier
    from collector.tail import Tailed, Wanted

# Between two looks at how far a start has come, and what each step of it gains with systemd.
PROGRESS_SECONDS: Final = 5.0
STEP_SECONDS: Final = 300.0

# Between two lines about files that cannot be used while they are tried again and again.
FILES_REPORT_SECONDS: Final = 300.0

RELOAD_FAILED: Final = "failed, the earlier settings are in force; the log says why"
STALE: Final = (
    "some cannot be used now; what they held before is, but for connections to a stream;"
    " the log says which"
)
KEPT: Final = "files cannot be used, what they held before is"
NOT_KEPT: Final = "files cannot be used, no new connection to the stream is made without them"
# Why nothing is reloaded then: it would begin to listen.
NOT_READY: Final = (
    "the daemon does not do its part: it is stopping, or delivers what waits and no more"
)
PART: Final = "this member"
"""What `/api/status` tells of where several daemons share a stream; the stream itself is theirs."""

log = structlog.get_logger(__name__)

Prepared = TypeVar("Prepared")
"""What settings need, ready to be gone by."""


class Daemon(ABC, Generic[Prepared]):
    """Goes by settings, reads them again, and answers the admin server.

    Args:
        loaded: the settings.
        load: reads them again.
        sockets: bind what the listeners receive from.
        notifier: tells systemd how the daemon is.
        stats: counters of this process.
        shown: the board, which shows how far a start has come.

    Attributes:
        stop_asked: set when the daemon is to stop.

    Raises:
        StartError: the admin server's token can no longer be read.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Load,
        sockets: OwnSockets,
        notifier: Notifier,
        *,
        stats: Stats,
        shown: Board,
    ) -> None:
        self._loaded = loaded
        self._load = load
        self._sockets = sockets
        self._notifier = notifier
        self._stats = stats
        self._board = shown
        self._started = time.time()
        self._inbox = Inbox()
        admin = loaded.config.admin
        try:
            token = admin.read_token()
        except FileError as error:
            raise StartError(str(error)) from error
        self._history = History()
        self._admin = AdminServer(
            admin.host,
            admin.port,
            token=token,
            daemon=self,
            history=self._history,
            open_to_all=admin.open,
        )
        self._stamps: dict[Path, watching.Stamp | None] = {}
        self._is_stale = False
        self._changing = asyncio.Lock()
        self._reports = Reports(log, period=FILES_REPORT_SECONDS)
        self._beside = Courses(self._fail)
        self.stop_asked = asyncio.Event()
        stats.config_sha256 = loaded.sha256

    # What those that derive from this do.

    @property
    @abstractmethod
    def failed(self) -> bool:
        """Whether a part that is needed has broken."""

    @abstractmethod
    def ready(self) -> bool:
        """Say whether it does all of its part: every listener listens, what waits goes out."""

    @abstractmethod
    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it."""

    @abstractmethod
    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""

    @abstractmethod
    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""

    @abstractmethod
    async def counts(self) -> dict[Series, int]:
        """Return how many messages and events have come and gone so far."""

    @abstractmethod
    def tail(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield messages as they are dealt with, until it is closed."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""

    async def _open(self) -> None:
        """Do what comes before anything can be asked; raises StartError, and nothing is open."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin what goes on beside, once the first settings are gone by."""

    @abstractmethod
    async def _break_off(self) -> None:
        """Stop what has been started before the start has failed."""

    @abstractmethod
    async def _prepare(self, loaded: Loaded) -> Prepared:
        """Do what can fail of going by settings; raises one of `REFUSALS`, and nothing changed."""

    @abstractmethod
    async def _take_over(self, prepared: Prepared) -> None:
        """Go by what was prepared, then wind down what only the former settings needed."""

    @abstractmethod
    async def _discard(self, prepared: Prepared) -> None:
        """Let go of what was prepared for nothing."""

    # Beginning.

    async def start(self) -> None:
        """Start everything, listeners last.

        Raises:
            StartError: something cannot be as the settings ask for, as an address that cannot be
            bound; what had been started is stopped again.
        """
        telling = asyncio.create_task(self._tell_progress(), name="progress")
        try:
            await self._open()
            await self._start()
        finally:
            telling.cancel()
        self._sockets.close_rest()

    async def _start(self) -> None:
        try:
            async with self._changing:  # a reload that is asked for by now comes after it
                await self._start_admin()
                await self._go_by(self._loaded)
                self._begin()
        except (StartError, OSError, *REFUSALS) as error:
            await self._break_off()
            await self._admin.stop()
            raise StartError(str(error)) from error

    async def _tell_progress(self) -> None:
        """Have systemd wait for a start that takes long, as long as it gets further."""
        column, known = self._board.column(board.PROGRESS), 0
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            if column.total() != known:
                known = column.total()
                self._notifier.starting(STEP_SECONDS)

    # The admin server.

    @property
    def admin_address(self) -> tuple[str, int]:
        """Where the admin server listens."""
        return self._admin.address

    async def _start_admin(self) -> None:
        admin = self._loaded.config.admin
        try:
            await self._admin.start()
        except OSError as error:
            where = authority(admin.host, admin.port)
            problem = f"cannot listen on {where}: {error.strerror or error}"
            raise StartError(f"admin: {problem}") from error
        host, port = self._admin.address
        log.info("admin server listening", url=f"http://{authority(host, port)}")

    def _inbox_access(self) -> InboxAccess:
        host, port = self._admin.address
        return InboxAccess(f"http://{authority(reachable(host), port)}/inbox", self._inbox.secret)

    def _use_inbox(self, config: Config) -> None:
        """Serve the inbox if it is a sink."""
        delivers = self._loaded.role.delivers
        is_used = delivers and any(sink.is_inbox for sink in config.sinks)
        if is_used and self._admin.inbox is None:
            log.warning("events are kept in the inbox, in memory only; a sink's url forwards them")
        self._admin.inbox = self._inbox if is_used else None

    def _identity(self) -> dict[str, Any]:
        """Return what `/api/status` says of the daemon as such."""
        inbox = self._admin.inbox
        return {
            "version": __version__,
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            "config_sha256": self._stats.config_sha256,
            "ready": self.ready(),
            "access": self._admin.access,
            "inbox": None if inbox is None else inbox.status(),
            "cluster": self._cluster(),
        }

    def _cluster(self) -> dict[str, str] | None:
        """Say which part is told of what several daemons do together; None if this one is alone."""
        if self._loaded.config.spool.type != STREAM:
            return None
        return {"role": self._loaded.role, "member": socket.gethostname(), "part": PART}

    def _degraded(self) -> list[dict[str, str]]:
        """Name what works only in part of the daemon as such, as `/readyz` has it."""
        found = []
        if self._is_stale:
            found.append({"files": "secrets and certificates", "reason": STALE})
        if self._stats.last_reload_failed:
            found.append({"settings": "last reload", "reason": RELOAD_FAILED})
        return found

    async def look_after_history(self) -> None:
        """Keep what came and went in the last minutes."""
        due = time.monotonic()
        while True:
            counts = await self.counts()
            now = time.monotonic()
            self._history.note(counts, wall=time.time(), steady=now)
            due = history.next_look(due, now)
            await asyncio.sleep(due - now)

    # Settings.

    async def _go_by(self, loaded: Loaded) -> bool:
        """Go by settings; say whether that was done, or left since the daemon is stopping.

        Raises:
            ConfigError, FileError or ListenError: they cannot be gone by; nothing has changed.
        """
        was_ready = self.ready()
        stamps = await _stamps_of(loaded.config)
        token = loaded.config.admin.read_token()
        masker = masker_of(loaded.config, read_keys(loaded.config))
        prepared = await self._prepare(loaded)
        if was_ready and not self.ready():  # a stop does not wait for us
            await self._discard(prepared)
            return False
        self._admin.go_by(token, loaded.config.admin.open)
        self._inbox.masker = masker
        self._use_inbox(loaded.config)
        self._loaded, self._stamps = loaded, stamps
        self._is_stale = False
        await self._take_over(prepared)
        return True

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
        self._stats.config_reloads[outcome] += 1
        self._stats.last_reload_failed = bool(reloaded.problem)
        logs.audit(
            "reload",
            actor,
            outcome=outcome,
            config_sha256=self._stats.config_sha256,
            **{name: value for name, value in asdict(reloaded).items() if value},
        )
        return reloaded

    async def _reload(self) -> Reloaded:
        if not self.ready():
            return Reloaded(problem=NOT_READY)
        before = self._loaded
        try:
            wanted = self._load()
            loaded = replace(
                wanted,
                config=as_running(before.config, wanted.config),
                document=document_as_running(before.document, wanted.document),
            )
            if not await self._go_by(loaded):
                return Reloaded(problem=NOT_READY)
        except REFUSALS as error:
            problem = str(error)
            log.error("settings not reloaded, nothing has changed", problem=problem)  # noqa: TRY400
            return Reloaded(problem=problem)
        except Exception as error:  # a mistake of ours costs the reload, not the daemon
            log.exception("settings not reloaded; please report it")
            return Reloaded(problem=f"internal error: {type(error).__name__}; the log has more")
        config = loaded.config
        self._stats.config_sha256 = loaded.sha256
        logs.configure(config.logging.level, config.logging.format)
        for warning in warnings(config):
            log.warning("configuration", path=warning.path, problem=warning.message)
        kept = needs_restart(before.config, wanted.config)
        if kept:
            log.warning("settings that need a restart go on as they were", settings=kept)
        return Reloaded(
            changes=[str(change) for change in changes(before.config, config)], needs_restart=kept
        )

    async def look_after_files(self) -> None:
        """Read secrets and certificates again when their files change; miss those that are gone."""
        gone: set[Path] = set()
        while True:
            await asyncio.sleep(watching.WATCH_SECONDS)
            now = await _stamps_of(self._loaded.config)
            missing = set(watching.missing(self._stamps, now))
            if found := watching.changed(self._stamps, now):
                await self._read_again([str(path) for path in found])
            elif missing & gone:  # for longer than it takes to replace a file
                self._report_files(sorted(map(str, missing & gone)), "there is no such file")
            elif not missing:
                self._is_stale = False
            gone = missing

    async def _read_again(self, files: list[str]) -> None:
        """Go by the same settings, with what files hold now; if they cannot be used, as before."""
        async with self._changing:
            if not self.ready():
                return
            try:
                is_done = await self._go_by(self._loaded)
            except REFUSALS as error:
                self._report_files(files, str(error))
                return
        if is_done:
            logs.audit("files read again", logs.FILE, files=files)

    def _report_files(self, files: list[str], problem: str) -> None:
        self._is_stale = True
        of_connections = set(map(str, files_of_connections(self._loaded.config)))
        for event, named in (
            (KEPT, [file for file in files if file not in of_connections]),
            (NOT_KEPT, [file for file in files if file in of_connections]),
        ):
            if named:
                self._reports.error(f"files {problem} {named}", event, files=named, problem=problem)

    @abstractmethod
    def _fail(self) -> None:
        """Ask for a stop with exit code 1: a part that is needed has broken."""


async def _stamps_of(config: Config) -> dict[Path, watching.Stamp | None]:
    """Look at the files that settings name; on a thread, since a file system may be slow."""
    return await asyncio.to_thread(watching.stamps, referenced_files(config))
