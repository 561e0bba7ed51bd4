"""Posts batches to an HTTP endpoint until it has them.

Several workers each take a batch, post it and act on what the answer means (`retry.Verdict`). How
many of them may have a request in flight follows the sink (`concurrency.Limiter`). A failing sink
is probed: one worker at a time waits out the backoff and posts, the others wait for it, so that a
sink that comes back is not overrun.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from collector.logs import Reports
from collector.sinks.concurrency import Limiter
from collector.sinks.encoders import DAMAGE, halve, join, posted_codec, select
from collector.sinks.exchange import Exchange
from collector.sinks.formats import SealError
from collector.sinks.health import Health
from collector.sinks.joining import Limits, gather
from collector.sinks.letters import letters_of
from collector.sinks.recoding import RecodingError
from collector.sinks.retry import Backoff, Outcome
from collector.sinks.suspects import Suspects

if TYPE_CHECKING:
    import random
    from collections import Counter
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    import aiohttp

    from collector.config import SinkSettings
    from collector.metrics import SinkStats
    from collector.sinks.exchange import Answer
    from collector.sinks.formats import Format
    from collector.sinks.retry import Verdict
    from collector.spool import Batch, Spool

REFUSED: Final = "refused"
"""The account of dead letters that a sink refused while it accepted others."""

GAVE_UP: Final = "gave_up"
"""The account of dead letters that a failing sink did not take within `retry.give_up_after`."""

# Octets of a batch before compression, until the sink has said 413. What was learned is forgotten
# little by little, as sinks change and one large event says little of the others: after this many
# accepted requests twice as much is tried.
UNLIMITED = 1 << 62
GROWTH_INTERVAL = 16

# A batch that was held back and is tried again, but not within this time, is taken for gone.
RETRIED_SECONDS = 60.0

# The longest wait for a failing sink while the daemon stops: a grace period is some seconds.
HURRIED_SECONDS = 1.0

_REFUSALS = frozenset({Outcome.REFUSED, Outcome.TOO_LARGE})
_WAITS = frozenset({Outcome.RETRY, Outcome.PAUSE})

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Attempt(NamedTuple):
    """The state of things when a request was sent.

    Attributes:
        sent: seconds of the event loop's clock.
        epoch: that of the sink's health.
        accepted: how many requests the sink had accepted.
    """

    sent: float
    epoch: int
    accepted: int


class HttpSink:
    """Delivers one sink's batches from the spool.

    Only 400, 413 and 422 can be an event's fault. A batch answered so is taken apart until the
    refused event stands alone, which makes it a suspect: it is tried again once the sink has
    accepted another event, and buried if it is refused then. A second suspect without an acceptance
    in between means that the sink may be refusing all: it is paused, and nothing is buried. Each
    probe is then the oldest suspect and a batch that was not tried yet; so a sink that is mended
    gets everything in order, and one that refuses only some events is found out.

    With one request in flight the sink gets its events in order, suspects aside.

    Args:
        settings: the sink's settings.
        form: the form in which it wants events.
        spool: where its batches wait.
        session: HTTP client, which knows time-out, certificates and proxy.
        headers: of every request, credentials included.
        rng: source of jitter.
        stats: counters of this sink.
        dead_lettered: counts buried events by intake and reason.
        recode: makes a batch anew that was stored in another form or compression than the sink
            wants now; raises RecodingError where it cannot.
        mask: replaces intake keys in what the sink says.

    Attributes:
        name: the sink's.
        health: whether it takes what it is sent.
    """

    def __init__(
        self,
        settings: SinkSettings,
        *,
        form: Format,
        spool: Spool,
        session: aiohttp.ClientSession,
        headers: Mapping[str, str],
        rng: random.Random,
        stats: SinkStats,
        dead_lettered: Counter[tuple[str, str]],
        recode: Callable[[Batch], Sequence[Batch]],
        mask: Callable[[str], str] = str,
    ) -> None:
        retry = settings.retry
        self.name = settings.name
        self.health = Health(Backoff(retry.initial, retry.max, rng), stats)
        self._settings = settings
        self._form = form
        self._spool = spool
        self._stats = stats
        self._dead_lettered = dead_lettered
        self._recode = recode
        self._exchange = Exchange(settings, form, session, headers, mask)
        self._reports = Reports(log)
        self._probing = asyncio.Lock()
        self._limiter = Limiter(settings.concurrency)
        self._queue = asyncio.Lock()
        self._freed = asyncio.Event()
        self._size_limit = UNLIMITED
        self._accepted = 0
        self._suspects = Suspects()
        self._suspect_backoff = Backoff(retry.initial, retry.max, rng)
        self._suspect_timer: asyncio.TimerHandle | None = None
        self._is_another_due = False
        self._idle = 0
        self._stuck: dict[Batch, asyncio.TimerHandle] = {}
        self._obstacle = ""
        self._workers: set[asyncio.Task[None]] = set()
        self._posting: set[asyncio.Task[None] | None] = set()
        self._is_retiring = False
        # Of another sink of this name, until now.
        stats.up, stats.paused = self.health.up, self.health.paused
        stats.down_since = stats.last_failure = None
        stats.concurrency_limit = self._limiter.limit

    @property
    def problem(self) -> str:
        """What is wrong, for the operator; it may quote the sink. Empty if all is well."""
        if self.health.up and self._stuck:
            return self._obstacle
        return self.health.problem

    @property
    def reason(self) -> str:
        """What anybody may know of the problem."""
        if self.health.up and self._stuck:
            return "some events cannot be sent as they are"
        return self.health.reason

    async def run(self) -> None:
        """Deliver until cancelled or retired."""
        try:
            async with asyncio.TaskGroup() as workers:
                self._workers = {
                    workers.create_task(self._work()) for _ in range(self._settings.concurrency)
                }
        finally:
            self._cancel_timers()

    async def retire(self, patience: float) -> None:
        """Begin no more requests, and have `run` end when those in flight are answered.

        What was taken and is not done with then is to be given back to the spool.

        Args:
            patience: seconds after which those that are not answered are given up; the sink may get
                their events again from another.
        """
        self._is_retiring = True
        for worker in self._workers - self._posting:
            worker.cancel()
        if self._workers:
            _, unanswered = await asyncio.wait(self._workers, timeout=patience)
            for worker in unanswered:
                worker.cancel()

    def refresh(self, form: Format, headers: Mapping[str, str]) -> None:
        """Go on with what settings beside the sink's own, or files, have changed.

        Args:
            form: the same form, with the intakes of now.
            headers: of every request; if there are others now, a sink that failed is tried at once.
        """
        self._form = self._exchange.form = form
        if headers != self._exchange.headers:
            self._exchange.headers = headers
            self.health.try_now()
            self._spool.resume(self.name)

    def hurry(self) -> None:
        """Make the most of the time before a stop: wait less for a sink that fails."""
        self.health.hurry(HURRIED_SECONDS)
        self._spool.resume(self.name)
        self._suspect_backoff.maximum = min(self._suspect_backoff.maximum, HURRIED_SECONDS)
        self._try_suspects_if_idle()

    def _cancel_timers(self) -> None:
        for timer in (self._suspect_timer, *self._stuck.values()):
            if timer is not None:
                timer.cancel()

    async def _work(self) -> None:
        while not self._is_retiring:
            taken = self._gathered(await self._take())
            upcoming = [batch for item in taken for batch in self._in_form(item)][::-1]
            while upcoming and not self._is_retiring:
                upcoming += await self._deliver(upcoming.pop())
                upcoming += self._suspects.pop_decidable(self._accepted)[::-1]

    async def _take(self) -> Batch:
        self._idle += 1
        try:
            return await self._spool.take(self.name)
        finally:
            self._idle -= 1

    def _gathered(self, batch: Batch) -> list[Batch]:
        """Return a batch that was taken as one with small ones that are ready behind it.

        Where few events come, batches are closed by time. A sink that takes seconds for each, or
        was away for long, would never catch up with as many requests.
        """
        batch_limits = self._settings.batch
        limits = Limits(batch_limits.max_events, min(batch_limits.max_bytes, self._size_limit))
        together = gather(batch, partial(self._spool.take_if, self.name), limits)
        if len(together) == 1:
            return together
        try:
            whole = join(together)
        except DAMAGE:  # each by itself shows which it is
            return together
        self._spool.replace(together, (whole,))
        return [whole]

    def _in_form(self, batch: Batch) -> list[Batch]:
        """Return a batch in the form in which the sink wants it now; nothing if it must wait."""
        wanted = self._settings.compression
        if batch.form == self._form.form and posted_codec(batch.codec, wanted) == wanted:
            return [batch]
        return self._parts(batch, self._recode)

    # Posting. What these return is to be sent next, the last first.

    async def _deliver(self, batch: Batch) -> Sequence[Batch]:
        """Post a batch and act on the answer; while the sink fails, wait for the turn to probe."""
        if batch.octets > self._size_limit and batch.events > 1:
            return self._parts(batch, halve)[::-1]
        while True:
            if self.health.up:
                async with self._slot():
                    if self.health.up:
                        return await self._post(batch)
            async with self._probing:
                if not self.health.up:
                    return await self._probe(batch)

    async def _probe(self, batch: Batch) -> Sequence[Batch]:
        """Post a batch once the next probe is due.

        One that is too old is given up instead; one that others may take meanwhile is left to them.
        """
        if self.health.failing and self._is_too_old(batch):
            self._give_up(batch, self.health.problem)
            return ()
        wait = self.health.probe_in()
        if wait > 0 and batch.refused_at is None and self._spool.relinquish(batch, wait):
            return ()
        await self.health.probe_due()
        self._exchange.refresh_headers()
        async with self._slot():
            return await self._post(batch)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Wait, in order of asking, until one more request may be in flight, and count it."""
        async with self._queue:
            while self._stats.in_flight >= self._limiter.limit:
                self._freed.clear()
                await self._freed.wait()
            self._stats.in_flight += 1
        try:
            yield
        finally:
            self._stats.in_flight -= 1
            self._freed.set()

    async def _post(self, batch: Batch) -> Sequence[Batch]:
        body = self._made(batch, self._exchange.body_of)
        if body is None:
            return ()
        loop = asyncio.get_running_loop()
        attempt = Attempt(loop.time(), self.health.epoch, self._accepted)
        self._limiter.began(self._stats.in_flight)
        worker = asyncio.current_task()
        self._posting.add(worker)
        try:
            answer = await self._exchange.post(batch, body)
        finally:
            self._posting.discard(worker)
        self._learn(answer, attempt, loop.time())
        return self._settle(batch, answer, attempt)

    def _learn(self, answer: Answer, attempt: Attempt, now: float) -> None:
        """Note what an answer says of the sink."""
        self._stats.requests[answer.code] += 1
        self._stats.request_seconds.observe(now - attempt.sent)
        outcome, items = answer.verdict.outcome, answer.verdict.items or ()
        if answer.verdict.problem:
            self._stats.last_failure = time.time(), answer.verdict.problem
        if outcome is Outcome.ACCEPTED:
            self._accepted += 1
            if self._accepted % GROWTH_INTERVAL == 0:
                self._size_limit = min(self._size_limit * 2, UNLIMITED)
            self.health.succeed()
            self._suspect_backoff.reset()
        if outcome in _WAITS or not _WAITS.isdisjoint(items):
            self._fail(answer, attempt, now)
        elif outcome is Outcome.ACCEPTED:
            self._limiter.accepted(sent=attempt.sent, now=now)
        self._stats.concurrency_limit = self._limiter.limit

    def _fail(self, answer: Answer, attempt: Attempt, now: float) -> None:
        self._limiter.pushed_back(sent=attempt.sent, now=now)
        self.health.fail(answer, epoch=attempt.epoch, now=now)

    # Acting on answers. What these return is to be sent next, the last first.

    def _settle(self, batch: Batch, answer: Answer, attempt: Attempt) -> Sequence[Batch]:
        verdict = answer.verdict
        if verdict.failed_store:
            self._count_failed_store(verdict)
        if verdict.outcome is Outcome.ACCEPTED:
            return self._settle_accepted(batch, answer, attempt)
        if verdict.outcome in _WAITS:
            if self.health.failing and self._is_too_old(batch):
                self._give_up(batch, verdict.problem)
                return ()
            return (batch,)
        if batch.events == 1 or verdict.items is not None:
            return self._settle_refused(batch, answer, attempt)
        if verdict.outcome is Outcome.TOO_LARGE:
            self._learn_size(batch)
        elif verdict.culprit is not None and 0 <= verdict.culprit < batch.events:
            return self._parts(batch, partial(_isolate, verdict.culprit))[::-1]
        return self._parts(batch, halve)[::-1]

    def _settle_accepted(self, batch: Batch, answer: Answer, attempt: Attempt) -> Sequence[Batch]:
        """Let go of the events that were taken, which may be some only."""
        items = answer.verdict.items or ()
        waiting = [at for at, outcome in enumerate(items) if outcome in _WAITS]
        refused = [at for at, outcome in enumerate(items) if outcome in _REFUSALS]
        if not waiting and not refused:
            self._finish(batch)
            return ()
        parts = self._made(batch, lambda whole: select(whole, filter(None, (waiting, refused))))
        if parts is None:
            return ()
        self._finish(batch, parts)
        if not refused:
            return parts
        *others, suspect = parts
        suspect.refused_at = batch.refused_at
        return (*self._settle_refused(suspect, answer, attempt), *others)

    def _settle_refused(self, batch: Batch, answer: Answer, attempt: Attempt) -> Sequence[Batch]:
        """Act on the refusal of every event of a batch."""
        problem, refused_at = answer.verdict.problem, batch.refused_at
        if refused_at is None:
            return self._suspect(batch, answer, attempt)
        if refused_at < attempt.accepted:
            self._reports.error(
                "buried",
                "events given up, the sink refuses them and takes others",
                sink=self.name,
                events=batch.events,
                problem=problem,
            )
            self._bury(batch, REFUSED, problem)
        elif self._is_too_old(batch):
            self._give_up(batch, problem)
        else:
            if self.health.up and self._suspects.stand(self._accepted):
                # It was under way itself when the other was refused at first.
                self._fail(answer, attempt, asyncio.get_running_loop().time())
            self._add_suspect(batch, answer)
            if self._is_another_due:
                self._is_another_due = False
                return (self._suspects.pop_next(),)
        return ()

    def _suspect(self, batch: Batch, answer: Answer, attempt: Attempt) -> Sequence[Batch]:
        """Put aside a batch that is refused at first; pause a sink that refuses all."""
        problem, is_second = answer.verdict.problem, self._suspects.stand(self._accepted)
        self._reports.warning(
            "refused",
            "events refused by the sink, postponed",
            sink=self.name,
            events=batch.events,
            problem=problem,
        )
        if is_second:
            self._fail(answer, attempt, asyncio.get_running_loop().time())
            if self._suspects.full:
                return batch, self._suspects.pop_next()
        batch.refused_at = self._accepted
        self._add_suspect(batch, answer)
        return (self._suspects.pop_oldest(),) if is_second else ()

    def _learn_size(self, batch: Batch) -> None:
        self._size_limit = batch.octets // 2
        self._reports.warning(
            "halved",
            "sink finds batches too large, they are halved",
            sink=self.name,
            octets=batch.octets,
        )

    def _count_failed_store(self, verdict: Verdict) -> None:
        self._stats.failure_store += verdict.failed_store
        self._reports.error(
            "failure store",
            "sink kept events apart as failed, see its failure store",
            sink=self.name,
            events=verdict.failed_store,
            problem=verdict.problem,
        )

    # Suspects, while there is nothing else to be sent.

    def _add_suspect(self, batch: Batch, answer: Answer) -> None:
        self._suspects.add(batch)
        if self._suspect_timer is None:
            self._try_suspects_later(answer.verdict.retry_after)

    def _try_suspects_later(self, asked: float | None = None) -> None:
        delay = self._suspect_backoff.fail(asked)
        loop = asyncio.get_running_loop()
        self._suspect_timer = loop.call_later(delay, self._try_suspects_if_idle)

    def _try_suspects_if_idle(self) -> None:
        """Try a suspect, unless the workers see to them between batches.

        It is the oldest and, if that is refused, another in its turn: a sink that is mended gets
        them in order, and one that refuses some only is found out.
        """
        if self._suspect_timer is not None:
            self._suspect_timer.cancel()
            self._suspect_timer = None
        if self._idle and self._suspects:
            self._is_another_due = len(self._suspects) > 1
            self._spool.postpone(self._suspects.pop_oldest())
        if self._suspects:
            self._try_suspects_later()

    # Letting go of batches.

    def _finish(self, batch: Batch, rest: Sequence[Batch] = ()) -> None:
        now = time.time()
        events = batch.events - sum(part.events for part in rest)
        self._stats.delivered += events
        self._stats.last_success = now
        self._stats.ingest_to_delivery.observe(max(0.0, now - batch.received), events)
        self._free(batch)
        self._spool.finish(batch, rest)

    def _parts(self, batch: Batch, make: Callable[[Batch], Sequence[Batch]]) -> list[Batch]:
        """Put what `make` makes of a batch in its place; return nothing if that must wait."""
        parts = self._made(batch, make)
        if parts is None:
            return []
        self._free(batch)
        self._spool.replace((batch,), parts)
        return list(parts)

    def _is_too_old(self, batch: Batch) -> bool:
        return batch.received < self._oldest_kept()

    def _oldest_kept(self) -> float:
        """Return since when, in seconds since 1970, what a failing sink gets was received."""
        age = self._settings.retry.give_up_after
        return 0.0 if age is None else time.time() - age

    def _give_up(self, batch: Batch, problem: str) -> None:
        """Bury a batch that a failing sink did not take in time, and suspects that are as old."""
        for old in (batch, *self._suspects.pop_received_before(self._oldest_kept())):
            self._reports.error(
                GAVE_UP,
                "events given up, too old and the sink does not take them",
                sink=self.name,
                problem=problem,
            )
            self._bury(old, GAVE_UP, problem)

    def _bury(self, batch: Batch, reason: str, problem: str) -> None:
        letters = self._made(batch, lambda it: letters_of(it, reason, problem))
        if letters is not None:
            self._dead_lettered.update((letter.intake, reason) for letter in letters)
            self._free(batch)
            self._spool.bury(batch, letters)

    # Batches that cannot be sent as they are.

    def _made(self, batch: Batch, make: Callable[[Batch], T]) -> T | None:
        """Return what `make` makes of a batch; None if it cannot, and the batch is held back."""
        try:
            return make(batch)
        except (RecodingError, SealError) as error:
            self._hold_back(batch, str(error))
        except Exception as error:  # noqa: BLE001 - one batch must not end delivery
            self._reports.error("internal", "batch cannot be read", sink=self.name, exc_info=True)
            self._hold_back(batch, f"a batch cannot be read: {type(error).__name__}")
        return None

    def _hold_back(self, batch: Batch, problem: str) -> None:
        """Have a batch wait: only somebody's doing can help it, and others can go before it."""
        self._obstacle = problem
        self._reports.error(
            "held back",
            "events cannot be sent as they are and wait",
            sink=self.name,
            problem=problem,
        )
        loop = asyncio.get_running_loop()
        delay = self._settings.retry.max
        self._free(batch)
        self._stuck[batch] = loop.call_later(delay, self._try_again, batch)

    def _try_again(self, batch: Batch) -> None:
        """Have a batch that was held back come again, unless the spool leaves it to others."""
        loop = asyncio.get_running_loop()
        self._stuck[batch] = loop.call_later(RETRIED_SECONDS, self._free, batch)
        self._spool.postpone(batch)

    def _free(self, batch: Batch) -> None:
        """Note that a batch is not held back, or not any more."""
        timer = self._stuck.pop(batch, None)
        if timer is not None:
            timer.cancel()


def _isolate(culprit: int, batch: Batch) -> list[Batch]:
    """Return what is before an event of a batch, the event alone, and what is after it."""
    ranges = (range(culprit), range(culprit, culprit + 1), range(culprit + 1, batch.events))
    return select(batch, filter(None, ranges))
