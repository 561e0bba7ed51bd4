"""Certificates and keys in files, for listeners and for sinks: loading, errors, validity."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from collector.settings.files import FileError, read_beginning

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

# The system's authorities, some 150 certificates in one file, take a quarter of it.
MAX_PEM_OCTETS: Final = 1024 * 1024

# Long enough to get a new certificate, whoever has to sign it.
SOON_SECONDS: Final = 14 * 86400.0

_CERTIFICATE_BEGINS: Final = b"-----BEGIN CERTIFICATE-----"
_KEY_BEGINS: Final = b"PRIVATE KEY-----"  # after BEGIN and, mostly, an algorithm

# What OpenSSL calls a key that is not that of the certificate, of another or the same algorithm.
_MISMATCHES: Final = {"KEY_TYPE_MISMATCH", "KEY_VALUES_MISMATCH"}


class TlsError(FileError):
    """A file of certificates, or of a key, that cannot be used; nothing of a key is in the text.

    Attributes:
        setting: The setting that names the file, as `cert_file`.
    """

    def __init__(self, setting: str, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.setting = setting

    def __str__(self) -> str:
        return f"{self.setting}: {self.path} {self.reason}"


class Validity(NamedTuple):
    """When all certificates of a file are valid.

    Attributes:
        not_before: The latest of their beginnings, in seconds since 1970.
        not_after: The earliest of their ends, in seconds since 1970.
    """

    not_before: float
    not_after: float

    def flaw(self, now: float) -> str | None:
        """Say why peers will not accept the certificates at a time; None where they can.

        Args:
            now: The time, in seconds since 1970.
        """
        if now > self.not_after:
            return f"expired on {_date(self.not_after)}"
        if now < self.not_before:
            return f"is not valid before {_date(self.not_before)}"
        return None

    def concern(self, now: float) -> str | None:
        """Say why peers will not accept the certificates, now or soon; None where they will.

        Args:
            now: The time, in seconds since 1970.
        """
        if now <= self.not_after < now + SOON_SECONDS:
            return f"ends on {_date(self.not_after)}"
        return self.flaw(now)


def validity(path: Path, setting: str = "cert_file") -> Validity:
    """Return when the certificates of a file are valid.

    Args:
        path: A file of one certificate or more (PEM); a key beside them does not matter.
        setting: What names the file, for the error.

    Raises:
        TlsError: The file cannot be read or holds no certificate.
    """
    certificates = _read_certificates(setting, path)
    return Validity(
        max(certificate.not_valid_before_utc.timestamp() for certificate in certificates),
        min(certificate.not_valid_after_utc.timestamp() for certificate in certificates),
    )


def load_identity(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Make a context show a certificate. One that is not valid now is loaded all the same.

    Args:
        context: What speaks TLS.
        cert_file: The certificate, followed by those of the authorities between (PEM).
        key_file: Its private key (PEM), not encrypted; may be the same file.

    Raises:
        TlsError: A file cannot be read or holds something else, or the two do not belong together.
    """
    _read_certificates("cert_file", cert_file)
    if _KEY_BEGINS not in _read("key_file", key_file):
        raise TlsError("key_file", key_file, "holds no private key in PEM form")
    try:
        # Without a function for the passphrase, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(cert_file, key_file, password=_refuse_to_ask)
    except _EncryptedKeyError:
        raise TlsError(
            "key_file", key_file, "is encrypted; accepted: a key without a passphrase"
        ) from None
    except ssl.SSLError as error:
        raise _identity_error(error, cert_file, key_file) from error
    except OSError as error:  # gone since it was read
        raise TlsError("key_file", key_file, f"cannot be read: {error.strerror}") from error


def load_authorities(context: ssl.SSLContext, setting: str, path: Path) -> None:
    """Make a context trust the authorities of a file.

    Args:
        context: What speaks TLS.
        setting: What names the file, for the error.
        path: The authorities' certificates (PEM).

    Raises:
        TlsError: The file cannot be read or holds no certificate.
    """
    _read_certificates(setting, path)
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise TlsError(setting, path, f"cannot be used: {in_words(error)}") from error


def client_context(
    *, ca_file: Path | None, cert_file: Path | None, key_file: Path | None, verify: bool
) -> ssl.SSLContext:
    """Return what speaks TLS towards a server.

    Args:
        ca_file: The authorities that are trusted (PEM); None for those of the system.
        cert_file: Our certificate (PEM); None shows none.
        key_file: Its private key (PEM); None where `cert_file` holds it.
        verify: Whether the server must show a valid certificate with the name that is called.

    Raises:
        TlsError: As `load_identity` and `load_authorities` raise it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        load_authorities(context, "ca_file", ca_file)
    else:
        context.load_default_certs()
    if cert_file is not None:
        load_identity(context, cert_file, key_file or cert_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def in_words(error: OSError) -> str:
    """Return what OpenSSL, or the system, says of an error, as `unsupported protocol`."""
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    if reason:
        return reason.replace("_", " ").lower()
    return error.strerror or type(error).__name__


class _EncryptedKeyError(Exception):
    """A passphrase was asked for."""


def _refuse_to_ask() -> NoReturn:
    raise _EncryptedKeyError


def _identity_error(error: ssl.SSLError, cert_file: Path, key_file: Path) -> TlsError:
    """Say which of two files, each of which looked right, is to blame."""
    if error.reason in _MISMATCHES:
        reason = f"does not belong to the first certificate in {cert_file}"
        return TlsError("key_file", key_file, reason)
    if error.library == "SSL" and error.reason:  # as a key that is too short
        return TlsError("cert_file", cert_file, f"is refused by OpenSSL: {in_words(error)}")
    return TlsError("key_file", key_file, "holds a private key that cannot be read")


def _read(setting: str, path: Path) -> bytes:
    try:
        content = read_beginning(path, MAX_PEM_OCTETS + 1)
    except FileError as error:
        raise TlsError(setting, path, error.reason) from error
    if len(content) > MAX_PEM_OCTETS:
        raise TlsError(setting, path, f"is longer than {MAX_PEM_OCTETS} bytes")
    return content


def _read_certificates(setting: str, path: Path) -> list[x509.Certificate]:
    from cryptography import x509  # noqa: PLC0415 - 8 MiB, of no use without certificates

    content = _read(setting, path)
    if _CERTIFICATE_BEGINS not in content:
        raise TlsError(setting, path, "holds no certificate in PEM form")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise TlsError(setting, path, "holds a certificate that cannot be read") from error


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
