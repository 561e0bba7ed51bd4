"""What came and went in the last minutes."""

import json

import pytest

from collector.admin.history import STEP_SECONDS, History, next_look

EDR, SIEM = ("intake", "edr"), ("sink", "siem")
SET = 1000.0


def note(history, seconds, counts):
    """Look at counters after so many seconds; the clock is right."""
    return history.note(counts, wall=SET + seconds, steady=seconds)


def test_between_two_looks_lies_a_rate():
    """Events per second, whatever time a step took."""
    history = History()
    assert note(history, 96.0, {EDR: 0, SIEM: 0}) is None
    assert note(history, 100.0, {EDR: 10, SIEM: 0}).rates == {EDR: 2.5, SIEM: 0.0}
    point = note(history, 104.0, {EDR: 30, SIEM: 2})
    assert (point.ends, point.seconds) == (SET + 104.0, 4.0)
    assert point.rates == {EDR: 5.0, SIEM: 0.5}
    assert history.last is point


def test_what_came_before_the_first_look_is_in_the_first_step():
    """A daemon may receive before it looks; its counters begin at 0."""
    history = History()
    assert note(history, 0.0, {EDR: 10}) is None
    assert note(history, 5.0, {EDR: 10}).rates == {EDR: 2.0}
    assert note(history, 10.0, {EDR: 10}).rates == {EDR: 0.0}


def test_what_is_new_begins_at_0():
    """As a sink that a reload has brought; where it was not there is null."""
    history = History()
    note(history, 0.0, {})
    note(history, 5.0, {EDR: 5})
    note(history, 10.0, {EDR: 5, SIEM: 10})
    shown = json.loads(json.dumps(history.as_json()))
    assert shown == {
        "step": STEP_SECONDS,
        "ends": SET + 10.0,
        "seconds": [5.0, 5.0],
        "series": [
            {"kind": "intake", "name": "edr", "values": [1.0, 0.0]},
            {"kind": "sink", "name": "siem", "values": [None, 2.0]},
        ],
    }


def test_a_count_that_fell_began_anew():
    """As that of a listener that was taken away and came back."""
    history = History()
    note(history, 0.0, {})
    note(history, 5.0, {EDR: 1000})
    note(history, 10.0, {SIEM: 1})
    assert note(history, 15.0, {EDR: 20}).rates == {EDR: 4.0}


def test_looks_at_one_moment_make_no_point():
    """And the next look is compared with the first of them."""
    history = History()
    note(history, 10.0, {EDR: 0})
    assert note(history, 10.0, {EDR: 5}) is None
    assert note(history, 12.0, {EDR: 11}).rates == {EDR: 5.5}


@pytest.mark.parametrize("moved", [-4.0, 3600.0, -3600.0])
def test_a_clock_that_is_set_changes_no_rate(moved):
    """It says when the newest step ended, and those before follow from that, in order."""
    history = History()
    for step in range(5):
        wall = SET + 5.0 * step + (moved if step >= 3 else 0.0)
        point = history.note({EDR: 500 * step}, wall=wall, steady=5.0 * step)
    assert (point.ends, point.rates) == (SET + 20.0 + moved, {EDR: 100.0})
    shown = history.as_json()
    assert shown["ends"] == SET + 20.0 + moved
    assert shown["seconds"] == [5.0] * 4
    assert shown["series"][0]["values"] == [100.0] * 4


@pytest.mark.parametrize(
    ("now", "expected"), [(100.0, 105.0), (102.5, 105.0), (105.0, 110.0), (117.0, 120.0)]
)
def test_looks_are_due_at_equal_steps_however_long_one_takes(now, expected):
    """What was missed is left out."""
    assert next_look(100.0, now) == expected


def test_only_the_last_points_are_kept():
    """What is older is let go, also series that are no more."""
    history = History(points=2)
    note(history, 0.0, {EDR: 0})
    for second in range(1, 6):
        note(history, float(second), {SIEM: second})
    shown = history.as_json()
    assert [(item["name"], item["values"]) for item in shown["series"]] == [("siem", [1.0, 1.0])]


def test_without_points_there_is_nothing():
    """The page says that it is waiting."""
    expected = {"step": STEP_SECONDS, "ends": None, "seconds": [], "series": []}
    assert History().as_json() == expected
    assert History().last is None
