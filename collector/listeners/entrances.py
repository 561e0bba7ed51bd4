"""Where connections come in: accepted on a socket, within the limits of their listener.

Who opens a connection, with all that a sender may make last, tells its entrance how far it has
come. That may be another process than the one that has accepted it.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from collector.listeners.admission import Admission
from collector.listeners.reasons import MAX_CONNECTIONS
from collector.listeners.sockets import BACKLOG, address_of, limit_segments
from collector.logs import Reports
from collector.metrics import ListenerStats
from collector.routing import peer_address, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.config import ListenerSettings
    from collector.routing import Address

# Few enough that those which are over at once, as port probes, do not pile up while being opened.
ACCEPTS_PER_WAKE: Final = 16

# Before accepting is tried again when the process or the system is out of files or memory.
EXHAUSTED_SECONDS: Final = 0.5

# Connections within a TLS handshake or before a proxy's header. One more ends the oldest of them,
# as does one more connection than there may be: whoever means well is done within a round trip or
# two, so that a flood of connections that say nothing keeps nobody out.
MAX_OPENINGS: Final = 512

log = structlog.get_logger(__name__)


def _stay() -> None:
    """Do not end."""


@dataclass(slots=True, eq=False)
class Visitor:
    """A connection, from when it is accepted until it has ended.

    Attributes:
        connected: its socket, non-blocking.
        peer: the address of its other end; None on a socket of this machine.
        is_proxied: whether a proxy is to name its sender first.
        sender: under whose address it is counted; None for nobody's, or nobody's yet.
        give_up: ends it while it waits for its sender, so that another has its place.
    """

    connected: socket.socket
    peer: Address | None
    is_proxied: bool
    sender: Address | None = None
    give_up: Callable[[], None] = _stay


class Entrance(Protocol):
    """What a listener for connections gets them from, and tells what becomes of them."""

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where senders connect: host and port, or a path; None where somebody else knows."""

    def open(
        self, let_in: Callable[[Visitor], None], settings: ListenerSettings, stats: ListenerStats
    ) -> None:
        """Begin to let connections in."""

    def reconfigure(self, settings: ListenerSettings, stats: ListenerStats) -> None:
        """Let connections in by other settings."""

    def take_rest(self) -> None:
        """Let those in who have connected already: closing would lose what they have sent."""

    def shut(self) -> None:
        """Let nobody in from now on, until it is opened again."""

    def close(self) -> None:
        """Have senders refused from now on."""

    async def enter(self, visitor: Visitor, sender: Address) -> str | None:
        """Count a connection of a proxy under its sender; or say why it may not enter."""

    def await_sender(self, visitor: Visitor) -> None:
        """Note that a connection waits for its sender, and may be given up for another."""

    def heard_sender(self, visitor: Visitor) -> None:
        """Note that it waits no longer."""

    def leave(self, visitor: Visitor) -> None:
        """Count a connection out."""


