"""What systemd and the daemon tell each other: readiness, watchdog, sockets that are handed over.

The protocols are those of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3): environment
variables, datagrams of a line or two, and file descriptors from 3 on. Without systemd the variables
are missing, and everything here does nothing.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping, MutableMapping

Address = tuple[str, int] | Path
"""Where a listener listens: host and port, or the path of a unix socket."""

FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START: the first descriptor that is handed over."""

MAX_DESCRIPTORS: Final = 1024
"""More are not handed over to one service; a number beyond is not believed."""

# How long a message to systemd may hold up the event loop: its queue is full only if systemd hangs.
SEND_TIMEOUT_SECONDS: Final = 0.1

MAX_STATUS_CHARACTERS: Final = 200

log = structlog.get_logger(__name__)


class Notifier:
    """Tells systemd how the daemon is; what cannot be told is logged once and costs nothing else.

    Args:
        environ: holds NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID where systemd has set them.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog = watchdog_seconds(environ)
        self._failed = False
        self._feeding: asyncio.TimerHandle | None = None

    def starting(self, seconds: float) -> None:
        """Say that the start goes on, so that systemd does not end it for so long."""
        self.notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def ready(self) -> None:
        """Say that the daemon has started, or has reloaded its settings."""
        self.notify("READY=1")

    def reloading(self) -> None:
        """Say that the settings are being reloaded; `ready` is to follow, whatever comes of it."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.notify(f"RELOADING=1\nMONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Say that the daemon winds down."""
        self.notify("STOPPING=1")

    def status(self, text: str) -> None:
        """Say how the daemon is in words, for `systemctl status`; a long text is cut."""
        self.notify(f"STATUS={' '.join(text.split())[:MAX_STATUS_CHARACTERS]}")

    def notify(self, state: str) -> None:
        """Send assignments to systemd, one per line (sd_notify(3))."""
        if not self._address:
            return
        try:
            send(self._address, state)
        except OSError as error:
            if not self._failed:
                log.warning("cannot notify systemd", socket=self._address, problem=str(error))
            self._failed = True

    def feed_watchdog(self, loop: asyncio.AbstractEventLoop) -> None:
        """Feed the watchdog from now on, twice in the time that systemd waits for it.

        It is fed by the event loop: one that hangs is noticed, and the daemon started again. Does
        nothing where no watchdog is asked for.
        """
        if self._watchdog is not None:
            self.notify("WATCHDOG=1")
            self._feeding = loop.call_later(self._watchdog / 2, self.feed_watchdog, loop)

    def close(self) -> None:
        """Feed the watchdog no more."""
        if self._feeding is not None:
            self._feeding.cancel()


def send(address: str, state: str) -> None:
    """Send assignments to a notification socket.

    Args:
        address: a path, or with `@` in front the name of an abstract socket (unix(7)).
        state: assignments, one per line.

    Raises:
        OSError: nobody takes them there.
    """
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SEND_TIMEOUT_SECONDS)
        sender.sendto(state.encode(errors="replace"), target)


def watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return how long systemd waits for a sign of life, or None where it does not.

    Args:
        environ: holds WATCHDOG_USEC, microseconds, and WATCHDOG_PID, whom that is for; without the
            latter it is for every process.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return _number(environ.get("WATCHDOG_USEC", "")) / 1e6 or None


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that systemd has bound.

    Attributes:
        name: its FileDescriptorName=, by default the name of the socket unit.
        bound: non-blocking, and closed on exec.
    """

    name: str
    bound: socket.socket

    def fits(self, kind: socket.SocketKind, address: Address) -> bool:
        """Say whether it is of a kind, and of the address's family: IP or unix."""
        is_unix = self.bound.family == socket.AF_UNIX
        if self.bound.type != kind or is_unix != isinstance(address, Path):
            return False
        # With Accept=yes it would be a connection, which no listener can be made of.
        return kind != socket.SOCK_STREAM or bool(
            self.bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        )

    def is_at(self, address: Address) -> bool:
        """Say whether what is sent to an address comes in here.

        `ListenStream=5514` binds `::`, which takes IPv4 too: a listener on 0.0.0.0 is served by it.
        """
        own = self.bound.getsockname()
        if isinstance(address, Path):
            return bool(own == str(address))
        host, port = address
        return bool(own[1] == port) and (
            _same_host(own[0], host)
            or (_same_host(host, "0.0.0.0") and own[0] == "::" and self._takes_ipv4())
        )

    def _takes_ipv4(self) -> bool:
        return not self.bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


