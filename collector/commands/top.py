"""`collector top`: the state of a running daemon, kept up to date on the terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live

from collector.commands import access
from collector.commands.access import ConfigOption, fail
from collector.describe import status_picture, top_screen
from collector.describe.quantities import span
from collector.describe.throughput import Look
from collector.describe.top_screen import TopScreen
from collector.listeners.sockets import authority, reachable
from collector.settings.files import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.config import AdminSettings
    from collector.describe.status_picture import Picture

_NO_COLLECTOR: Final = "what answers there is no collector of this version"
_KEYS: Final = "q quits"
_FIRST: Final = asyncio.FIRST_COMPLETED

# As long may an answer take until the state that is shown is called old.
_SLOW_SECONDS: Final = 2.0

# What makes a picture of an answer that is another's.
_UNREADABLE: Final = (LookupError, TypeError, ValueError, AttributeError)


class _NoAnswerError(Exception):
    """The daemon gave no answer that can be shown; the text says why."""


def top(
    *,
    config: ConfigOption = None,
    interval: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two looks at the daemon.")
    ] = 2.0,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Look twice, an interval apart, show that once and end; as in a pipe."
        ),
    ] = False,
) -> None:
    """Show what the running daemon does: flow, sinks, intakes, listeners, spool, senders.

    It goes on asking while the daemon is away. q or Ctrl-C ends it.

    Rates are those between two looks. In a pipe there are tabs between columns, and exit code 1
    means that nothing could be shown.
    """
    admin = access.load(config).admin
    if not admin.port:
        fail("admin.port is 0, so that nobody knows the daemon's port; set one", 2)
    console = Console()
    # Without a way to move the cursor nothing can be kept up to date.
    if once or not console.is_terminal or console.is_dumb_terminal:
        try:
            shown = asyncio.run(_shown_once(admin, interval))
        except _NoAnswerError as error:
            fail(str(error), 1)
        if console.is_terminal:
            top_screen.show(shown, console)
            return
        for line in status_picture.lines(shown):
            sys.stdout.write(f"{line}\n")
        return
    with suppress(KeyboardInterrupt):
        asyncio.run(_Top(admin, interval, console).run())


async def _shown_once(admin: AdminSettings, interval: float) -> Picture:
    before = await _look(admin)
    await asyncio.sleep(interval)
    return _picture(await _look(admin), before)


async def _look(admin: AdminSettings) -> Look:
    """Ask the daemon."""
    from collector.admin import client  # noqa: PLC0415 - the other commands do without aiohttp

    try:
        status: Any = await client.get(admin, "/api/status")
    except (client.AdminError, FileError) as error:
        raise _NoAnswerError(str(error)) from error
    if not isinstance(status, dict):
        raise _NoAnswerError(_NO_COLLECTOR)
    return Look(status, time.monotonic())


def _picture(now: Look, before: Look | None) -> Picture:
    try:
        return status_picture.picture(now, before, time.time())
    except _UNREADABLE as error:
        raise _NoAnswerError(_NO_COLLECTOR) from error


class _Top:
    """Asks and shows until it is told to end.

    Args:
        admin: where the daemon is asked.
        interval: seconds between two looks.
        console: a terminal.
    """

    def __init__(self, admin: AdminSettings, interval: float, console: Console) -> None:
        self._admin = admin
        self._interval = interval
        self._console = console
        self._where = f"http://{authority(reachable(admin.host), admin.port)}"
        self._latest: Look | None = None
        self._picture: Picture | None = None
        self._problem = ""
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Show until a key or a signal ends it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        with (
            _keys(self._typed),
            Live(self._screen(), console=self._console, screen=True, auto_refresh=False) as live,
        ):
            # A terminal of another size shows the same picture in another shape, at once.
            loop.add_signal_handler(signal.SIGWINCH, live.refresh)
            ended = asyncio.ensure_future(self._ended.wait())
            while not ended.done():
                await self._ask_until(ended, lambda: live.update(self._screen(), refresh=True))
                await asyncio.wait((ended,), timeout=self._interval)

    async def _ask_until(self, ended: asyncio.Future[Any], show: Callable[[], None]) -> None:
        """Ask and show, but do not wait for an answer that nobody wants any more."""
        asking = asyncio.ensure_future(self._ask())
        while not asking.done() and not ended.done():
            await asyncio.wait((asking, ended), timeout=_SLOW_SECONDS, return_when=_FIRST)
            if not asking.done():
                self._problem = f"{self._where} does not answer"
            show()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking

    def _screen(self) -> TopScreen:
        age = "" if self._latest is None else span(time.monotonic() - self._latest.at)
        return TopScreen(self._where, self._picture, self._problem, age, _KEYS)

    async def _ask(self) -> None:
        try:
            now = await _look(self._admin)
            self._picture = _picture(now, self._latest)
        except _NoAnswerError as error:
            self._problem = str(error)
        else:
            self._latest, self._problem = now, ""

    def _typed(self, keys: bytes) -> None:
        # An empty read is the end of a terminal that is gone.
        if not keys or b"q" in keys.lower() or b"\x03" in keys:
            self._ended.set()


@contextmanager
def _keys(typed: Callable[[bytes], None]) -> Iterator[None]:
    """Have keys told as they are typed, where stdin is a terminal; it is as before afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    loop.add_reader(number, lambda: typed(os.read(number, 64)))
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
