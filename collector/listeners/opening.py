"""Opens what listeners receive from: sockets that this process binds, or was given by systemd."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from collector.listeners.entrances import SocketEntrance
from collector.listeners.sockets import (
    address_of,
    authority,
    bind,
    bind_path,
    limit_segments,
    listen,
    shown,
    unlink,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.systemd import InheritedSockets

log = structlog.get_logger(__name__)


class ListenError(Exception):
    """A listener cannot be as its settings ask for; the text names it and says why."""


class Place(NamedTuple):
    """Where a socket is: listeners in the same place share it, one after the other.

    Attributes:
        kind: whether it takes connections or datagrams.
        where: the address and port, or the path.
        name: of the listener, where the system chooses the port; else empty.
    """

    kind: socket.SocketKind
    where: str
    name: str

    @classmethod
    def of(cls, settings: ListenerSettings) -> Place:
        """Return where a listener is to be."""
        is_datagram = settings.transport in {"udp", "unix-datagram"}
        kind = socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM
        if settings.path is not None:
            return cls(kind, str(settings.path), "")
        port = settings.port or 0
        return cls(kind, authority(settings.host, port), "" if port else settings.name)


class Source(Protocol):
    """What a listener receives from: an entrance, or sockets for datagrams."""

    def close(self) -> None:
        """Close it."""


class Present(Protocol):
    """What is told of a listener that is there.

    Attributes:
        settings: its settings.
    """

    settings: ListenerSettings

    @property
    def source(self) -> Source:
        """What it receives from."""

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where it listens: host and port, or a path; None where somebody else knows."""


class Sockets(Protocol):
    """Gives listeners what they receive from, and tells the world of them."""

    async def open(self, settings: ListenerSettings, present: Sequence[Present]) -> Source:
        """Open what a listener receives from.

        Args:
            settings: of the listener.
            present: the listeners of now, to name the one that is in its way.

        Raises:
            ListenError: it cannot be.
        """

    def hide(self, source: Source) -> None:
        """Have nobody find what is about to be closed."""

    def permit(self, present: Present, settings: ListenerSettings) -> None:
        """Let those write to a socket in the file system whom changed settings allow it."""

    def announce(self, present: Present, encryption: Encryption | None) -> None:
        """Tell of a listener that listens from now on."""

    def look_at(self, settings: ListenerSettings, encryption: Encryption | None) -> None:
        """Warn of a certificate that is not valid, or not for long."""

    def take_leave(self, present: Present) -> None:
        """Tell of a listener that does so no longer."""


class OwnSockets:
    """Opens sockets of this process.

    Args:
        inherited: sockets that whoever started the process has opened for it.
    """

    def __init__(self, inherited: InheritedSockets) -> None:
        self._inherited = inherited
        self._lent: set[socket.socket] = set()  # whose paths are not ours to remove

    def close_rest(self) -> None:
        """Close what was inherited and no listener has taken."""
        self._inherited.close_rest()

    async def open(self, settings: ListenerSettings, present: Sequence[Present]) -> Source:
        """Bind a socket, or take one that was inherited.

        Args:
            settings: of the listener.
            present: the listeners of now, to name the one that is in its way.

        Raises:
            ListenError: it cannot be bound.
        """
        place = Place.of(settings)
        bound = await self._bind(settings, place, present)
        if place.kind == socket.SOCK_STREAM:
            return SocketEntrance(bound, settings)
        return self._for_datagrams(bound)

    def _for_datagrams(self, bound: socket.socket) -> Source:
        return bound

    async def _bind(
        self, settings: ListenerSettings, place: Place, present: Sequence[Present]
    ) -> socket.socket:
        address = settings.path or (settings.host, settings.port or 0)
        inherited = self._inherited.take(settings.name, place.kind, address)
        if inherited is not None:
            self._lent.add(inherited)
            return inherited
        try:
            if settings.path is not None:
                bound = bind_path(settings.path, settings.mode, place.kind)
            else:
                bound = await bind(settings.host, settings.port or 0, place.kind)
            if settings.transport == "relp":
                limit_segments(bound)  # who connects as soon as it listens is told, too
            if place.kind == socket.SOCK_STREAM:
                listen(bound)
        except OSError as error:
            problem = error.strerror or str(error)
            if error.errno == errno.EADDRINUSE:
                problem += _by_whom(present, place.kind, settings.port)
            raise ListenError(f"cannot listen on {place.where}: {problem}") from error
        return bound

    def hide(self, source: Source) -> None:
        """Remove the path of a socket that is about to be closed, if that is ours."""
        bound = socket_of(source)
        if bound not in self._lent:
            unlink(bound)

    def permit(self, present: Present, settings: ListenerSettings) -> None:
        """Let those write to a socket in the file system whom changed settings allow it."""
        is_lent = socket_of(present.source) in self._lent
        if is_lent or settings.path is None or settings.mode == present.settings.mode:
            return
        try:
            settings.path.chmod(settings.mode)
        except OSError as error:
            log.warning(
                "permissions of the socket stay as they were",
                listener=settings.name,
                problem=error.strerror,
            )

    def announce(self, present: Present, encryption: Encryption | None) -> None:
        """Tell of a listener that listens from now on."""
        settings = present.settings
        log.info(
            "listening",
            listener=settings.name,
            transport=settings.transport,
            address=shown(socket_of(present.source)),
            tls=encryption is not None,
            intake=settings.intake or "by key",
        )

    def look_at(self, settings: ListenerSettings, encryption: Encryption | None) -> None:
        """Warn of a certificate that is not valid, or not for long."""
        if encryption is None:
            return
        concern = encryption.validity.concern(time.time())
        if concern is not None:
            log.warning(
                "certificate not valid, or not for long", listener=settings.name, problem=concern
            )

    def take_leave(self, present: Present) -> None:
        """Tell of a listener that does so no longer."""
        log.info("no longer listening", listener=present.settings.name)


def socket_of(source: Source) -> socket.socket:
    """Return the socket that was bound for a listener."""
    if isinstance(source, socket.socket):
        return source
    bound = getattr(source, "socket", None)
    assert isinstance(bound, socket.socket)  # noqa: S101 - as all have that are opened here
    return bound


def _by_whom(present: Sequence[Present], kind: socket.SocketKind, port: int | None) -> str:
    """Say which listener of now has a port, as where only the host is to change."""
    for listener in present:
        bound = socket_of(listener.source)
        address = address_of(bound)
        if bound.type == kind and isinstance(address, tuple) and address[1] == port:
            name = listener.settings.name
            return f" by listener {name} until it has another port, or the daemon is restarted"
    return ""
