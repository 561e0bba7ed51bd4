"""TLS of listeners (RFC 5425): contexts, why a handshake failed, who a certificate is for."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from collector.certificates import in_words, load_authorities, load_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.config import ListenerTls

# Of TLS 1.2, what has forward secrecy and authenticates while it encrypts (RFC 9325, section 4.2).
# TLS 1.3 has nothing else.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "no": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

PLAIN_TEXT: Final = "tls_plain_text"
VERSION: Final = "tls_version"
NO_SHARED_CIPHER: Final = "tls_no_shared_cipher"
NO_CLIENT_CERTIFICATE: Final = "tls_no_client_certificate"
UNKNOWN_CA: Final = "tls_unknown_ca"
CERTIFICATE_EXPIRED: Final = "tls_certificate_expired"
CERTIFICATE_INVALID: Final = "tls_certificate_invalid"
REFUSED_BY_PEER: Final = "tls_refused_by_peer"
ERROR: Final = "tls_error"
HANDSHAKE_TIMEOUT: Final = "handshake_timeout"
HANDSHAKE_ABORTED: Final = "handshake_aborted"

REASONS: Final = (
    PLAIN_TEXT,
    VERSION,
    NO_SHARED_CIPHER,
    NO_CLIENT_CERTIFICATE,
    UNKNOWN_CA,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_INVALID,
    REFUSED_BY_PEER,
    ERROR,
    HANDSHAKE_TIMEOUT,
    HANDSHAKE_ABORTED,
)
"""Every reason for which `refusal` says that a handshake failed."""

_NOT_TLS: Final = (PLAIN_TEXT, "what the sender sent is not TLS")
_NO_VERSION: Final = (VERSION, "the sender speaks no version of TLS that is accepted")
_NO_CIPHER: Final = (
    NO_SHARED_CIPHER,
    "the sender offers no cipher, group or signature that is accepted",
)
_NO_CERTIFICATE: Final = (NO_CLIENT_CERTIFICATE, "the sender showed no certificate")

# By what OpenSSL calls the problem.
_OWN_FINDINGS: Final = {
    "HTTP_REQUEST": (PLAIN_TEXT, "the sender sent an HTTP request in plain text"),
    "HTTPS_PROXY_REQUEST": (PLAIN_TEXT, "the sender sent an HTTP request in plain text"),
    "WRONG_VERSION_NUMBER": _NOT_TLS,  # of a record: its first octets are something else
    "INAPPROPRIATE_FALLBACK": _NO_VERSION,
    "UNKNOWN_PROTOCOL": _NO_VERSION,  # SSL 2.0
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "VERSION_TOO_LOW": _NO_VERSION,
    "NO_SHARED_CIPHER": _NO_CIPHER,
    "NO_SHARED_GROUPS": _NO_CIPHER,
    "NO_SHARED_SIGNATURE_ALGORITHMS": _NO_CIPHER,
    "NO_SUITABLE_GROUPS": _NO_CIPHER,
    "NO_SUITABLE_KEY_SHARE": _NO_CIPHER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _NO_CIPHER,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": _NO_CERTIFICATE,
}

# By alert of the peer (RFC 8446, section 6.2), where it says more than that it refused.
_ALERT: Final = "_ALERT_"
_ALERTS: Final = {
    "INSUFFICIENT_SECURITY": _NO_CIPHER,
    "PROTOCOL_VERSION": _NO_VERSION,
}
_ALERTS_ABOUT_OUR_CERTIFICATE: Final = {
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "UNSUPPORTED_CERTIFICATE",
}

# By X509_V_ERR code of OpenSSL (x509_vfy.h). The certificate at fault may be one of the chain.
_UNKNOWN_CA_CODES: Final = {2, 18, 19, 20, 21, 27}
_EXPIRED_CODE: Final = 10

_SHOWN_NAMES: Final = 4
_SHOWN_CHARS: Final = 64  # of each


def server_context(settings: ListenerTls) -> ssl.SSLContext:
    """Return what speaks TLS on a listener. No terminal is asked for anything.

    A certificate that is not valid now is taken: `collector.certificates.validity` tells.

    Raises:
        TlsError: A file cannot be read or holds something else, or the key is that of another
            certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Tickets of TLS 1.3 come after the handshake. Senders mostly never read: closing with something
    # unread resets the connection, and what they wrote last is lost.
    context.num_tickets = 0
    load_identity(context, settings.cert_file, settings.key_file)
    context.verify_mode = _VERIFY[settings.asks_for_client_cert]
    if settings.client_ca_file is not None:
        load_authorities(context, "client_ca_file", settings.client_ca_file)
    return context