class InheritedSockets:
    """The sockets that systemd has handed over, until listeners have taken them.

    Args:
        sockets: what was handed over.
    """

    def __init__(self, sockets: Iterable[Inherited]) -> None:
        self._left = list(sockets)

    def take(self, name: str, kind: socket.SocketKind, address: Address) -> socket.socket | None:
        """Return the socket that is meant for a listener, which owns it from now on.

        Of those of its kind it is one that bears its name, whatever its address, else one at its
        address; where several bear the name, the one at the address goes first.

        Args:
            name: of the listener.
            kind: `SOCK_DGRAM` or `SOCK_STREAM`.
            address: where the listener is to listen; the host is an address, not a name.

        Returns:
            The socket; None if there is none for it.
        """
        found = [item for item in self._left if item.fits(kind, address)]
        found = [item for item in found if item.name == name or item.is_at(address)]
        if not found:
            return None
        best = max(found, key=lambda item: (item.name == name, item.is_at(address)))
        self._left.remove(best)
        return best.bound

    def take_like(self, bound: socket.socket, most: int) -> list[socket.socket]:
        """Return sockets at the same address as one that was taken: with ReusePort= there may be.

        Args:
            bound: the one.
            most: how many at most; its taker owns them from now on.
        """
        own = bound.type, bound.getsockname()
        found = [item for item in self._left if (item.bound.type, item.bound.getsockname()) == own]
        for item in found[:most]:
            self._left.remove(item)
        return [item.bound for item in found[:most]]

    def close_rest(self) -> None:
        """Close what no listener has taken, and warn of it: what is sent there is lost."""
        for item in self._left:
            log.warning(
                "no listener fits a socket that systemd has handed over, it is closed",
                name=item.name,
                kind=item.bound.type.name,
                address=_told(item.bound.getsockname()),
            )
            item.bound.close()
        self._left.clear()


def inherited_sockets(environ: MutableMapping[str, str]) -> list[Inherited]:
    """Return the sockets that systemd has handed over to this process; to be called once.

    What is no socket is closed, with a warning.

    Args:
        environ: holds LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES; they are removed, so that a child
            does not take its own descriptors for sockets.
    """
    owner, count, names = (
        environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    if owner != str(os.getpid()):
        return []
    total = min(_number(count), MAX_DESCRIPTORS)
    found = []
    for descriptor, name in zip(
        range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + total),
        names.split(":") + [""] * total,
        strict=False,
    ):
        try:
            handed_over = socket.socket(fileno=descriptor)
        except OSError as error:
            log.warning("systemd has handed over no socket", name=name, problem=error.strerror)
            _close(descriptor)
            continue
        handed_over.setblocking(False)
        handed_over.set_inheritable(False)
        found.append(Inherited(name, handed_over))
    return found


def _close(descriptor: int) -> None:
    """Close a descriptor, unless it is not open at all."""
    with suppress(OSError):
        os.close(descriptor)


def _number(text: str) -> int:
    """Read a number as systemd writes it; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _same_host(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def _told(address: tuple[str, int] | str | bytes) -> str:
    """Return an address of a socket as people write it."""
    if isinstance(address, tuple):
        return f"{address[0]} port {address[1]}"
    return os.fsdecode(address).replace("\0", "@")
