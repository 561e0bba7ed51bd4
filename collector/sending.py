"""Syslog messages for `collector send`: sample or given payloads as a real sender frames them."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from collector.parsers.convert import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Transport = Literal["udp", "tcp"]

# Facility local0, severity informational: what forwarders of such events commonly use.
PRIORITY = 134
CONNECT_SECONDS = 10.0

# What RFC 5424, section 6.3.3, has escaped in the value of a parameter.
ESCAPES = {ord(character): f"\\{character}" for character in '"\\]'}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A payload on its way out: the vendor names the application, the key its intake."""

    vendor: str
    payload: str
    key: str | None


def message(
    outgoing: Outgoing, *, now: datetime, hostname: str, sd_id: str, parameter: str
) -> bytes:
    """Return a syslog message (RFC 5424) with the intake key in its structured data.

    Args:
        outgoing: what to send.
        now: time of the message.
        hostname: sender's name.
        sd_id: identifier of the structured-data element that holds the key.
        parameter: name of its parameter.
    """
    data = "-"
    if outgoing.key is not None:
        value = outgoing.key.translate(ESCAPES)
        data = f'[{sd_id} {parameter}="{value}"]'
    stamp = utc_text(now.astimezone(UTC))
    header = f"<{PRIORITY}>1 {stamp} {hostname} {outgoing.vendor} - - {data} "
    return (header + outgoing.payload).encode()


def octet_counted(frame: bytes) -> bytes:
    """Return a frame with its octet count before it (RFC 6587, section 3.4.1)."""
    return b"%d %b" % (len(frame), frame)


def send(
    frames: Iterable[bytes],
    *,
    host: str,
    port: int,
    transport: Transport,
    rate: float | None,
    sent: Callable[[int], None],
) -> None:
    """Send frames over one connection, or as one datagram each.

    Args:
        frames: syslog messages without framing.
        host: name or address of the collector.
        port: its port.
        transport: `tcp` (octet counting) or `udp`.
        rate: messages per second; None sends as fast as they are taken.
        sent: called with the octets of each message after it was handed to the kernel.

    Raises:
        OSError: no connection, it was lost, or a collector that does not take it has ended it.
    """
    began = time.monotonic()
    with _connect(host, port, transport) as connection:
        for number, frame in enumerate(frames):
            if rate is not None:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            connection.sendall(frame if transport == "udp" else octet_counted(frame))
            sent(len(frame))
        if transport == "tcp":
            _wait_for_end(connection)


def _wait_for_end(connection: socket.socket) -> None:
    """Wait until the collector has read to the end; one that refuses us resets the connection."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(CONNECT_SECONDS)
    while connection.recv(4096):
        pass


def _connect(host: str, port: int, transport: Transport) -> socket.socket:
    if transport == "tcp":
        connection = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        connection.settimeout(None)
        return connection
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    connection = socket.socket(family, kind, protocol)
    connection.connect(address)
    return connection
