"""The supervisor's listeners: they hand on what comes in, and read none of it.

A connection is accepted and counted here, and goes to the worker that has the fewest of its
listener: the kernel's own choice, a hash, gives eight connections to two workers four each in 27 of
100 runs only. Datagrams come in on a socket for each worker, bound to the same address
(SO_REUSEPORT, socket(7)); the kernel deals them by the sender's address and port. The supervisor
keeps them open, so that what is sent while a worker is started again waits in the kernel.
"""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

import structlog

from collector.backpressure import Gate
from collector.listeners.entrances import SocketEntrance
from collector.listeners.opening import OwnSockets, Place
from collector.listeners.sockets import address_of, shown
from collector.routing import peer_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.listeners.entrances import Visitor
    from collector.listeners.opening import Source
    from collector.listening import Listener
    from collector.metrics import ListenerStats
    from collector.routing import Router
    from collector.systemd import InheritedSockets
    from collector.workers.channel import Message

log = structlog.get_logger(__name__)


def as_json(place: Place) -> list[int | str]:
    """Return a place as a message holds it."""
    return [int(place.kind), place.where, place.name]


def read_place(found: Sequence[Any]) -> Place:
    """Return the place that a message holds."""
    kind, where, name = found
    return Place(socket.SocketKind(kind), where, name)


class Taker(Protocol):
    """A worker, as far as connections are dealt to it."""

    @property
    def number(self) -> int:
        """Which worker it is."""

    @property
    def can_take(self) -> bool:
        """Whether it is there and reads what it is told."""

    def tell(self, message: Message, descriptor: int = -1) -> None:
        """Send it a message, and maybe a descriptor, which is closed here then."""


@dataclass(slots=True, eq=False)
class _Visit:
    """A connection that a worker has.

    Attributes:
        visitor: the connection, whose socket here is closed.
        entrance: which counts it.
        place: where it came in.
        worker: has it.
    """

    visitor: Visitor
    entrance: SocketEntrance
    place: Place
    worker: Taker


class Dealing:
    """Deals connections to workers and keeps count of them.

    Args:
        workers: all there are.

    Attributes:
        gate: closed while no worker takes connections; they wait in the kernel.
    """

    def __init__(self, workers: Sequence[Taker]) -> None:
        self._workers = workers
        self._numbers = count()
        self._visits: dict[int, _Visit] = {}
        self._open: Counter[tuple[int, Place]] = Counter()  # by worker and place
        self._open_in_all: Counter[int] = Counter()  # by worker
        self.gate = Gate()
        self.gate.close()

    def connections(self, worker: Taker) -> int:
        """Return how many connections a worker has."""
        return self._open_in_all[worker.number]

    def look(self) -> None:
        """Open or close the gate, as there is a worker that takes connections or none."""
        if any(worker.can_take for worker in self._workers):
            self.gate.open()
        else:
            self.gate.close()

    def deal(self, visitor: Visitor, entrance: SocketEntrance, place: Place) -> None:
        """Give a connection to the worker that has the fewest of its listener."""
        worker = min(self._takers(), key=lambda taker: self._burden(taker, place))
        number = next(self._numbers)
        self._visits[number] = _Visit(visitor, entrance, place, worker)
        self._open[worker.number, place] += 1
        self._open_in_all[worker.number] += 1
        visitor.give_up = lambda: worker.tell({"kind": "end", "number": number})
        worker.tell(
            {
                "kind": "connection",
                "place": as_json(place),
                "number": number,
                "peer": visitor.peer and str(visitor.peer),
                "is_proxied": visitor.is_proxied,
            },
            visitor.connected.detach(),
        )
        self.look()

    def _takers(self) -> list[Taker]:
        takers = [worker for worker in self._workers if worker.can_take]
        return takers or [*self._workers]  # what is told to one that is gone is closed

    def _burden(self, worker: Taker, place: Place) -> tuple[int, int, int]:
        number = worker.number
        return self._open[number, place], self._open_in_all[number], number

    # What workers tell.

    def hear(self, worker: Taker, message: Message) -> None:
        """Take in what a worker tells of a connection."""
        number = message["number"]
        visit = self._visits.get(number)
        if visit is None or visit.worker is not worker:
            return
        match message["kind"]:
            case "left":
                self._end(number)
            case "awaited" if message["is_awaited"]:
                visit.entrance.await_sender(visit.visitor)
            case "awaited":
                visit.entrance.heard_sender(visit.visitor)
            case "enter":
                sender = peer_address(message["sender"])
                refusal = visit.entrance.enter_now(visit.visitor, sender)
                worker.tell({"kind": "entered", "number": number, "refusal": refusal})

    def forget(self, worker: Taker) -> None:
        """Count out all connections of a worker that is gone."""
        for number, visit in list(self._visits.items()):
            if visit.worker is worker:
                self._end(number)
        self.look()

    def _end(self, number: int) -> None:
        visit = self._visits.pop(number)
        visit.entrance.leave(visit.visitor)
        by_place = visit.worker.number, visit.place
        self._open[by_place] -= 1
        if not self._open[by_place]:
            del self._open[by_place]
        self._open_in_all[visit.worker.number] -= 1


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
    def address(self) -> tuple[str, int] | str:
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
        """Have senders refused from now on."""
        self._is_over = True
        self.source.close()

    def _let_in(self, visitor: Visitor) -> None:
        self._dealing.deal(visitor, self.source, self._place)


class DatagramSockets:
    """The sockets of one listener for datagrams, one for each worker.

    Where the system lets us have no more than one, as for a path or a socket that systemd has
    bound for another user, one of the workers reads it.

    Args:
        bound: the first of them.
        workers: how many workers there are.

    Attributes:
        socket: as above.
    """

    def __init__(self, bound: socket.socket, workers: int) -> None:
        self.socket = bound
        self._sockets = {crc32(shown(bound).encode()) % workers: bound}
        if bound.family != socket.AF_UNIX:
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
    def address(self) -> tuple[str, int] | str:
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
        return DatagramSockets(bound, self._workers)


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
