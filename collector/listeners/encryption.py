"""How a listener speaks TLS, and which certificates let a sender in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from collector.certificates import MAX_PEM_OCTETS, Validity, validity
from collector.listeners import tls
from collector.settings.files import read_beginning

if TYPE_CHECKING:
    import ssl

    from collector.config import ListenerTls


@dataclass(frozen=True, slots=True)
class Encryption:
    """TLS as the settings ask for it and the files have it now.

    Attributes:
        context: speaks TLS.
        entrance: what decides which certificates are good; connections do not outlive it.
        validity: when all certificates of the chain are valid.
        handshake_timeout: seconds.
        allowed_names: of which a sender's certificate needs one; empty for any.
    """

    context: ssl.SSLContext
    entrance: tuple[object, ...]
    validity: Validity
    handshake_timeout: float
    allowed_names: tuple[str, ...]

    @classmethod
    def of(cls, settings: ListenerTls) -> Self:
        """Return what the settings ask for.

        Raises:
            FileError: a file cannot be used; the text names its setting.
        """
        authorities = settings.client_ca_file
        entrance = (
            settings.asks_for_client_cert,
            # Read first: if the file is replaced meanwhile, the next comparison finds a change.
            authorities and sha256(read_beginning(authorities, MAX_PEM_OCTETS)).digest(),
        )
        return cls(
            tls.server_context(settings),
            entrance,
            validity(settings.cert_file),
            settings.handshake_timeout,
            settings.allowed_names,
        )
