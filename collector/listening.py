"""The listeners: opened, changed while they run, and closed.

What can fail when settings change is done first (`plan`), so that settings which cannot be met
change nothing. Then the listeners go by the new ones at once (`adopt`), and what is no longer
needed is wound down (`settle`).
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from collector.listeners.encryption import Encryption
from collector.listeners.opening import ListenError, Place
from collector.listeners.relp import RelpConnection
from collector.listeners.streams import StreamListener
from collector.listeners.tcp import SyslogConnection
from collector.listeners.udp import DatagramListener
from collector.settings.files import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collector.backpressure import Gate
    from collector.config import ListenerSettings
    from collector.durability import Durability
    from collector.listeners.buffers import Buffers
    from collector.listeners.connections import Connection
    from collector.listeners.entrances import Entrance
    from collector.listeners.opening import Sockets, Source
    from collector.metrics import ListenerStats, Stats
    from collector.pipeline import Pipeline
    from collector.routing import Address, Router


class Listener(Protocol):
    """One listener.

    Attributes:
        settings: its settings; replaced by `reconfigure`.
        has_source: whether it closes its source in the end: no other listener has taken it.
    """

    settings: ListenerSettings
    has_source: bool

    @property
    def source(self) -> Source:
        """What it receives from."""

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where it listens: host and port, or a path; None where somebody else knows."""

    def start(self) -> None:
        """Begin to receive."""

    def reconfigure(
        self,
        settings: ListenerSettings,
        router: Router,
        stats: ListenerStats,
        encryption: Encryption | None,
    ) -> None:
        """Go by other settings, of a listener in the same place."""

    def pause(self) -> None:
        """Stop reading; what senders have sent waits in the kernel."""

    def resume(self) -> None:
        """Read again."""

    def announce_end(self) -> None:
        """Let senders see that it is leaving."""

    async def stop(self) -> None:
        """Take in what was sent, then close."""


