"""Blocking connections to a collector: UDP, TCP and TLS; and why one failed, in plain words."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from collector.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Result = TypeVar("Result")

READ_BYTES = 64 * 1024

CONNECT_SECONDS = 10.0
"""How long connecting, a TLS handshake and an orderly end may take."""

# What OpenSSL calls it, and what to do about it. An alert is what the other side says of us.
_TLS_REASONS = {
    "WRONG_VERSION_NUMBER": "no TLS is spoken on that port",
    "UNSUPPORTED_PROTOCOL": "the collector speaks no TLS version from 1.2 on",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the collector speaks none of our TLS versions, 1.2 and 1.3",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the collector wants a client certificate: give "
    "--cert-file and --key-file",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the collector refuses the handshake; if it wants a client "
    "certificate, give --cert-file and --key-file",
    "TLSV1_ALERT_UNKNOWN_CA": "the collector does not know the authority that signed our "
    "certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the collector says that our certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the collector refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the collector refuses our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "the collector refuses our certificate",
    "UNEXPECTED_EOF_WHILE_READING": "the collector ended the connection within the TLS handshake",
}

# Codes of OpenSSL's X509_verify_cert: of another name, of another address.
_OTHER_NAME = {62, 64}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom a TLS connection trusts, and what it shows of itself.

    Attributes:
        ca_file: authorities that are trusted; None for those of the system.
        cert_file: our certificate, and those between it and its authority; None shows none.
        key_file: its private key; None where `cert_file` holds it.
        verify: whether the collector must show a valid certificate with the name that is called.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            TlsError: a file cannot be used; the text names it.
        """
        return client_context(
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            verify=self.verify,
        )


def connect_datagrams(host: str, port: int) -> socket.socket:
    """Return a UDP socket that sends to a collector.

    Raises:
        OSError: the host has no address.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    connection = socket.socket(family, kind, protocol)
    connection.connect(address)
    return connection


class Stream:
    """A TCP connection. Operations take as long as they take, unless `limit` is called.

    Args:
        connection: a connected socket; it is closed with the stream.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def limit(self, seconds: float | None) -> None:
        """Have each operation raise `TimeoutError` after some seconds; None takes that back."""
        self._socket.settimeout(seconds)

    def send_at_once(self) -> None:
        """Send small pieces without waiting for acknowledgement of those before (TCP_NODELAY)."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """Wait for data and return it; none at the end."""
        return self._socket.recv(READ_BYTES)

    def end(self) -> None:
        """Say that all is sent, and wait until the collector has read to the end.

        Raises:
            OSError: it does not take what was sent: it resets the connection, says so by a TLS
                alert, which with TLS 1.3 comes after the handshake, or answers, as no collector
                does that takes syslog over TCP.
        """
        self.limit(CONNECT_SECONDS)
        self._say_end()
        if self.receive():
            raise ConnectionError("what listens there answers: it takes no syslog over TCP")

    def _say_end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


class TlsStream(Stream):
    """TLS on a TCP connection.

    `ssl.SSLSocket` would do but for its end: `unwrap` takes a fatal alert, by which a collector
    refuses our certificate after the handshake, for the orderly end that it waits for.

    Args:
        connection: a connected socket; it is closed with the stream.
        context: what to trust and what to show.
        host: the name or address that the certificate must be for.

    Raises:
        OSError: there is no TLS with this collector.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(connection)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._was_cut = False
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._complete(self._tls.do_handshake)

    def send(self, data: bytes) -> None:
        """Send all of the data, encrypted."""
        self._tls.write(data)
        self._flush()

    def receive(self) -> bytes:
        """Wait for data and return it; none at the end, with or without a close_notify."""
        try:
            return self._complete(partial(self._tls.read, READ_BYTES))
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            self._was_cut = True
            return b""

    def end(self) -> None:
        """Say that all is sent, and wait until the collector has read to the end.

        Raises:
            OSError: as `Stream.end` raises it, or the collector does not say that it has: with TLS
                1.3 it may have refused our certificate, or its absence, after the handshake.
        """
        super().end()
        if self._was_cut:
            raise ConnectionError(
                "the collector broke the connection off; it may want a client certificate: give "
                "--cert-file and --key-file"
            )

    def _say_end(self) -> None:
        with suppress(ssl.SSLWantReadError):  # which says that ours is made, and theirs to come
            self._tls.unwrap()
        self._flush()

    def _complete(self, operation: Callable[[], Result]) -> Result:
        """Carry out an operation, with what it has to read and write on the way."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._flush()
                if data := super().receive():
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if not (data := self._outgoing.read()):
            return
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            # A collector that refuses us says so before it ends the connection.
            while self.receive():
                pass
            raise


def connect_stream(host: str, port: int, context: ssl.SSLContext | None) -> Stream:
    """Return a TCP connection, or one over TLS.

    Args:
        host: name or address of the collector; its certificate must be for it.
        port: its port.
        context: for TLS; None connects without.

    Raises:
        OSError: there is no connection, or no TLS on it; see `explanation`.
    """
    connection = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    try:
        stream = TlsStream(connection, context, host) if context else Stream(connection)
    except BaseException:
        connection.close()
        raise
    stream.limit(None)
    return stream


def explanation(error: OSError, host: str) -> str:
    """Return what went wrong on a connection, and what to do about it where that is known.

    Args:
        error: what was raised.
        host: the collector, as it was called.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            problem = f"is not for {host}: give --to a name that the certificate holds"
        elif error.verify_message == "certificate has expired":
            problem = "has expired: renew it"
        else:
            problem = (
                f"cannot be trusted ({error.verify_message}): give the certificate of the "
                "authority that signed it as --ca-file"
            )
        return f"the collector's certificate {problem}; --insecure sends without verifying it"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "no reason given"
        return _TLS_REASONS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower()}"
    reason = error.strerror or str(error)
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"the collector has ended the connection ({reason})"
    return reason
