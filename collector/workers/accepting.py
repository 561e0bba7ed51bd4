"""The supervisor's listeners: they hand on what comes in, and read none of it.

A connection is accepted and counted here, and goes to a worker (`dealing`). Datagrams come in on
sockets that workers read (`datagrams`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.listeners.entrances import SocketEntrance
from collector.listeners.opening import OwnSockets, Place
from collector.workers.datagrams import DatagramSockets, DealtDatagrams

if TYPE_CHECKING:
    import socket

    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.listeners.entrances import Visitor
    from collector.listeners.opening import Source
    from collector.listening import Listener
    from collector.metrics import ListenerStats
    from collector.routing import Router
    from collector.systemd import InheritedSockets
    from collector.workers.dealing import Dealing


class DealtConnections:
    """A listener whose connections are dealt.

    Args:
        entrance: where they come in.
        settings: the listener's settings; replaced by `reconfigure`, as are its counters.
        stats: its counters.
        dealing: deals them.
    """

    has_source = True

    def __init__(
        self,
        entrance: SocketEntrance,
        settings: ListenerSettings,
        stats: ListenerStats,
        dealing: Dealing,
    ) -> None:
        self.source = entrance
        self.settings = settings
        self._stats = stats
        self._dealing = dealing
        self._place = Place.of(settings)
        self._is_paused = False
        self._is_over = False

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where senders connect."""
        return self.source.address

    def start(self) -> None:
        """Begin to accept."""
        if not self._is_paused:
            self.source.open(self._let_in, self.settings, self._stats)

    def reconfigure(
        self,
        settings: ListenerSettings,
        router: Router,  # noqa: ARG002 - workers route
        stats: ListenerStats,
        encryption: Encryption | None,  # noqa: ARG002 - workers speak TLS
    ) -> None:
        """Accept by other settings."""
        self.settings, self._stats = settings, stats
        self.source.reconfigure(settings, stats)

    def pause(self) -> None:
        """Leave those who connect to the kernel."""
        self._is_paused = True
        if not self._is_over:
            self.source.shut()

    def resume(self) -> None:
        """Accept again."""
        self._is_paused = False
        if not self._is_over:
            self.source.open(self._let_in, self.settings, self._stats)

    def announce_end(self) -> None:
        """Accept nobody from now on."""
        self._is_over = True
        self.source.shut()

    async def stop(self) -> None:
        """Have senders refused from now on, but for those who have connected already."""
        self._is_over = True
        self.source.take_rest()
        self.source.close()

    def _let_in(self, visitor: Visitor) -> None:
        self._dealing.deal(visitor, self.source, self._place)


class DealtSockets(OwnSockets):
    """Opens sockets whose traffic is dealt to workers.

    Args:
        inherited: sockets that whoever started the process has opened for it.
        workers: how many workers there are.
    """

    def __init__(self, inherited: InheritedSockets, workers: int) -> None:
        super().__init__(inherited)
        self._workers = workers

    def _for_datagrams(self, bound: socket.socket) -> DatagramSockets:
        more = self._inherited.take_like(bound, self._workers - 1)
        self._lent.update(more)
        return DatagramSockets(bound, self._workers, more)


@dataclass(frozen=True, slots=True)
class Dealers:
    """Makes the supervisor's listeners.

    Attributes:
        dealing: deals connections.
    """

    dealing: Dealing

    def __call__(
        self,
        source: Source,
        settings: ListenerSettings,
        router: Router,  # noqa: ARG002 - workers route
        stats: ListenerStats,
        encryption: Encryption | None,  # noqa: ARG002 - workers speak TLS
    ) -> Listener:
        """Make one."""
        if isinstance(source, SocketEntrance):
            return DealtConnections(source, settings, stats, self.dealing)
        assert isinstance(source, DatagramSockets)  # noqa: S101 - what DealtSockets opens
        return DealtDatagrams(source, settings)
