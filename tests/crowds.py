"""Connections in great numbers, and what a process takes for them."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Address = tuple[str, int]

SECONDS = 60.0

# For the test itself and what runs beside it.
SPARE_FILES = 256

# Close with RST at once, whatever has not been sent (socket(7), SO_LINGER of zero seconds).
AT_ONCE = struct.pack("ii", 1, 0)


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many files open; skip if it may not."""
    needed = count + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"{needed} open files are needed, {hard} are allowed")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Crowd:
    """Connections that are closed together, while used as a context manager.

    They are opened on a thread, so that servers within this process go on meanwhile.
    """

    def __init__(self) -> None:
        self._sockets = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close all of them."""
        self._sockets.close()

    async def connect(
        self, address: Address, count: int, context: ssl.SSLContext | None = None
    ) -> list[socket.socket]:
        """Open connections that say nothing, or nothing after a TLS handshake."""
        return await asyncio.to_thread(self._connect, address, count, context)

    def _connect(
        self, address: Address, count: int, context: ssl.SSLContext | None
    ) -> list[socket.socket]:
        return [self._sockets.enter_context(_one(address, context)) for _ in range(count)]


def _one(address: Address, context: ssl.SSLContext | None) -> socket.socket:
    connected = socket.create_connection(address, timeout=SECONDS)
    if context is not None:
        connected = context.wrap_socket(connected, server_hostname="localhost")
    connected.setblocking(False)
    return connected


def reset(connected: socket.socket) -> None:
    """Close a connection as one whose process was killed with something unread: with RST."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    connected.close()


async def drip(senders: list[socket.socket], text: bytes, seconds: float = 1.0) -> None:
    """Send an octet of `text` over each connection, then wait, and so on until cancelled.

    Connections that were ended meanwhile are passed over.
    """
    place = 0
    while True:
        for sender in senders:
            with suppress(OSError):
                sender.send(text[place % len(text)].to_bytes())
        place += 1
        await asyncio.sleep(seconds)


def resident_bytes(process: int) -> int:
    """Return how much memory a process has (proc(5), `VmRSS`)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


def open_files(process: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def cpu_seconds(process: int) -> float:
    """Return the processor time of a process so far, user and system (proc(5), `stat`)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that nobody tells of."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.05)
