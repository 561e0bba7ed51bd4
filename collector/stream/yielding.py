"""Members whose settings differ in whether a sink's messages are to stay in order.

They share its consumer, and one that has the servers hand out one message at a time is to be sure
of it: order that is lost cannot be mended, and speed can wait. So those that want more leave the
consumer as such a member has made it. None of them hears when the last of those is gone, as in the
course of a change of `concurrency` from 1 to more, one member after the other. So after a while
they try to have more: if that is undone, such a member lives, and they wait for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

YIELDING_SECONDS: Final = 60.0
"""For how long order is left as it is before somebody tries to have more, the first time."""

LONGEST_SECONDS: Final = 3600.0
"""The same at most: twice as long each time."""

_AT_ONCE: Final = "max_ack_pending"


class Concession:
    """A consumer as this member may have it.

    Args:
        wanted: as its settings want it, in the form of the API.

    Attributes:
        settings: as it is to be made now.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.settings = wanted
        self._wanted = wanted
        self._since: float | None = None
        self._patience = YIELDING_SECONDS
        self._raised = float("-inf")

    @property
    def is_needed(self) -> bool:
        """Whether this member would have to yield."""
        return bool(self._wanted[_AT_ONCE] > 1)

    def learn(self, found: Mapping[str, Any], now: float) -> None:
        """Take in how the consumer is.

        Args:
            found: in the form of the API; empty where there is none.
            now: in seconds.
        """
        self.settings = self._wanted
        if not self.is_needed or found.get(_AT_ONCE) != 1:
            self._since = None
            if now - self._raised > self._patience:
                self._patience = YIELDING_SECONDS
            return
        if self._since is None:
            self._since = now
        if now - self._since < self._patience:
            self.settings = {**self._wanted, _AT_ONCE: 1}
            return
        self._since, self._raised = None, now
        self._patience = min(2 * self._patience, LONGEST_SECONDS)
