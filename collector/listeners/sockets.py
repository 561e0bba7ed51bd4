"""Binding sockets, IPv4 and IPv6 alike."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

# When the daemon stops, what senders had sent before they could know still gets in: reading goes on
# until there is no more, for this long if senders go on.
DRAIN_SECONDS = 1.0

TCP_KEEPALIVE_IDLE_SECONDS = 60
TCP_KEEPALIVE_INTERVAL_SECONDS = 15
TCP_KEEPALIVE_PROBES = 4


async def bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking socket bound to an address; `::` takes IPv4 too.

    Args:
        host: a name or an address.
        port: the port; 0 lets the kernel choose.
        kind: `SOCK_DGRAM` or `SOCK_STREAM`.

    Raises:
        OSError: the name has no address or the address cannot be bound.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    family, _, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if kind == socket.SOCK_STREAM:
            # A restarted daemon binds although connections of the last one are in TIME_WAIT.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        bound.setblocking(False)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel find out about peers that are gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, TCP_KEEPALIVE_INTERVAL_SECONDS),
        (socket.TCP_KEEPCNT, TCP_KEEPALIVE_PROBES),
    ):
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def authority(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets (RFC 3986, section 3.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str) -> str:
    """Return where this machine reaches what listens on a host: every address is loopback too."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
