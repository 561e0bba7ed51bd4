"""Posts batches to an HTTP endpoint until it has them.

Several workers each take a batch, post it and act on the answer (`retry.classify`). A failing
sink is probed: one worker at a time waits out the backoff and posts, the others wait for it, so
that a sink that comes back is not overrun.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import structlog

from collector.logs import Reports
from collector.settings.secret_files import SecretFileError
from collector.sinks.credentials import mask, request_headers, secrets_of
from collector.sinks.encoders import halve
from collector.sinks.retry import Backoff, Outcome, classify, retry_after

if TYPE_CHECKING:
    import random

    from collector.config import SinkSettings
    from collector.metrics import SinkStats
    from collector.spool import Batch, Spool

# An answer is read to its end so that the connection can be used again; a longer one is not
# worth that and costs its connection.
MAX_ANSWER_BYTES = 64 * 1024
SHOWN_CHARS = 240

# Octets of a batch before compression, until the sink has said 413. What was learned is forgotten
# little by little, as sinks change and one large event says little of the others: after this many
# accepted requests twice as much is tried.
UNLIMITED = 1 << 62
GROWTH_INTERVAL = 16

# The longest wait for a failing sink while the daemon stops: a grace period is some seconds.
HURRIED_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request.

    Attributes:
        outcome: what it means for the batch.
        code: the status as text, or `timeout` or `error` where there was none.
        problem: what went wrong, for the operator; empty when accepted.
        retry_after: seconds the sink asks to wait; None if it does not.
    """

    outcome: Outcome
    code: str
    problem: str
    retry_after: float | None = None


class Health:
    """Whether a sink takes what it is sent, and when to try again if it does not.

    `problem` is the newest answer that was no acceptance, with what the sink said; `code` is what
    anybody may see of it. A problem that is over is empty.
    """

    def __init__(self, backoff: Backoff, stats: SinkStats) -> None:
        self._backoff = backoff
        self._stats = stats
        self._reports = Reports(log)
        self._reported = ""
        self._retry_at = 0.0
        self._hurried = asyncio.Event()
        self.epoch = 0
        self.problem = ""
        self.code = ""

    @property
    def up(self) -> bool:
        """Whether the newest answer was an acceptance, or there was none yet."""
        return not self.problem

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
        self._retry_at = 0.0
        self._hurried.set()

    def succeed(self) -> None:
        """Note an acceptance."""
        if self.up:
            return
        if self._reported:
            self._reported = ""
            log.info("sink accepts again", sink=self._stats.name, failures=self._backoff.failures)
        self.problem = ""
        self._stats.up = True
        self._backoff.reset()

    def fail(self, answer: Answer, *, epoch: int, now: float) -> None:
        """Note a failure of a request that was sent in `epoch`.

        Requests that were under way together fail together and count once.
        """
        if epoch != self.epoch:
            return
        self.epoch += 1
        delay = self._backoff.fail(answer.retry_after)
        self._retry_at = now + delay
        self.problem = answer.problem
        self.code = answer.code
        self._stats.up = False
        if answer.problem != self._reported:
            self._report(answer, delay)

    def _report(self, answer: Answer, delay: float) -> None:
        """Log a new problem; a sink that comes and goes is not logged each time."""
        if answer.outcome is Outcome.RETRY:
            report, event = self._reports.warning, "sink failing, its batches wait"
        else:
            report, event = self._reports.error, "sink paused until it accepts a probe"
        seconds = round(delay, 3)
        if report(
            event, event, sink=self._stats.name, problem=answer.problem, next_try_seconds=seconds
        ):
            self._reported = answer.problem


