"""Listeners for connections: by what way a sender comes in, for how long.

Connections are accepted by an entrance (`entrances`) and opened here, not by the event loop's
server, so that everything between the kernel's handshake and the first message is counted and
bounded: limits, a proxy's header, TLS.

There is no idle timeout unless one is set: alerts are rare, and what a sender writes after we have
closed is lost without an error on its side. Keepalive finds peers that are gone. A frame that has
begun must end within `frame_timeout`, so that slow senders do not hold memory for ever.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from collector.listeners import tls
from collector.listeners.admission import may_send
from collector.listeners.connections import CLOSE_SECONDS
from collector.listeners.entrances import count_rejected
from collector.listeners.proxies import read_header
from collector.listeners.proxy_protocol import ProxyHeaderError
from collector.listeners.reasons import (
    MAX_HANDSHAKES,
    PROXY_HEADER,
    SETTINGS_CHANGED,
    SOURCE_NOT_ALLOWED,
)
from collector.listeners.sockets import DRAIN_SECONDS, keep_alive
from collector.logs import Reports
from collector.pipeline import Origin
from collector.routing import peer_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from collector.config import ListenerSettings
    from collector.listeners.buffers import Buffers
    from collector.listeners.connections import Connection
    from collector.listeners.encryption import Encryption
    from collector.listeners.entrances import Entrance, Visitor
    from collector.metrics import ListenerStats
    from collector.routing import Address, Router

# What is read from a connection before the others have their turn, and from all in a turn. libuv
# would go on reading from one socket up to 32 times, and a burst on many connections would hold up
# everything else for seconds. A message of 700 octets costs 1.5 µs less in a read of 256 KiB than
# in one of 32 KiB.
MAX_READ_OCTETS: Final = 256 * 1024
MIN_READ_OCTETS: Final = 32 * 1024
TURN_OCTETS: Final = 1024 * 1024

MAX_SWEEP_SECONDS: Final = 1.0

# At a stop, a connection is closed after DRAIN_SECONDS or once all were quiet for this long.
QUIET_SECONDS: Final = 0.1

# And for so many turns of the event loop: where the machine is busy, the process may not have run
# in all of that time, and the loop looks at its timers before it looks at what has come. Until a
# connection that is let in is read, it takes some turns.
QUIET_TURNS: Final = 10

# A proxy sends its header at once.
PROXY_HEADER_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class OpeningError(Exception):
    """A connection that does not come about.

    Args:
        reason: the word under which it is counted.
        problem: what is wrong, for the log.
    """

    def __init__(self, reason: str, problem: str = "") -> None:
        super().__init__(reason, problem)
        self.reason = reason
        self.problem = problem


class StreamListener:
    """Opens the connections that come in by one entrance, and serves them.

    Args:
        entrance: where they come from.
        settings: the listener's settings.
        protocol: makes what speaks to a sender.
        router: finds the intake of messages without a key.
        stats: counters of this listener.
        buffers: bounds what all connections hold.
        encryption: how TLS is spoken; None for plain connections.

    Attributes:
        settings: as above; replaced by `reconfigure`, as are `stats` and the router.
        buffer: where all connections read to: it is emptied within each read.
        buffers: as above.
        stats: as above.
        paused: whether nothing is read.
        source: the entrance.
        has_source: whether the entrance is closed in the end: no other listener has taken it.
    """

    def __init__(
        self,
        entrance: Entrance,
        settings: ListenerSettings,
        *,
        protocol: Callable[[StreamListener, Address | None], Connection],
        router: Router,
        stats: ListenerStats,
        buffers: Buffers,
        encryption: Encryption | None = None,
    ) -> None:
        self.settings = settings
        self.stats = stats
        self.buffers = buffers
        self.reports = Reports(log)
        self.paused = False
        self.buffer = memoryview(bytearray(MAX_READ_OCTETS))
        self.source = entrance
        self.has_source = True
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._router = router
        self._encryption = encryption
        self._connections: dict[Connection, Visitor] = {}
        self._openings: set[asyncio.Task[None]] = set()
        self._awaited: dict[Visitor, asyncio.Task[None]] = {}
        self._count = 0
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._encryption is not None

    def room(self, octets: int) -> memoryview:
        """Return the part of the buffer that one read may fill: less where connections are many.

        Args:
            octets: what the connection can deal with in a turn.
        """
        share = TURN_OCTETS // max(1, self._count)
        return self.buffer[: min(octets, max(MIN_READ_OCTETS, share))]

    # Life.

    def start(self) -> None:
        """Begin to take connections in."""
        self.source.open(self._let_in, self.settings, self.stats)
        self._sweep()

    def pause(self) -> None:
        """Stop reading from every connection; the kernel then holds back their senders."""
        self.paused = True
        self._may_read.clear()
        for connection in self._connections:
            connection.pause()

    def resume(self) -> None:
        """Read again."""
        self.paused = False
        self._may_read.set()
        for connection in self._connections:
            connection.resume()

    def reconfigure(
        self,
        settings: ListenerSettings,
        router: Router,
        stats: ListenerStats,
        encryption: Encryption | None,
    ) -> None:
        """Go by other settings; connections that they would not let in are ended.

        Args:
            settings: of a listener for the same protocol in the same place.
            router: as it is from now on.
            stats: as above; the open connections move there.
            encryption: as above.
        """
        is_same_check = _check(self._encryption) == _check(encryption)
        self.settings = settings
        self._router, self._encryption = router, encryption
        self.stats.connections -= self._count
        self.stats = stats
        self.stats.connections += self._count
        self.source.reconfigure(settings, stats)
        for connection in list(self._connections):
            connection.origin = self.origin_of(connection.peer)
            is_allowed = may_send(settings, connection.peer)
            if is_allowed and is_same_check and self.flaw(connection.encrypted) is None:
                connection.follow_settings()
            else:
                self.count_rejected(SETTINGS_CHANGED, connection.peer)
                connection.announce_end()
                self._loop.call_later(DRAIN_SECONDS, connection.close)

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where senders connect; None where somebody else knows."""
        return self.source.address

    def hand_over(self) -> Entrance:
        """Take no more connections in; return the entrance, which another listener is to open."""
        self.has_source = False
        self.source.shut()
        for timer in self._timers.values():
            timer.cancel()
        return self.source

    def announce_end(self) -> None:
        """Let all senders see that we are leaving; those who are being let in are heard first."""
        for connection in self._connections:
            if connection.is_made:
                connection.announce_end()

    async def stop(self) -> None:
        """Take no more connections in, read what was sent, close those that are open."""
        if self.has_source:
            self.source.take_rest()
            self.hand_over().close()
        self._may_read.set()  # for connections that wait to be made, and are closed in the end
        self.announce_end()
        await asyncio.sleep(0)  # a task that is cancelled before it has begun closes no socket
        await self._drain()
        for opening in self._awaited.values():
            opening.cancel()
        for connection in list(self._connections):
            connection.close()
        if not await self._all_gone(DRAIN_SECONDS):
            for connection in list(self._connections):
                connection.abort()
            await self._all_gone(DRAIN_SECONDS)

    async def _drain(self) -> None:
        """Wait until nothing comes any more, though it could, and nothing is owed; not for long.

        Those who are being let in have this long for what comes before their messages, too.
        """
        end = self._loop.time() + DRAIN_SECONDS
        before = None
        while (self._openings or self._connections) and self._loop.time() < end:
            is_unsettled = self.paused or any(
                connection.owes_answers or connection.is_held_back
                for connection in self._connections
            )
            state = self.stats.octets, len(self._openings), len(self._awaited)
            if state == before and not is_unsettled:
                return
            before = state
            await asyncio.sleep(QUIET_SECONDS)
            for _ in range(QUIET_TURNS):
                await asyncio.sleep(0)

    async def _all_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._none_left.wait()
        except TimeoutError:
            return False
        return True

    # What becomes of a connection.

    def _let_in(self, visitor: Visitor) -> None:
        """Have a connection opened."""
        self._count += 1
        self.stats.connections += 1
        self._none_left.clear()
        opening = self._loop.create_task(self._open(visitor))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    async def _open(self, visitor: Visitor) -> None:
        """Bring a connection to the point where messages may come, or end it."""
        connected, peer = visitor.connected, visitor.peer
        connection, sender = None, peer
        try:
            if visitor.is_proxied and peer is not None:
                with self._awaiting(visitor):
                    sender = await _named_by_proxy(connected, peer)
            await self._enter(visitor, sender)
            connection = self._protocol(self, sender)
            self._connections[connection] = visitor
            if peer is not None:
                keep_alive(connected)
            await self._connect(connection, visitor)
        except OpeningError as error:
            self.count_rejected(error.reason, sender, error.problem)
        finally:
            if connection is None:
                self._leave(visitor)
            elif not connection.is_made:
                self.release(connection)
            if connection is None or not connection.is_made:
                connected.close()

    async def _enter(self, visitor: Visitor, sender: Address | None) -> None:
        """Have a sender counted whom nobody knew before, and look again whether it may send."""
        if visitor.is_proxied and sender is not None:
            reason = await self.source.enter(visitor, sender)
            if reason is not None:
                raise OpeningError(reason)
        if not may_send(self.settings, sender):  # by settings that changed meanwhile
            raise OpeningError(SOURCE_NOT_ALLOWED)

    async def _connect(self, connection: Connection, visitor: Visitor) -> None:
        encryption = self._encryption
        if encryption is None:
            await self._may_read.wait()  # uvloop reads at once from what is made, asked or not
            await self._loop.connect_accepted_socket(lambda: connection, visitor.connected)
            return
        try:
            with self._awaiting(visitor):
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    visitor.connected,
                    ssl=encryption.context,
                    ssl_handshake_timeout=encryption.handshake_timeout,
                    ssl_shutdown_timeout=CLOSE_SECONDS,
                )
        except (OSError, ssl.SSLError) as error:
            raise OpeningError(*tls.refusal(error)) from error

    @contextmanager
    def _awaiting(self, visitor: Visitor) -> Iterator[None]:
        """Count an opening among those that wait for their senders, and may be ended for that.

        The others are not: uvloop tells nobody that a plain connection is lost if it is ended while
        it is made.
        """
        opening = asyncio.current_task()
        assert opening is not None  # noqa: S101 - this is only used within one
        self._awaited[visitor] = opening
        visitor.give_up = partial(self._give_up, visitor)
        self.source.await_sender(visitor)
        try:
            yield
        finally:
            self._awaited.pop(visitor, None)
            self.source.heard_sender(visitor)

    def _give_up(self, visitor: Visitor) -> None:
        """End an opening that still waits for its sender."""
        opening = self._awaited.pop(visitor, None)
        if opening is not None:
            self.count_rejected(MAX_HANDSHAKES, visitor.sender or visitor.peer)
            opening.cancel()

    def flaw(self, encrypted: ssl.SSLObject | None) -> str | None:
        """Say why the certificate of a sender does not let it in; None if it does.

        Args:
            encrypted: its TLS; None before the handshake has ended, and without.
        """
        if encrypted is None or self._encryption is None or not self._encryption.allowed_names:
            return None
        certificate = encrypted.getpeercert() or {}
        if tls.is_allowed(tls.peer_names(certificate), self._encryption.allowed_names):
            return None
        return tls.names_refused(certificate)

    def release(self, connection: Connection) -> None:
        """Count a connection out."""
        connection.let_go()
        self._leave(self._connections.pop(connection))

    def _leave(self, visitor: Visitor) -> None:
        self.source.leave(visitor)
        self._count -= 1
        self.stats.connections -= 1
        if not self._count:
            self._none_left.set()

    def origin_of(self, peer: Address | None) -> Origin:
        """Return what the pipeline is told of a sender."""
        intake = self._router.without_key(self.settings.name, peer)
        return Origin(self.stats, "" if peer is None else str(peer), intake)

    def count_rejected(self, reason: str, peer: Address | None, problem: str = "") -> None:
        """Count and report a connection that is refused or ended by us."""
        count_rejected(self.stats, self.reports, reason, peer, problem)

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers[callback] = self._loop.call_later(seconds, callback)

    def _sweep(self) -> None:
        """End the connections that have run out of time; time stands still while paused."""
        now = self._loop.time()
        for connection in list(self._connections):
            connection.check_time(now)
        settings = self.settings
        shortest = min(settings.frame_timeout, settings.idle_timeout or settings.frame_timeout)
        self._later(min(shortest / 4, MAX_SWEEP_SECONDS), self._sweep)


async def _named_by_proxy(connected: socket.socket, proxy: Address) -> Address:
    """Return whose messages come on a connection from a proxy; its own, as health checks, too."""
    try:
        async with asyncio.timeout(PROXY_HEADER_SECONDS):
            source = await read_header(connected)
    except TimeoutError as error:
        raise OpeningError(PROXY_HEADER, "no header in time") from error
    except ProxyHeaderError as error:
        raise OpeningError(PROXY_HEADER, str(error)) from error
    except OSError as error:
        raise OpeningError(PROXY_HEADER, error.strerror or type(error).__name__) from error
    return proxy if source is None else peer_address(source)


def _check(encryption: Encryption | None) -> tuple[object, ...] | None:
    return None if encryption is None else encryption.entrance
