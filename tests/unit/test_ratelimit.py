"""How many messages an intake takes in a second."""

from collector.ratelimit import TokenBucket


def admitted(bucket, count, now):
    """Return how many of `count` messages are let in at once."""
    return sum(bucket.admit(now) for _ in range(count))


def test_what_one_second_allows_may_come_at_once():
    """More may not, until time has passed."""
    bucket = TokenBucket(10)
    assert admitted(bucket, 25, now=1000.0) == 10
    assert admitted(bucket, 25, now=1000.25) == 2
    assert admitted(bucket, 25, now=1000.5) == 3


def test_silence_is_not_saved_up():
    """An hour of it allows no more than a second."""
    bucket = TokenBucket(10)
    assert admitted(bucket, 1, now=1000.0) == 1
    assert admitted(bucket, 25, now=4600.0) == 10


def test_a_steady_stream_within_the_rate_is_let_in():
    """Every message of it."""
    bucket = TokenBucket(100)
    assert all(bucket.admit(1000.0 + n / 100) for n in range(1000))


def test_a_clock_that_is_set_back_does_not_stop_the_intake():
    """It adds nothing at that moment; from then on time passes as before."""
    bucket = TokenBucket(10)
    assert admitted(bucket, 25, now=5000.0) == 10
    assert admitted(bucket, 25, now=1000.0) == 0
    assert admitted(bucket, 25, now=1001.0) == 10
