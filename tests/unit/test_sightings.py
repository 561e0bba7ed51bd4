"""Who was seen when, and who has fallen silent."""

import json

import pytest
import structlog

from collector.sightings import (
    CHECK_SECONDS,
    FORGET_SECONDS,
    MAX_SOURCES,
    MAX_TOLD,
    Sighting,
    Sightings,
    merged,
)

START = 1_767_323_000.0  # 2026-01-02T03:03:20Z
HOUR = 3600.0
FALLEN = "sender is silent for longer than expect_every"
HEARD = "sender is heard again"
ABSENT = "no sender is seen for longer than expect_every"
FORGOTTEN = "silent sender is forgotten"


class Daemon:
    """Sightings that are checked as often as they want to be.

    Args:
        noted: what an earlier process left.
        expected: for each intake, after how many seconds a silent source is reported.
    """

    def __init__(self, noted=None, **expected):
        self.now = START
        self.sightings = Sightings()
        self.sightings.restore(noted, self.now)
        self.configure(**expected)

    def configure(self, **expected):
        self.sightings.configure(expected, self.now)

    def saw(self, *peers, intake="edr"):
        for peer in peers:
            self.sightings.saw(intake, peer, self.now)

    def run(self, seconds):
        """Let time pass; return what was logged: event, intake and source of each line."""
        with structlog.testing.capture_logs() as lines:
            end = self.now + seconds
            while self.now < end:
                self.now = min(end, self.now + CHECK_SECONDS)
                self.sightings.check(self.now)
        return [(line["event"], line["intake"], line.get("source")) for line in lines]

    def leap(self, seconds):
        """Let the machine sleep, or its clock be set."""
        self.now += seconds

    def silent(self):
        return [(entry["intake"], entry.get("source")) for entry in self.sightings.degraded()]

    def seen(self, intake="edr"):
        return dict(self.sightings.newest(intake, MAX_SOURCES))


def note_of(**intakes):
    return json.dumps({"version": 1, "intakes": intakes}).encode()


# What is known.


def test_a_source_is_known_by_when_it_was_last_seen():
    """For each intake by itself; what has no address is of this machine."""
    daemon = Daemon(edr=None, other=None)
    daemon.saw("192.0.2.1", "192.0.2.2")
    daemon.run(HOUR)
    daemon.saw("192.0.2.1", "")
    daemon.saw("192.0.2.2", intake="other")
    assert list(daemon.sightings) == [
        Sighting("edr", "192.0.2.2", START),
        Sighting("edr", "192.0.2.1", START + HOUR),
        Sighting("edr", "local", START + HOUR),
        Sighting("other", "192.0.2.2", START + HOUR),
    ]


def test_the_latest_sources_come_first():
    """As many as are asked for; an intake that nobody has sent to has none."""
    daemon = Daemon(edr=None)
    daemon.saw("a", "b", "c", "a")
    assert daemon.sightings.newest("edr", 2) == [("a", START), ("c", START)]
    assert daemon.sightings.newest("nobody", 2) == []


def test_of_too_many_sources_the_least_recently_seen_is_forgotten():
    """A warning says so, at a bounded rate: addresses can be forged."""
    daemon = Daemon(edr=None)
    with structlog.testing.capture_logs() as lines:
        daemon.saw("first", "second", *map(str, range(MAX_SOURCES - 2)))
        assert lines == []
        daemon.saw("first", "new", "newer")
    assert [line["intake"] for line in lines] == ["edr"]
    assert len(daemon.seen()) == MAX_SOURCES
    assert {"first", "new", "newer"} <= daemon.seen().keys()
    assert not {"second", "0"} & daemon.seen().keys()


def test_a_source_that_was_not_seen_for_very_long_is_none_any_more():
    """Whoever waits for longer still has twice that time."""
    daemon = Daemon(note_of(edr={"old": START - FORGET_SECONDS + HOUR}), edr=None)
    patient = Daemon(note_of(edr={"old": START - FORGET_SECONDS + HOUR}), edr=FORGET_SECONDS)
    for each in (daemon, patient):
        each.run(2 * HOUR)
    assert daemon.seen() == {}
    assert patient.seen().keys() == {"old"}


# Over a restart.


def test_what_is_known_outlives_the_process():
    """In the same order, so that the right one is forgotten first."""
    daemon = Daemon(edr=None)
    daemon.saw("a")
    daemon.run(HOUR)
    daemon.saw("b", "")
    noted = daemon.sightings.check(daemon.now)
    another = Daemon(edr=None)
    another.sightings.restore(noted, another.now + HOUR)
    assert list(another.seen().items()) == [
        ("local", START + HOUR),
        ("b", START + HOUR),
        ("a", START),
    ]


def test_a_first_start_knows_nothing():
    """And says nothing of it."""
    with structlog.testing.capture_logs() as lines:
        assert Daemon(edr=None).seen() == {}
    assert lines == []


