"""Events that reach the age at which the servers of a stream delete them."""

import pytest
from structlog.testing import capture_logs

from collector.spool.ageing import Ageing
from collector.stream import Holdings

NEAR = (
    "the oldest events reach max_age: have their sinks take them, with more deliverers"
    " or after a repair, or raise spool.max_age and that of the stream"
)
DUE = "events have waited for max_age, the servers delete them"


class Room:
    """A stream that keeps events for an hour, as one member sees it."""

    def __init__(self, max_age=3600.0):
        self.now = 10_000.0
        self.ageing = Ageing("edr", max_age, clock=lambda: self.now)

    def told(self, age, **events):
        """Tell of an oldest event; return what is logged then."""
        oldest = None if age is None else self.now - age
        with capture_logs() as logged:
            self.ageing.told(Holdings(1, 100, oldest, events, "n0", {}))
        return logged


@pytest.mark.parametrize(
    ("age", "is_near"), [(None, False), (0, False), (2880, False), (2881, True), (9999, True)]
)
def test_events_are_near_to_their_end_after_most_of_the_time(age, is_near):
    """As the alert has it."""
    room = Room()
    room.told(age, siem=1)
    assert room.ageing.is_near is is_near


def test_the_log_says_once_that_events_come_near_and_what_to_do():
    """With the sinks that they wait for."""
    room = Room()
    assert room.told(2000, siem=7) == []
    (line,) = room.told(3000.2, siem=7, lake=0)
    assert line == {
        "event": NEAR,
        "log_level": "warning",
        "stream": "edr",
        "oldest_seconds": 3000,
        "max_age_seconds": 3600,
        "events": {"siem": 7},
    }
    assert room.told(3001, siem=7) == []


def test_what_comes_and_goes_is_not_told_each_time():
    """The rate of lines is bounded."""
    room = Room()
    assert len(room.told(3000, siem=7)) == 1
    assert room.told(10, siem=7) == []
    assert not room.ageing.is_near
    assert room.told(3000, siem=7) == []
    assert room.ageing.is_near


def test_the_log_says_that_the_servers_delete():
    """Again and again as long as they do, at a bounded rate."""
    room = Room()
    room.told(3000, siem=7)
    assert room.told(3594, siem=7) == []
    (line,) = room.told(3596, siem=7)
    assert (line["event"], line["log_level"], line["events"]) == (DUE, "error", {"siem": 7})
    assert room.told(3599, siem=7) == []


def test_a_member_that_starts_late_tells_both():
    assert [line["event"] for line in Room().told(3600, siem=7)] == [NEAR, DUE]


@pytest.mark.parametrize("events", [{}, {"siem": 0}])
def test_what_is_listed_although_nobody_waits_for_it_does_not_age(events):
    """Release 2.9 keeps messages that are dealt with until somebody else leads."""
    room = Room()
    room.told(3600, siem=7)
    assert room.told(3601, **events) == []
    assert not room.ageing.is_near


def test_events_that_are_kept_for_ever_are_never_near():
    room = Room(max_age=None)
    assert room.told(10**9, siem=7) == []
    assert not room.ageing.is_near
