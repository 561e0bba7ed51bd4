"""How many requests a sink is given at once."""

import pytest

from collector.sinks.concurrency import Latency, Limiter


class Traffic:
    """A sink that is kept as busy as the limit allows, with a clock of its own."""

    def __init__(self, maximum):
        self.limiter = Limiter(maximum)
        self.now = 100.0

    def round(self, seconds, *, busy=True):
        """Answer as many requests as may be in flight, each after so many seconds."""
        sent, count = self.now, self.limiter.limit if busy else 1
        for in_flight in range(1, count + 1):
            self.limiter.began(in_flight)
        self.now += seconds
        for _ in range(count):
            self.limiter.accepted(sent=sent, now=self.now)
        return self.limiter.limit


def test_the_limit_begins_at_one_and_doubles_up_to_the_maximum():
    """A sink that answers evenly soon gets what the settings allow."""
    traffic = Traffic(10)
    assert traffic.limiter.limit == 1
    assert [traffic.round(0.1) for _ in range(5)] == [2, 4, 8, 10, 10]


def test_it_does_not_grow_beyond_what_is_used():
    """One request at a time tells nothing of how two would fare."""
    traffic = Traffic(10)
    traffic.round(0.1)
    assert [traffic.round(0.1, busy=False) for _ in range(5)] == [2] * 5


def test_a_push_back_halves_it_once_for_all_requests_under_way():
    """From then on it grows by one for each round."""
    traffic = Traffic(16)
    for _ in range(4):
        traffic.round(0.1)
    assert traffic.limiter.limit == 16
    sent = traffic.now
    for _ in range(16):
        traffic.now += 0.01
        traffic.limiter.pushed_back(sent=sent, now=traffic.now)
    assert traffic.limiter.limit == 8
    assert [traffic.round(0.1) for _ in range(3)] == [9, 10, 11]


def test_an_outage_takes_it_down_to_one_and_not_below():
    """A sink that comes back is met by one request."""
    traffic = Traffic(64)
    for _ in range(7):
        traffic.round(0.1)
    for _ in range(20):
        traffic.limiter.pushed_back(sent=traffic.now, now=traffic.now + 0.1)
        traffic.now += 0.2
    assert traffic.limiter.limit == 1
    assert traffic.round(0.1) == 2


def test_answers_much_slower_than_usual_take_it_down_a_little():
    """And once that is what is usual, it grows again."""
    traffic = Traffic(16)
    for _ in range(6):
        traffic.round(0.1)
    assert traffic.round(1.0) == 14
    limits = [traffic.round(1.0) for _ in range(10)]
    assert limits[-1] > min(limits)


@pytest.mark.parametrize("seconds", [0.001, 0.1, 2.0])
def test_answers_that_take_about_as_long_as_usual_are_not_slow(seconds):
    """A noise of a fifth is what any network has."""
    traffic = Traffic(8)
    for number in range(50):
        traffic.round(seconds * (1.2 if number % 3 else 0.8))
    assert traffic.limiter.limit == 8


def test_nothing_is_slow_before_anything_is_known():
    """The first answer says what is usual."""
    latency = Latency()
    assert not latency.is_slow(100.0)
    latency.learn(1.0)
    assert latency.usual == 1.0
    assert latency.is_slow(1.6)
    assert not latency.is_slow(1.5)


def test_what_varies_is_slow_later_than_what_does_not():
    """The usual deviation counts."""
    even, uneven = Latency(), Latency()
    for number in range(50):
        even.learn(1.0)
        uneven.learn(0.4 if number % 2 else 1.6)
    assert even.is_slow(2.0)
    assert not uneven.is_slow(2.0)
    assert even.usual == 1.0
