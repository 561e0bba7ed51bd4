"""How many messages are taken in a second: by an intake, or by somebody who watches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collector.board import Column


class Limit(Protocol):
    """Bounds how many messages are taken."""

    def admit(self, now: float) -> bool:
        """Say whether one more message is within the bound; `now` is in seconds."""


class TokenBucket:
    """Admits `rate` messages a second; what one second allows may come at once.

    Args:
        rate: messages per second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._filled = 0.0

    def admit(self, now: float) -> bool:
        """Say whether one more message is within the rate.

        Args:
            now: seconds; a clock that goes back adds nothing and goes on from there.
        """
        passed = max(0.0, now - self._filled)
        self._filled = now
        self._tokens = min(self._rate, self._tokens + passed * self._rate)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class SharedLimit:
    """Admits what is granted to all workers together.

    They look at the same numbers: what several admit at the same moment may be more than is
    granted, by less than one message each, and is made up for by what is granted next.

    Args:
        admitted: how many messages each worker has admitted.
        granted: how many all may have admitted, as `Grant` says it.
    """

    def __init__(self, admitted: Column, granted: Column) -> None:
        self._admitted = admitted
        self._granted = granted

    def admit(self, now: float) -> bool:  # noqa: ARG002 - time passes where it is granted
        """Say whether one more message is granted."""
        if self._admitted.total() >= self._granted.total():
            return False
        self._admitted.add(1)
        return True


class Grant:
    """Grants `rate` messages a second to all workers; what one second allows may come at once.

    Args:
        rate: messages per second.
        admitted: how many messages each worker has admitted.
        granted: how many all may have admitted; written here alone.
        now: seconds.
    """

    def __init__(self, rate: float, admitted: Column, granted: Column, now: float) -> None:
        self._rate = rate
        self._admitted = admitted
        self._granted = granted
        self._filled = now
        self._level = admitted.total() + rate
        self.fill(now)

    def fill(self, now: float) -> None:
        """Grant what the time since the last call allows.

        Args:
            now: seconds; a clock that goes back adds nothing and goes on from there.
        """
        passed = max(0.0, now - self._filled)
        self._filled = now
        highest = self._admitted.total() + self._rate
        self._level = min(highest, self._level + passed * self._rate)
        self._granted.value = int(self._level)
