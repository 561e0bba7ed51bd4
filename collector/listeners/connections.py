"""One sender's connection, whatever it speaks: reading and its pauses, time and room.

What is read is handed to `_receive` of the protocols that derive from this.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from collector.backpressure import Waiting
from collector.listeners.reasons import (
    FRAME_TIMEOUT,
    IDLE_TIMEOUT,
    NAME_NOT_ALLOWED,
    TLS_ON_PLAIN_PORT,
)

if TYPE_CHECKING:
    from collector.listeners.streams import StreamListener
    from collector.pipeline import Origin
    from collector.routing import Address

# How a TLS client begins (RFC 8446, section 5.1): a handshake record of version 3.
TLS_BEGINS: Final = b"\x16\x03"

# What uvloop may read of a TLS connection and hold, encrypted, before it is asked for.
READ_AHEAD_OCTETS: Final = 32 * 1024

# What is read at once, at first and at least. A read may hold tens of thousands of short messages,
# or such as cannot be parsed, and nothing else has its turn until they are dealt with: a connection
# whose last read took longer than `LONG_TURN_SECONDS` reads half as much, one that is done soon
# twice as much.
FIRST_READ_OCTETS: Final = 8 * 1024
LEAST_READ_OCTETS: Final = 2 * 1024
LONG_TURN_SECONDS: Final = 0.1

# For a peer to take what was written, and to answer the end of TLS.
CLOSE_SECONDS: Final = 5.0


class Connection(asyncio.BufferedProtocol):
    """A connection that was let in.

    Args:
        listener: which let it in.
        peer: the sender's address; None on a socket of this machine.

    Attributes:
        peer: as above.
        origin: what the pipeline is told of the sender; replaced when settings change.
        encrypted: its TLS, once the handshake has ended; None without.
    """

    def __init__(self, listener: StreamListener, peer: Address | None) -> None:
        self.peer = peer
        self.origin: Origin = listener.origin_of(peer)
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting = Waiting(self.resume)
        self._last_read = self._loop.time()
        self._frame_began: float | None = None
        self._held = 0
        self._room = FIRST_READ_OCTETS
        self._has_read = False
        self._is_made = False
        self._is_established = False
        self._is_leaving = False
        self._was_ended = False
        self.encrypted: ssl.SSLObject | None = None
        self._closed_at: float | None = None

    # What protocols say of themselves.

    @abstractmethod
    def _receive(self, data: bytes) -> bool:
        """Take what was read; say whether a message ended in it, whatever became of it."""

    @property
    @abstractmethod
    def _partial(self) -> bool:
        """Whether a message has begun and not ended."""

    @property
    @abstractmethod
    def _octets_held(self) -> int:
        """How much of an unfinished message is held."""

    @abstractmethod
    def _finish(self) -> None:
        """Pass on what is left: the connection is gone."""

    @property
    def is_made(self) -> bool:
        """Whether there is or was a connection: a handshake may fail before."""
        return self._is_made

    @property
    def owes_answers(self) -> bool:
        """Whether the sender still waits for answers that are to come soon."""
        return False

    @property
    def is_held_back(self) -> bool:
        """Whether it waits for the sink of what it has read."""
        return bool(self._waiting)

    @property
    def _is_stopped(self) -> bool:
        """Whether it does not read, besides what keeps any connection from it."""
        return False

    def follow_settings(self) -> None:
        """Take on what of changed settings can change within a connection."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read; it ends at once if its certificate does not let it in."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_made = True
        self._last_read = self._loop.time()
        self.encrypted = transport.get_extra_info("ssl_object")
        if self.encrypted is not None:
            # uvloop decrypts no more than it is asked for, but reads as much as it may.
            limited: Any = transport
            limited.set_read_buffer_limits(high=READ_AHEAD_OCTETS)
        if self._is_leaving:  # the settings changed within the handshake, or we are stopping
            self.close()
            return
        flaw = self._listener.flaw(self.encrypted)
        if flaw is not None:
            self.end(NAME_NOT_ALLOWED, flaw)
            return
        self._is_established = True
        if self._listener.paused:
            # uvloop starts reading after this call, whatever is asked within it.
            self._loop.call_soon(self._follow)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return where a read is to be put."""
        return self._listener.room(self._room)

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read, then let the other connections have their turn."""
        transport = self._transport
        if transport is None or self._closed_at is not None:
            return
        data = bytes(self._listener.buffer[:nbytes])
        self._listener.stats.octets += nbytes
        if not self._has_read:
            self._has_read = True
            if data.startswith(TLS_BEGINS) and not self._listener.is_encrypted:
                self.end(TLS_ON_PLAIN_PORT)
                return
        began = time.monotonic()
        self._take(data)
        self._adapt(time.monotonic() - began)
        transport.pause_reading()
        self._loop.call_soon(self._follow)

    def _adapt(self, seconds: float) -> None:
        """Read more or less at once from now on, by how long it took to deal with the last read."""
        if seconds > LONG_TURN_SECONDS:
            self._room = max(LEAST_READ_OCTETS, self._room // 2)
        elif seconds < LONG_TURN_SECONDS / 4:
            self._room = min(len(self._listener.buffer), self._room * 2)

    def _take(self, data: bytes) -> None:
        """Have what was read dealt with, and keep an eye on what it leaves unfinished."""
        self._last_read = now = self._loop.time()
        has_ended_one = self._receive(data)
        if not self._partial:
            self._frame_began = None
        elif has_ended_one or self._frame_began is None:
            self._frame_began = now
        held = self._octets_held
        if held or self._held:
            self._held = held
            buffers = self._listener.buffers
            (buffers.begin_anew if has_ended_one else buffers.hold)(self, held)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Pass on what is left and count the connection out."""
        if self._is_established:
            if not self._was_ended:
                self._read_rest()
            self._finish()
        self._listener.buffers.hold(self, 0)
        self._listener.release(self)

    def _read_rest(self) -> None:
        """Take what uvloop has read of a TLS connection and not handed out.

        It reads ahead of us, and lets go of that when the sender ends the connection.
        """
        encrypted = self.encrypted
        with suppress(ssl.SSLError):
            while encrypted is not None and (data := encrypted.read(len(self._listener.buffer))):
                self._listener.stats.octets += len(data)
                self._take(data)

    def let_go(self) -> None:
        """Refer to nothing that refers back, so that its memory is free at once.

        What stands in a circle waits for Python to look for such. With few other objects made, tens
        of thousands of connections may be gone until then, for each of which TLS holds a buffer.
        """
        self._waiting.end()
        self._transport = None

    # Reading and its pauses.

    def _follow(self) -> None:
        """Read, or do not, as the listener does and the sinks of what was read have room."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._listener.paused or self._waiting or self._is_stopped:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again where nothing else is in the way.

        The time that a frame may take begins anew, since the pause was ours.
        """
        self._last_read = now = self._loop.time()
        if self._frame_began is not None:
            self._frame_began = now
        self._follow()

    # The end.

    def announce_end(self) -> None:
        """Let the sender see that we are leaving, and still read what it sent."""
        self._is_leaving = True
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def close(self) -> None:
        """Close after what was read has been passed on, and what was written sent."""
        if self._transport is not None and self._closed_at is None:
            self._closed_at = self._loop.time()
            self._close(self._transport)

    def _close(self, transport: asyncio.Transport) -> None:
        transport.close()

    def abort(self) -> None:
        """Close without sending what was written."""
        if self._transport is not None:
            self._transport.abort()

    def end(self, reason: str, problem: str = "") -> None:
        """Close the connection because of something the sender did, counted as rejected."""
        if self._closed_at is None:
            self._listener.count_rejected(reason, self.peer, problem)
            self._was_ended = True
            self.close()

    def evict(self, reason: str) -> None:
        """Break the connection off, counted as rejected: what it holds is needed elsewhere.

        One that is already being closed may hold as much, for as long as its sender likes.
        """
        self.end(reason)
        self.abort()

    def check_time(self, now: float) -> None:
        """Close the connection if a frame, or silence, has lasted too long."""
        if self._closed_at is not None:
            if now - self._closed_at > CLOSE_SECONDS:
                self.abort()
            return
        if not self._is_made:  # a handshake has a time of its own
            return
        if self._waiting or self._is_stopped or self._listener.paused:
            return
        settings = self._listener.settings
        if self._frame_began is not None and now - self._frame_began > settings.frame_timeout:
            self.end(FRAME_TIMEOUT)
        elif settings.idle_timeout is not None and now - self._last_read > settings.idle_timeout:
            self.end(IDLE_TIMEOUT)
