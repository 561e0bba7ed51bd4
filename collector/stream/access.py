"""What the servers want before they let us in: who we are, and TLS. Files are read each time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import RawCredentials

from collector import certificates
from collector.config import SpoolTls
from collector.settings.secret_files import read_credentials, read_secret

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from collector.config import SpoolSettings

# What the name of a user may have, and no token of a subject.
_NO_TOKEN: Final = re.compile(r"[^A-Za-z0-9_-]")

_CREDENTIALS: Final = """\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------
-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


def credentials(settings: SpoolSettings) -> dict[str, Any]:
    """Return who we are, as options of nats-py's `connect`; the files are read now.

    Raises:
        FileError: a file cannot be read or holds something else; nothing of it is in the text.
    """
    if settings.credentials_file is not None:
        return {"user_credentials": _user_credentials(settings.credentials_file)}
    if settings.user is not None and settings.password_file is not None:
        return {"user": settings.user, "password": read_secret(settings.password_file)}
    if settings.token_file is not None:
        return {"token": read_secret(settings.token_file)}
    return {}


def inbox_prefix(settings: SpoolSettings) -> str:
    """Return what the subjects of answers to us begin with.

    A user has inboxes of its own, so that one may be permitted to hear its answers alone: the
    batches that go to deliverers are answers, too.
    """
    if settings.user is None:
        return "_INBOX"
    return f"_INBOX.{_NO_TOKEN.sub('_', settings.user)}"


def tls_context(settings: SpoolSettings, url: str) -> ssl.SSLContext | None:
    """Return what speaks TLS towards a server; None where settings do not ask for it.

    Args:
        settings: of the spool.
        url: of the server.

    Raises:
        TlsError: a file cannot be read or holds something else.
    """
    tls = settings.tls
    if tls is None and not url.startswith("tls://"):
        return None
    tls = tls or SpoolTls()
    return certificates.client_context(
        ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file, verify=True
    )


def _user_credentials(path: Path) -> RawCredentials:
    """Return the JWT and the seed of a file, found to be there.

    nats-py reads a file without a JWT for ever, what it raises of a broken seed is of many kinds,
    and it does not look at the checksum.
    """
    jwt, seed = read_credentials(path)
    return RawCredentials(_CREDENTIALS.format(jwt=jwt, seed=seed))
