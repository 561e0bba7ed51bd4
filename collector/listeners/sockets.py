"""Binding sockets: IPv4 and IPv6 alike, and those of the file system."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import structlog

# When the daemon stops, what senders had sent before they could know still gets in: reading goes on
# until there is no more, for this long if senders go on.
DRAIN_SECONDS = 2.0

BACKLOG = 1024

# What a packet of Ethernet carries besides the headers of IP and TCP.
ETHERNET_SEGMENT = 1448

TCP_KEEPALIVE_IDLE_SECONDS = 60
TCP_KEEPALIVE_INTERVAL_SECONDS = 15
TCP_KEEPALIVE_PROBES = 4

log = structlog.get_logger(__name__)


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


def bind_path(path: Path, mode: int, kind: socket.SocketKind) -> socket.socket:
    """Return a non-blocking socket bound to a path.

    What a process that is gone has left there is removed; a socket that somebody serves is not.

    Args:
        path: where the socket is to be.
        mode: who may write to it, as in chmod(2).
        kind: `SOCK_DGRAM` or `SOCK_STREAM`.

    Raises:
        OSError: the path cannot be bound, or is somebody else's.
    """
    _remove_abandoned(path, kind)
    bound = socket.socket(socket.AF_UNIX, kind)
    try:
        bound.setblocking(False)
        # Not for a moment may more than `mode` says be open to others.
        mask = os.umask(0o777 & ~mode)
        try:
            bound.bind(str(path))
        finally:
            os.umask(mask)
        path.chmod(mode)
    except OSError:
        bound.close()
        raise
    return bound


def listen(bound: socket.socket) -> None:
    """Have a socket take connections; who connects waits until they are accepted.

    Raises:
        OSError: somebody else listens there; the socket is closed.
    """
    try:
        bound.listen(BACKLOG)
    except OSError:
        unlink(bound)
        bound.close()
        raise


def unlink(bound: socket.socket) -> None:
    """Remove the path of a unix socket that is about to be closed, if it has one of its own."""
    name = bound.getsockname() if bound.family == socket.AF_UNIX else ""
    if isinstance(name, str) and name:
        with suppress(OSError):
            Path(name).unlink()


def _remove_abandoned(path: Path, kind: socket.SocketKind) -> None:
    """Remove a socket that nobody serves; raise OSError if somebody does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is something else")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its queue is full, so there is one
            pass
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def shown(bound: socket.socket) -> str:
    """Return where a socket is bound, as `host:port` or as its path."""
    address = address_of(bound)
    return authority(*address) if isinstance(address, tuple) else address or "closed"


def address_of(bound: socket.socket) -> tuple[str, int] | str | None:
    """Return where a socket is bound: host and port, or a path; None once it is closed."""
    if bound.fileno() < 0:
        return None
    name = bound.getsockname()
    return (name[0], name[1]) if isinstance(name, tuple) else str(name)


def limit_segments(bound: socket.socket) -> None:
    """Have senders cut what they send as on Ethernet, also where longer segments would fit.

    omrelp corks its connection (tcp(7), TCP_CORK) and waits for answers all the same: what does not
    fill a segment is held back for 200 ms. A segment of the loopback interface has 64 KiB, which a
    window of 128 short messages never fills.

    Args:
        bound: a socket that takes TCP connections.
    """
    with suppress(OSError):
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)


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
