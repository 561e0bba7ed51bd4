"""Events that a stream lists and that nobody waits for."""

import asyncio

import pytest
from structlog.testing import capture_logs

from collector.stream import topology
from collector.stream.cluster import Cluster
from collector.stream.leftovers import LOOKS, Leftovers, idle
from tests.unit.stream.conftest import LETTERS_MAX_BYTES, WINDOW, settings_of, until

IDLE = {"a": 20}
"""There is nothing to deliver, and there were so many deliveries."""


@pytest.fixture
def found():
    """Seven events of a sink were left over, and nothing else was to be delivered."""
    leftovers = Leftovers()
    for _ in range(LOOKS):
        leftovers.learn("n0", {"a": 7, "b": 1}, IDLE)
    return leftovers


def test_what_stays_though_nothing_is_to_be_delivered_is_left_over(found):
    """It is told, and does not count."""
    assert found.learn("n0", {"a": 7, "b": 1}, IDLE) == ["a"]
    assert found.waiting("n0", {"a": 7, "b": 1}) == {"b": 1}


def test_one_look_is_not_enough():
    """What has just been published may not have come to the consumer."""
    leftovers = Leftovers()
    for _ in range(LOOKS - 1):
        assert leftovers.learn("n0", {"a": 7}, IDLE) == []
    assert leftovers.waiting("n0", {"a": 7}) == {"a": 7}


def test_what_is_published_later_counts(found):
    """Beside what is left over."""
    assert found.waiting("n0", {"a": 10}) == {"a": 3}


def test_what_was_in_between_is_not_left_over():
    """The least of what was listed is, which may be nothing."""
    leftovers = Leftovers()
    for count in (7, 2, 9):
        leftovers.learn("n0", {"a": count}, IDLE)
    assert leftovers.waiting("n0", {"a": 9}) == {"a": 7}
    assert leftovers.learn("n0", {}, IDLE) == []
    assert leftovers.waiting("n0", {"a": 9}) == {"a": 9}


def test_what_is_left_over_may_become_more(found):
    """As where a server comes to lead that has missed more; the last looks tell."""
    for _ in range(LOOKS):
        found.learn("n0", {"a": 9}, IDLE)
    assert found.waiting("n0", {"a": 9}) == {}


def test_a_sink_with_something_to_deliver_counts_in_full(found):
    """Rather too much than too little, until nothing is left to deliver again."""
    found.learn("n0", {"a": 9}, {})
    assert found.waiting("n0", {"a": 9}) == {"a": 9}
    assert found.learn("n0", {"a": 9}, IDLE) == []


def test_another_leader_may_have_nothing_left_over(found):
    """What it lists counts until it is known better."""
    assert found.waiting("n1", {"a": 7}) == {"a": 7}
    assert found.learn("n1", {"a": 7}, IDLE) == []


def test_a_sink_that_keeps_up_has_nothing_left_over():
    """What each list has was delivered before the next look at the consumer."""
    leftovers = Leftovers()
    for delivered in range(10):
        assert leftovers.learn("n0", {"a": 1}, {"a": delivered}) == []
    assert leftovers.waiting("n0", {"a": 1}) == {"a": 1}


def test_one_list_of_the_stream_is_one_look():
    """However often the consumers are looked at: a long list is not asked for as often."""
    leftovers = Leftovers()
    listed = {"a": 7}
    for _ in range(LOOKS):
        assert leftovers.learn("n0", listed, IDLE) == []
    for again in (dict(listed), dict(listed)):
        left = leftovers.learn("n0", again, IDLE)
    assert left == ["a"]


def test_a_consumer_is_idle_with_nothing_to_deliver_and_nothing_out():
    """One of which that is not known is not."""
    counts = {"a": (0, 0), "b": (1, 0), "c": (0, 1)}
    told = {
        n: {"num_pending": p, "num_ack_pending": o, "delivered": {"consumer_seq": 5}}
        for n, (p, o) in counts.items()
    }
    new = {"num_pending": 0, "num_ack_pending": 0}
    assert idle({**told, "d": {}, "e": new}) == {"a": 5, "e": 0}


async def test_servers_count_what_is_delivered_to_others_apart(member):
    """Or whoever waits for leftovers to be found would wait for all sinks to be quiet."""

    async def learned():
        return await topology.consumers(member._asker, "collector")

    for sink in ("a", "b"):
        member.receive(sink).ask(100, WINDOW)
        await member.send(1, sink)
    await until(lambda: len(member.deliveries) == 2)
    for delivery in member.deliveries:
        delivery.ack()
    found = {}
    async with asyncio.timeout(30):
        while found != {"a": 1, "b": 1}:
            found = idle(await learned())
    await member.send(2, "b")
    await until(lambda: len(member.deliveries) == 3)
    after = await learned()
    assert after["b"]["delivered"]["consumer_seq"] == 2
    assert idle(after) == {"a": 1}


@pytest.mark.parametrize(("step", "told"), [(0, ["a"]), (1, [])])
async def test_the_log_names_what_has_something_left_over(step, told):
    """Not what is served meanwhile."""
    cluster = Cluster(settings_of(), LETTERS_MAX_BYTES, "m")
    quiet = {"num_pending": 0, "num_ack_pending": 0}
    with capture_logs() as logs:
        for look in range(LOOKS):
            cluster._listed = {"a": 7}
            cluster._learn({"a": {**quiet, "delivered": {"consumer_seq": 5 + step * look}}})
    assert [line["sink"] for line in logs] == told
    assert cluster._leftovers.waiting("", {"a": 7}) == ({} if told else {"a": 7})
