"""TLS towards sinks: whom the collector trusts, and which certificate it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector import certificates

if TYPE_CHECKING:
    import ssl

    from collector.config import SinkTls


def client_context(settings: SinkTls | None) -> ssl.SSLContext | bool:
    """Return what aiohttp takes as `ssl`.

    Args:
        settings: The sink's; None where it has none.

    Returns:
        True for the verification that aiohttp does of itself, with the system's authorities.

    Raises:
        TlsError: A file cannot be read or holds something else, or the key is that of another
            certificate.
    """
    if settings is None:
        return True
    context = certificates.client_context(
        ca_file=settings.ca_file,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        verify=settings.verify,
    )
    context.set_alpn_protocols(["http/1.1"])  # as aiohttp's own context: some proxies refuse none
    return context
