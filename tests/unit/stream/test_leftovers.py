"""Events that a stream lists and that nobody waits for."""

import pytest

from collector.stream.leftovers import LOOKS, Leftovers, idle


@pytest.fixture
def found():
    """Seven events of a sink were left over, and nothing else was to be delivered."""
    leftovers = Leftovers()
    for _ in range(LOOKS):
        leftovers.learn("n0", {"a": 7, "b": 1}, {"a"})
    return leftovers


def test_what_stays_though_nothing_is_to_be_delivered_is_left_over(found):
    """It is told, and does not count."""
    assert found.learn("n0", {"a": 7, "b": 1}, {"a"}) == ["a"]
    assert found.waiting("n0", {"a": 7, "b": 1}) == {"b": 1}


def test_one_look_is_not_enough():
    """What has just been published may not have come to the consumer."""
    leftovers = Leftovers()
    for _ in range(LOOKS - 1):
        assert leftovers.learn("n0", {"a": 7}, {"a"}) == []
    assert leftovers.waiting("n0", {"a": 7}) == {"a": 7}


def test_what_is_published_later_counts(found):
    """Beside what is left over."""
    assert found.waiting("n0", {"a": 10}) == {"a": 3}


def test_what_was_in_between_is_not_left_over():
    """The least of what was listed is, which may be nothing."""
    leftovers = Leftovers()
    for count in (7, 2, 9):
        leftovers.learn("n0", {"a": count}, {"a"})
    assert leftovers.waiting("n0", {"a": 9}) == {"a": 7}
    assert leftovers.learn("n0", {}, {"a"}) == []
    assert leftovers.waiting("n0", {"a": 9}) == {"a": 9}


def test_what_is_left_over_may_become_more(found):
    """As where a server comes to lead that has missed more; the last looks tell."""
    for _ in range(LOOKS):
        found.learn("n0", {"a": 9}, {"a"})
    assert found.waiting("n0", {"a": 9}) == {}


def test_a_sink_with_something_to_deliver_counts_in_full(found):
    """Rather too much than too little, until nothing is left to deliver again."""
    found.learn("n0", {"a": 9}, set())
    assert found.waiting("n0", {"a": 9}) == {"a": 9}
    assert found.learn("n0", {"a": 9}, {"a"}) == []


def test_another_leader_may_have_nothing_left_over(found):
    """What it lists counts until it is known better."""
    assert found.waiting("n1", {"a": 7}) == {"a": 7}
    assert found.learn("n1", {"a": 7}, {"a"}) == []


def test_a_consumer_is_idle_with_nothing_to_deliver_and_nothing_out():
    """One of which that is not known is not."""
    counts = {"a": (0, 0), "b": (1, 0), "c": (0, 1)}
    told = {n: {"num_pending": p, "num_ack_pending": o} for n, (p, o) in counts.items()}
    assert idle({**told, "d": {}}) == {"a"}
