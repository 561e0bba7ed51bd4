"""The process around a service: its event loop, its signals, its exit code."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from collector import __version__, logs, memory
from collector.listeners.opening import OwnSockets
from collector.loading import Loaded
from collector.roles import Role
from collector.single import SingleDaemon
from collector.switches import uses_kernel
from collector.systemd import InheritedSockets, Notifier, inherited_sockets
from collector.workers.accepting import DealtSockets
from collector.workers.count import worker_count
from collector.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from collector.config import Config
    from collector.daemon import Daemon
    from collector.loading import Load

    AnyDaemon = Daemon[Any]

PROGRESS_SECONDS = 0.5

log = structlog.get_logger(__name__)


def run(course: Coroutine[Any, Any, int]) -> int:
    """Run `serve` or `drain` on a loop of its own; return the exit code."""
    _raise_file_limit()
    memory.keep_for_batches()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(course)


async def serve(
    loaded: Loaded, load: Load, started: Callable[[AnyDaemon], None] = lambda _: None
) -> int:
    """Run a daemon until a signal asks it to stop.

    SIGHUP reloads the settings. The first SIGTERM or SIGINT winds down within the grace period, the
    second ends at once.

    Args:
        loaded: the settings.
        load: reads them again.
        started: called once everything listens.

    Returns:
        The exit code: 0, or 1 when a second signal cut the winding down short or delivery broke.

    Raises:
        StartError: the daemon cannot start.
    """
    daemon, notifier = _daemon(loaded, load)
    _on_stop_signal(daemon.stop_asked.set)
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    if not uses_kernel(os.environ):
        log.warning("compiled kernel not in use: each event costs several times as much")
    await daemon.start()
    logs.audit("start", logs.user(), version=__version__, config_sha256=loaded.sha256)
    started(daemon)
    reloading = asyncio.create_task(_reload_at(hangup, daemon), name="reload")
    notifier.ready()
    notifier.feed_watchdog(asyncio.get_running_loop())
    await daemon.stop_asked.wait()
    notifier.stopping()
    code = await _stopped(daemon)
    reloading.cancel()
    notifier.close()
    logs.audit("stop", logs.DAEMON if daemon.failed else logs.SIGNAL, exit_code=code)
    return code


def _daemon(loaded: Loaded, load: Load) -> tuple[AnyDaemon, Notifier]:
    """Return the daemon that settings ask for, of one process or several; and who tells of it."""
    inherited = InheritedSockets(inherited_sockets(os.environ))
    notifier = Notifier(os.environ)
    workers = worker_count(loaded.config.workers)
    if workers == 1:
        kernel = uses_kernel(os.environ)
        sockets = OwnSockets(inherited)
        return SingleDaemon(loaded, load, sockets, notifier, uses_kernel=kernel), notifier
    sockets = DealtSockets(inherited, workers)
    return Supervisor(loaded, load, sockets, notifier, workers), notifier


async def _reload_at(hangup: asyncio.Event, daemon: AnyDaemon) -> None:
    """Reload the settings at each SIGHUP; one that came before everything had started counts."""
    while True:
        await hangup.wait()
        hangup.clear()
        if not daemon.stop_asked.is_set():
            await daemon.reload(logs.SIGNAL)


async def drain(config: Config, progress: Callable[[int], None], role: Role = Role.ALL) -> int:
    """Deliver what waits without listening, until nothing does or a signal asks for a stop.

    Args:
        config: the settings.
        role: of the daemon whose files they are: what one that only receives has goes to those who
            deliver.
        progress: called now and then with how many copies wait.

    Returns:
        The exit code: 0 when nothing waits, else 1.

    Raises:
        StartError: the spool cannot be used, as while the daemon runs.
    """
    loaded = Loaded(config, sha256="", role=role)
    sockets = OwnSockets(InheritedSockets([]))
    kernel = uses_kernel(os.environ)
    daemon = SingleDaemon(
        loaded, lambda: loaded, sockets, Notifier({}), stays=False, uses_kernel=kernel
    )
    _on_stop_signal(daemon.stop_asked.set)
    await daemon.start()
    ends = [asyncio.ensure_future(end) for end in (daemon.emptied(), daemon.stop_asked.wait())]
    done: set[asyncio.Future[Any]] = set()
    while not done:
        progress(daemon.waiting())
        done, _ = await asyncio.wait(
            ends, timeout=PROGRESS_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    for end in ends:
        end.cancel()
    code = await _stopped(daemon)
    progress(daemon.waiting())
    return int(code != 0 or daemon.waiting() > 0)


async def _stopped(daemon: AnyDaemon) -> int:
    """Stop a daemon, at once if another signal comes; return the exit code."""
    stopping = asyncio.ensure_future(daemon.stop())
    _on_stop_signal(stopping.cancel)
    try:
        await stopping
    except asyncio.CancelledError:
        return 1
    return int(daemon.failed)


def _on_stop_signal(callback: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, callback)


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets us have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