def refusal(error: BaseException) -> tuple[str, str]:
    """Say why a handshake failed.

    Args:
        error: What uvloop's `connect_accepted_socket` raised.

    Returns:
        One of `REASONS`, and a sentence for the log in which nothing is the sender's own text.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_certificate(error)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _failed(error)
    if isinstance(error, ConnectionAbortedError):  # by uvloop itself
        return HANDSHAKE_TIMEOUT, "the handshake took too long"
    if isinstance(error, OSError):
        return HANDSHAKE_ABORTED, "the sender ended the connection within the handshake"
    return ERROR, f"the handshake failed: {type(error).__name__}"


def _failed(error: ssl.SSLError) -> tuple[str, str]:
    finding = error.reason or ""
    _, is_alert, alert = finding.partition(_ALERT)
    if not is_alert:
        return _OWN_FINDINGS.get(finding, (ERROR, f"the handshake failed: {in_words(error)}"))
    if alert in _ALERTS:
        return _ALERTS[alert]
    spoken = alert.replace("_", " ").lower()
    if alert in _ALERTS_ABOUT_OUR_CERTIFICATE:
        return REFUSED_BY_PEER, f"the sender does not accept the listener's certificate: {spoken}"
    return REFUSED_BY_PEER, f"the sender ended the handshake: {spoken}"


def _refused_certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    problem = f"the sender's certificate is refused: {error.verify_message}"
    if error.verify_code in _UNKNOWN_CA_CODES:
        return UNKNOWN_CA, problem
    if error.verify_code == _EXPIRED_CODE:
        return CERTIFICATE_EXPIRED, problem
    return CERTIFICATE_INVALID, problem


def peer_names(certificate: Mapping[str, Any]) -> list[str]:
    """Return who a certificate is for, as far as it may be believed.

    Only subject alternative names count, of the types dNSName and iPAddress: what a common name
    means is anybody's guess (RFC 9525, section 2).

    Args:
        certificate: As `getpeercert()` gives it; empty where none was shown.

    Returns:
        Host names in lower case without a trailing dot, and addresses in their usual form.
    """
    names = []
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "IP Address" and (address := _address(value.strip())):
            names.append(address)
        elif kind == "DNS" and not _address(value):  # an address there is no host name
            names.append(_host_name(value))
    return names


def is_allowed(names: Iterable[str], allowed: Iterable[str]) -> bool:
    """Say whether one of a certificate's names is one of those that may send.

    Host names are compared without regard to case and a trailing dot, addresses as addresses. `*`
    as a whole leftmost label stands for any one label, among the allowed names as in a certificate
    (RFC 5425, section 5.2); elsewhere it is a character like others.

    Args:
        names: As `peer_names` returns them.
        allowed: Host names, with A-labels where they are international, `*.example.com`, addresses.
    """
    hosts, addresses = set(), set()
    for entry in allowed:
        address = _address(entry)
        if address is None:
            hosts.add(_host_name(entry))
        else:
            addresses.add(address)
    parents = {_parent(host) for host in hosts} - {""}
    return any(
        name in addresses if _address(name) else _is_among(name, hosts, parents) for name in names
    )


def _is_among(name: str, hosts: set[str], parents: set[str]) -> bool:
    """Say whether a certificate's host name is allowed.

    Args:
        name: The name, maybe with a wildcard.
        hosts: Those that are allowed, maybe with a wildcard.
        parents: The same without their leftmost labels.
    """
    label, _, parent = name.partition(".")
    return name in hosts or f"*.{parent}" in hosts or (label == "*" and parent in parents)


def names_refused(certificate: Mapping[str, Any]) -> str:
    """Say, for the log, who a certificate is for that `is_allowed` refused."""
    if not certificate:
        return "the sender showed no certificate"
    names = peer_names(certificate)
    if not names:
        return (
            "the sender's certificate has no subject alternative name of type DNS or IP;"
            " its common name is not looked at"
        )
    shown = ", ".join(ascii(name[:_SHOWN_CHARS])[1:-1] for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"the sender's certificate is for {shown}" + (f" and {more} more" if more > 0 else "")


def _address(text: str) -> str | None:
    """Return an IP address in its usual form; None for a host name."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _host_name(text: str) -> str:
    return text.lower().removesuffix(".")


def _parent(name: str) -> str:
    """Return a host name without its leftmost label."""
    return name.partition(".")[2]