class HttpSink:
    """Delivers one sink's batches from the spool.

    Only 400, 413 and 422 can be an event's fault. A batch answered so is halved until the refused
    event stands alone. That one is postponed and tried again: after a backoff, or as soon as the
    sink accepts another. It is buried when it is refused once more after such an acceptance, so
    that nothing is buried while the sink refuses all.

    Args:
        settings: the sink's settings.
        spool: where its batches wait.
        session: HTTP client, which knows time-out and certificates.
        rng: source of jitter.
        stats: counters of this sink.
    """

    def __init__(
        self,
        settings: SinkSettings,
        *,
        spool: Spool,
        session: aiohttp.ClientSession,
        rng: random.Random,
        stats: SinkStats,
    ) -> None:
        retry = settings.retry
        self.name = settings.name
        self.health = Health(Backoff(retry.initial, retry.max, rng), stats)
        self._settings = settings
        self._headers = request_headers(settings)
        self._spool = spool
        self._session = session
        self._stats = stats
        self._reports = Reports(log)
        self._probing = asyncio.Lock()
        self._limit = UNLIMITED
        self._accepted = 0
        self._suspects: dict[Batch, asyncio.TimerHandle] = {}
        self._suspect_backoff = Backoff(retry.initial, retry.max, rng)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._settings.concurrency):
                workers.create_task(self._work())

    def hurry(self) -> None:
        """Make the most of the time before a stop: wait less for a sink that fails."""
        self.health.hurry(HURRIED_SECONDS)
        self._try_suspects()

    async def _work(self) -> None:
        while True:
            parts = [await self._spool.take(self.name)]
            while parts:
                batch = parts.pop()
                if batch.octets > self._limit and batch.events > 1:
                    parts += self._halves(batch)
                else:
                    answer = await self._send(batch)
                    parts += self._settle(batch, answer)

    async def _send(self, batch: Batch) -> Answer:
        """Post a batch; while the sink fails, wait for the turn to probe."""
        if self.health.up:
            return await self._post(batch)
        async with self._probing:
            if not self.health.up:
                await self.health.probe_due()
                self._refresh_headers()
            return await self._post(batch)

    def _refresh_headers(self) -> None:
        """Read the credentials again: a token that was refused may have been replaced since."""
        try:
            self._headers = request_headers(self._settings)
        except SecretFileError as error:
            self._reports.warning(
                "credentials",
                "credentials cannot be read, the last ones are used",
                sink=self.name,
                problem=str(error),
            )

    async def _post(self, batch: Batch) -> Answer:
        epoch = self.health.epoch
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._stats.in_flight += 1
        try:
            answer = await self._request(batch)
        finally:
            self._stats.in_flight -= 1
        now = loop.time()
        self._stats.requests[answer.code] += 1
        self._stats.request_seconds.observe(now - started)
        self._judge(batch, answer, epoch=epoch, now=now)
        return answer

    async def _request(self, batch: Batch) -> Answer:
        headers = dict(self._headers)
        if batch.codec != "none":
            headers["Content-Encoding"] = batch.codec
        try:
            async with self._session.post(
                self._settings.url, data=batch.body, headers=headers, allow_redirects=False
            ) as response:
                return await self._read(response)
        except TimeoutError:
            return Answer(Outcome.RETRY, "timeout", "no answer in time")
        except aiohttp.ClientResponseError as error:  # as text it shows the URL
            return Answer(Outcome.RETRY, "error", self._shown(f"no HTTP answer: {error.message}"))
        except (aiohttp.ClientError, OSError) as error:
            return Answer(Outcome.RETRY, "error", self._shown(f"{type(error).__name__}: {error}"))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost the batch
            self._reports.error("internal", "request failed, please report it", exc_info=True)
            return Answer(Outcome.RETRY, "error", f"internal error: {type(error).__name__}")

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        """Return what an answer means; an acceptance stands, however badly its body ends."""
        outcome, code = classify(response.status), str(response.status)
        if outcome is Outcome.ACCEPTED:
            with suppress(aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                await _read_answer(response)
            return Answer(outcome, code, "")
        text = await _read_answer(response)
        asked = retry_after(response.headers.get("Retry-After"), now=time.time())
        problem = f"HTTP {response.status} {response.reason}: {text}".removesuffix(": ")
        return Answer(outcome, code, self._shown(problem), asked)

    def _shown(self, problem: str) -> str:
        """Make a problem fit to be shown: no secrets, one line, not too long."""
        masked = mask(problem, secrets_of(self._settings.url, self._headers))
        return " ".join(masked.split())[:SHOWN_CHARS]

    def _judge(self, batch: Batch, answer: Answer, *, epoch: int, now: float) -> None:
        """Note what an answer says of the sink's health."""
        match answer.outcome:
            case Outcome.ACCEPTED:
                self._accepted += 1
                if self._accepted % GROWTH_INTERVAL == 0:
                    self._limit = min(self._limit * 2, UNLIMITED)
                self.health.succeed()
                self._try_suspects()
            case Outcome.RETRY | Outcome.PAUSE:
                self.health.fail(answer, epoch=epoch, now=now)
            case _ if batch.events == 1 and not self._is_guilty(batch) and self._suspects:
                # One event that is refused may be a bad one among good ones. This is another,
                # and none was accepted between them: the sink may be refusing all.
                self.health.fail(answer, epoch=epoch, now=now)

    def _settle(self, batch: Batch, answer: Answer) -> tuple[Batch, ...]:
        """Act on an answer; return what is to be sent next, the last first."""
        match answer.outcome:
            case Outcome.ACCEPTED:
                self._finish(batch)
                return ()
            case Outcome.RETRY | Outcome.PAUSE:
                return (batch,)
            case Outcome.TOO_LARGE if batch.events > 1:
                self._limit = batch.octets // 2
                self._reports.warning(
                    "halved",
                    "sink finds batches too large, they are halved",
                    sink=self.name,
                    octets=batch.octets,
                )
                return self._halves(batch)
            case _ if batch.events > 1:
                return self._halves(batch)
            case _:
                self._refused(batch, answer)
                return ()

    def _finish(self, batch: Batch) -> None:
        now = time.time()
        self._stats.delivered += batch.events
        self._stats.last_success = now
        self._stats.ingest_to_delivery.observe(max(0.0, now - batch.received), batch.events)
        self._spool.finish(batch)

    def _halves(self, batch: Batch) -> tuple[Batch, ...]:
        first, second = halve(batch)
        self._spool.split(batch, (first, second))
        return second, first

    def _is_guilty(self, batch: Batch) -> bool:
        """Say whether the sink has accepted another batch since it refused this event."""
        return batch.refused_at is not None and batch.refused_at < self._accepted

    def _refused(self, batch: Batch, answer: Answer) -> None:
        """Postpone an event that is refused, or bury it if it is to blame."""
        details = {"sink": self.name, "problem": answer.problem}
        if self._is_guilty(batch):
            self._reports.error("buried", "event given up, the sink refuses it", **details)
            self._spool.bury(batch, "refused")
            return
        if batch.refused_at is None:
            self._reports.warning("refused", "event refused by the sink, postponed", **details)
        batch.refused_at = self._accepted
        delay = self._suspect_backoff.fail(answer.retry_after)
        loop = asyncio.get_running_loop()
        self._suspects[batch] = loop.call_later(delay, self._try_suspect, batch)

    def _try_suspects(self) -> None:
        """Let the events that were refused have their last try: the sink accepts others."""
        self._suspect_backoff.reset()
        for batch in list(self._suspects):
            self._try_suspect(batch)

    def _try_suspect(self, batch: Batch) -> None:
        self._suspects.pop(batch).cancel()
        self._spool.postpone(batch)


async def _read_answer(response: aiohttp.ClientResponse) -> str:
    """Read an answer to its end, within bounds, and return it."""
    parts, room = [], MAX_ANSWER_BYTES
    while room and not response.content.at_eof():
        parts.append(await response.content.read(room))
        room -= len(parts[-1])
    return b"".join(parts).decode("utf-8", "replace")
