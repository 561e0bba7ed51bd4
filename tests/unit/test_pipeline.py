"""From frames to encoded events."""

import json
from collections import Counter
from datetime import timedelta, timezone

import pytest
import structlog

from collector.events.envelope import finisher
from collector.identity import IdSource
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, Stats
from collector.parsers import ParseError
from collector.pipeline import Intake, Origin, Pipeline
from collector.routing import Router
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName

FINISH = finisher()
NOW = 1_767_323_045_678_901_234  # nanoseconds: 2026-01-02T03:04:05.678901Z


class Batcher:
    """Takes events and accounts for them as one that never closes."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.events = []

    def add(self, event, received):
        assert received == NOW / 1e9
        self.ledger.in_memory += 1
        self.events.append(json.loads(event))


def parse(text):
    """A parser that knows a few words."""
    if text == "bad":
        raise ParseError("not_good", "it is not good")
    if text == "bug":
        raise KeyError(text)
    event = {"message": text, "event": {"kind": "event"}}
    if text == "dated":
        event["@timestamp"] = "2020-01-01T00:00:00.000000Z"
    if text == "damaged":
        event["tags"] = ["repaired:bom", "truncated"]
    return event


class Watch:
    """Looks at every message once it is due, and then no more for a while."""

    def __init__(self):
        self.due = NOW
        self.seen = []

    def examine(self, text, nanoseconds):
        self.seen.append(text)
        self.due = nanoseconds + 1


class Room:
    """A pipeline with two intakes, the second of which goes to two sinks."""

    def __init__(self, finish=FINISH, select=None):
        self.stats = Stats(Ledger())
        self.ledger = self.stats.ledger
        self.first, self.second = Batcher(self.ledger), Batcher(self.ledger)
        one, both = (self.first,), (self.first, self.second)
        self.one = Intake("one", parse, one, IntakeStats("one"), Watch(), FINISH, None)
        self.two = Intake("two", parse, both, IntakeStats("two"), Watch(), finish, select)
        router = Router(keys={"k1": self.one, "k2": self.two}, bound={}, sources=[])
        key_name = KeyName("SEKOIA@53288", "intake_key")
        self.listener = ListenerStats("l")
        self.pipeline = Pipeline(
            router,
            key_name,
            IdSource(5),
            self.stats,
            zones={"l": timezone(timedelta(hours=2))},
            clock=lambda: NOW,
        )

    def feed(self, *frames, without_key=None):
        self.pipeline.feed(list(frames), Origin(self.listener, "192.0.2.1", without_key))
        assert self.ledger.imbalance() == 0
        return self.first.events


@pytest.fixture
def room():
    return Room()


def keyed(key, text):
    return f'<13>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()


def test_an_event_says_when_it_was_received_and_which_it_is(room):
    """Without a date of its own it is dated by its receipt, with a tag."""
    assert room.feed(keyed("k1", "hello"))[0] == {
        "message": "hello",
        "@timestamp": "2026-01-02T03:04:05.678901Z",
        "tags": ["timestamp:received"],
        "event": {
            "kind": "event",
            "id": "019b7ca98f2e00000000000000000005",
            "created": "2026-01-02T03:04:05.678901Z",
        },
    }
    assert int("019b7ca98f2e", 16) == NOW // 1_000_000
    assert room.one.stats.ok == room.listener.messages == room.ledger.received == 1


def test_a_vendor_date_is_kept(room):
    """No tag then."""
    event = room.feed(keyed("k1", "dated"))[0]
    assert event["@timestamp"] == "2020-01-01T00:00:00.000000Z"
    assert "tags" not in event


def test_ids_differ_and_sort_by_arrival(room):
    """Within a read and between reads."""
    room.feed(keyed("k1", "a"), keyed("k1", "b"))
    room.feed(keyed("k1", "c"))
    ids = [event["event"]["id"] for event in room.first.events]
    assert ids == sorted(set(ids))
    assert len(ids) == 3


def test_a_key_decides_against_the_listener(room):
    """What has no key belongs to the listener's intake."""
    room.feed(keyed("k1", "a"), b"<13>1 - - - - - - b", b"c", without_key=room.two)
    assert [event["message"] for event in room.first.events] == ["a", "b", "c"]
    assert [event["message"] for event in room.second.events] == ["b", "c"]
    assert (room.one.stats.ok, room.two.stats.ok) == (1, 2)


