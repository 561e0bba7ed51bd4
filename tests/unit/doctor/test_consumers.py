"""The consumers of sinks, as servers have them."""

import pytest

from collector.doctor.consumers import on_consumer, on_limit, on_permissions, trials, wanted_by
from tests.unit.doctor.conftest import config_of

SINKS = [
    {"name": "siem", "url": "http://127.0.0.1:9"},
    {"name": "a.b", "url": "http://127.0.0.1:9", "concurrency": 1},
]
SPOOL = {"type": "jetstream", "servers": ["nats://h"], "stream": "edr"}


@pytest.fixture
def config():
    return config_of(sinks=SINKS, spool=SPOOL)


def test_each_sink_has_one(config):
    """A sink that takes one batch at a time has one message out."""
    siem, other = wanted_by(config)
    assert siem["name"] == "siem"
    assert other["max_ack_pending"] == 1
    assert siem["max_ack_pending"] > 1


def test_what_is_tried_out_is_what_a_deliverer_does(config):
    """Under the same subjects."""
    assert list(trials(config.spool, wanted_by(config)[0])) == [
        "$JS.API.CONSUMER.CREATE.edr.siem.edr.siem.*",
        "$JS.API.CONSUMER.MSG.NEXT.edr.siem",
        "$JS.ACK.edr.siem.0.0.0.0.0",
    ]


def test_one_as_settings_want_it_is_told_with_what_waits(config):
    wanted, _ = wanted_by(config)
    found = on_consumer(0, wanted, {"config": wanted, "num_pending": 1234, "num_ack_pending": 5})
    assert (found.level, found.where) == ("ok", "sinks[0]")
    assert found.found.endswith("settings have it, 1,234 messages wait, 5 are out")


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({"ack_wait": 5}, "note", "has another ack_wait: a deliverer changes it"),
        ({"ack_policy": "all"}, "error", "ack_policy: explicit is needed, the consumer has all"),
        ({"deliver_subject": "x"}, "error", "deliver_subject: nothing is needed"),
    ],
)
def test_one_that_is_different_is_changed_where_it_can_be(config, change, level, said):
    wanted, _ = wanted_by(config)
    found = on_consumer(0, wanted, {"config": {**wanted, **change}})
    assert found.level == level
    assert said in found.found
    assert bool(found.advice) == (level == "error")


def test_one_that_is_not_there_is_made(config):
    found = on_consumer(1, wanted_by(config)[1], None)
    assert (found.level, found.where) == ("note", "sinks[1]")


@pytest.mark.parametrize(
    ("most", "there", "is_told"),
    [
        (2, (), False),
        (1, (), True),
        (2, ("siem", "old"), True),
        (3, ("siem", "old"), False),
        (1, ("siem", "other"), False),
        (-1, ("old",), False),
    ],
)
def test_the_limit_of_the_account_counts_where_one_is_to_be_made(most, there, is_told):
    """Those of sinks that there are no longer take room, too."""
    info = {"limits": {"max_consumers": most}}
    found = list(on_limit(info, 1, {name: {} for name in there}, ["siem", "other"]))
    assert bool(found) == is_told
    for finding in found:
        assert f"of a stream is {most} (error 10026): there are {len(there)}, " in finding.found
        assert finding.level == "error"


def test_what_is_forbidden_is_named():
    assert list(on_permissions(0, [])) == []
    (found,) = on_permissions(3, ["a", "b"])
    assert (found.level, found.where) == ("error", "sinks[3]")
    assert found.found == "the servers do not let us publish under a, b"
