"""How many messages an intake takes in a second."""

import os

from collector.board import Board
from collector.ratelimit import Grant, SharedLimit, TokenBucket


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


class Sharing:
    """Workers that share a rate, and who grants it."""

    def __init__(self, rate, workers, now):
        own, descriptor = Board.create(1 + workers)
        own.extend(["admitted", "granted"])
        boards = [Board.attach(descriptor, row, own.columns) for row in range(1, 1 + workers)]
        os.close(descriptor)
        self.rate, self.own = rate, own
        self.limits = [
            SharedLimit(board.column("admitted"), board.column("granted")) for board in boards
        ]
        self.anew(now)

    def anew(self, now):
        admitted, granted = self.own.column("admitted"), self.own.column("granted")
        self.grant = Grant(self.rate, admitted, granted, now)

    def admitted(self, *counts):
        return [
            admitted(limit, count, 0.0) for limit, count in zip(self.limits, counts, strict=True)
        ]


def test_several_workers_have_one_rate():
    """Whoever comes first; an idle one has nothing to say."""
    sharing = Sharing(10, 2, now=1000.0)
    assert sharing.admitted(4, 25) == [4, 6]
    sharing.grant.fill(1000.5)
    assert sharing.admitted(25, 25) == [5, 0]
    sharing.grant.fill(1000.75)
    assert sharing.admitted(0, 25) == [0, 2]
    sharing.grant.fill(1001.0)
    assert sharing.admitted(0, 25) == [0, 3]


def test_what_is_granted_is_not_saved_up():
    """An hour of silence allows no more than a second, nor does a clock that was set."""
    sharing = Sharing(10, 2, now=1000.0)
    sharing.grant.fill(4600.0)
    assert sharing.admitted(25, 25) == [10, 0]
    sharing.grant.fill(1000.0)
    assert sharing.admitted(25, 25) == [0, 0]
    sharing.grant.fill(1001.0)
    assert sharing.admitted(0, 25) == [0, 10]


def test_another_grant_goes_on_from_what_was_admitted():
    """As after a reload: what a second allows may come at once again."""
    sharing = Sharing(10, 2, now=1000.0)
    assert sharing.admitted(25, 0) == [10, 0]
    sharing.rate = 3
    sharing.anew(1000.0)
    assert sharing.admitted(25, 25) == [3, 0]
