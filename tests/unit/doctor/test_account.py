"""What the account allows, as servers say it, held against streams that are not there."""

import pytest

from collector.doctor.account import most_consumers, on_account, on_payload, on_replicas

MIB = 1 << 20
UNLIMITED = {"max_storage": -1, "max_streams": -1, "max_consumers": -1}


def streams(replicas=1):
    """Return two streams as they are wanted."""
    return [
        {"name": name, "num_replicas": replicas, "max_bytes": octets}
        for name, octets in (("edr", 4 * MIB), ("edr-dead-letters", MIB))
    ]


def told(info, replicas=1):
    """Return level and setting of what is found."""
    found = on_account(info, streams(replicas))
    return [(finding.level, finding.where) for finding in found]


@pytest.mark.parametrize(
    ("limits", "usage", "replicas", "found"),
    [
        ({}, {}, 3, []),
        ({"max_streams": 2}, {"streams": 0}, 1, []),
        ({"max_streams": 2}, {"streams": 1}, 1, [("error", "spool.stream")]),
        ({"storage_max_stream_bytes": 4 * MIB}, {}, 1, []),
        ({"storage_max_stream_bytes": 2 * MIB}, {}, 1, [("error", "spool.max_bytes")]),
        (
            {"storage_max_stream_bytes": MIB - 1},
            {},
            1,
            [("error", "spool.max_bytes"), ("error", "dead_letters.max_bytes")],
        ),
        ({"max_storage": 5 * MIB}, {}, 1, []),
        ({"max_storage": 5 * MIB}, {"storage": 1}, 1, [("error", "spool.max_bytes")]),
        ({"max_storage": 5 * MIB}, {"reserved_storage": 1}, 1, [("error", "spool.max_bytes")]),
        ({"max_storage": 5 * MIB}, {}, 3, [("warning", "spool.max_bytes")]),
        ({"max_storage": 15 * MIB}, {}, 3, []),
    ],
)
def test_limits_are_those_of_the_account(limits, usage, replicas, found):
    """What it has already counts, and so does each copy."""
    assert told({**usage, "limits": {**UNLIMITED, **limits}}, replicas) == found


def test_an_account_may_have_limits_for_each_number_of_replicas():
    """Then those of others do not count, and copies are counted already."""
    tiers = {"R1": {"limits": {**UNLIMITED, "max_storage": 5 * MIB}}}
    info = {"limits": {"max_storage": 0}, "tiers": tiers}
    assert told(info) == []
    assert told(info, 3) == [("error", "spool.replicas")]
    assert told({"tiers": {"R3": tiers["R1"]}}, 3) == []


def test_consumers_may_be_limited():
    """By 0 nothing is."""
    assert most_consumers({"limits": {"max_consumers": 7}}, 1) == 7
    assert most_consumers({"limits": {"max_consumers": 0}}, 1) is None
    assert most_consumers({"limits": UNLIMITED}, 1) is None
    assert most_consumers({}, 1) is None
    tiers = {"R3": {"limits": {"max_consumers": 9}}}
    assert most_consumers({"limits": {"max_consumers": 7}, "tiers": tiers}, 3) == 9


def test_a_message_has_room_for_a_batch():
    assert list(on_payload(66_560)) == []
    (found,) = on_payload(66_559)
    assert found.found == "the servers take messages of 66559 octets, 66560 are needed"


def test_replicas_are_of_a_cluster():
    assert list(on_replicas(1, is_clustered=False)) == []
    assert list(on_replicas(3, is_clustered=True)) == []
    (found,) = on_replicas(3, is_clustered=False)
    assert (found.level, found.where) == ("error", "spool.replicas")
