"""What unfinished messages hold in memory, over all connections, and its bound."""

from __future__ import annotations

from typing import Protocol

from collector.listeners.reasons import MAX_BUFFERED_BYTES


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

    Args:
        bound: octets that all may hold together.

    Attributes:
        octets: what all hold.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.octets = 0
        self._holders: dict[Holder, int] = {}  # in the order in which they began to hold

    def hold(self, holder: Holder, octets: int) -> None:
        """Note what a connection holds now; 0 for one that holds nothing or is gone."""
        self.octets += octets - self._holders.get(holder, 0)
        if octets:
            self._holders[holder] = octets
        else:
            self._holders.pop(holder, None)
        while self.octets > self.bound and self._holders:
            self._end_one()

    def begin_anew(self, holder: Holder, octets: int) -> None:
        """Note what a connection holds of another message than before."""
        self.hold(holder, 0)
        self.hold(holder, octets)

    def _end_one(self) -> None:
        enough = self.octets / len(self._holders) / 2
        oldest = next(holder for holder, octets in self._holders.items() if octets >= enough)
        self.octets -= self._holders.pop(oldest)
        oldest.evict(MAX_BUFFERED_BYTES)
