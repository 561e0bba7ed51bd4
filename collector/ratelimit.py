"""How many messages an intake takes in a second."""

from __future__ import annotations


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