@pytest.mark.parametrize(
    "noted",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"{}",
        b'{"version": 2, "intakes": {"edr": {"a": 1.0}}}',
        b'{"version": 1, "intakes": {"edr": ["a"]}}',
        note_of(edr={"a": "yesterday"}),
        note_of(edr={"a": True}),
        note_of(edr={"a": -1.0}),
        note_of(edr={"a": float("nan")}),
        note_of(edr={"a": float("inf")}),
        note_of(edr={"a": 1.0}, other=None),
        b'{"version": 1, "intakes": ' + b'{"a":' * 10_000,
    ],
)
def test_a_note_that_cannot_be_understood_is_left(noted):
    """The daemon starts all the same, and says so."""
    with structlog.testing.capture_logs() as lines:
        daemon = Daemon(noted, edr=None)
    assert daemon.seen() == {}
    assert [line["log_level"] for line in lines] == ["warning"]


def test_no_note_makes_a_source_that_was_seen_in_the_future():
    """The clock was wrong then: it is taken for now. Nor are there more than fit."""
    many = {str(number): START - 10 - number for number in range(MAX_SOURCES)}
    daemon = Daemon(note_of(edr={"future": START + 1e9, **many}), edr=None)
    assert daemon.seen()["future"] == START
    assert len(daemon.seen()) == MAX_SOURCES
    assert str(MAX_SOURCES - 1) not in daemon.seen()


# Silence.


def test_a_sender_that_falls_silent_is_told_once_and_shown_until_it_is_heard():
    """As is that it is heard again."""
    daemon = Daemon(edr=HOUR)
    daemon.saw("192.0.2.1", "192.0.2.2")
    assert daemon.run(HOUR) == []
    assert daemon.sightings.degraded() == []
    daemon.saw("192.0.2.2")
    assert daemon.run(HOUR) == [(FALLEN, "edr", "192.0.2.1")]
    assert daemon.sightings.degraded() == [
        {
            "intake": "edr",
            "source": "192.0.2.1",
            "reason": "silent for longer than expect_every",
        }
    ]
    daemon.saw("192.0.2.1", "192.0.2.2")
    assert daemon.run(CHECK_SECONDS) == [(HEARD, "edr", "192.0.2.1")]
    assert daemon.sightings.degraded() == []
    assert daemon.run(HOUR - CHECK_SECONDS) == []


def test_those_who_are_silent_are_counted_where_they_are_expected():
    """An intake that nobody sends to counts as one, and one that is gone not at all."""
    daemon = Daemon(edr=HOUR, empty=HOUR, free=None)
    daemon.saw("192.0.2.1", "192.0.2.2")
    daemon.saw("192.0.2.1", intake="free")
    assert daemon.sightings.silent() == {"edr": 0, "empty": 0}
    daemon.run(2 * HOUR)
    assert daemon.sightings.silent() == {"edr": 2, "empty": 1}
    daemon.saw("192.0.2.1")
    daemon.configure(edr=HOUR)
    daemon.run(CHECK_SECONDS)
    assert daemon.sightings.silent() == {"edr": 1}


def test_the_warning_says_when_the_sender_was_last_seen():
    """In the form of `/api/status`."""
    daemon = Daemon(edr=30.0)
    daemon.saw("192.0.2.1")
    daemon.leap(31)
    with structlog.testing.capture_logs() as lines:
        daemon.sightings.check(daemon.now)
    assert lines == [
        {
            "event": FALLEN,
            "intake": "edr",
            "source": "192.0.2.1",
            "last_seen": "2026-01-02T03:03:20+00:00",
            "log_level": "warning",
        }
    ]


def test_nobody_is_expected_unless_settings_say_so():
    """Nor of an intake that is not there."""
    daemon = Daemon(edr=None)
    daemon.saw("192.0.2.1")
    daemon.saw("192.0.2.1", intake="unknown")
    assert daemon.run(100 * HOUR) == []


def test_nobody_is_blamed_for_what_the_daemon_could_not_hear():
    """Silence begins with the start at the earliest."""
    daemon = Daemon(note_of(edr={"a": START - 100 * HOUR}), edr=HOUR)
    assert daemon.run(HOUR) == []
    assert daemon.run(CHECK_SECONDS) == [(FALLEN, "edr", "a")]


@pytest.mark.parametrize("seconds", [50 * HOUR, -50 * HOUR])
def test_silence_is_counted_anew_after_a_sleep_or_when_the_clock_was_set(seconds):
    """Forwards or back."""
    daemon = Daemon(edr=HOUR)
    daemon.saw("a")
    daemon.run(60.0)
    daemon.leap(seconds)
    assert daemon.run(HOUR) == []
    assert daemon.run(2 * CHECK_SECONDS) == [(FALLEN, "edr", "a")]


