"""Datagrams: one datagram, one message, over UDP (RFC 5426) or a unix socket.

The socket is our own and non-blocking. Each time the loop finds it readable a bounded number of
datagrams is taken, so that a flood does not starve everything else. While the gate is closed, or
that of a sink which the datagrams went to, the socket is not read; the kernel's buffer fills, and
what it drops it counts.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from collector.backpressure import Waiting
from collector.listeners.admission import may_send
from collector.listeners.sockets import DRAIN_SECONDS, address_of
from collector.logs import Reports
from collector.pipeline import Origin
from collector.routing import peer_address
from collector.syslog.framing import CutFrame, trim_datagram

if TYPE_CHECKING:
    from collector.config import ListenerSettings
    from collector.listeners.encryption import Encryption
    from collector.metrics import ListenerStats
    from collector.pipeline import Pipeline
    from collector.routing import Router

MAX_DATAGRAM = 65_535  # over UDP
MAX_DATAGRAMS_PER_WAKE = 256
MAX_KNOWN_PEERS = 4096

# linux/socket.h; the socket module has no names for these.
SO_MEMINFO = 55
SO_RCVBUFFORCE = 33
MEMINFO_WORDS = 9
MEMINFO_DROPS = 8
TABLE_INODE = 9  # column of /proc/net/udp; the last one is drops

log = structlog.get_logger(__name__)


class DatagramListener:
    """Receives datagrams on one socket.

    Args:
        bound: the socket.
        settings: the listener's settings.
        pipeline: takes the frames.
        router: finds the intake of messages without a key.
        stats: counters of this listener.

    Attributes:
        socket: as above.
        settings: as above; replaced by `reconfigure`, as are `stats` and the router.
        stats: as above.
        has_source: whether it closes the socket in the end, as it does.
    """

    has_source = True

    def __init__(
        self,
        bound: socket.socket,
        settings: ListenerSettings,
        *,
        pipeline: Pipeline,
        router: Router,
        stats: ListenerStats,
    ) -> None:
        self.socket = bound
        self.settings = settings
        self.stats = stats
        self._pipeline = pipeline
        self._router = router
        self._loop = asyncio.get_running_loop()
        self._reports = Reports(log)
        self._view = self._new_buffer()
        self._origin = lru_cache(MAX_KNOWN_PEERS)(self._new_origin)
        self._paused = False
        self._waiting = Waiting(self._go_on)
        self._stopping = False

    @property
    def source(self) -> socket.socket:
        """The socket."""
        return self.socket

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where it listens: host and port, or a path; None once it is closed."""
        return address_of(self.socket)

    # Life.

    def start(self) -> None:
        """Begin to receive."""
        self._set_receive_buffer()
        self.stats.kernel_drops = self._kernel_drops
        if not self._paused:
            self._loop.add_reader(self.socket, self._receive)

    def reconfigure(
        self,
        settings: ListenerSettings,
        router: Router,
        stats: ListenerStats,
        encryption: Encryption | None = None,  # noqa: ARG002 - datagrams have none
    ) -> None:
        """Go by other settings, of a listener on the same socket, from the next datagram on."""
        wanted, self.settings = self.settings.receive_buffer, settings
        self._view = self._new_buffer()
        self._router = router
        self.stats = stats
        self._origin = lru_cache(MAX_KNOWN_PEERS)(self._new_origin)
        stats.kernel_drops = self._kernel_drops
        if settings.receive_buffer != wanted:
            self._set_receive_buffer()

    def pause(self) -> None:
        """Leave datagrams to the kernel."""
        self._paused = True
        if not self._stopping:
            self._loop.remove_reader(self.socket)

    def resume(self) -> None:
        """Receive again."""
        self._paused = False
        self._go_on()

    def _go_on(self) -> None:
        """Receive again where nothing is in the way."""
        if not (self._stopping or self._paused or self._waiting):
            self._loop.add_reader(self.socket, self._receive)

    def announce_end(self) -> None:
        """Do nothing: senders of datagrams are told nothing."""

    async def stop(self) -> None:
        """Take what the kernel still holds, then close; do nothing if that has been done."""
        if self.socket.fileno() < 0:
            return
        self._stopping = True
        self._loop.remove_reader(self.socket)
        end = self._loop.time() + DRAIN_SECONDS
        more = True
        while more and self._loop.time() < end:
            more = self._receive() == MAX_DATAGRAMS_PER_WAKE
            await asyncio.sleep(0)
        self._waiting.end()
        last = self._kernel_drops()
        self.socket.close()
        if self.stats.kernel_drops == self._kernel_drops:  # no other socket has come in its place
            self.stats.kernel_drops = lambda: last

    def _receive(self) -> int:
        """Take the datagrams that wait, up to the bound of a wake-up; return how many."""
        frames: dict[str, list[bytes]] = {}
        count = octets = 0
        receive, view, room = self.socket.recvfrom_into, self._view, len(self._view)
        # On a unix socket senders have no address, or one that says nothing.
        has_hosts = self.socket.family != socket.AF_UNIX
        try:
            while count < MAX_DATAGRAMS_PER_WAKE:
                size, peer = receive(view)
                count += 1
                octets += size
                frame = view[:size].tobytes()
                if size < room:  # else it is the beginning of a longer one
                    frame = trim_datagram(frame)
                if frame:
                    host = peer[0] if has_hosts else ""
                    if host in frames:
                        frames[host].append(frame)
                    else:
                        frames[host] = [frame]
        except BlockingIOError:
            pass  # the kernel has no more
        except OSError as error:
            self._reports.warning(
                "receive", "cannot receive", listener=self.stats.name, problem=str(error)
            )
        self.stats.octets += octets
        for host, batch in frames.items():
            self._pass_on(batch, *self._origin(host))
        return count

    def _pass_on(self, frames: list[bytes], origin: Origin, allowed: bool) -> None:
        """Hand one peer's frames to the pipeline, within the bound of their size."""
        bound = self.settings.max_message_bytes
        if not allowed:
            self._pipeline.reject(origin, "source_not_allowed", len(frames))
            return
        if max(map(len, frames)) > bound:
            if self.settings.when_oversize == "reject":
                kept = [frame for frame in frames if len(frame) <= bound]
                self._pipeline.reject(origin, "oversize", len(frames) - len(kept))
                frames = kept
            else:
                frames = [f if len(f) <= bound else CutFrame(f[:bound]) for f in frames]
        self._waiting.add(self._pipeline.feed(frames, origin))
        if self._waiting and not self._stopping:
            self._loop.remove_reader(self.socket)

    def _new_buffer(self) -> memoryview:
        """Return room for a datagram: whole over UDP, else so much that a longer one is known."""
        return memoryview(bytearray(max(MAX_DATAGRAM, self.settings.max_message_bytes) + 1))

    def _new_origin(self, host: str) -> tuple[Origin, bool]:
        """Return the origin of a peer's datagrams and whether they are let in."""
        peer = peer_address(host) if host else None
        intake = self._router.without_key(self.settings.name, peer)
        is_allowed = may_send(self.settings, peer)
        return Origin(self.stats, "" if peer is None else str(peer), intake), is_allowed

    def _set_receive_buffer(self) -> None:
        """Ask for the buffer of the settings and say so if the kernel gives less."""
        wanted = self.settings.receive_buffer
        if self._granted() < wanted:  # one that was handed over may have more than we may ask for
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        if self._granted() < wanted:
            with suppress(PermissionError):  # beyond the limit only with CAP_NET_ADMIN
                self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, wanted)
        granted = self._granted()
        if granted < wanted:
            log.warning(
                "the kernel gives a smaller receive buffer: datagrams may be lost under load; "
                "raise the sysctl net.core.rmem_max",
                listener=self.stats.name,
                wanted=wanted,
                granted=granted,
            )

    def _granted(self) -> int:
        # The kernel doubles what was asked, for its own book-keeping (socket(7)).
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2

    def _kernel_drops(self) -> int | None:
        """Return the datagrams dropped by the kernel, or None where it does not say."""
        if self.socket.family == socket.AF_UNIX:  # there it makes senders wait
            return None
        try:
            words = self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * MEMINFO_WORDS)
            drops: int = struct.unpack(f"={MEMINFO_WORDS}I", words)[MEMINFO_DROPS]
        except (OSError, struct.error):
            return drops_in_table(self.socket)
        return drops


def drops_in_table(bound: socket.socket) -> int | None:
    """Return the drops of a UDP socket as the kernel's table of sockets has them (proc(5)).

    Returns:
        The count; None where there is no such table or the socket is not in it.
    """
    inode = str(os.fstat(bound.fileno()).st_ino)
    table = Path("/proc/net/udp6" if bound.family == socket.AF_INET6 else "/proc/net/udp")
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return None
    return next((int(row[-1]) for row in rows if row[TABLE_INODE] == inode), None)
