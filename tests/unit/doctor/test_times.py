"""The clock and the zones."""

import pytest

from collector.doctor import times
from collector.doctor.machine import Clock
from tests.unit.doctor.conftest import config_of, levels

NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("clock", "level"),
    [
        (Clock(True, 0.02), "ok"),
        (Clock(True, 3.0), "warning"),
        (Clock(False, 16.0), "warning"),
        (Clock(None, 0.0), "note"),
    ],
)
def test_a_clock_that_nobody_keeps_right_is_told(clock, level):
    (found,) = times.on_clock(clock)
    assert found.level == level
    assert bool(found.advice) == (level != "ok")


def test_a_time_before_the_program_was_installed_is_an_error():
    assert levels(times.on_time(NOW, NOW + 1)) == [("error", "clock")]
    assert list(times.on_time(NOW, NOW - 1)) == []


@pytest.mark.parametrize("moved", [-3600.0, 0.5])
def test_a_clock_that_was_set_meanwhile_is_told(moved):
    (found,) = times.on_jump(moved)
    assert found.level == "warning"
    assert f"{moved:+.1f} s" in found.found
    assert list(times.on_jump(0.001)) == []


def test_zones_tell_the_time_there():
    """To be held against what a sender writes."""
    listeners = [
        {"name": "a", "transport": "tcp", "port": 0},
        {"name": "b", "transport": "tcp", "port": 0, "timezone": "Asia/Tokyo"},
    ]
    (found,) = times.on_zones(config_of(listeners=listeners), NOW)
    assert (found.level, found.where) == ("ok", "listeners[1].timezone")
    assert "it is 05:26 there (UTC+0900)" in found.found


def test_a_day_is_one_of_utc():
    assert times.day(86399) == "1970-01-01"
    assert times.day(86400) == "1970-01-02"
