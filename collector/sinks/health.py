"""Whether a sink takes what it is sent, and when to try again if it does not."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from collector.logs import Reports
from collector.sinks.retry import Outcome

if TYPE_CHECKING:
    from collector.metrics import SinkStats
    from collector.sinks.exchange import Answer
    from collector.sinks.retry import Backoff, Verdict

# One failure may be a moment's: only another, of a probe, says that the sink is failing.
CONFIRMING_FAILURES = 2

log = structlog.get_logger(__name__)


class Health:
    """The state of one sink.

    Args:
        backoff: how long it is left alone after each failure.
        stats: counters of the sink.

    Attributes:
        up: whether the newest answer was an acceptance, or there was none yet.
        problem: the newest answer that was a failure, with what the sink said; empty while up.
        paused: whether it refuses what we are, not what we sent: somebody has to do something.
        epoch: how many failures there have been; those of requests under way together are one.
    """

    def __init__(self, backoff: Backoff, stats: SinkStats) -> None:
        self._backoff = backoff
        self._stats = stats
        self._reports = Reports(log)
        self._reported = ""
        self._retry_at = 0.0
        self._hurried = asyncio.Event()
        self.up = True
        self.epoch = 0
        self.problem = ""
        self.paused = False
        self._code = ""

    @property
    def failing(self) -> bool:
        """Whether it failed, and a probe after that failed too."""
        return self._backoff.failures >= CONFIRMING_FAILURES

    @property
    def reason(self) -> str:
        """What anybody may know of the problem: nothing that the sink said; empty while up."""
        if self.up:
            return ""
        if not self._code.isdigit():
            return f"no answer: {self._code}"
        is_partial = self._code.startswith("2")
        return f"HTTP {self._code}" + (", but events were not taken" if is_partial else "")

    def probe_in(self) -> float:
        """Return in how many seconds the next probe is due."""
        return max(0.0, self._retry_at - asyncio.get_running_loop().time())

    async def probe_due(self) -> None:
        """Wait until the next probe is due."""
        loop = asyncio.get_running_loop()
        while loop.time() < self._retry_at:
            self._hurried.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._retry_at):
                    await self._hurried.wait()

    def hurry(self, maximum: float) -> None:
        """Have a probe due now, and from now on at most `maximum` seconds after a failure."""
        self._backoff.maximum = min(self._backoff.maximum, maximum)
        self.try_now()

    def try_now(self) -> None:
        """Have a probe due now: what was in the way may be gone."""
        self._retry_at = 0.0
        self._hurried.set()

    def succeed(self) -> None:
        """Note an acceptance."""
        if self.up:
            return
        if self._reported:
            self._reported = ""
            log.info("sink accepts again", sink=self._stats.name, failures=self._backoff.failures)
        self.up = self._stats.up = True
        self.paused = self._stats.paused = False
        self._stats.down_since = None
        self.problem = ""
        self._backoff.reset()

    def fail(self, answer: Answer, *, epoch: int, now: float) -> None:
        """Note a failure of a request that was sent in `epoch`.

        Requests that were under way together fail together and count once.

        Args:
            answer: what came of the request.
            epoch: the one in which it was sent.
            now: seconds of the event loop's clock.
        """
        if epoch != self.epoch:
            return
        self.epoch += 1
        delay = self._backoff.fail(answer.verdict.retry_after)
        self._retry_at = now + delay
        if self.up:
            self._stats.down_since = time.time()
        self.up = self._stats.up = False
        self.paused = self._stats.paused = not _comes_back(answer.verdict)
        self.problem = answer.verdict.problem
        self._code = answer.code
        if self.problem != self._reported:
            self._report(delay)

    def _report(self, delay: float) -> None:
        """Log a new problem; a sink that comes and goes is not logged each time."""
        if not self.paused:
            report, event = self._reports.warning, "sink failing, its batches wait"
        else:
            report, event = self._reports.error, "sink paused until it accepts a probe"
        seconds = round(delay, 3)
        if report(
            event, event, sink=self._stats.name, problem=self.problem, next_try_seconds=seconds
        ):
            self._reported = self.problem


def _comes_back(verdict: Verdict) -> bool:
    """Say whether a sink that has failed so may take everything without anybody's doing."""
    if verdict.outcome is Outcome.ACCEPTED:
        return Outcome.PAUSE not in (verdict.items or ())
    return verdict.outcome is Outcome.RETRY
