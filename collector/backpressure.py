"""Gates between the spool and the listeners: closed while there is no room.

Every listener follows the spool's own gate. The gate of one sink's share stops those readers only
whose messages went to that sink: they wait for it (`Waiting`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Pausable(Protocol):
    """What reads from the network and can stop doing so."""

    def pause(self) -> None:
        """Stop reading; what senders have sent waits in the kernel."""

    def resume(self) -> None:
        """Read again."""


class Gate:
    """Stops every reader that has joined while closed, and lets others wait until it opens.

    Closing and opening are idempotent. A reader that joins while the gate is closed is paused.
    """

    def __init__(self) -> None:
        self.closed = False
        self._readers: list[Pausable] = []
        self._waiting: dict[Callable[[], None], None] = {}

    def join(self, readers: Iterable[Pausable]) -> None:
        """Add readers that follow the gate from now on."""
        for reader in readers:
            self._readers.append(reader)
            if self.closed:
                reader.pause()

    def leave(self, reader: Pausable) -> None:
        """Leave a reader alone from now on."""
        self._readers.remove(reader)

    def when_open(self, callback: Callable[[], None]) -> None:
        """Call back once, when the gate opens; at once if it is open."""
        if self.closed:
            self._waiting[callback] = None
        else:
            callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Do not call back after all."""
        self._waiting.pop(callback, None)

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
            waiting, self._waiting = self._waiting, {}
            for callback in waiting:
                callback()
            for reader in self._readers:
                reader.resume()


class Waiting:
    """The gates that one reader waits for before it reads on; true while there is one.

    Args:
        go_on: called when the last of them has opened.
    """

    def __init__(self, go_on: Callable[[], None]) -> None:
        self._go_on = go_on
        self._gates: set[Gate] = set()

    def __bool__(self) -> bool:
        return bool(self._gates)

    def add(self, gates: Iterable[Gate]) -> None:
        """Wait for these gates too, as far as they are closed."""
        for gate in gates:
            if gate.closed and gate not in self._gates:
                self._gates.add(gate)
                gate.when_open(self._look)

    def end(self) -> None:
        """Wait no more, and do not go on either: the reader is gone."""
        for gate in self._gates:
            gate.forget(self._look)
        self._gates.clear()
        self._go_on = _stay

    def _look(self) -> None:
        self._gates = {gate for gate in self._gates if gate.closed}
        if not self._gates:
            self._go_on()


def _stay() -> None:
    """Do not go on."""
