"""A collector as users run it: a process of its own, started from a settings file."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

from collector.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SECONDS = 60.0

DEFAULTS = {"admin": {"port": 0}, "spool": {"type": "memory"}}
"""What tests that do not say otherwise run with: the default spool is not theirs to write to."""


class Daemon:
    """Runs while used as an asynchronous context manager; all ports are free ones.

    Args:
        directory: where its settings file goes.
        settings: its settings; ports of 0 let the kernel choose.
        role: what it does of the work that several share.
        defaults: by section, what holds where the settings do not say otherwise.

    Attributes:
        admin_url: where its admin server listens.
        file: its settings file.
        headers: sent with every request to its admin server.
        lines: the log so far, decoded; lines that are no JSON, as with `format: console`, aside.
        text: the same as it was written, and whatever else is.
    """

    execute = staticmethod(asyncio.create_subprocess_exec)
    """What starts its process, and takes what this does."""

    def __init__(
        self,
        directory: Path,
        settings: dict[str, Any],
        *,
        role: Role = Role.ALL,
        defaults: dict[str, dict[str, Any]] = DEFAULTS,
    ) -> None:
        self.file = directory / "collector.yaml"
        self.headers: dict[str, str] = {}
        self._role = role
        self._defaults = defaults
        self._settings = settings
        self.lines: list[dict[str, Any]] = []
        self.text = ""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.configure(self._settings)
        self.process = await self._start(
            *(sys.executable, "-m", "collector", "run", "-c", str(self.file)),
            *([] if self._role is Role.ALL else ["--role", self._role]),
        )
        self._reader = asyncio.create_task(self._read_log())
        for listener in self._settings["listeners"] if self._role.receives else ():
            await self.logged("listening", listener=listener["name"])
        self.admin_url = (await self.logged("admin server listening"))["url"]
        if not self._role.receives:
            await self.logged("audit", action="start")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    def configure(self, settings: dict[str, Any]) -> None:
        """Replace the settings file as a whole; the daemon reads it at its next reload."""
        sections = {n: values | settings.get(n, {}) for n, values in self._defaults.items()}
        self._settings = {**settings, **sections}
        text = yaml.safe_dump(self._settings)
        if self.file.exists() and self.file.read_text() == text:
            return  # there may be no room on the disk
        written = self.file.with_suffix(".new")
        written.write_text(text)
        written.replace(self.file)

    async def reload(self, settings: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Have the settings read again, others first if they are given; return the answer."""
        if settings is not None:
            self.configure(settings)
        status, text = await self.post("/api/reload")
        return status, json.loads(text)

    def address(self, listener: str) -> tuple[str, int]:
        """Return where a listener listens."""
        line = next(
            line
            for line in reversed(self.lines)
            if line["event"] == "listening" and line["listener"] == listener
        )
        host, _, port = line["address"].rpartition(":")
        return host.strip("[]"), int(port)

    async def logged(self, event: str, **details: Any) -> dict[str, Any]:
        """Wait for a line of the log and return it."""
        wanted = {"event": event, **details}
        return await self.logged_when(lambda line: wanted.items() <= line.items())

    async def logged_when(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of the log that is as asked, and return it."""
        async with asyncio.timeout(SECONDS):
            while (line := next(filter(condition, self.lines), None)) is None:
                assert self.process.returncode is None, f"the daemon ended: {self.lines}"
                self._changed.clear()
                await self._changed.wait()
        return line

    @property
    def farewell(self) -> dict[str, Any]:
        """The line with which the daemon ended; only one for the audit comes after it."""
        return [line for line in self.lines if line["event"] != "audit"][-1]

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an admin page."""
        return await self._ask("GET", path)

    async def post(self, path: str, headers: Mapping[str, str] = {}) -> tuple[int, str]:
        """Return status and text of the answer to a request without a body."""
        return await self._ask("POST", path, headers)

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str] = {}
    ) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers={**self.headers, **headers}) as session,
            session.request(method, f"{self.admin_url}{path}") as response,
        ):
            return response.status, await response.text()

    async def status(self) -> dict[str, Any]:
        """Return `/api/status`."""
        return json.loads((await self.get("/api/status"))[1])

    async def ledger_when(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the ledger is as asked, and return it; it balances at every look."""
        async with asyncio.timeout(SECONDS):
            while True:
                ledger = (await self.status())["ledger"]
                assert imbalance(ledger) == 0, ledger
                if condition(ledger):
                    return ledger
                await asyncio.sleep(0.02)

    async def metrics(self) -> dict[str, float]:
        """Return every sample of `/metrics` by its name and labels."""
        text = (await self.get("/metrics"))[1]
        samples = (line.rpartition(" ") for line in text.splitlines() if line[:1] != "#")
        return {name: float(value) for name, _, value in samples if name}

    async def stop(self) -> int:
        """Ask the daemon to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the daemon to end and return its exit code."""
        async with asyncio.timeout(SECONDS):
            await self.process.wait()
            await self._reader
        return self.process.returncode

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        """Start the process; its log is to be had from its stderr."""
        return await self.execute(*command, stderr=asyncio.subprocess.PIPE)

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.text += line.decode()
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))
            self._changed.set()
        await self.process.wait()
        self._changed.set()


def free_port() -> int:
    """Return a port of loopback that nobody listens on; others may take it any time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def imbalance(ledger: dict[str, Any]) -> int:
    """Return what came in less all accounts of where it is."""
    whole = ledger["received"] + ledger["copies"] + ledger["taken_over"]
    accounted = ledger["in_memory"] + ledger["spooled"] + ledger["delivered"]
    for account in ("rejected", "dead_lettered", "dropped"):
        accounted += sum(ledger[account].values())
    return whole - accounted - ledger["handed_over"]