def test_an_intake_that_nobody_sends_to_is_told_once_too():
    """Until somebody does."""
    daemon = Daemon(edr=HOUR)
    assert daemon.run(HOUR) == []
    assert daemon.run(HOUR) == [(ABSENT, "edr", None)]
    assert daemon.sightings.degraded() == [
        {"intake": "edr", "reason": "no source seen for longer than expect_every"}
    ]
    daemon.saw("a")
    assert daemon.run(CHECK_SECONDS) == [("a sender is seen", "edr", "a")]
    assert daemon.sightings.degraded() == []


def test_many_that_fall_silent_at_once_do_not_fill_the_log():
    """Nor what everybody may read: the rest is counted."""
    daemon = Daemon(edr=HOUR)
    daemon.saw(*map(str, range(MAX_TOLD + 5)))
    daemon.run(HOUR)
    told = daemon.run(CHECK_SECONDS)
    assert told[:2] == [(FALLEN, "edr", "0"), (FALLEN, "edr", "1")]
    assert told[MAX_TOLD:] == [(FALLEN, "edr", None)]
    assert daemon.run(CHECK_SECONDS) == []
    assert len(daemon.sightings.degraded()) == MAX_TOLD + 1
    assert daemon.sightings.degraded()[-1] == {
        "intake": "edr",
        "reason": "5 more sources silent for longer than expect_every",
    }


def test_a_sender_that_is_forgotten_is_not_degraded_any_more():
    """That is told as well."""
    daemon = Daemon(note_of(edr={"a": START - FORGET_SECONDS + 2 * HOUR}), edr=HOUR)
    assert daemon.run(2 * HOUR) == [(FALLEN, "edr", "a")]
    assert daemon.run(HOUR) == [(FORGOTTEN, "edr", "a"), (ABSENT, "edr", None)]
    assert daemon.silent() == [("edr", None)]


def test_a_sender_heard_and_silent_again_between_two_checks_stays_silent():
    """It is not told to be heard again."""
    daemon = Daemon(edr=1.0)
    daemon.saw("a")
    daemon.run(CHECK_SECONDS)
    daemon.saw("a")
    assert daemon.run(CHECK_SECONDS) == []
    assert daemon.silent() == [("edr", "a")]


# Reload.


def test_what_is_expected_may_change_while_the_daemon_runs():
    """What is known of the sources stays, and those not expected any more are not silent."""
    daemon = Daemon(edr=None)
    daemon.saw("a")
    daemon.run(2 * HOUR)
    daemon.configure(edr=HOUR, new=HOUR)
    assert daemon.run(CHECK_SECONDS) == [(FALLEN, "edr", "a")]
    daemon.configure(edr=5 * HOUR)
    assert daemon.run(CHECK_SECONDS) == []
    assert daemon.silent() == []
    assert daemon.seen() == {"a": START}


def test_an_intake_that_is_gone_is_known_when_it_returns():
    """Its silence is counted from then; meanwhile nobody is told of it."""
    daemon = Daemon(edr=HOUR)
    daemon.saw("a")
    daemon.configure()
    assert daemon.run(5 * HOUR) == []
    assert list(daemon.sightings) == []
    daemon.configure(edr=HOUR)
    assert list(daemon.sightings) == [Sighting("edr", "a", START)]
    assert daemon.run(HOUR) == []
    assert daemon.run(CHECK_SECONDS) == [(FALLEN, "edr", "a")]


def test_an_intake_that_is_gone_is_forgotten_with_its_last_source():
    """It is not noted any more."""
    daemon = Daemon(note_of(gone={"a": START - FORGET_SECONDS + 1.0}))
    assert b"gone" in daemon.sightings.packed()
    daemon.run(CHECK_SECONDS)
    assert b"gone" not in daemon.sightings.packed()
    assert daemon.seen("gone") == {}


def test_what_another_process_has_seen_is_absorbed():
    """The later of two times counts, none lies in the future, and intakes that are new come too."""
    one, other = Sightings(), Sightings()
    one.saw("edr", "192.0.2.1", 10.0)
    one.saw("edr", "192.0.2.2", 20.0)
    other.saw("edr", "192.0.2.1", 30.0)
    other.saw("edr", "192.0.2.3", 99.0)
    other.saw("nac", "192.0.2.9", 5.0)
    one.absorb(other.packed(), 50.0)
    one.absorb(b"no note", 50.0)
    one.configure({"edr": None, "nac": None}, 50.0)
    assert one.newest("edr", 9) == [("192.0.2.3", 50.0), ("192.0.2.1", 30.0), ("192.0.2.2", 20.0)]
    assert one.newest("nac", 9) == [("192.0.2.9", 5.0)]


def test_the_notes_of_two_processes_are_one():
    """As when the spool of one goes to the other."""
    one, other, both = Sightings(), Sightings(), Sightings()
    one.saw("edr", "192.0.2.1", 10.0)
    other.saw("edr", "192.0.2.1", 30.0)
    other.saw("nac", "192.0.2.9", 5.0)
    both.restore(merged(one.packed(), other.packed()), 50.0)
    assert both.newest("edr", 9) == [("192.0.2.1", 30.0)]
    assert both.newest("nac", 9) == [("192.0.2.9", 5.0)]
