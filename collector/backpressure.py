"""The gate between the spool and the listeners: closed while there is no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Pausable(Protocol):
    """What reads from the network and can stop doing so."""

    def pause(self) -> None:
        """Stop reading; what senders have sent waits in the kernel."""

    def resume(self) -> None:
        """Read again."""


class Gate:
    """Stops every reader while closed.

    Closing and opening are idempotent. A reader that joins while the gate is closed is paused.
    """

    def __init__(self) -> None:
        self.closed = False
        self._readers: list[Pausable] = []

    def join(self, readers: Iterable[Pausable]) -> None:
        """Add readers that follow the gate from now on."""
        for reader in readers:
            self._readers.append(reader)
            if self.closed:
                reader.pause()

    def close(self) -> None:
        """Pause every reader."""
        if not self.closed:
            self.closed = True
            for reader in self._readers:
                reader.pause()

    def open(self) -> None:
        """Resume every reader."""
        if self.closed:
            self.closed = False
            for reader in self._readers:
                reader.resume()
