"""A collector with a door for every kind of sender, so that a crowd at one is felt at the others.

The listeners are `tcp`, `tls`, `relp`, `udp` and `proxied`, which is TCP behind a proxy.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.certificates import Authority
from tests.crowds import open_files, until
from tests.relp_sender import RelpSender
from tests.station import HEADER, Station

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.daemon import Daemon

SECONDS = 60.0
WAYS = ("tcp", "tls", "relp", "udp", "proxied")
PROXY_HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 514\r\n"

# What a daemon may have open besides connections of senders: the admin server's, the sink's.
OTHER_FILES = 16


class House:
    """A daemon that runs, its sink, and what its senders trust.

    Args:
        daemon: with listeners as `doors` has them.
        station: its sink.
        context: for connections to the listener `tls`.
    """

    def __init__(self, daemon: Daemon, station: Station, context: ssl.SSLContext) -> None:
        self.daemon = daemon
        self.station = station
        self.context = context

    @property
    def process(self) -> int:
        """The daemon's process id."""
        return self.daemon.process.pid

    def address(self, way: str) -> tuple[str, int]:
        """Return where a listener listens."""
        return self.daemon.address(way)

    async def count(self, name: str, **labels: str) -> float:
        """Return a metric, or the sum of those that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            value
            for sample, value in (await self.daemon.metrics()).items()
            if sample.startswith(f"collector_{name}{{") and all(text in sample for text in wanted)
        )

    async def until_counted(self, count: float, name: str, **labels: str) -> None:
        """Wait until a metric is as asked."""
        async with asyncio.timeout(SECONDS):
            while await self.count(name, **labels) != count:
                await asyncio.sleep(0.05)

    async def until_rejected(self, count: int, listener: str, reason: str) -> None:
        """Wait until so many connections were rejected."""
        await self.until_counted(
            count, "connections_rejected_total", listener=listener, reason=reason
        )

    async def until_all_gone(self, files: int) -> None:
        """Wait until no connection is left, for the counters and for the kernel.

        Args:
            files: how many were open before there were connections.
        """
        await self.until_counted(0, "connections")
        await until(lambda: open_files(self.process) <= files + OTHER_FILES)

    async def send(self, way: str, texts: Iterable[str]) -> None:
        """Send messages, over a connection of their own where the way has connections."""
        messages = [f"{HEADER}{text}".encode() for text in texts]
        if way == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                for message in messages:
                    datagrams.sendto(message, self.address(way))
        elif way == "relp":
            async with RelpSender(self.address(way)) as sender:
                await sender.send(messages)
        else:
            begin = PROXY_HEADER if way == "proxied" else b""
            frames = [b"%d %b" % (len(message), message) for message in messages]
            await self._send(way, begin + b"".join(frames))

    async def _send(self, way: str, data: bytes) -> None:
        context = self.context if way == "tls" else None
        _, writer = await asyncio.open_connection(*self.address(way), ssl=context)
        writer.write(data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def arrived(self, texts: Iterable[str]) -> None:
        """Wait until these messages, lately sent, have reached the sink."""
        wanted = set(texts)

        def are_there() -> bool:
            latest = self.station.events[-4 * len(wanted) :]
            return wanted <= {event["message"] for event in latest}

        await self.station.wait_until(are_there, SECONDS)

    async def visit(self, course: str, count: int = 1) -> int:
        """Send messages in every way and wait until they have arrived; return how many.

        Args:
            course: a word that tells them from those of other visits.
            count: how many in each way.
        """
        sent = []
        for way in WAYS:
            texts = [f"{course} {way} {number}" for number in range(count)]
            await self.send(way, texts)
            sent += texts
        await self.arrived(sent)
        return len(sent)


@asynccontextmanager
async def housed(
    directory: Path,
    *,
    listener: dict[str, Any] | None = None,
    tls: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """Run a daemon; its connections are those of the test alone.

    Args:
        directory: for settings, certificates and spool.
        listener: settings of all listeners for connections.
        tls: settings of TLS besides certificate and key.
        settings: sections that differ.
    """
    authority = Authority(directory)
    issued = authority.server()
    files = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    context = ssl.create_default_context(cafile=authority.ca_file)
    listeners = doors(listener or {}, {**files, **(tls or {})})
    station = Station(directory, listeners=listeners, **settings)
    async with station, station.daemon() as daemon:
        yield House(daemon, station, context)


def doors(listener: dict[str, Any], tls: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of the listeners; there may be any number of connections."""
    local = {"host": "127.0.0.1", "port": 0}
    many = {"max_connections": 20_000, "max_connections_per_source": 20_000, **local, **listener}
    return [
        {"name": "tcp", "transport": "tcp", **many},
        {"name": "tls", "transport": "tcp", **many, "tls": tls},
        {"name": "relp", "transport": "relp", **many},
        {"name": "proxied", "transport": "tcp", **many, "proxy_protocol": ["127.0.0.0/8"]},
        {"name": "udp", "transport": "udp", **local},
    ]
