"""How many requests a sink is given at once: as many as it answers as fast as usual.

Additive increase, multiplicative decrease, as in TCP and in Vector's adaptive request concurrency
(https://vector.dev/blog/adaptive-request-concurrency/): the limit grows while answers take as long
as they did, and shrinks when the sink pushes back or answers much more slowly. A sink that comes
back after an outage is met by one request at first.
"""

from __future__ import annotations

# After a push-back, and where answers become slow. The latter may have other reasons.
PUSHED_BACK_RATIO = 0.5
SLOW_RATIO = 0.9

# What makes an answer slow: so many deviations above the usual, at least half of the usual and
# some milliseconds, which are the noise of two busy machines.
DEVIATIONS = 2.5
SLOW_SHARE = 0.5
NOISE_SECONDS = 0.02

# The weight of a new round in what is usual.
WEIGHT = 0.4


class Latency:
    """What is usual: moving averages of the latency and of its deviation, in seconds."""

    def __init__(self) -> None:
        self.usual = 0.0
        self._deviation = 0.0
        self._is_known = False

    def is_slow(self, seconds: float) -> bool:
        """Say whether an answer took well longer than is usual."""
        margin = max(DEVIATIONS * self._deviation, SLOW_SHARE * self.usual, NOISE_SECONDS)
        return self._is_known and seconds > self.usual + margin

    def learn(self, seconds: float) -> None:
        """Take an observation into the averages."""
        if not self._is_known:
            self._is_known = True
            self.usual = seconds
            return
        difference = seconds - self.usual
        self.usual += WEIGHT * difference
        self._deviation += WEIGHT * (abs(difference) - self._deviation)


class Limiter:
    """The limit of requests in flight for one sink.

    Answers are judged in rounds, each as long as an answer usually takes. The limit begins at 1 and
    doubles with each round until it first has to shrink; from then on a round adds 1. It grows only
    if it was what held requests back. Moments are seconds of any clock that only goes forward.

    Args:
        maximum: never more than this.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._exact = 1.0
        self._latency = Latency()
        self._is_new = True
        self._shrunk_at = 0.0
        self._round_began = 0.0
        self._seconds = 0.0
        self._answers = 0
        self._most_in_flight = 0

    @property
    def limit(self) -> int:
        """How many requests may be in flight, at least 1."""
        return int(self._exact)

    def began(self, in_flight: int) -> None:
        """Note that a request was begun, which is one of so many in flight."""
        self._most_in_flight = max(self._most_in_flight, in_flight)

    def accepted(self, *, sent: float, now: float) -> None:
        """Note an acceptance, and judge the round if it is over.

        Args:
            sent: when the request was begun.
            now: when it was answered.
        """
        self._seconds += now - sent
        self._answers += 1
        if now - self._round_began < self._latency.usual:
            return
        mean = self._seconds / self._answers
        if self._latency.is_slow(mean):
            self._shrink(SLOW_RATIO, now)
        elif self._most_in_flight >= self.limit:
            self._grow()
        self._latency.learn(mean)
        self._begin_round(now)

    def pushed_back(self, *, sent: float, now: float) -> None:
        """Note that the sink would not take a request, or gave no answer.

        Requests that were under way together count once.
        """
        if sent >= self._shrunk_at:
            self._shrink(PUSHED_BACK_RATIO, now)

    def _begin_round(self, now: float) -> None:
        self._round_began = now
        self._seconds = 0.0
        self._answers = 0
        self._most_in_flight = 0

    def _grow(self) -> None:
        larger = self._exact * 2 if self._is_new else self._exact + 1
        self._exact = min(larger, float(self._maximum))

    def _shrink(self, ratio: float, now: float) -> None:
        self._is_new = False
        self._shrunk_at = now
        self._exact = max(1.0, self._exact * ratio)