class Makes(Protocol):
    """Makes listeners."""

    def __call__(
        self,
        source: Source,
        settings: ListenerSettings,
        router: Router,
        stats: ListenerStats,
        encryption: Encryption | None,
    ) -> Listener:
        """Make one, which is to be started."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """Makes listeners that receive and hand on what senders send.

    Attributes:
        pipeline: takes the messages.
        buffers: bounds what connections hold.
        durability: tells when messages are safe.
    """

    pipeline: Pipeline
    buffers: Buffers
    durability: Durability

    def __call__(
        self,
        source: Source,
        settings: ListenerSettings,
        router: Router,
        stats: ListenerStats,
        encryption: Encryption | None,
    ) -> Listener:
        """Make one."""
        if isinstance(source, socket.socket):
            return DatagramListener(
                source, settings, pipeline=self.pipeline, router=router, stats=stats
            )
        return StreamListener(
            cast("Entrance", source),
            settings,
            protocol=self._protocol(settings),
            router=router,
            stats=stats,
            buffers=self.buffers,
            encryption=encryption,
        )

    def _protocol(
        self, settings: ListenerSettings
    ) -> Callable[[StreamListener, Address | None], Connection]:
        pipeline, durability = self.pipeline, self.durability
        if settings.transport == "relp":
            return lambda listener, peer: RelpConnection(listener, peer, pipeline, durability)
        return lambda listener, peer: SyslogConnection(listener, peer, pipeline)


@dataclass(frozen=True, slots=True)
class Plan:
    """Listeners that can be: what they receive from is open, and their certificates read.

    Attributes:
        listeners: their settings.
        opened: what was not there before.
        encryptions: how TLS is spoken, by listener.
    """

    listeners: Sequence[ListenerSettings]
    opened: dict[Place, Source] = field(default_factory=dict)
    encryptions: dict[str, Encryption] = field(default_factory=dict)


class Listening:
    """The listeners of a daemon.

    Args:
        make: makes them.
        sockets: give them what they receive from.
        stats: counters of the process.
        gate: closed while nothing more may come in.
    """

    def __init__(self, make: Makes, sockets: Sockets, stats: Stats, gate: Gate) -> None:
        self._make = make
        self._sockets = sockets
        self._stats = stats
        self._gate = gate
        self._listeners: dict[Place, Listener] = {}
        self._leaving: list[Listener] = []
        self._settling = asyncio.Lock()

    def sources(self) -> dict[Place, Source]:
        """Return what the listeners receive from, by their places."""
        return {place: listener.source for place, listener in self._listeners.items()}

    def addresses(self) -> dict[str, tuple[str, int] | str | None]:
        """Return where each listener listens, by its name: host and port, or a path."""
        return {item.settings.name: item.address for item in self._listeners.values()}

    # Change.

    async def plan(self, listeners: Sequence[ListenerSettings]) -> Plan:
        """Open what listeners need that is not there yet.

        Raises:
            ListenError: one of them cannot be; nothing has changed then.
        """
        plan = Plan(listeners)
        try:
            for settings in listeners:
                if settings.tls is not None:
                    plan.encryptions[settings.name] = Encryption.of(settings.tls)
                place = Place.of(settings)
                if place not in self._listeners:
                    present = [*self._listeners.values()]
                    plan.opened[place] = await self._sockets.open(settings, present)
        except (FileError, ListenError) as error:
            self.discard(plan)
            raise ListenError(f"listener {settings.name}: {error}") from error
        return plan

    def discard(self, plan: Plan) -> None:
        """Close what was opened for nothing."""
        for source in plan.opened.values():
            self._sockets.hide(source)
            source.close()

    def adopt(self, plan: Plan, router: Router) -> None:
        """Go by a plan from now on.

        Args:
            plan: made last.
            router: finds the intakes of messages from now on.
        """
        before, self._listeners = self._listeners, {}
        for settings in plan.listeners:
            place, stats = Place.of(settings), self._stats.listeners[settings.name]
            encryption = plan.encryptions.get(settings.name)
            stats.certificate_expiry = None if encryption is None else encryption.validity.not_after
            self._sockets.look_at(settings, encryption)
            present = before.get(place)
            if present is not None:
                self._sockets.permit(present, settings)
            if present is None:
                self._start(plan.opened[place], settings, router, encryption)
            elif isinstance(present, StreamListener) and not _can_become(present, settings):
                self._start(present.hand_over(), settings, router, encryption)
            else:
                present.reconfigure(settings, router, stats, encryption)
                self._listeners[place] = before.pop(place)
        for listener in before.values():
            self._gate.leave(listener)
            self._leaving.append(listener)
            listener.announce_end()

    def _start(
        self,
        source: Source,
        settings: ListenerSettings,
        router: Router,
        encryption: Encryption | None,
    ) -> None:
        stats = self._stats.listeners[settings.name]
        listener = self._make(source, settings, router, stats, encryption)
        self._listeners[Place.of(settings)] = listener
        self._gate.join([listener])
        listener.start()
        self._sockets.announce(listener, encryption)

    async def settle(self) -> None:
        """Wind down the listeners that are no longer asked for.

        Where that is under way already, it is waited for.
        """
        async with self._settling:
            leaving, self._leaving = self._leaving, []
            await self._stop(leaving)
            for listener in leaving:
                self._sockets.take_leave(listener)

    async def stop(self) -> None:
        """Take in what was sent, also by those who are about to leave, and close every listener."""
        await asyncio.gather(self._stop([*self._listeners.values()]), self.settle())
        self._listeners.clear()

    async def _stop(self, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            if listener.has_source:
                self._sockets.hide(listener.source)
        await asyncio.gather(*(listener.stop() for listener in listeners))


def _can_become(listener: StreamListener, settings: ListenerSettings) -> bool:
    """Say whether a listener can go by other settings: it goes on speaking the same protocol."""
    speaks_relp = listener.settings.transport == "relp"
    return speaks_relp == (settings.transport == "relp")
