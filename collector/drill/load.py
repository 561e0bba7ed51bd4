"""What a drill sends: numbered messages for every intake, at a steady rate."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from collector import samples, sending
from collector.drill.settings import target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import Config, Framing, IntakeSettings
    from collector.drill.settings import Transport

MARKER = "collector-drill-"
"""What stands before the number of a message in its payload."""

RECONNECT_SECONDS = 0.1

_HOSTNAME = "drill"

# Where the number goes. It stands at the beginning, so that a message that is cut still has it.
_PLACE = "@number@"


class Load:
    """Sends messages to the private daemon until it is stopped.

    The intakes take turns, and so do the samples of an intake's vendor. Where the daemon does not
    read, as with a full spool, sending falls behind and catches up later, as senders do.

    Args:
        config: settings of the private daemon.
        transport: how to send.
        rate: messages per second.

    Attributes:
        sent: how many messages the kernel has taken; they are numbered from 0.
        copies: how many copies these are, one for each sink of a message's intake.
        connections: how many TCP connections it took.
    """

    def __init__(self, config: Config, *, transport: Transport, rate: float) -> None:
        self._transport = transport
        self._framing = target(config, transport).framing
        self._rate = rate
        self._routing = config.routing
        self._intakes = [
            (_outgoing(intake), len(config.sinks_of(intake))) for intake in config.intakes
        ]
        self._stopped = asyncio.Event()
        self._socket: socket.socket | None = None
        self.sent = 0
        self.copies = 0
        self.connections = 0

    async def run(self, address: tuple[str, int]) -> None:
        """Send until stopped, then wait until the daemon has read everything (TCP)."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while not self._stopped.is_set():
                await self._send(address, self._message(self.sent))
                self.copies += self._intakes[self.sent % len(self._intakes)][1]
                self.sent += 1
                await self._pause(began + self.sent / self._rate - loop.time())
            await self._end()
        finally:
            self._close()

    def stop(self) -> None:
        """Send no further message."""
        self._stopped.set()

    def _message(self, number: int) -> bytes:
        turn, position = divmod(number, len(self._intakes))
        payloads, _ = self._intakes[position]
        outgoing = payloads[turn % len(payloads)]
        template = sending.message(
            outgoing,
            now=datetime.now(UTC),
            hostname=_HOSTNAME,
            sd_id=self._routing.structured_data_id,
            parameter=self._routing.parameter,
        )
        return template.replace(_PLACE.encode(), f"{MARKER}{number}".encode(), 1)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the stop; let others run in any case."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def _send(self, address: tuple[str, int], message: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._transport == "udp":
            if self._socket is None:
                self._socket = _open(socket.SOCK_DGRAM)
                self._socket.connect(address)
            # While the daemon is away the kernel may say so; the datagram is lost either way.
            with suppress(ConnectionRefusedError):
                await loop.sock_sendall(self._socket, message)
            return
        frame = _framed(message, self._framing)
        while True:
            if self._socket is None:
                self._socket = await self._connect(address)
            try:
                await loop.sock_sendall(self._socket, frame)
            except OSError:
                # The daemon is gone, and has read this message in part at most.
                self._close()
            else:
                return

    async def _connect(self, address: tuple[str, int]) -> socket.socket:
        """Return a connection, however long the daemon takes to listen."""
        while True:
            connection = _open(socket.SOCK_STREAM)
            try:
                await asyncio.get_running_loop().sock_connect(connection, address)
            except OSError:
                connection.close()
                await asyncio.sleep(RECONNECT_SECONDS)
            except asyncio.CancelledError:
                connection.close()
                raise
            else:
                self.connections += 1
                return connection

    async def _end(self) -> None:
        """Have the daemon read to the end; it then closes the connection too."""
        if self._transport == "tcp" and self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
                while await asyncio.get_running_loop().sock_recv(self._socket, 4096):
                    pass

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _outgoing(intake: IntakeSettings) -> Sequence[sending.Outgoing]:
    """Return what is sent to an intake, in turns."""
    (key,) = intake.read_keys()
    return [
        sending.Outgoing(intake.parser, payload, key) for payload in marked_payloads(intake.parser)
    ]


def marked_payloads(parser: str) -> Sequence[str]:
    """Return payloads that a parser reads, on one line each, with a place for their number."""
    match parser:
        case "cybereason":
            return [_marked_cef(sample.raw) for sample in samples.load(parser)]
        case "harfanglab":
            return [_marked_json(sample.raw) for sample in samples.load(parser)]
        case _:
            return [f"{_PLACE} message of an outage drill"]


def _marked_cef(raw: str) -> str:
    *header, extension = raw.split("|", 7)
    return "|".join([*header, f"drill={_PLACE} {extension}"])


def _marked_json(raw: str) -> str:
    return orjson.dumps({"drill": _PLACE, **orjson.loads(raw)}).decode()


def _framed(message: bytes, framing: Framing) -> bytes:
    match framing:
        case "lf":
            return message + b"\n"
        case "nul":
            return message + b"\0"
        case _:
            return sending.octet_counted(message)


def _open(kind: socket.SocketKind) -> socket.socket:
    opened = socket.socket(socket.AF_INET, kind)
    opened.setblocking(False)
    return opened
