"""Listeners for connections: who may connect, by what way, for how long.

Connections are accepted here and not by the event loop's server, so that everything between the
kernel's handshake and the first message is counted and bounded: limits, a proxy's header, TLS.

There is no idle timeout unless one is set: alerts are rare, and what a sender writes after we have
closed is lost without an error on its side. Keepalive finds peers that are gone. A frame that has
begun must end within `frame_timeout`, so that slow senders do not hold memory for ever.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

import structlog

from collector.listeners import tls
from collector.listeners.admission import Admission
from collector.listeners.connections import CLOSE_SECONDS
from collector.listeners.proxies import read_header
from collector.listeners.proxy_protocol import ProxyHeaderError
from collector.listeners.reasons import (
    MAX_CONNECTIONS,
    MAX_HANDSHAKES,
    PROXY_HEADER,
    SETTINGS_CHANGED,
)
from collector.listeners.sockets import DRAIN_SECONDS, keep_alive
from collector.logs import Reports
from collector.pipeline import Origin
from collector.routing import peer_address, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.config import ListenerSettings
    from collector.listeners.buffers import Buffers
    from collector.listeners.connections import Connection
    from collector.listeners.encryption import Encryption
    from collector.metrics import ListenerStats
    from collector.routing import Address, Router

# Few enough that those which are over at once, as port probes, do not pile up while being opened.
ACCEPTS_PER_WAKE: Final = 16

# Before accepting is tried again when the process or the system is out of files or memory.
EXHAUSTED_SECONDS: Final = 0.5

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

# Connections within a TLS handshake or before a proxy's header. One more ends the oldest of them,
# as does one more connection than there may be: whoever means well is done within a round trip or
# two, so that a flood of connections that say nothing keeps nobody out.
MAX_OPENINGS: Final = 512

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
    """Accepts connections on one socket.

    Args:
        bound: the socket, which listens.
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
        owns_socket: whether it accepts, and closes the socket in the end.
    """

    def __init__(
        self,
        bound: socket.socket,
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
        self.socket = bound
        self.owns_socket = True
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._router = router
        self._encryption = encryption
        self._admission = Admission(settings)
        self._connections: set[Connection] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._awaited: dict[asyncio.Task[None], Address | None] = {}  # of them, the oldest first
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self._encryption is not None

    def room(self) -> memoryview:
        """Return the part of the buffer that one read may fill: less where connections are many."""
        share = TURN_OCTETS // max(1, self._admission.connections)
        return self.buffer[: max(MIN_READ_OCTETS, min(MAX_READ_OCTETS, share))]

    # Life.

    def start(self) -> None:
        """Begin to accept."""
        self._loop.add_reader(self.socket, self._accept)
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
            settings: of a listener for the same protocol on the same socket.
            router: as it is from now on.
            stats: as above; the open connections move there.
            encryption: as above.
        """
        is_same_entrance = _entrance(self._encryption) == _entrance(encryption)
        self.settings = self._admission.settings = settings
        self._router, self._encryption = router, encryption
        self.stats.connections -= self._admission.connections
        self.stats = stats
        self.stats.connections += self._admission.connections
        for connection in list(self._connections):
            connection.origin = self.origin_of(connection.peer)
            is_allowed = self._admission.allows(connection.peer)
            if is_allowed and is_same_entrance and self.flaw(connection.encrypted) is None:
                connection.follow_settings()
            else:
                self.count_rejected(SETTINGS_CHANGED, connection.peer)
                connection.announce_end()
                self._loop.call_later(DRAIN_SECONDS, connection.close)

    def hand_over(self) -> socket.socket:
        """Accept no more; return the socket, on which somebody else is to accept."""
        self.owns_socket = False
        self._loop.remove_reader(self.socket)
        for timer in self._timers.values():
            timer.cancel()
        return self.socket

    def announce_end(self) -> None:
        """Let all senders see that we are leaving."""
        for connection in self._connections:
            connection.announce_end()

    async def stop(self) -> None:
        """Accept no more, read what was sent, close the connections."""
        if self.owns_socket:
            self.hand_over().close()
        self._may_read.set()  # for connections that wait to be made, and are closed then
        await asyncio.sleep(0)  # a task that is cancelled before it has begun closes no socket
        for opening in self._awaited:
            opening.cancel()
        self.announce_end()
        await self._drain()
        for connection in list(self._connections):
            connection.close()
        if not await self._all_gone(DRAIN_SECONDS):
            for connection in list(self._connections):
                connection.abort()
            await self._all_gone(DRAIN_SECONDS)

    async def _drain(self) -> None:
        """Wait until nothing comes any more, though it could, and nothing is owed; not for long."""
        end = self._loop.time() + DRAIN_SECONDS
        octets = None
        while self._connections and self._loop.time() < end:
            is_unsettled = self.paused or any(
                connection.owes_answers or connection.is_held_back
                for connection in self._connections
            )
            if octets == self.stats.octets and not is_unsettled:
                return
            octets = self.stats.octets
            await asyncio.sleep(QUIET_SECONDS)

    async def _all_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._none_left.wait()
        except TimeoutError:
            return False
        return True

    # What becomes of a connection.

    def _accept(self) -> None:
        """Accept the connections that wait, up to the bound of a wake-up."""
        for _ in range(ACCEPTS_PER_WAKE):
            try:
                connected, address = self.socket.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone before we came to it
                continue
            except OSError as error:
                self._rest(error)
                return
            self._admit(connected, address)

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a moment: there is no room for another connection in the system."""
        self.reports.error(
            "accept",
            "cannot accept connections, it is tried again",
            listener=self.settings.name,
            problem=error.strerror,
        )
        self._loop.remove_reader(self.socket)
        self._later(EXHAUSTED_SECONDS, self._accept_again)

    def _accept_again(self) -> None:
        self._loop.add_reader(self.socket, self._accept)

    def _admit(self, connected: socket.socket, address: tuple[str, int] | str) -> None:
        """Count a connection in and have it opened, or close it."""
        connected.setblocking(False)
        peer = peer_address(address[0]) if connected.family != socket.AF_UNIX else None
        if not (peer is None or within(peer, self.settings.proxy_protocol)):
            refusal = self._admission.refusal(peer)
            if refusal is not None:  # before it costs anybody else a place
                self.count_rejected(refusal, peer)
                connected.close()
                return
        if self._admission.is_full():
            if not self._awaited:
                self.count_rejected(MAX_CONNECTIONS, peer)
                connected.close()
                return
            self._end_oldest_awaited()
        self._admission.connections += 1
        self.stats.connections += 1
        self._none_left.clear()
        opening = self._loop.create_task(self._open(connected, peer))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    async def _open(self, connected: socket.socket, peer: Address | None) -> None:
        """Bring a connection to the point where messages may come, or end it."""
        connection, sender = None, peer
        try:
            if peer is not None and within(peer, self.settings.proxy_protocol):
                with self._awaiting(peer):
                    sender = await _named_by_proxy(connected, peer)
            self._enter(sender)
            connection = self._protocol(self, sender)
            self._connections.add(connection)
            if peer is not None:
                keep_alive(connected)
            await self._connect(connection, connected)
        except OpeningError as error:
            self.count_rejected(error.reason, sender, error.problem)
        finally:
            if connection is None:
                self._leave()
            elif not connection.is_made:
                self.release(connection)
            if connection is None or not connection.is_made:
                connected.close()

    def _enter(self, sender: Address | None) -> None:
        reason = self._admission.enter(sender)
        if reason is not None:
            raise OpeningError(reason)

    async def _connect(self, connection: Connection, connected: socket.socket) -> None:
        encryption = self._encryption
        if encryption is None:
            await self._may_read.wait()  # uvloop reads at once from what is made, asked or not
            await self._loop.connect_accepted_socket(lambda: connection, connected)
            return
        try:
            with self._awaiting(connection.peer):
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    connected,
                    ssl=encryption.context,
                    ssl_handshake_timeout=encryption.handshake_timeout,
                    ssl_shutdown_timeout=CLOSE_SECONDS,
                )
        except (OSError, ssl.SSLError) as error:
            raise OpeningError(*tls.refusal(error)) from error

    @contextmanager
    def _awaiting(self, peer: Address | None) -> Iterator[None]:
        """Count an opening among those that wait for their senders, and may be ended for that.

        The others are not: uvloop tells nobody that a plain connection is lost if it is ended while
        it is made.
        """
        opening = cast("asyncio.Task[None]", asyncio.current_task())
        self._awaited[opening] = peer
        if len(self._awaited) > MAX_OPENINGS:
            self._end_oldest_awaited()
        try:
            yield
        finally:
            self._awaited.pop(opening, None)

    def _end_oldest_awaited(self) -> None:
        """Make room for another; what is cancelled ends later, and is not to be chosen again."""
        opening = next(iter(self._awaited))
        self.count_rejected(MAX_HANDSHAKES, self._awaited.pop(opening))
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
        self._connections.remove(connection)
        self._admission.leave(connection.peer)
        self._leave()

    def _leave(self) -> None:
        self._admission.connections -= 1
        self.stats.connections -= 1
        if not self._admission.connections:
            self._none_left.set()

    def origin_of(self, peer: Address | None) -> Origin:
        """Return what the pipeline is told of a sender."""
        intake = self._router.without_key(self.settings.name, peer)
        return Origin(self.stats, "" if peer is None else str(peer), intake)

    def count_rejected(self, reason: str, peer: Address | None, problem: str = "") -> None:
        """Count and report a connection that is refused or ended by us."""
        self.stats.connections_rejected[reason] += 1
        details = {"problem": problem} if problem else {}
        self.reports.warning(
            reason,
            "connection rejected",
            listener=self.settings.name,
            peer="" if peer is None else str(peer),
            reason=reason,
            **details,
        )

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


def _entrance(encryption: Encryption | None) -> tuple[object, ...] | None:
    return None if encryption is None else encryption.entrance
