"""Which worker gets a connection.

It goes to the worker that has the fewest of its listener: the kernel's own choice, a hash, gives
eight connections to two workers four each in 27 of 100 runs only. One that does not answer, or has
no descriptor left, gets none, and one that can keep nothing gets none as long as another can.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

import structlog

from collector.backpressure import Gate
from collector.listeners.reasons import NO_WORKER, OPEN_FILES
from collector.logs import Reports
from collector.routing import peer_address
from collector.workers.places import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.listeners.entrances import SocketEntrance, Visitor
    from collector.listeners.opening import Place
    from collector.workers.channel import Message

log = structlog.get_logger(__name__)


class Taker(Protocol):
    """A worker, as far as connections are dealt to it."""

    @property
    def number(self) -> int:
        """Which worker it is."""

    @property
    def is_running(self) -> bool:
        """Whether it is there."""

    @property
    def can_take(self) -> bool:
        """Whether it is there and reads what it is told."""

    @property
    def room(self) -> int:
        """How many connections it may have."""

    @property
    def is_hindered(self) -> bool:
        """Whether it can keep nothing that comes in."""

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
        self._reports = Reports(log)
        self.gate = Gate()
        self.gate.close()

    def connections(self, worker: Taker) -> int:
        """Return how many connections a worker has."""
        return self._open_in_all[worker.number]

    def look(self) -> None:
        """Open or close the gate, as there is a worker that takes connections or none."""
        if any(map(self._takes_one_more, self._workers)):
            self.gate.open()
            return
        self.gate.close()
        if self._is_full():
            self._reports.error(
                "full",
                "cannot accept connections, no worker may have more open files",
                connections=self._open_in_all.total(),
            )

    def degraded(self) -> list[dict[str, str]]:
        """Say that nobody is let in for want of descriptors, as `/readyz` has it."""
        if not self._is_full():
            return []
        reason = "no worker may have more open files, connections wait until one is closed"
        return [{"listeners": "all", "reason": reason}]

    def _takes_one_more(self, worker: Taker) -> bool:
        return worker.can_take and self._open_in_all[worker.number] < worker.room

    def _is_full(self) -> bool:
        """Say whether there are workers that take connections, and none has room."""
        takers = [worker for worker in self._workers if worker.can_take]
        return bool(takers) and not any(map(self._takes_one_more, takers))

    def deal(self, visitor: Visitor, entrance: SocketEntrance, place: Place) -> None:
        """Give a connection to the worker that has the fewest of its listener."""
        takers = self._takers()
        if not takers:
            self._turn_away(visitor, entrance)
            return
        worker = min(takers, key=lambda taker: self._burden(taker, place))
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
        """Return the workers that may be given a connection.

        Where all are hindered, any may have it: as in one process its sender waits then, or what it
        sends is dropped and counted. So may any that is there where none takes connections, as when
        the last that does has become congested since the gate was opened.
        """
        takers = [worker for worker in self._workers if self._takes_one_more(worker)]
        unhindered = [taker for taker in takers if not taker.is_hindered]
        return unhindered or takers or [worker for worker in self._workers if worker.is_running]

    def _turn_away(self, visitor: Visitor, entrance: SocketEntrance) -> None:
        """Close a connection that no worker is there for, and those who come next wait."""
        visitor.connected.close()
        entrance.reject(visitor, NO_WORKER)
        entrance.leave(visitor)
        self.look()

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
                self.look()
            case "lost":
                visit.entrance.reject(visit.visitor, OPEN_FILES)
                self._end(number)
                self.look()
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