def test_each_further_sink_is_a_copy(room):
    """received + copies is what the sinks get."""
    room.feed(keyed("k2", "a"), keyed("k1", "b"))
    assert (room.ledger.received, room.ledger.copies, room.ledger.in_memory) == (2, 1, 3)


def test_an_unknown_key_is_refused_even_where_the_listener_is_bound(room):
    """A wrong key is a mistake to be seen, not to be covered up."""
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("other-key", "a"), keyed("other-key", "b"), without_key=room.one)
    assert room.first.events == []
    assert room.ledger.rejected == room.listener.rejected == {"unknown_intake": 2}
    assert len(lines) == 1
    assert lines[0]["problem"] == "the intake key is not configured"
    assert (lines[0]["peer"], lines[0]["listener"]) == ("192.0.2.1", "l")
    assert "other-key" not in str(lines)


def test_no_key_and_no_intake_is_refused(room):
    """An empty key is none."""
    room.feed(b"hello", keyed("", "x"))
    assert room.ledger.rejected == {"unknown_intake": 2}


def test_what_cannot_be_parsed_is_forwarded_as_such(room):
    """Raw text, kind and reason; counted, and the next message is served."""
    room.feed(keyed("k1", "bad"), keyed("k1", "good"))
    broken, good = room.first.events
    assert broken["message"] == "bad"
    assert broken["event"]["kind"] == "pipeline_error"
    assert broken["error"]["message"] == "it is not good"
    assert good["message"] == "good"
    assert (room.one.stats.ok, room.one.stats.pipeline_error) == (1, 1)
    assert room.one.stats.parse_errors == {"not_good": 1}


def test_a_parser_that_breaks_costs_one_event_its_fields(room):
    """The mistake is logged with its traceback, the text is forwarded."""
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("k1", "bug"), keyed("k1", "good"))
    assert [event["message"] for event in room.first.events] == ["bug", "good"]
    assert room.one.stats.parse_errors == {"internal": 1}
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["exc_info"] for line in errors] == [True]


def test_a_cut_frame_is_tagged(room):
    """Its event is an ordinary one otherwise."""
    event = room.feed(CutFrame(keyed("k1", "dated")))[0]
    assert event["tags"] == ["truncated"]
    assert room.listener.truncated == 1


def test_a_cut_is_told_once(room):
    """The frame was cut, and the parser sees it too."""
    event = room.feed(CutFrame(keyed("k1", "damaged")))[0]
    assert event["tags"] == ["repaired:bom", "truncated", "timestamp:received"]
    assert room.one.stats.repaired == {"bom": 1, "truncated": 1}


def test_an_octet_count_before_the_header_does_not_hide_the_key(room):
    """It is taken away, with a tag."""
    event = room.feed(b"345 " + keyed("k1", "dated"))[0]
    assert event["message"] == "dated"
    assert event["tags"] == ["repaired:octet_count"]


def test_octets_that_are_not_utf_8_are_replaced_with_a_tag(room):
    """No word is lost without one."""
    event = room.feed(keyed("k1", "caf") + b"\xe9")[0]
    assert event["message"] == "caf\ufffd"
    assert event["tags"] == ["repaired:invalid_utf8", "timestamp:received"]


def test_repairs_are_counted_once_per_event_and_kind(room):
    """By the intake; other tags are none."""
    room.feed(
        keyed("k1", "damaged"),
        b"345 " + keyed("k1", "damaged"),
        keyed("k1", "undamaged"),
        CutFrame(keyed("k1", "dated")),
        CutFrame(keyed("k1", "bad")),
        b"345 " + keyed("k1", "bug"),
        keyed("k2", "damaged"),
    )
    assert room.one.stats.repaired == {"bom": 2, "truncated": 4, "octet_count": 2}
    assert room.two.stats.repaired == {"bom": 1, "truncated": 1}
    tags = [event.get("tags") for event in room.first.events]
    assert tags[4:6] == [
        ["truncated", "timestamp:received"],
        ["repaired:octet_count", "timestamp:received"],
    ]


def test_tags_of_the_operator_are_no_repairs():
    """Whatever they say."""
    room = Room(finish=finisher(add_fields=lambda event: event.update(tags=["repaired:bom"])))
    room.feed(keyed("k2", "dated"))
    assert room.two.stats.repaired == {}


