"""Files that settings refer to: what is read of them, and why one cannot be read."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class FileError(Exception):
    """A file that cannot be used.

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


def read_beginning(path: Path, octets: int) -> bytes:
    """Read the beginning of a file.

    Args:
        path: A regular file; a relative path starts at the working directory of the process.
        octets: How much is read at most.

    Raises:
        FileError: The file is missing, unreadable, or no regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise FileError(path, "is not a regular file")
        with path.open("rb") as file:
            return file.read(octets)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # as a name with a null character
        raise FileError(path, "is no file name") from error
