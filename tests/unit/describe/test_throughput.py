"""Rates between two looks at a daemon."""

import pytest

from collector.describe.throughput import Look, Throughput, total


def look(at, started="2026-01-01T00:00:00+00:00", **changes):
    status = {
        "started": started,
        "ledger": {"received": 0, "dropped": {}},
        "listeners": [{"name": "l", "messages": 0}],
        "intakes": [{"name": "i", "events": {"ok": 0, "pipeline_error": 0}}],
        "sinks": [{"name": "s", "delivered": 0}],
        **changes,
    }
    return Look(status, at)


def test_rates_are_what_is_more_by_the_time_between():
    now = look(
        12.0,
        ledger={"received": 20, "dropped": {"max_rate": 3, "filter:x": 1, "spool_full": 2}},
        listeners=[{"name": "l", "messages": 30}],
        intakes=[{"name": "i", "events": {"ok": 40, "pipeline_error": 10}}],
        sinks=[{"name": "s", "delivered": 5}],
        workers=[{"number": 0, "ledger": {"received": 8}}],
    )
    before = look(10.0, workers=[{"number": 0, "ledger": {"received": 4}}])
    rates = Throughput(now, before)
    assert rates.account("received") == 10
    assert (rates.account("dropped"), rates.account("lost")) == (2, 1)
    assert rates.listener("l") == 15
    assert rates.intake("i") == 25
    assert rates.sink("s") == 2.5
    assert rates.worker(0) == 2


@pytest.mark.parametrize(
    "before",
    [
        None,
        look(0.0, started="another"),
        look(5.0),
        look(0.0, sinks=[]),
        look(0.0, sinks=[{"name": "s", "delivered": 9}]),
    ],
    ids=["first", "started anew", "the same moment", "new", "less than before"],
)
def test_some_rates_are_not_known(before):
    assert Throughput(look(5.0), before).sink("s") is None


def test_a_worker_that_has_said_nothing_yet_has_no_rate():
    now = look(2.0, workers=[{"number": 0, "ledger": {"received": 8}}])
    before = look(1.0, workers=[{"number": 0, "ledger": None}])
    assert Throughput(now, before).worker(0) is None


def test_an_account_is_a_number_or_numbers_by_reason():
    assert total(3) == 3
    assert total({"a": 1, "b": 2}) == 3
