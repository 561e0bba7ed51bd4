"""What a sink's answer means, and how long to wait before the next try."""

from __future__ import annotations

import enum
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

RETRIED = frozenset({408, 425, 429})
EVENTS_FAULT = frozenset({400, 422})
TOO_LARGE = 413

# 2 ** 63 times any delay is beyond every bound; more would only make the number larger.
MAX_DOUBLINGS = 63


class Outcome(enum.Enum):
    """What an answer means for the batch that was posted."""

    ACCEPTED = enum.auto()
    RETRY = enum.auto()  # the sink cannot take it now
    TOO_LARGE = enum.auto()  # a smaller batch may pass
    REFUSED = enum.auto()  # one of the events may be at fault
    PAUSE = enum.auto()  # no batch will pass until somebody mends the sink or the settings


class Verdict(NamedTuple):
    """What an answer means.

    Attributes:
        outcome: for the batch as a whole; with `items`, ACCEPTED if the sink took any of them.
        problem: what the sink said, for the operator; empty when all is well.
        retry_after: seconds the sink asks to wait; None if it does not.
        items: what it means for each event, where the sink answers for each; else None.
        culprit: position of the event that the sink finds at fault, where it says so.
        failed_store: how many events the sink took only to keep them apart as failed.
    """

    outcome: Outcome
    problem: str = ""
    retry_after: float | None = None
    items: tuple[Outcome, ...] | None = None
    culprit: int | None = None
    failed_store: int = 0


def read_status(status: int, headers: Mapping[str, str], body: str, *, now: float) -> Verdict:
    """Say what an answer means by its status alone.

    Args:
        status: of HTTP.
        headers: of the answer.
        body: of the answer, which the problem quotes.
        now: seconds since 1970.
    """
    outcome = classify(status)
    if outcome is Outcome.ACCEPTED:
        return Verdict(outcome)
    problem = f"{_named(status)}: {body}".removesuffix(": ")
    return Verdict(outcome, problem, retry_after(headers.get("Retry-After"), now=now))


def _named(status: int) -> str:
    """Return a status with its standard name; what the sink calls it could be anything."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def classify(status: int) -> Outcome:
    """Return what an HTTP status means (RFC 9110, section 15).

    Only 400, 413 and 422 can be an event's fault; every other final answer is the sink's.
    """
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    if status == TOO_LARGE:
        return Outcome.TOO_LARGE
    if status in EVENTS_FAULT:
        return Outcome.REFUSED
    if status in RETRIED or status >= 500:
        return Outcome.RETRY
    return Outcome.PAUSE


def retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    Args:
        value: the header, a number of seconds or an HTTP date; None if there was none.
        now: seconds since 1970.

    Returns:
        Seconds, not negative; None if there was no header or it cannot be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


class Backoff:
    """Exponential backoff with full jitter.

    The nth delay is drawn evenly from 0 to `initial` doubled n times, so that collectors that
    failed together do not come back together.

    Args:
        initial: upper limit of the first delay, in seconds.
        maximum: upper limit of every delay, in seconds, whatever the sink asks for.
        rng: source of the jitter.

    Attributes:
        maximum: may be lowered, as before a stop.
        failures: since the last success.
    """

    def __init__(self, initial: float, maximum: float, rng: random.Random) -> None:
        self.maximum = maximum
        self.failures = 0
        self._initial = initial
        self._rng = rng

    def fail(self, asked: float | None = None) -> float:
        """Count a failure and return the delay before the next try, in seconds.

        Args:
            asked: the delay that the sink asked for; it is kept up to the maximum.
        """
        ceiling = self._initial * 2 ** min(self.failures, MAX_DOUBLINGS)
        self.failures += 1
        delay = self._rng.uniform(0, min(ceiling, self.maximum))
        return delay if asked is None else min(max(asked, delay), self.maximum)

    def reset(self) -> None:
        """Begin again after a success."""
        self.failures = 0
