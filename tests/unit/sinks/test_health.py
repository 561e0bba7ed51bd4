"""Whether a sink takes what it is sent."""

import asyncio
import random

import pytest
import structlog

from collector.ledger import Ledger
from collector.logs import Reports
from collector.metrics import SinkStats, Stats
from collector.sinks.exchange import Answer
from collector.sinks.health import Health
from collector.sinks.retry import Backoff, Outcome, Verdict

FAILURE = Answer("503", Verdict(Outcome.RETRY, "HTTP 503: a word of the sink's"))
PAUSED = Answer("401", Verdict(Outcome.PAUSE, "HTTP 401"))


class Highest(random.Random):
    """Draws the upper limit."""

    def uniform(self, a, b):
        assert a == 0
        return b


@pytest.fixture
def stats():
    return SinkStats("siem", Stats(Ledger()).ingest_to_delivery)


@pytest.fixture
def health(stats):
    return Health(Backoff(0.01, 0.05, Highest()), stats)


def fail(health, answer=FAILURE, now=0.0):
    health.fail(answer, epoch=health.epoch, now=now)


async def test_a_sink_is_well_until_it_fails_and_after_it_accepts(health, stats):
    """And says why, in two ways: to the operator and to anybody."""
    assert (health.up, health.problem, health.reason) == (True, "", "")
    fail(health)
    assert (health.up, stats.up) == (False, False)
    assert health.problem == "HTTP 503: a word of the sink's"
    assert health.reason == "HTTP 503"
    since = stats.down_since
    assert since is not None
    fail(health)
    assert stats.down_since == since
    health.succeed()
    assert (health.up, stats.up, stats.down_since) == (True, True, None)
    assert (health.problem, health.reason) == ("", "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("401", "HTTP 401"),
        ("timeout", "no answer: timeout"),
        ("200", "HTTP 200, but events were not taken"),
    ],
)
async def test_anybody_may_know_the_kind_of_the_problem(health, code, reason):
    """No word of what the sink said."""
    fail(health, Answer(code, Verdict(Outcome.PAUSE, "secret of the sink")))
    assert health.reason == reason


async def test_a_failure_without_a_word_is_a_failure(health):
    """What a sink says decides nothing."""
    fail(health, Answer("503", Verdict(Outcome.RETRY, "")))
    assert not health.up


async def test_requests_that_fail_together_count_once(health):
    """Only one that was sent after the first failure is a second one."""
    epoch = health.epoch
    for _ in range(4):
        health.fail(FAILURE, epoch=epoch, now=0.0)
    assert not health.failing
    fail(health)
    assert health.failing
    health.succeed()
    assert not health.failing


async def test_a_probe_is_due_after_the_backoff_or_what_the_sink_asks_for(health):
    """Never later than the longest wait."""
    with structlog.testing.capture_logs() as lines:
        for problem, asked in (("busy", None), ("too busy", 86400.0)):
            answer = Answer("429", Verdict(Outcome.RETRY, problem, asked))
            fail(health, answer, now=asyncio.get_running_loop().time())
            async with asyncio.timeout(5):
                await health.probe_due()
            health._reports = Reports(structlog.get_logger())
    assert [line["next_try_seconds"] for line in lines] == [0.01, 0.05]


async def test_in_a_hurry_a_probe_is_due_at_once(stats):
    """Also one that is being waited for."""
    health = Health(Backoff(3600.0, 7200.0, Highest()), stats)
    fail(health, now=asyncio.get_running_loop().time())
    waiting = asyncio.ensure_future(health.probe_due())
    await asyncio.sleep(0)
    assert not waiting.done()
    health.hurry(0.01)
    async with asyncio.timeout(5):
        await waiting
        fail(health, now=asyncio.get_running_loop().time())
        await health.probe_due()


async def test_a_problem_is_logged_once_and_its_end_too(health):
    """A warning where the sink comes back by itself, an error where somebody must see to it."""
    with structlog.testing.capture_logs() as lines:
        fail(health)
        fail(health)
        health.succeed()
        health.succeed()
        fail(health, PAUSED)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("sink failing, its batches wait", "warning"),
        ("sink accepts again", "info"),
        ("sink paused until it accepts a probe", "error"),
    ]
    assert lines[0]["next_try_seconds"] == 0.01
    assert lines[1]["failures"] == 2


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (Outcome.RETRY, "sink failing, its batches wait"),
        (Outcome.PAUSE, "sink paused until it accepts a probe"),
    ],
)
async def test_a_sink_that_takes_some_is_told_by_what_becomes_of_the_others(health, item, event):
    """One that is busy comes back by itself, one that forbids does not."""
    items = (Outcome.ACCEPTED, Outcome.REFUSED, item)
    with structlog.testing.capture_logs() as lines:
        fail(health, Answer("200", Verdict(Outcome.ACCEPTED, "1 of 3 events", items=items)))
    assert [line["event"] for line in lines] == [event]


async def test_a_pause_is_counted_until_the_sink_fails_otherwise_or_accepts(health, stats):
    """The counters have it for Prometheus."""
    paused = []
    for answer in (FAILURE, PAUSED, FAILURE, PAUSED):
        fail(health, answer)
        paused.append(stats.paused)
    health.succeed()
    assert [*paused, stats.paused] == [False, True, False, True, False]


async def test_a_probe_can_be_due_at_once(health):
    """The waits after it are as long as before."""
    health.fail(FAILURE, epoch=0, now=asyncio.get_running_loop().time() + 1000)
    waiting = asyncio.ensure_future(health.probe_due())
    await asyncio.sleep(0)
    assert not waiting.done()
    health.try_now()
    async with asyncio.timeout(10):
        await waiting
    assert health._backoff.maximum == 0.05