def test_an_intake_completes_its_events_in_its_way():
    """Also those that cannot be parsed. Header times are in the zone of the listener."""
    room = Room(finish=finisher(["syslog", "source"], timestamp_fallback=False))
    frame = b"<13>Jan  2 03:04:05 h a: %b"
    room.feed(frame % b"good", frame % b"bad", without_key=room.two)
    for event in room.second.events:
        assert set(event["event"]) == {"kind", "id"}
        assert "@timestamp" not in event
        assert event["log"]["source"] == {"address": "192.0.2.1"}
        assert event["log"]["syslog"]["timestamp"] == "2026-01-02T01:04:05.000000Z"
    assert [event["event"]["kind"] for event in room.second.events] == ["event", "pipeline_error"]


def test_an_intake_selects_where_its_events_go():
    """It sees them completed, those that cannot be parsed too, and every copy is accounted for."""
    seen = []

    def select(event, dropped):
        seen.append(event["event"]["id"])
        if event["message"] == "noise":
            dropped["filter:noise"] += 2
            return ()
        if event["event"]["kind"] == "pipeline_error":
            dropped["only:first"] += 1
            return (room.second,)
        return (room.first, room.second)

    room = Room(select=select)
    room.feed(keyed("k2", "noise"), keyed("k2", "bad"), keyed("k2", "good"), keyed("k1", "noise"))
    assert [event["message"] for event in room.first.events] == ["good", "noise"]
    assert [event["message"] for event in room.second.events] == ["bad", "good"]
    assert len(set(seen)) == 3
    assert room.ledger.dropped == Counter({"filter:noise": 2, "only:first": 1})
    assert (room.ledger.received, room.ledger.copies, room.ledger.in_memory) == (4, 3, 4)
    assert (room.two.stats.ok, room.two.stats.pipeline_error) == (2, 1)


def test_rejecting_counts_what_a_listener_does_not_keep(room):
    """It was received all the same."""
    origin = Origin(room.listener, "192.0.2.1", None)
    room.pipeline.reject(origin, "oversize", 3)
    assert room.ledger.rejected == room.listener.rejected == {"oversize": 3}
    assert room.ledger.received == room.listener.messages == 3
    assert room.ledger.imbalance() == 0


def test_a_flood_of_bad_messages_is_logged_at_a_bounded_rate(room):
    """One line per kind within the period."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            room.feed(keyed("k1", "bad"), keyed("nope", "x"), b"no key")
    assert len(lines) == 3


def test_a_message_is_examined_for_what_is_new_when_the_watch_is_due(room):
    """Each intake has its own, and one that cannot be parsed is examined as well."""
    room.feed(keyed("k1", "bad"), keyed("k1", "more"), keyed("k2", "hello"), keyed("k3", "x"))
    assert room.one.watch.seen == ["bad"]
    assert room.two.watch.seen == ["hello"]


def test_an_event_that_cannot_be_completed_is_forwarded_as_a_pipeline_error():
    """Without what the settings ask for: that is what failed."""

    def fail(_event):
        raise KeyError("field")

    room = Room(finish=finisher(add_fields=fail))
    with structlog.testing.capture_logs() as logs:
        room.feed(keyed("k2", "damaged"), keyed("k2", "bad"), keyed("k1", "good"))
    assert [event["message"] for event in room.first.events] == ["damaged", "bad", "good"]
    assert [event["event"]["kind"] for event in room.second.events] == ["pipeline_error"] * 2
    assert room.second.events[0]["error"]["code"] == "internal"
    assert "id" in room.second.events[0]["event"]
    assert room.two.stats.parse_errors == {"internal": 2}
    assert (room.two.stats.ok, room.two.stats.pipeline_error) == (0, 2)
    assert "parser failed, please report it" in [line["event"] for line in logs]


def test_an_event_whose_filter_fails_goes_everywhere():
    """No copy is counted twice, or not at all."""

    def select(_event, dropped):
        dropped["filter:x"] += 1
        raise KeyError("field")

    room = Room(select=select)
    with structlog.testing.capture_logs() as logs:
        room.feed(keyed("k2", "hello"), keyed("k2", "hello"))
    assert len(room.first.events) == len(room.second.events) == 2
    assert room.ledger.dropped == {}
    assert [line["event"] for line in logs] == ["filter failed, please report it"]
