"""Messages on their way to a collector: as datagrams, octet-counted over a stream, or by RELP."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from collector import __version__
from collector.sending import connections
from collector.sending.messages import octet_counted
from collector.syslog.relp_client import Client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from collector.sending.connections import Stream

Transport = Literal["udp", "tcp", "relp"]

WINDOW = 128
"""How many messages may wait for an answer, as with librelp."""


@dataclass(slots=True)
class Tally:
    """What has become of the messages so far.

    Attributes:
        messages: how many were sent.
        octets: how many octets these have, without framing.
        accepted: how many the collector has taken responsibility for (RELP).
        refused: how many it will not take (RELP).
        refusal: what it said to the first of these; else None.
    """

    messages: int = 0
    octets: int = 0
    accepted: int = 0
    refused: int = 0
    refusal: str | None = None

    @property
    def unanswered(self) -> int:
        """How many were sent and not answered (RELP): they may have arrived or not."""
        return self.messages - self.accepted - self.refused


class LostError(Exception):
    """A RELP connection ended, or turned out to be none, before every message was answered.

    Attributes:
        cause: why.
        tally: what had become of the messages by then.
    """

    def __init__(self, cause: OSError, tally: Tally) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.tally = tally


def send(
    messages: Iterable[bytes],
    *,
    host: str,
    port: int,
    transport: Transport,
    context: ssl.SSLContext | None = None,
    rate: float | None = None,
    progressed: Callable[[int], None],
) -> Tally:
    """Send messages over one connection, or as one datagram each.

    Args:
        messages: syslog messages without framing.
        host: name or address of the collector.
        port: its port.
        transport: `tcp` counts octets; `relp` waits until every message is answered.
        context: sends over TLS (`tcp`, `relp`); None sends without.
        rate: messages per second; None sends as fast as they are taken.
        progressed: called with the number of messages that the kernel has taken since the last
            call; over RELP, of those that were answered.

    Raises:
        OSError: no connection, it was lost, or a collector that does not take it has ended it.
        LostError: the same, over RELP, once there was a connection.
    """
    if transport == "udp":
        with connections.connect_datagrams(host, port) as connection:
            return _send_all(messages, connection.send, rate, progressed)
    with connections.connect_stream(host, port, context) as stream:
        if transport == "relp":
            return _Relp(stream, progressed).send(messages, rate)
        tally = _send_all(
            messages, lambda message: stream.send(octet_counted(message)), rate, progressed
        )
        stream.end()
        return tally


def _send_all(
    messages: Iterable[bytes],
    send_one: Callable[[bytes], object],
    rate: float | None,
    progressed: Callable[[int], None],
) -> Tally:
    tally = Tally()
    for message in _paced(messages, rate, time.sleep):
        send_one(message)
        tally.messages += 1
        tally.octets += len(message)
        progressed(1)
    return tally


def _paced(
    messages: Iterable[bytes], rate: float | None, wait: Callable[[float], None]
) -> Iterator[bytes]:
    """Yield messages at a rate; None yields them at once.

    Args:
        messages: what is yielded.
        rate: messages per second.
        wait: spends the seconds that are left before the next one.
    """
    began = time.monotonic()
    for number, message in enumerate(messages):
        if rate is not None:
            wait(max(0.0, began + number / rate - time.monotonic()))
        yield message


class _Relp:
    """Sends over one RELP connection, and takes the answers.

    Args:
        stream: the connection.
        progressed: called with the number of messages answered since the last call.
    """

    def __init__(self, stream: Stream, progressed: Callable[[int], None]) -> None:
        self._stream = stream
        self._progressed = progressed
        self._client = Client(software=f"collector,{__version__}")
        self._tally = Tally()

    def send(self, messages: Iterable[bytes], rate: float | None) -> Tally:
        """Send messages and wait for every answer; see the function `send`."""
        # Otherwise the last octets of a full window wait until those before are acknowledged.
        self._stream.send_at_once()
        try:
            self._open()
            for message in _paced(messages, rate, self._receive_for):
                while self._client.unanswered >= WINDOW:
                    self._receive()
                self._stream.send(self._client.message(message))
                self._tally.messages += 1
                self._tally.octets += len(message)
            while self._client.unanswered:
                self._receive()
        except OSError as error:
            raise LostError(error, self._tally) from error
        self._close()
        return self._tally

    def _open(self) -> None:
        self._stream.limit(connections.CONNECT_SECONDS)
        self._stream.send(self._client.open())
        try:
            while not self._client.is_open:
                self._receive()
        except TimeoutError as error:
            raise ConnectionError("no answer to open: no RELP is spoken on that port") from error
        self._stream.limit(None)

    def _close(self) -> None:
        """End in order. All is answered by now, so nothing that fails here matters."""
        self._stream.limit(connections.CONNECT_SECONDS)
        with suppress(OSError):
            self._stream.send(self._client.close())
            while not self._client.ended:
                self._receive()

    def _receive_for(self, seconds: float) -> None:
        """Take what answers come within some seconds."""
        until = time.monotonic() + seconds
        with suppress(TimeoutError):
            while (left := until - time.monotonic()) > 0:
                self._stream.limit(left)
                self._receive()
        self._stream.limit(None)

    def _receive(self) -> None:
        """Wait for the collector's next words and take them.

        Raises:
            OSError: there will be none, or they are not RELP.
        """
        data = self._stream.receive()
        if not data:
            raise ConnectionError("the collector has ended the connection")
        client, tally = self._client, self._tally
        before = client.unanswered
        client.feed(data)
        tally.accepted, tally.refused = client.accepted, client.refused
        tally.refusal = client.refusal
        self._progressed(before - client.unanswered)
        if client.broken is not None:
            raise ConnectionError(client.broken)
        if client.ended and client.unanswered:
            raise ConnectionError("the collector has closed the session")
