"""Secrets kept in files, as container secrets are."""

from __future__ import annotations

import stat
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECRET_LENGTH = 4096
"""Characters of a secret. Tokens run to about 2,000; what is longer is another file."""


class SecretFileError(Exception):
    """A file that holds no usable secret.

    Attributes:
        path: The file.
        reason: What is wrong with it, as "cannot be read: …" or "is empty".
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


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
        if not stat.S_ISREG(path.stat().st_mode):
            raise SecretFileError(path, "is not a regular file")
        with path.open("rb") as file:
            content = file.read(4 * MAX_SECRET_LENGTH + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SecretFileError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Not chained: the exception carries the content.
        raise SecretFileError(path, "is not UTF-8") from None
    except ValueError as error:  # as a name with a null character
        raise SecretFileError(path, "is no file name") from error
    if flaw := secret_flaw(secret):
        raise SecretFileError(path, flaw)
    return secret


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
