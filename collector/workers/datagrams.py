"""The supervisor's listeners for datagrams: they open a socket for each worker, and read none.

All are bound to the same address (SO_REUSEPORT, socket(7)); the kernel deals datagrams by the
sender's address and port. The supervisor keeps the sockets open, so that what is sent while a
worker is started again waits in the kernel.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from zlib import crc32

import structlog

from collector.listeners.sockets import address_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.metrics import ListenerStats
    from collector.routing import Router

log = structlog.get_logger(__name__)


class DatagramSockets:
    """The sockets of one listener for datagrams, one for each worker.

    Where the system lets us have no more, as for a path or a socket that systemd has bound as
    another user, some of the workers read what there is.

    Args:
        bound: the first of them.
        workers: how many workers there are.
        more: others that are there already, at most one for each other worker.

    Attributes:
        socket: as above.
    """

    def __init__(
        self, bound: socket.socket, workers: int, more: Sequence[socket.socket] = ()
    ) -> None:
        self.socket = bound
        first = crc32(shown(bound).encode())  # not the same worker for every listener
        self._sockets = {
            (first + place) % workers: item for place, item in enumerate((bound, *more))
        }
        if bound.family != socket.AF_UNIX and len(self._sockets) < workers:
            self._bind_more(workers)

    def _bind_more(self, workers: int) -> None:
        """Bind a socket for each other worker to the same address.

        Only now others may bind it too: while the first was bound, nobody could share it, so that
        two daemons do not take datagrams from one another.
        """
        bound = self.socket
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for number in range(workers):
                if number not in self._sockets:
                    self._sockets[number] = _sibling(bound)
        except OSError as error:
            log.warning(
                "datagrams cannot be dealt to all workers",
                address=shown(bound),
                workers=len(self._sockets),
                problem=error.strerror,
            )

    def of_worker(self, number: int) -> socket.socket | None:
        """Return the socket that a worker reads; None if it reads none."""
        return self._sockets.get(number)

    def close(self) -> None:
        """Close them; workers may still read theirs."""
        for bound in self._sockets.values():
            bound.close()


def _sibling(bound: socket.socket) -> socket.socket:
    """Return another socket at the same address.

    Raises:
        OSError: there may be none.
    """
    sibling = socket.socket(bound.family, socket.SOCK_DGRAM)
    try:
        sibling.setblocking(False)
        sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if bound.family == socket.AF_INET6:
            only = bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            sibling.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sibling.bind(bound.getsockname())
    except OSError:
        sibling.close()
        raise
    return sibling


class DealtDatagrams:
    """A listener whose datagrams the workers read.

    Args:
        sockets: one for each.
        settings: the listener's settings; replaced by `reconfigure`.
    """

    has_source = True

    def __init__(self, sockets: DatagramSockets, settings: ListenerSettings) -> None:
        self.source = sockets
        self.settings = settings

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where it listens."""
        return address_of(self.source.socket)

    def start(self) -> None:
        """Do nothing: the workers receive."""

    def reconfigure(
        self,
        settings: ListenerSettings,
        router: Router,  # noqa: ARG002 - workers route
        stats: ListenerStats,  # noqa: ARG002 - workers count
        encryption: Encryption | None,  # noqa: ARG002 - datagrams have none
    ) -> None:
        """Go by other settings."""
        self.settings = settings

    def pause(self) -> None:
        """Do nothing: what is sent waits in the kernel until a worker reads it."""

    def resume(self) -> None:
        """Do nothing."""

    def announce_end(self) -> None:
        """Do nothing: senders of datagrams are told nothing."""

    async def stop(self) -> None:
        """Leave the sockets to the workers."""
        self.source.close()
