"""TCP: frames of RFC 6587 on many connections.

There is no idle timeout unless one is set: alerts are rare, and what a sender writes after we have
closed is lost without an error on its side. Keepalive finds peers that are gone. A frame that has
begun must end within `frame_timeout`, so that slow senders do not hold memory for ever.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import structlog

from collector.backpressure import Waiting
from collector.listeners.sockets import DRAIN_SECONDS, bind, keep_alive
from collector.logs import Reports
from collector.pipeline import Origin
from collector.routing import peer_address, within
from collector.syslog.framing import Framer

if TYPE_CHECKING:
    from collector.config import ListenerSettings
    from collector.metrics import ListenerStats
    from collector.pipeline import Pipeline
    from collector.routing import Address, Router

BACKLOG = 1024

# A read, after which the other connections have their turn. libuv would go on reading from one
# socket up to 32 times, and a burst on many connections would hold up everything else for seconds.
READ_OCTETS = 32 * 1024
MAX_SWEEP_SECONDS = 1.0

# At a stop, a connection is closed after DRAIN_SECONDS or once all were quiet for this long.
QUIET_SECONDS = 0.1

log = structlog.get_logger(__name__)


class TcpListener:
    """Accepts connections on one address and cuts what they send into frames.

    Args:
        settings: the listener's settings.
        pipeline: takes the frames.
        router: finds the intake of messages without a key.
        stats: counters of this listener.
    """

    def __init__(
        self, settings: ListenerSettings, pipeline: Pipeline, router: Router, stats: ListenerStats
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.stats = stats
        self.reports = Reports(log)
        self.paused = False
        self.buffer = bytearray(READ_OCTETS)  # one for all: it is emptied within each read
        self._router = router
        self._connections: set[Connection] = set()
        self._no_connections = asyncio.Event()
        self._no_connections.set()
        self._per_source: Counter[Address] = Counter()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The address and port that are bound."""
        return self._address

    async def start(self) -> None:
        """Bind and begin to accept.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        bound = await bind(self.settings.host, self.settings.port, socket.SOCK_STREAM)
        name = bound.getsockname()
        self._address = name[0], name[1]
        self._server = await loop.create_server(
            lambda: Connection(self, loop), sock=bound, backlog=BACKLOG
        )
        self._sweep()

    def pause(self) -> None:
        """Stop reading from every connection; the kernel then holds back their senders."""
        self.paused = True
        for connection in self._connections:
            connection.pause()

    def resume(self) -> None:
        """Read again."""
        self.paused = False
        for connection in self._connections:
            connection.resume()

    async def stop(self) -> None:
        """Accept no more, read what was sent, close the connections."""
        self._server.close()
        for connection in self._connections:
            connection.announce_end()
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_SECONDS
        octets = -1
        while self._connections and octets != self.stats.octets and loop.time() < end:
            octets = self.stats.octets
            await asyncio.sleep(QUIET_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._no_connections.wait(), DRAIN_SECONDS)

    def admit(self, connection: Connection, peer: Address) -> Origin | None:
        """Count a new connection in, or say why not and return None."""
        settings = self.settings
        if settings.allowed_sources and not within(peer, settings.allowed_sources):
            reason = "source_not_allowed"
        elif len(self._connections) >= settings.max_connections:
            reason = "max_connections"
        elif self._per_source[peer] >= settings.max_connections_per_source:
            reason = "max_connections_per_source"
        else:
            self._connections.add(connection)
            self._no_connections.clear()
            self._per_source[peer] += 1
            self.stats.connections += 1
            intake = self._router.without_key(settings.name, peer)
            return Origin(self.stats, str(peer), intake)
        self.count_rejected(reason, str(peer))
        return None

    def release(self, connection: Connection, peer: Address) -> None:
        """Count a connection out."""
        self._connections.remove(connection)
        if not self._connections:
            self._no_connections.set()
        self.stats.connections -= 1
        self._per_source[peer] -= 1
        if not self._per_source[peer]:
            del self._per_source[peer]

    def count_rejected(self, reason: str, peer: str) -> None:
        """Count and report a connection that is refused or ended by us."""
        self.stats.connections_rejected[reason] += 1
        self.reports.warning(
            reason, "connection rejected", listener=self.settings.name, peer=peer, reason=reason
        )

    def _sweep(self) -> None:
        """End the connections that have run out of time; time stands still while paused."""
        settings = self.settings
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self.paused:
            for connection in list(self._connections):
                connection.check_time(now)
        shortest = min(settings.frame_timeout, settings.idle_timeout or settings.frame_timeout)
        self._sweeper = loop.call_later(min(shortest / 4, MAX_SWEEP_SECONDS), self._sweep)


class Connection(asyncio.BufferedProtocol):
    """One sender's connection."""

    def __init__(self, listener: TcpListener, loop: asyncio.AbstractEventLoop) -> None:
        settings = listener.settings
        self._listener = listener
        self._loop = loop
        self._framer = Framer(
            settings.framing,
            max_message_bytes=settings.max_message_bytes,
            when_oversize=settings.when_oversize,
        )
        self._origin: Origin | None = None
        self._mismatch_reported = False
        self._waiting = Waiting(self.resume)
        self._last_read = loop.time()
        self._frame_began: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, or end it at once."""
        self._transport = transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        if name is None:  # reset before we came to accept it, as port probes do
            transport.abort()
            return
        connection: socket.socket = transport.get_extra_info("socket")
        keep_alive(connection)
        self._peer = peer_address(name[0])
        self._origin = self._listener.admit(self, self._peer)
        if self._origin is None:
            transport.abort()
        elif self._listener.paused:
            # uvloop starts reading after this call, whatever is asked within it.
            self._loop.call_soon(self._follow_listener)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """Return where a read is to be put."""
        return self._listener.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read, then let the other connections have their turn."""
        origin = self._origin
        if origin is None:
            return
        self._receive(bytes(memoryview(self._listener.buffer)[:nbytes]), origin)
        self._transport.pause_reading()
        self._loop.call_soon(self._follow_listener)

    def _follow_listener(self) -> None:
        """Read, or do not, as the listener does and the sinks of what was read have room."""
        if self._listener.paused or self._waiting:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _receive(self, data: bytes, origin: Origin) -> None:
        """Cut what was read into frames and pass them on."""
        listener, framer = self._listener, self._framer
        listener.stats.octets += len(data)
        self._last_read = now = self._loop.time()
        frames = framer.feed(data)
        if not framer.partial:
            self._frame_began = None
        elif frames or self._frame_began is None:
            self._frame_began = now
        if frames:
            self._waiting.add(listener.pipeline.feed(frames, origin))
        if framer.oversize or framer.mismatch:
            self._report(origin)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Pass on what is left and count the connection out."""
        origin, pipeline = self._origin, self._listener.pipeline
        if origin is None:
            return
        self._waiting.end()
        frames = self._framer.close()
        if frames:
            pipeline.feed(frames, origin)
        if self._framer.incomplete is not None:
            pipeline.keep_incomplete(self._framer.incomplete, origin)
        self._report(origin)
        self._origin = None
        self._listener.release(self, self._peer)

    def pause(self) -> None:
        """Stop reading."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read again where nothing else is in the way.

        The time that a frame may take begins anew, since the pause was ours.
        """
        if self._waiting or self._listener.paused or self._transport.is_closing():
            return
        self._last_read = now = self._loop.time()
        if self._frame_began is not None:
            self._frame_began = now
        self._transport.resume_reading()

    def announce_end(self) -> None:
        """Let the sender see that we are leaving, and still read what it sent."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after what was read has been passed on."""
        self._transport.close()

    def check_time(self, now: float) -> None:
        """Close the connection if a frame, or silence, has lasted too long."""
        if self._waiting:
            return
        settings = self._listener.settings
        if self._frame_began is not None and now - self._frame_began > settings.frame_timeout:
            reason = "frame_timeout"
        elif settings.idle_timeout is not None and now - self._last_read > settings.idle_timeout:
            reason = "idle_timeout"
        else:
            return
        self._listener.count_rejected(reason, str(self._peer))
        self._transport.close()

    def _report(self, origin: Origin) -> None:
        """Account for frames that were too long, and name the first that was framed otherwise."""
        listener, framer = self._listener, self._framer
        if framer.oversize:
            listener.pipeline.reject(origin, "oversize", framer.oversize)
            framer.oversize = 0
        if framer.mismatch is not None and not self._mismatch_reported:
            self._mismatch_reported = True
            listener.reports.warning(
                f"framing_mismatch {origin.peer}",
                "framing mismatch",
                listener=listener.settings.name,
                peer=origin.peer,
                problem=framer.mismatch,
            )
