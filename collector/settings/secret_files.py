"""Secrets kept in files, as container secrets are."""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from collector.settings.files import FileError, read_beginning

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECRET_LENGTH = 4096
"""Characters of a secret. Tokens run to about 2,000; what is longer is another file."""


MAX_CREDENTIALS_OCTETS = 64 * 1024
"""Octets of a file of credentials. A JWT takes one or two KiB; it may list many permissions."""


# A seed of a NATS user in octets (github.com/nats-io/nkeys): what it is, the seed, a checksum.
_USER_SEED: Final = bytes([18 << 3 | 20 >> 2, (20 & 3) << 6])
_SEED_OCTETS: Final = 2 + 32 + 2


class Credentials(NamedTuple):
    """Who a NATS user is.

    Attributes:
        jwt: what an account says of the user.
        seed: of the user's key.
    """

    jwt: str
    seed: str

    def span(self) -> tuple[float, float | None]:
        """Return from when until when the JWT is valid, in seconds since 1970.

        None is no end. What cannot be read of it counts as not said; only servers can say whether
        it is good.
        """
        try:
            part = self.jwt.split(".")[1]
            claims = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            return float(claims.get("nbf") or 0), float(claims.get("exp") or 0) or None
        except (LookupError, ValueError, TypeError, AttributeError):
            return 0.0, None


class SecretFileError(FileError):
    """A file that holds no usable secret; the text is never part of the reason."""


def read_secret(path: Path) -> str:
    """Read the secret a file holds.

    Args:
        path: A regular file with one line of UTF-8 text; a relative path starts at the working
            directory of the process.

    Returns:
        The line without its line end.

    Raises:
        SecretFileError: The file is missing, unreadable, no regular file, empty, longer than
            `MAX_SECRET_LENGTH` or holds control characters, as a second line would bring.
    """
    try:
        content = read_beginning(path, 4 * MAX_SECRET_LENGTH + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except FileError as error:
        raise SecretFileError(path, error.reason) from error
    except UnicodeDecodeError:
        # Not chained: the exception carries the content.
        raise SecretFileError(path, "is not UTF-8") from None
    if flaw := secret_flaw(secret):
        raise SecretFileError(path, flaw)
    return secret


def read_credentials(path: Path) -> Credentials:
    """Read the credentials of a NATS user (docs.nats.io, "Credentials").

    Args:
        path: A regular file as nsc writes it, with line ends of either kind.

    Returns:
        The JWT, which is not decoded, and the seed of its key.

    Raises:
        SecretFileError: The file is missing, unreadable, no regular file, longer than
            `MAX_CREDENTIALS_OCTETS`, or does not hold both; or the seed is damaged.
    """
    try:
        content = read_beginning(path, MAX_CREDENTIALS_OCTETS + 1)
        text = content.decode("ascii")
    except FileError as error:
        raise SecretFileError(path, error.reason) from error
    except UnicodeDecodeError:
        # Not chained: the exception carries the content.
        raise SecretFileError(path, "is not ASCII") from None
    if len(content) > MAX_CREDENTIALS_OCTETS:
        raise SecretFileError(path, f"is longer than {MAX_CREDENTIALS_OCTETS} octets")
    jwt, seed = _behind("BEGIN NATS USER JWT", text), _behind("BEGIN USER NKEY SEED", text)
    if not jwt or not seed:
        raise SecretFileError(path, "holds no JWT with the seed of its key")
    if not _is_user_seed(seed):
        raise SecretFileError(path, "holds a seed that cannot be read")
    return Credentials(jwt, seed)


def _is_user_seed(text: str) -> bool:
    try:
        octets = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return False
    checksum = binascii.crc_hqx(octets[:-2], 0).to_bytes(2, "little")
    return (
        len(octets) == _SEED_OCTETS and octets.startswith(_USER_SEED) and octets.endswith(checksum)
    )


def _behind(mark: str, content: str) -> str:
    """Return the line behind the one that holds a mark."""
    found = re.search(rf"^-+{mark}-+[ \t\r]*\n([\w.=-]+)[ \t\r]*$", content, re.MULTILINE)
    return found[1] if found else ""


def secret_flaw(secret: str) -> str | None:
    """Say why a text cannot be a secret.

    Args:
        secret: A key, password, token or header value.

    Returns:
        What is wrong, without the text itself, or None when it can be used.
    """
    if not secret:
        return "is empty"
    if len(secret) > MAX_SECRET_LENGTH:
        return f"is longer than {MAX_SECRET_LENGTH} characters"
    if any(unicodedata.category(character) == "Cc" for character in secret):
        return "holds a line break or another control character"
    return None
