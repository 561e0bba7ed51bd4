"""Answers of a sink and the delays after them."""

import random

import pytest

from collector.sinks.retry import Backoff, Outcome, Verdict, classify, read_status, retry_after


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 201, 202, 204, 299), Outcome.ACCEPTED),
        ((408, 425, 429, 500, 502, 503, 504, 599), Outcome.RETRY),
        ((413,), Outcome.TOO_LARGE),
        ((400, 422), Outcome.REFUSED),
        ((301, 302, 307, 308, 401, 403, 404, 405, 409, 410, 415, 431), Outcome.PAUSE),
    ],
)
def test_each_status_has_its_meaning(statuses, outcome):
    """Only 400, 413 and 422 can be an event's fault."""
    assert {classify(status) for status in statuses} == {outcome}


def test_an_acceptance_has_no_problem():
    """Whatever the sink says beside it."""
    assert read_status(202, {}, "queued", now=0.0) == Verdict(Outcome.ACCEPTED)


def test_a_failure_is_named_with_what_the_sink_says():
    """The name is the standard one: what the sink calls it could be anything."""
    headers = {"Retry-After": "7"}
    assert read_status(503, headers, "later", now=0.0) == Verdict(
        Outcome.RETRY, "HTTP 503 Service Unavailable: later", 7.0
    )
    assert read_status(401, {}, "", now=0.0) == Verdict(Outcome.PAUSE, "HTTP 401 Unauthorized")
    assert read_status(599, {}, "", now=0.0).problem == "HTTP 599"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Thu, 99 Jan 1970 00:00:10 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """A header that cannot be read is as none."""
    assert retry_after(value, now=60.0) == seconds


def test_digits_without_end_are_a_long_time_and_no_error():
    """Only the first nine digits count."""
    assert retry_after("9" * 5000, now=0.0) == 999_999_999.0


class Highest(random.Random):
    """Draws the upper limit."""

    def uniform(self, a, b):
        assert a == 0
        return b


def test_backoff_doubles_up_to_its_maximum():
    """The limit of the nth delay is the first one doubled n times."""
    backoff = Backoff(0.5, 3.0, Highest())
    assert [backoff.fail() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_backoff_begins_again_after_a_success():
    """A reset forgets the failures."""
    backoff = Backoff(0.5, 3.0, Highest())
    backoff.fail()
    backoff.fail()
    backoff.reset()
    assert backoff.fail() == 0.5


def test_backoff_keeps_to_what_the_sink_asks_up_to_the_maximum():
    """Retry-After lengthens a delay, never beyond the maximum, and shortens none."""
    backoff = Backoff(0.5, 3.0, Highest())
    assert backoff.fail(2.5) == 2.5
    assert backoff.fail(1000.0) == 3.0
    assert backoff.fail(0.0) == 2.0


def test_backoff_draws_from_zero_to_the_limit():
    """Full jitter spreads collectors that failed together."""
    rng = random.Random(1)
    delays = [Backoff(8.0, 60.0, rng).fail() for _ in range(200)]
    assert min(delays) < 1.0
    assert max(delays) > 7.0
    assert all(0 <= delay <= 8.0 for delay in delays)


def test_backoff_survives_any_number_of_failures():
    """The doubling is bounded."""
    backoff = Backoff(0.5, 60.0, Highest())
    assert [backoff.fail() for _ in range(3000)][-1] == 60.0
