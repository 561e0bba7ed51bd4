"""What unfinished messages hold in memory, over all connections, and its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from collector.listeners.reasons import MAX_BUFFERED_BYTES

if TYPE_CHECKING:
    from collector.board import Column


class Holder(Protocol):
    """A connection that holds part of a message."""

    def evict(self, reason: str) -> None:
        """Break the connection off, counted as rejected for this reason; it lets go at once."""


class Buffers:
    """Counts what connections hold, and ends some where that is too much.

    It ends those whose message has been unfinished for the longest, of those that hold at least
    half of the mean: a sender that means well is done with a large message soon, and ending one
    that holds little would not help. Were it the whole mean, a crowd that holds the same each would
    be spared as soon as one message is larger.

    Several processes keep the bound together: one that holds more than its part ends connections
    while all hold too much. One that has stayed below its part need not look while the others
    grow, so that for a moment all may hold up to twice the bound.

    Args:
        bound: octets that all may hold together.
        shared: where each process says what it holds; by default there is one process.
        processes: how many there are.

    Attributes:
        octets: what all of this process hold.
    """

    def __init__(self, bound: int, shared: Column | None = None, processes: int = 1) -> None:
        self.bound = bound
        self.octets = 0
        self._shared = shared
        self._processes = processes
        if shared is not None:
            shared.value = 0  # what the process before this one held is gone
        self._holders: dict[Holder, int] = {}  # in the order in which they began to hold

    def hold(self, holder: Holder, octets: int) -> None:
        """Note what a connection holds now; 0 for one that holds nothing or is gone."""
        self.octets += octets - self._holders.get(holder, 0)
        if octets:
            self._holders[holder] = octets
        else:
            self._holders.pop(holder, None)
        self.keep_bound()

    def begin_anew(self, holder: Holder, octets: int) -> None:
        """Note what a connection holds of another message than before."""
        self.hold(holder, 0)
        self.hold(holder, octets)

    def keep_bound(self) -> None:
        """End connections while there is too much and some of it is ours to end."""
        while self._is_too_much() and self._holders:
            self._end_one()
        if self._shared is not None:
            self._shared.value = self.octets

    def _is_too_much(self) -> bool:
        if self._shared is None:
            return self.octets > self.bound
        others = self._shared.total() - self._shared.value
        return self.octets + others > self.bound and self.octets * self._processes > self.bound

    def _end_one(self) -> None:
        enough = self.octets / len(self._holders) / 2
        oldest = next(holder for holder, octets in self._holders.items() if octets >= enough)
        self.octets -= self._holders.pop(oldest)
        oldest.evict(MAX_BUFFERED_BYTES)