class SocketEntrance:
    """Accepts connections on a socket of this process.

    Args:
        bound: the socket, which listens.
        settings: of the listener.

    Attributes:
        socket: as above.
    """

    def __init__(self, bound: socket.socket, settings: ListenerSettings) -> None:
        self.socket = bound
        self._settings = settings
        self._stats = ListenerStats(settings.name)
        self._loop = asyncio.get_running_loop()
        self._reports = Reports(log)
        self._admission = Admission(settings)
        self._awaited: dict[Visitor, None] = {}  # the oldest first
        self._let_in: Callable[[Visitor], None] | None = None
        self._retry: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where senders connect: host and port, or a path; None once it is closed."""
        return address_of(self.socket)

    def open(
        self, let_in: Callable[[Visitor], None], settings: ListenerSettings, stats: ListenerStats
    ) -> None:
        """Begin to accept."""
        self._let_in = let_in
        self.reconfigure(settings, stats)
        self._loop.add_reader(self.socket, self._accept)

    def reconfigure(self, settings: ListenerSettings, stats: ListenerStats) -> None:
        """Accept by other settings."""
        self._settings = self._admission.settings = settings
        self._stats = stats
        if settings.transport == "relp":
            limit_segments(self.socket)  # one that was inherited, or was there for something else

    def take_rest(self) -> None:
        """Accept all who wait, unless it is shut."""
        self._accept(BACKLOG)

    def shut(self) -> None:
        """Accept nobody from now on."""
        self._let_in = None
        self._loop.remove_reader(self.socket)
        if self._retry is not None:
            self._retry.cancel()

    def close(self) -> None:
        """Close the socket."""
        self.shut()
        self.socket.close()

    # Accepting.

    def _accept(self, most: int = ACCEPTS_PER_WAKE) -> None:
        """Accept the connections that wait, so many at most."""
        for _ in range(most):
            let_in = self._let_in
            if let_in is None:  # since the last one
                return
            try:
                connected, address = self.socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone before we came to it
                continue
            except OSError as error:
                self._rest(error)
                return
            self._admit(connected, address, let_in)

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a moment: there is no room for another connection in the system."""
        self._reports.error(
            "accept",
            "cannot accept connections, it is tried again",
            listener=self._settings.name,
            problem=error.strerror,
        )
        self._loop.remove_reader(self.socket)
        self._retry = self._loop.call_later(EXHAUSTED_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        self._loop.add_reader(self.socket, self._accept)

    def _admit(
        self,
        connected: socket.socket,
        address: tuple[str, int] | str,
        let_in: Callable[[Visitor], None],
    ) -> None:
        """Count a connection in and let it in, or close it."""
        connected.setblocking(False)
        peer = peer_address(address[0]) if connected.family != socket.AF_UNIX else None
        is_proxied = peer is not None and within(peer, self._settings.proxy_protocol)
        if not is_proxied:
            refusal = self._admission.refusal(peer)
            if refusal is not None:  # before it costs anybody else a place
                self._refuse(connected, refusal, peer)
                return
        if self._admission.is_full():
            if not self._awaited:
                self._refuse(connected, MAX_CONNECTIONS, peer)
                return
            self._give_up_oldest()
        self._admission.connections += 1
        visitor = Visitor(connected, peer, is_proxied)
        if not is_proxied:
            self._admission.enter(peer)
            visitor.sender = peer
        let_in(visitor)

    def _refuse(self, connected: socket.socket, reason: str, peer: Address | None) -> None:
        connected.close()
        count_rejected(self._stats, self._reports, reason, peer)

    def reject(self, visitor: Visitor, reason: str) -> None:
        """Count and report a connection that was let in and could not be served."""
        count_rejected(self._stats, self._reports, reason, visitor.peer)

    # What becomes of a connection.

    async def enter(self, visitor: Visitor, sender: Address) -> str | None:
        """Count a connection of a proxy under its sender; or say why it may not enter."""
        return self.enter_now(visitor, sender)

    def enter_now(self, visitor: Visitor, sender: Address) -> str | None:
        """Do what `enter` does."""
        refusal = self._admission.enter(sender)
        if refusal is None:
            visitor.sender = sender
        return refusal

    def await_sender(self, visitor: Visitor) -> None:
        """Note that a connection waits for its sender, and may be given up for another."""
        self._awaited[visitor] = None
        if len(self._awaited) > MAX_OPENINGS:
            self._give_up_oldest()

    def heard_sender(self, visitor: Visitor) -> None:
        """Note that it waits no longer."""
        self._awaited.pop(visitor, None)

    def _give_up_oldest(self) -> None:
        """Make room for another; what is given up ends later, and is not to be chosen again."""
        visitor = next(iter(self._awaited))
        del self._awaited[visitor]
        visitor.give_up()

    def leave(self, visitor: Visitor) -> None:
        """Count a connection out."""
        self._awaited.pop(visitor, None)
        self._admission.connections -= 1
        self._admission.leave(visitor.sender)


def count_rejected(
    stats: ListenerStats, reports: Reports, reason: str, peer: Address | None, problem: str = ""
) -> None:
    """Count and report a connection that is refused or ended by us.

    Args:
        stats: counters of its listener.
        reports: bound how often it is reported.
        reason: one of `reasons.ALL`.
        peer: the sender's address; None on a socket of this machine.
        problem: what is wrong, for the log.
    """
    stats.connections_rejected[reason] += 1
    details = {"problem": problem} if problem else {}
    reports.warning(
        reason,
        "connection rejected",
        listener=stats.name,
        peer="" if peer is None else str(peer),
        reason=reason,
        **details,
    )
