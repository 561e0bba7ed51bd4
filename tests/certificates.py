"""Certificates for tests: authorities, and what they sign, as PEM files.

Keys are of elliptic curves, so that making them takes no time worth sharing them for.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

SERVER_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Issued:
    """A certificate and its key.

    Attributes:
        cert_file: the certificate, then those of intermediate authorities.
        key_file: its private key.
    """

    cert_file: Path
    key_file: Path

    @property
    def combined_file(self) -> Path:
        """Key and certificates in one file, as HAProxy wants them."""
        file = self.cert_file.with_suffix(".combined.pem")
        file.write_bytes(self.key_file.read_bytes() + self.cert_file.read_bytes())
        return file

    def encrypted_key_file(self, password: str) -> Path:
        """The key, encrypted."""
        key = load_pem_private_key(self.key_file.read_bytes(), None)
        file = self.key_file.with_suffix(".encrypted.pem")
        encryption = BestAvailableEncryption(password.encode())
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return file


class Authority:
    """A certification authority: nothing that another one signed is valid to it.

    Args:
        directory: where the files are put.
        name: how they are named; one for each authority in a directory.
        parent: who vouches for it, so that what it issues comes with a chain; None for nobody.

    Attributes:
        ca_file: the certificate of the authority at the root.
    """

    def __init__(
        self, directory: Path, name: str = "ca", parent: "Authority | None" = None
    ) -> None:
        self._directory = directory
        self._name = name
        if parent is not None:
            self._authority = parent._authority.create_child_ca()
            self.ca_file = parent.ca_file
        else:
            self._authority = trustme.CA(organization_name=name)
            self.ca_file = directory / f"{name}.pem"
            self._authority.cert_pem.write_to_path(self.ca_file)

    def server(self, name: str = "server") -> Issued:
        """Issue what a server on this machine needs."""
        return self.issue(*SERVER_NAMES, name=name)

    def issue(
        self,
        *names: str,
        name: str,
        common_name: str | None = None,
        valid_days: tuple[float, float] = (-1, 365),
    ) -> Issued:
        """Issue a certificate, fit for a server and for a client.

        Args:
            names: its subject alternative names: host names and IP addresses.
            name: how its files are named; one that was issued before is replaced.
            common_name: its CN; alone, without names, an old-fashioned certificate.
            valid_days: from when until when it is valid, in days from now.
        """
        now = datetime.now(UTC)
        begin, end = (now + timedelta(days=days) for days in valid_days)
        issued = self._authority.issue_cert(
            *names, common_name=common_name, not_before=begin, not_after=end
        )
        files = Issued(
            cert_file=self._directory / f"{self._name}-{name}.pem",
            key_file=self._directory / f"{self._name}-{name}-key.pem",
        )
        files.cert_file.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        files.key_file.write_bytes(issued.private_key_pem.bytes())
        return files

    def expired(self, *names: str, name: str = "expired") -> Issued:
        """Issue a certificate that was valid until yesterday."""
        return self.issue(*names, name=name, valid_days=(-30, -1))

    def not_yet_valid(self, *names: str, name: str = "not-yet-valid") -> Issued:
        """Issue a certificate that is valid from tomorrow."""
        return self.issue(*names, name=name, valid_days=(1, 30))
