"""What a worker receives from: connections and sockets that the supervisor hands to it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from collector.listeners.opening import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.listeners.entrances import Visitor
    from collector.listeners.opening import Present, Source
    from collector.metrics import ListenerStats
    from collector.routing import Address
    from collector.workers.channel import Message

    Tell = Callable[[Message], None]


class HandedEntrance:
    """Where connections come in that the supervisor accepts.

    Args:
        place: of the listener.
        handed: knows who takes connections in a place.
        tell: tells the supervisor something.
    """

    address = None

    def __init__(self, place: Place, handed: HandedSockets, tell: Tell) -> None:
        self._place = place
        self._handed = handed
        self._tell = tell
        self._numbers: dict[Visitor, int] = {}
        self._visitors: dict[int, Visitor] = {}
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._let_in: Callable[[Visitor], None] | None = None

    def open(
        self,
        let_in: Callable[[Visitor], None],
        settings: ListenerSettings,  # noqa: ARG002 - the supervisor keeps the limits
        stats: ListenerStats,  # noqa: ARG002 - and counts who may not come in
    ) -> None:
        """Begin to let connections in."""
        self._let_in = let_in
        self._handed.entrances[self._place] = self

    def reconfigure(self, settings: ListenerSettings, stats: ListenerStats) -> None:
        """Do nothing: the supervisor keeps the limits."""

    def take_rest(self) -> None:
        """Do nothing: the supervisor has handed over all who had connected when it stopped."""

    def shut(self) -> None:
        """Let nobody in from now on, until it is opened again."""
        self._let_in = None
        if self._handed.entrances.get(self._place) is self:
            del self._handed.entrances[self._place]

    def close(self) -> None:
        """Let nobody in from now on."""
        self.shut()

    def take(self, number: int, visitor: Visitor) -> None:
        """Let a connection in that was handed over."""
        if self._let_in is None:
            visitor.connected.close()
            self._tell({"kind": "left", "number": number})
            return
        self._numbers[visitor], self._visitors[number] = number, visitor
        self._handed.numbers[number] = self
        self._let_in(visitor)

    def give_up(self, number: int) -> None:
        """End a connection that waits for its sender, if it still does."""
        self._visitors[number].give_up()

    def answer(self, number: int, refusal: str | None) -> None:
        """Take the supervisor's answer whether a sender may enter."""
        asked = self._asked.get(number)
        if asked is not None and not asked.done():
            asked.set_result(refusal)

    async def enter(self, visitor: Visitor, sender: Address) -> str | None:
        """Ask the supervisor to count a connection of a proxy under its sender."""
        number = self._numbers[visitor]
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._tell({"kind": "enter", "number": number, "sender": str(sender)})
        try:
            refusal = await self._asked[number]
        finally:
            del self._asked[number]
        if refusal is None:
            visitor.sender = sender
        return refusal

    def await_sender(self, visitor: Visitor) -> None:
        """Tell that a connection waits for its sender, and may be given up for another."""
        self._tell({"kind": "awaited", "number": self._numbers[visitor], "is_awaited": True})

    def heard_sender(self, visitor: Visitor) -> None:
        """Tell that it waits no longer."""
        self._tell({"kind": "awaited", "number": self._numbers[visitor], "is_awaited": False})

    def leave(self, visitor: Visitor) -> None:
        """Tell that a connection has ended."""
        number = self._numbers.pop(visitor)
        del self._visitors[number]
        del self._handed.numbers[number]
        self._tell({"kind": "left", "number": number})


class HandedSockets:
    """Gives the listeners of a worker what the supervisor hands to it.

    Args:
        tell: tells the supervisor something.

    Attributes:
        entrances: that let connections in, by place.
        numbers: by which entrance the connections there are have come in.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._sockets: dict[Place, socket.socket] = {}
        self.entrances: dict[Place, HandedEntrance] = {}
        self.numbers: dict[int, HandedEntrance] = {}

    def hear(self, message: Message) -> None:
        """Take in what the supervisor says of a connection; it may be gone."""
        number = message["number"]
        entrance = self.numbers.get(number)
        if entrance is None:
            return
        if message["kind"] == "entered":
            entrance.answer(number, message["refusal"])
        else:
            entrance.give_up(number)

    def let_in(self, place: Place, number: int, visitor: Visitor) -> None:
        """Let a connection in at its place, or close it if its listener has just gone."""
        entrance = self.entrances.get(place) or HandedEntrance(place, self, self._tell)
        entrance.take(number, visitor)

    def keep(self, place: Place, bound: socket.socket) -> None:
        """Keep a socket for datagrams until a listener asks for it."""
        self._sockets[place] = bound

    def close_rest(self) -> None:
        """Close the sockets that no listener has asked for: it has one already."""
        for bound in self._sockets.values():
            bound.close()
        self._sockets.clear()

    async def open(
        self,
        settings: ListenerSettings,
        present: Sequence[Present],  # noqa: ARG002 - the supervisor has looked
    ) -> Source:
        """Return what was handed over for a listener."""
        place = Place.of(settings)
        if place.kind == socket.SOCK_STREAM:
            return HandedEntrance(place, self, self._tell)
        return self._sockets.pop(place, None) or _deaf_socket()

    def hide(self, source: Source) -> None:
        """Do nothing: the supervisor does."""

    def permit(self, present: Present, settings: ListenerSettings) -> None:
        """Do nothing: the supervisor does."""

    def announce(self, present: Present, encryption: Encryption | None) -> None:
        """Do nothing: the supervisor does."""

    def look_at(self, settings: ListenerSettings, encryption: Encryption | None) -> None:
        """Do nothing: the supervisor does."""

    def take_leave(self, present: Present) -> None:
        """Do nothing: the supervisor does."""


def _deaf_socket() -> socket.socket:
    """Return a socket on which nothing comes, for a listener that another worker has."""
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    deaf.setblocking(False)
    return deaf
