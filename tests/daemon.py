"""A collector as users run it: a process of its own, started from a settings file."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 60.0

DEFAULTS = {"admin": {"port": 0}, "spool": {"type": "memory"}}
"""What tests that do not say otherwise run with: the default spool is not theirs to write to."""


class Daemon:
    """Runs while used as an asynchronous context manager; all ports are free ones.

    Args:
        directory: where its settings file goes.
        settings: its settings; ports of 0 let the kernel choose.
        defaults: by section, what holds where the settings do not say otherwise.

    Attributes:
        lines: the log so far, decoded.
    """

    def __init__(
        self,
        directory: Path,
        settings: dict[str, Any],
        *,
        defaults: dict[str, dict[str, Any]] = DEFAULTS,
    ) -> None:
        self._file = directory / "collector.yaml"
        sections = {name: values | settings.get(name, {}) for name, values in defaults.items()}
        self._settings = {**settings, **sections}
        self.lines: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._file.write_text(yaml.safe_dump(self._settings))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "collector",
            "run",
            "-c",
            str(self._file),
            stderr=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read_log())
        for listener in self._settings["listeners"]:
            await self.logged("listening", listener=listener["name"])
        self._admin = (await self.logged("admin server listening"))["url"]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    def address(self, listener: str) -> tuple[str, int]:
        """Return where a listener listens."""
        line = next(
            line
            for line in self.lines
            if line["event"] == "listening" and line["listener"] == listener
        )
        host, _, port = line["address"].rpartition(":")
        return host.strip("[]"), int(port)

    async def logged(self, event: str, **details: Any) -> dict[str, Any]:
        """Wait for a line of the log and return it."""

        def found() -> dict[str, Any] | None:
            return next(
                (
                    line
                    for line in self.lines
                    if line["event"] == event
                    and all(line.get(name) == value for name, value in details.items())
                ),
                None,
            )

        async with asyncio.timeout(SECONDS):
            while (line := found()) is None:
                assert self.process.returncode is None, f"the daemon ended: {self.lines}"
                self._changed.clear()
                await self._changed.wait()
        return line

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an admin page."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self._admin}{path}") as response,
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

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))
            self._changed.set()
        self._changed.set()


def imbalance(ledger: dict[str, Any]) -> int:
    """Return received + copies less all other accounts."""
    accounted = ledger["in_memory"] + ledger["spooled"] + ledger["delivered"]
    for account in ("rejected", "dead_lettered", "dropped"):
        accounted += sum(ledger[account].values())
    return ledger["received"] + ledger["copies"] - accounted
