"""Secrets kept in files, as container secrets are."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from collector.settings.files import FileError, read_beginning

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECRET_LENGTH = 4096
"""Characters of a secret. Tokens run to about 2,000; what is longer is another file."""


MAX_CREDENTIALS_OCTETS = 64 * 1024
"""Octets of a file of credentials. A JWT takes one or two KiB; it may list many permissions."""


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


def read_credentials(path: Path) -> tuple[str, str]:
    """Read the credentials of a NATS user (docs.nats.io, "Credentials").

    Args:
        path: A regular file as nsc writes it, with line ends of either kind.

    Returns:
        The JWT and the seed of its key; neither is decoded.

    Raises:
        SecretFileError: The file is missing, unreadable, no regular file, longer than
            `MAX_CREDENTIALS_OCTETS`, or does not hold both.
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
    return jwt, seed


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
