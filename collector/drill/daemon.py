"""The private daemon of a drill: a process of its own, asked over its admin server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import orjson

from collector.admin import client
from collector.config import AdminSettings
from collector.roles import Role

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60.0

# What is kept of the log to explain an end that nobody asked for.
KEPT_LINES = 10
MAX_LINE_BYTES = 1024 * 1024


class DrillError(Exception):
    """The drill cannot go on; the text says why."""


class PrivateDaemon:
    """Runs while used as an asynchronous context manager; killed at the end.

    Args:
        file: its settings, with a log in JSON.
        listeners: how many it has.

    Attributes:
        addresses: where its listeners listen, by name and in their order.
        admin: where it is asked.
    """

    def __init__(self, file: Path, listeners: int) -> None:
        self._file = file
        self._expected = listeners
        self._process: asyncio.subprocess.Process | None = None
        self.addresses: dict[str, tuple[str, int]] = {}
        self.admin = AdminSettings()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            DrillError: it ends instead, or takes too long.
        """
        self.addresses = {}
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._listening = asyncio.Event()
        # A session of its own: Ctrl-C is for the drill, which then ends it.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Whatever part this machine has of what several do.
            *("-m", "collector", "run", "-c", str(self._file), "--role", Role.ALL),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read_log(self._process))
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._listening.wait()
        except TimeoutError:
            await self.kill()
            raise DrillError(self._told("does not listen in time")) from None
        except asyncio.CancelledError:
            await self.kill()
            raise
        if len(self.addresses) < self._expected:
            await self.kill()
            raise DrillError(self._told("does not start"))

    async def kill(self) -> None:
        """End it with SIGKILL, its workers too, unless it has ended."""
        if self._process is None:
            return
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reader
        self._process = None

    async def status(self) -> dict[str, Any]:
        """Return its `/api/status`.

        Raises:
            DrillError: it gives no answer.
        """
        try:
            found: dict[str, Any] = await client.get(self.admin, "/api/status")
        except client.AdminError as error:
            if self._process is not None and self._process.returncode is None:
                raise DrillError(str(error)) from error
            raise DrillError(self._told("has ended")) from error
        return found

    def _told(self, what: str) -> str:
        """Say what happened to it, with the last it said."""
        return "\n".join([f"the private daemon {what}; it said last:", *self._last_lines])

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            raise TypeError("the log of the private daemon is not piped")
        async for line in process.stderr:
            self._last_lines.append(line.decode("utf-8", "replace").rstrip("\n"))
            self._note(line)
        self._listening.set()  # or never will be

    def _note(self, line: bytes) -> None:
        """Note where the daemon listens, if that is what a line of the log says."""
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            return  # a message of the command line, which is kept to be shown
        match entry:
            case {"event": "admin server listening", "url": str(url)}:
                host, port = _address(url.removeprefix("http://"))
                self.admin = AdminSettings(host=host, port=port)
            case {"event": "listening", "listener": str(name), "address": str(address)}:
                self.addresses[name] = _address(address)
                if len(self.addresses) == self._expected:
                    self._listening.set()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
