"""The listeners: opened, changed while they run, and closed.

What can fail when settings change is done first (`plan`), so that settings which cannot be met
change nothing. Then the listeners go by the new ones at once (`adopt`), and what is no longer
needed is wound down (`settle`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import structlog

from collector.listeners.encryption import Encryption
from collector.listeners.relp import RelpConnection
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
    from collector.metrics import Stats
    from collector.pipeline import Pipeline
    from collector.routing import Address, Router
    from collector.systemd import InheritedSockets

    Listener = StreamListener | DatagramListener

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


@dataclass(slots=True)
class Plan:
    """Listeners that can be: their sockets are bound and their certificates read.

    Attributes:
        listeners: their settings.
        bound: the sockets that were not there before.
        lent: those of them whose paths are not ours to remove.
        encryptions: how TLS is spoken, by listener.
    """

    listeners: Sequence[ListenerSettings]
    bound: dict[Place, socket.socket] = field(default_factory=dict)
    lent: set[socket.socket] = field(default_factory=set)
    encryptions: dict[str, Encryption] = field(default_factory=dict)

    def discard(self) -> None:
        """Close what was opened for nothing."""
        for bound in self.bound.values():
            if bound not in self.lent:
                unlink(bound)
            bound.close()


class Listening:
    """The listeners of a daemon.

    Args:
        pipeline: takes the messages.
        stats: counters of the process.
        gate: closed while nothing more may come in.
        buffers: bounds what connections hold.
        durability: tells when messages are safe.
        inherited: sockets that whoever started the process has opened for it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        stats: Stats,
        gate: Gate,
        *,
        buffers: Buffers,
        durability: Durability,
        inherited: InheritedSockets,
    ) -> None:
        self._pipeline = pipeline
        self._stats = stats
        self._gate = gate
        self._buffers = buffers
        self._durability = durability
        self._inherited = inherited
        self._listeners: dict[Place, Listener] = {}
        self._leaving: list[Listener] = []
        self._settling = asyncio.Lock()
        self._lent: set[socket.socket] = set()  # whose paths are not ours to remove

    def addresses(self) -> dict[str, tuple[str, int] | str]:
        """Return where each listener listens, by its name: host and port, or a path."""
        return {item.settings.name: address_of(item.socket) for item in self._listeners.values()}

    # Change.

    async def plan(self, listeners: Sequence[ListenerSettings]) -> Plan:
        """Open what listeners need that is not there yet.

        Raises:
            ListenError: one of them cannot be; nothing has changed then.
        """
        plan = Plan(listeners, lent=self._lent)
        try:
            for settings in listeners:
                if settings.tls is not None:
                    plan.encryptions[settings.name] = Encryption.of(settings.tls)
                place = Place.of(settings)
                if place not in self._listeners:
                    plan.bound[place] = await self._bind(settings, place)
        except (FileError, ListenError) as error:
            plan.discard()
            raise ListenError(f"listener {settings.name}: {error}") from error
        return plan

    async def _bind(self, settings: ListenerSettings, place: Place) -> socket.socket:
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
                problem += self._by_whom(place.kind, settings.port)
            raise ListenError(f"cannot listen on {place.where}: {problem}") from error
        return bound

    def _by_whom(self, kind: socket.SocketKind, port: int | None) -> str:
        """Say which listener of now has a port, as where only the host is to change."""
        for place, listener in self._listeners.items():
            address = address_of(listener.socket)
            if place.kind == kind and isinstance(address, tuple) and address[1] == port:
                name = listener.settings.name
                return f" by listener {name} until it has another port, or the daemon is restarted"
        return ""

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
            _warn_of_expiry(settings.name, encryption)
            present = before.get(place)
            if present is not None and present.socket not in self._lent:
                _permit(present.settings, settings)
            if isinstance(present, DatagramListener):
                present.reconfigure(settings, router, stats)
                self._listeners[place] = before.pop(place)
            elif present is not None and _can_become(present, settings):
                present.reconfigure(settings, router, stats, encryption)
                self._listeners[place] = before.pop(place)
            else:
                bound = plan.bound[place] if present is None else present.hand_over()
                self._start(bound, settings, router, encryption)
        for listener in before.values():
            self._gate.leave(listener)
            self._leaving.append(listener)
            if isinstance(listener, StreamListener):
                listener.announce_end()

    def _start(
        self,
        bound: socket.socket,
        settings: ListenerSettings,
        router: Router,
        encryption: Encryption | None,
    ) -> None:
        listener: Listener
        stats = self._stats.listeners[settings.name]
        if settings.transport == "relp":
            limit_segments(bound)  # one that was inherited, or was there for something else
        if bound.type == socket.SOCK_DGRAM:
            listener = DatagramListener(
                bound, settings, pipeline=self._pipeline, router=router, stats=stats
            )
        else:
            listener = StreamListener(
                bound,
                settings,
                protocol=self._protocol(settings),
                router=router,
                stats=stats,
                buffers=self._buffers,
                encryption=encryption,
            )
        self._listeners[Place.of(settings)] = listener
        self._gate.join([listener])
        listener.start()
        log.info(
            "listening",
            listener=settings.name,
            transport=settings.transport,
            address=shown(bound),
            tls=encryption is not None,
            intake=settings.intake or "by key",
        )

    def _protocol(
        self, settings: ListenerSettings
    ) -> Callable[[StreamListener, Address | None], Connection]:
        pipeline, durability = self._pipeline, self._durability
        if settings.transport == "relp":
            return lambda listener, peer: RelpConnection(listener, peer, pipeline, durability)
        return lambda listener, peer: SyslogConnection(listener, peer, pipeline)

    async def settle(self) -> None:
        """Wind down the listeners that are no longer asked for.

        Where that is under way already, it is waited for.
        """
        async with self._settling:
            leaving, self._leaving = self._leaving, []
            await self._stop(leaving)
            for listener in leaving:
                log.info("no longer listening", listener=listener.settings.name)

    async def stop(self) -> None:
        """Take in what was sent, also by those who are about to leave, and close every listener."""
        await asyncio.gather(self._stop([*self._listeners.values()]), self.settle())
        self._listeners.clear()

    async def _stop(self, listeners: Iterable[Listener]) -> None:
        for listener in listeners:
            if listener.owns_socket and listener.socket not in self._lent:
                unlink(listener.socket)
        await asyncio.gather(*(listener.stop() for listener in listeners))


def _can_become(listener: StreamListener, settings: ListenerSettings) -> bool:
    """Say whether a listener can go by other settings: it goes on speaking the same protocol."""
    speaks_relp = listener.settings.transport == "relp"
    return speaks_relp == (settings.transport == "relp")


def _permit(before: ListenerSettings, settings: ListenerSettings) -> None:
    """Let those write to a socket in the file system whom changed settings allow it."""
    if settings.path is None or settings.mode == before.mode:
        return
    try:
        settings.path.chmod(settings.mode)
    except OSError as error:
        log.warning(
            "permissions of the socket stay as they were",
            listener=settings.name,
            problem=error.strerror,
        )


def _warn_of_expiry(listener: str, encryption: Encryption | None) -> None:
    if encryption is None:
        return
    concern = encryption.validity.concern(time.time())
    if concern is not None:
        log.warning("certificate not valid, or not for long", listener=listener, problem=concern)
