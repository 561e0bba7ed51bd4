"""The programs that are compared: how each is started, and what it is asked to do."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from tests.bench.load import LOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = tuple[str, int]
Spool = Literal["disk", "memory"]

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
RECEIVE_BUFFER: Final = 8 * 1024 * 1024
"""Octets of the socket of UDP, as the daemon has it by default; the kernel may give less."""

BATCH_EVENTS: Final = 1000
BATCH_MILLISECONDS: Final = 200
"""When a request is sent, as the daemon has it by default."""


class UnavailableError(Exception):
    """A program is not installed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a program is to do: receive, parse, write as JSON, keep until it is delivered by HTTP.

    Attributes:
        load: a key of `LOADS`.
        transport: how messages come, octet-counted over TCP.
        sink: where events are to be posted, 127.0.0.1 and a port.
        directory: for settings and what waits.
        spool: whether what waits is kept on disk.
        compression: of requests.
        workers: how many processes the daemon has.
        profile: the shape of the daemon's events.
    """

    load: str
    transport: Literal["tcp", "udp"]
    sink: int
    directory: Path
    spool: Spool = "disk"
    compression: Literal["none", "gzip", "zstd"] = "none"
    workers: int = 1
    profile: Literal["documented", "ecs"] = "documented"

    @property
    def vendors(self) -> tuple[str, ...]:
        """Whose messages come."""
        return LOADS[self.load]


class Program(Protocol):
    """Runs while used as an asynchronous context manager.

    Attributes:
        process: its process id, which stands for its descendants too.
        address: where it takes messages.
        version: as it says itself.
    """

    process: int
    address: Address
    version: str

    async def __aenter__(self) -> Self:
        """Start; raise `UnavailableError` if it is not there."""

    async def __aexit__(self, *exc: object) -> None:
        """Stop."""


class Server:
    """A program in C that is told its port and where its files are.

    Args:
        command: the program and its arguments.
        environment: added to ours.
        directory: its own; its log goes there.
        address: where it is going to listen.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        directory: Path,
        address: Address,
    ) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._log = directory / "log"
        self.address = address

    async def start(self) -> int:
        """Start and wait until it listens; return its process id."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(START_SECONDS):
            while not _is_bound(self.address):
                if self._process.returncode is not None:
                    raise UnavailableError(f"it does not start: {self._log.read_text()[-2000:]}")
                await asyncio.sleep(0.05)
        return self._process.pid

    async def version(self, option: str) -> str:
        """Return the first line of what it says of its version, asked by an option."""
        process = await asyncio.create_subprocess_exec(
            self._command[0], option, env=self._environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return output.decode(errors="replace").partition("\n")[0].strip()

    async def stop(self) -> None:
        """Ask it to stop, and insist."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _is_bound(address: Address) -> bool:
    """Return whether a socket listens or waits for datagrams there (proc(5), /proc/net)."""
    port = re.compile(rf"^ *\d+: \w+:{address[1]:04X} 0+:0000 0[7A] ", re.MULTILINE)
    return any(port.search(text) for text in map(_read, ("tcp", "udp")))


def _read(protocol: str) -> str:
    return Path(f"/proc/net/{protocol}").read_text()
