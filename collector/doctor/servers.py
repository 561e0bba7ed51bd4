"""Asks the servers of a stream to let us in, and what we may do there; says what is in the way."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import nats.errors

from collector.certificates import TlsError
from collector.settings.files import FileError
from collector.stream.asking import Asker, forbids
from collector.stream.link import CertificateWantedError, GuardedClient, connect, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config import SpoolSettings

# What an attempt to connect ends with; TlsError is a FileError, nats.errors.TimeoutError a
# TimeoutError.
_FAILURES: Final = (OSError, nats.errors.Error, TimeoutError, FileError, ValueError)

NOBODY: Final = "a server that runs there, and a way to it: names, routes, firewalls"
_SILENT: Final = "a server of NATS; with `handshake_first` in its tls, one that has it on auto"
_CREDENTIALS: Final = (
    "credentials that the servers know: spool.credentials_file, spool.user or spool.token_file"
)

# OpenSSL's numbers of what is wrong with a certificate (openssl/x509_vfy.h).
_VALIDITY: Final = {9, 10}  # not yet valid, expired
_NAMES: Final = {62, 63, 64}  # of another host, mail address, IP address


class Visit:
    """A connection to a server that has let us in.

    Attributes:
        asker: asks over it.
        client: the connection.
        objections: what servers said of us, as that something is not permitted.
    """

    def __init__(self) -> None:
        self.asker = Asker()
        self.client = GuardedClient()
        self.objections: list[str] = []

    @property
    def is_clustered(self) -> bool:
        """Whether the server says that it is one of a cluster."""
        return self.client.is_clustered

    async def heard(self, error: Exception) -> None:
        """Take in what is heard beside."""
        self.client.hear(error)
        if self.client.is_connected:
            self.objections.append(describe(error))
            self.asker.forbid(str(error))

    async def forbidden(self, messages: Mapping[str, bytes], seconds: float) -> list[str]:
        """Publish messages that nobody answers, and return the subjects that are not permitted.

        A server objects to a message before it answers a ping that was sent behind it.

        Args:
            messages: what is published, by subject; nothing is to come of it.
            seconds: how long that answer is waited for.

        Raises:
            nats.errors.Error or TimeoutError: there is none.
        """
        async with asyncio.timeout(seconds):
            for subject, body in messages.items():
                await self.client.publish(subject, body)
            await self.client.settle()
        return [
            subject
            for subject in messages
            if any(forbids(said, subject) for said in self.objections)
        ]

    def end(self) -> None:
        """Close the connection."""
        self.client.abandon()


async def visit(spool: SpoolSettings, server: str, seconds: float) -> Visit | BaseException:
    """Return a connection to a server, or why it does not let us in.

    Args:
        spool: settings of it.
        server: the server's URL.
        seconds: how long it may take.
    """
    found = Visit()
    try:
        async with asyncio.timeout(seconds):
            await connect(
                found.client,
                spool,
                server,
                name="collector doctor",
                on_error=found.heard,
                seconds=max(1, round(seconds)),
            )
    except _FAILURES as error:
        found.end()
        # Where nobody lets us in, nats-py says no more than that.
        return found.client.cause or error
    return found


def advice(error: BaseException) -> str:
    """Say what to do about an attempt to connect that failed."""
    match error:
        case FileError():
            return _on_file(error)
        case nats.errors.SecureConnWantedError() | CertificateWantedError() | ssl.SSLError():
            return _on_tls(error)
        case nats.errors.Error() if "INFO" in str(error):  # nothing was said
            return _SILENT
        case nats.errors.Error() if "uth" in str(error):  # Authorization, Authentication
            return _CREDENTIALS
        case _:
            return NOBODY


def _on_file(error: FileError) -> str:
    if isinstance(error, TlsError):
        return f"spool.tls.{error.setting}: PEM files that belong together"
    return "a file that this user may read, as it was given out for this user of the servers"


def _on_tls(error: Exception) -> str:
    match error:
        case nats.errors.SecureConnWantedError():
            return "TLS in the settings of the servers, or nats:// and no spool.tls"
        case CertificateWantedError():
            return "spool.tls.cert_file and key_file, of an authority that the servers trust"
        case ssl.SSLCertVerificationError() if error.verify_code in _VALIDITY:
            return "a new certificate for the server; the clocks of both machines"
        case ssl.SSLCertVerificationError() if error.verify_code in _NAMES:
            return "spool.servers with a name that is in the server's certificate, or one with this"
        case ssl.SSLCertVerificationError():
            return "spool.tls.ca_file: the authority that signed the server's certificate"
        case _:
            return "TLS 1.2 or newer at the server, and nothing between that speaks TLS itself"
