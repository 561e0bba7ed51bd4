"""From frames to documents and dead letters."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_network

import pytest
import structlog

from collector.backpressure import Gate
from collector.events.envelope import finisher
from collector.identity import IdSource, content_id
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, Stats
from collector.parsers import ParseError
from collector.pipeline import Intake, Origin, Outlet, Pipeline, Rules
from collector.ratelimit import TokenBucket
from collector.routing import KeySlot, Router
from collector.spool import Letter
from collector.syslog.framing import CutFrame
from collector.syslog.message import KeyName

FINISH = finisher()
NOW = 1_767_323_045_678_901_234  # nanoseconds: 2026-01-02T03:04:05.678901Z


class Batcher:
    """Takes documents and accounts for them as one that never closes."""

    def __init__(self, sink, ledger):
        self.sink = sink
        self.gate = Gate()
        self.ledger = ledger
        self.events = []
        self.arrivals = []

    def add(self, document, arrival, intake):
        self.ledger.in_memory += 1
        self.events.append(json.loads(document))
        self.arrivals.append((arrival, intake))


class Spool:
    """Keeps dead letters for ever."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.letters = []

    def set_aside(self, letter):
        self.ledger.in_memory -= 1
        self.ledger.dead_lettered[letter.reason] += 1
        self.letters.append(letter)


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
    """A pipeline with two intakes, the second of which goes to two sinks.

    Args:
        settings: of the pipeline's rules; `finish`, `select` and `document_of` are of the second
            intake.
        one: changes of the first intake.
    """

    def __init__(self, *, finish=FINISH, select=None, document_of=None, one=None, **settings):
        self.stats = Stats(Ledger())
        self.ledger = self.stats.ledger
        self.spool = Spool(self.ledger)
        self.first, self.second = Batcher("first", self.ledger), Batcher("second", self.ledger)
        single = (Outlet("one", self.first),)
        self.both = (Outlet("two", self.first), Outlet("two", self.second, document_of))
        self.one = replace(
            Intake("one", parse, single, IntakeStats("one"), Watch(), FINISH, None), **(one or {})
        )
        self.two = Intake("two", parse, self.both, IntakeStats("two"), Watch(), finish, select)
        self.listener = ListenerStats("l")
        self.now = NOW
        self.slots = {"k1": KeySlot(self.one), "k2": KeySlot(self.two)}
        self.pipeline = Pipeline(
            self.rules(self.slots, zones={"l": timezone(timedelta(hours=2))}, **settings),
            IdSource(5),
            self.stats,
            self.spool,
            clock=lambda: self.now,
        )

    def rules(self, slots, **settings):
        """Return rules by which these keys are known."""
        router = Router(
            [self.one, self.two],
            keys=slots,
            bound={"bound": self.two},
            sources=[(ip_network("10.0.0.0/8"), self.one)],
        )
        return Rules(router, KeyName("SEKOIA@53288", "intake_key"), **settings)

    def feed(self, *frames, without_key=None, peer="192.0.2.1", rejected=None):
        origin = self.origin(without_key, peer)
        self.closed = self.pipeline.feed(list(frames), origin, rejected)
        assert self.ledger.imbalance() == 0
        return self.first.events

    def origin(self, without_key=None, peer="192.0.2.1"):
        return Origin(self.listener, peer, without_key)

    def replay(self, letter):
        """Replay a letter that the ledger knows of; say whether that worked."""
        worked = self.pipeline.replay(letter)
        assert self.ledger.imbalance() == 0
        return worked


@pytest.fixture
def room():
    return Room()


def assert_letter(letter, **attributes):
    """Fail unless a letter has these attributes."""
    assert {name: getattr(letter, name) for name in attributes} == attributes


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


def test_an_unknown_key_is_no_message_of_the_listeners_intake(room):
    """A wrong key is a mistake to be seen, not to be covered up: the message is kept aside."""
    frame = keyed("other-key", "a")
    with structlog.testing.capture_logs() as lines:
        room.feed(frame, keyed("other-key", "b"), without_key=room.one)
    assert room.first.events == []
    assert room.ledger.dead_lettered == {"unknown_intake": 2}
    assert room.stats.dead_lettered == {("", "unknown_intake"): 2}
    assert room.listener.rejected == {}
    assert_letter(
        room.spool.letters[0],
        reason="unknown_intake",
        problem="the intake key is not configured",
        identifier="019b7ca98f2e00000000000000000005",
        intake="",
        sink="",
        listener="l",
        peer="192.0.2.1",
        received=1_767_323_045.678901,
        raw=frame,
        is_frame=True,
        is_cut=False,
        event=None,
    )
    assert len(lines) == 1
    assert lines[0]["event"] == "message kept as a dead letter"
    assert lines[0]["problem"] == "the intake key is not configured"
    assert (lines[0]["peer"], lines[0]["listener"]) == ("192.0.2.1", "l")
    assert "other-key" not in str(lines)


def test_no_key_and_no_intake_makes_a_dead_letter(room):
    """An empty key is none."""
    room.feed(b"hello", keyed("", "x"))
    assert room.ledger.dead_lettered == {"unknown_intake": 2}
    assert {letter.problem for letter in room.spool.letters} == {
        "no intake key, and neither the listener nor the sender belongs to an intake"
    }


def test_messages_of_no_intake_are_rejected_where_set():
    """Nothing of them is kept."""
    room = Room(keep_unknown=False)
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("other-key", "a"), b"hello", keyed("k1", "good"))
    assert room.ledger.rejected == room.listener.rejected == {"unknown_intake": 2}
    assert room.spool.letters == []
    assert [line["event"] for line in lines] == ["message rejected"] * 2


def test_a_sender_is_told_which_of_its_messages_settings_reject():
    """By their places in what was fed; what a rate or a filter drops was accepted."""

    def select(_event, dropped):
        dropped["filter:all"] += 2
        return ()

    room = Room(keep_unknown=False, one={"limit": TokenBucket(1)}, select=select)
    rejected = []
    frames = [b"no key", keyed("k1", "a"), keyed("other-key", "b"), keyed("k1", "c")]
    room.feed(*frames, keyed("k2", "d"), rejected=rejected)
    assert rejected == [0, 2]
    assert room.ledger.dropped == {"max_rate": 1, "filter:all": 2}


def test_what_is_kept_as_a_dead_letter_is_not_rejected(room):
    """It is safe, so that the sender need not know."""
    rejected = []
    room.feed(b"no key", keyed("k1", "bad"), keyed("k1", "good"), rejected=rejected)
    assert rejected == []


def test_an_unfinished_frame_is_kept_as_one_that_was_cut(room):
    """It was received, and belongs to nobody as long as nobody asks for it."""
    room.pipeline.keep_incomplete(keyed("k1", "dat"), room.origin(room.one))
    (letter,) = room.spool.letters
    assert (letter.reason, letter.intake, letter.is_cut) == ("incomplete_frame", "", True)
    assert letter.raw == keyed("k1", "dat")
    assert room.ledger.dead_lettered == {"incomplete_frame": 1}
    assert room.ledger.received == room.listener.messages == 1
    assert room.ledger.imbalance() == 0


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
            return room.both[1:]
        return room.both

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


# Beyond what an intake takes, and what it cannot read.


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_beyond_the_rate_of_an_intake_is_dropped_or_kept(keep):
    """The other intakes do not notice; when time has passed it takes more."""
    room = Room(one={"limit": TokenBucket(2), "keep_excess": keep})
    with structlog.testing.capture_logs() as lines:
        room.feed(*(keyed("k1", str(n)) for n in range(5)), keyed("k2", "other"))
    assert [event["message"] for event in room.first.events] == ["0", "1", "other"]
    assert room.ledger.dropped == ({} if keep else {"max_rate": 3})
    assert room.ledger.dead_lettered == ({"max_rate": 3} if keep else {})
    kept = [(letter.intake, letter.raw) for letter in room.spool.letters]
    assert kept == ([("one", keyed("k1", text)) for text in "234"] if keep else [])
    assert len(lines) == 1
    assert lines[0]["problem"] == "intake 'one' takes no more than its max_rate"
    assert room.one.stats.ok == 2
    room.now += 1_000_000_000
    room.feed(keyed("k1", "later"))
    assert room.first.events[-1]["message"] == "later"


def test_what_cannot_be_parsed_is_kept_where_set():
    """As it came; it is counted as ever."""
    room = Room(one={"keep_unparsed": True})
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("k1", "bad"), keyed("k1", "bug"), keyed("k1", "good"))
    assert [event["message"] for event in room.first.events] == ["good"]
    assert room.ledger.dead_lettered == {"parse_error": 2}
    assert room.stats.dead_lettered == {("one", "parse_error"): 2}
    bad, bug = room.spool.letters
    assert (bad.problem, bad.intake, bad.sink) == ("it is not good", "one", "")
    assert (bad.raw, bad.is_frame) == (keyed("k1", "bad"), True)
    assert bug.problem == "the parser failed; the log has the details"
    assert room.one.stats.parse_errors == {"not_good": 1, "internal": 1}
    assert lines[0]["event"] == "message cannot be parsed, kept as a dead letter"


def test_a_sink_whose_document_cannot_be_made_gets_its_copy_later():
    """The mistake is logged with its traceback; the other sinks get theirs."""

    def fail(event, *_):
        raise KeyError(event["message"])

    room = Room(document_of=fail)
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("k2", "hello"))
    assert [event["message"] for event in room.first.events] == ["hello"]
    assert room.second.events == []
    (letter,) = room.spool.letters
    assert (letter.reason, letter.intake, letter.sink) == ("internal", "two", "second")
    assert (letter.raw, letter.is_frame) == (keyed("k2", "hello"), True)
    assert [line["event"] for line in lines] == ["format failed, please report it"]
    assert not room.replay(letter)
    assert room.ledger.dead_lettered == {"internal": 1}


def test_a_sink_gets_the_documents_it_asks_for():
    """Made of the event, its JSON, the text and how it came."""

    def document(event, encoded, text, arrival):
        assert json.loads(encoded) == event
        return json.dumps([event["message"], text, arrival.receipt.peer]).encode()

    room = Room(document_of=document)
    room.feed(keyed("k2", "hello"))
    assert room.first.events[0]["message"] == "hello"
    assert room.second.events == [["hello", "hello", "192.0.2.1"]]
    assert room.second.arrivals[0][1] == "two"


# Who sent it, and with which key.


def test_a_read_says_when_its_sender_was_last_seen():
    """By the intakes that its messages belong to, also those beyond what an intake takes."""
    room = Room(one={"limit": TokenBucket(1)})
    room.feed(keyed("k1", "a"), keyed("k1", "b"))
    room.now += 2 * 10**9
    frames = [keyed("k2", "c"), b"no key", keyed("k3", "unknown")]
    room.feed(*frames, peer="2001:db8::1", without_key=room.two)
    sightings = room.stats.sightings
    assert sightings.newest("one", 9) == [("192.0.2.1", NOW / 1e9)]
    assert sightings.newest("two", 9) == [("2001:db8::1", NOW / 1e9 + 2)]


def test_messages_of_one_intake_say_it_once(room):
    """Whatever their number: the sources of an intake are noted by the read."""
    seen = []
    room.pipeline._sightings.saw = lambda *given: seen.append(given)
    room.feed(*[keyed("k1", "a")] * 50, *[keyed("k2", "a")] * 50)
    assert [intake for intake, *_ in seen] == ["one", "two"]


def test_a_replay_is_no_sighting(room):
    """Nobody has sent it now."""
    letter = a_letter(listener="bound")
    account_for(room, letter)
    assert room.replay(letter)
    assert room.stats.sightings.newest("two", 9) == []


def test_a_key_says_when_it_was_last_used(room):
    """So that one sees when the old one of two can go."""
    room.feed(keyed("k1", "a"), b"no key")
    assert [slot.last_used for slot in room.slots.values()] == [NOW / 1e9, None]
    assert room.stats.key_slots == tuple(room.slots.values())


def test_a_peer_without_address_is_no_empty_text(room):
    """Behind a Unix socket: it is local where it is told, and in events there is none."""
    room = Room(finish=finisher(["source"]), keep_unknown=False)
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("k2", "dated"), keyed("other-key", "a"), peer="")
        room.pipeline.reject(room.origin(peer=""), "oversize")
    assert "log" not in room.second.events[0]
    assert room.stats.sightings.newest("two", 9) == [("local", NOW / 1e9)]
    assert [line["peer"] for line in lines] == ["local"] * 2


# Other rules.


def test_other_rules_hold_from_the_next_read_on(room):
    """Keys, what becomes of unknown ones, ids and zones; accounts and ids go on."""
    room.feed(keyed("k1", "a"), keyed("new", "a"))
    router = Router([room.two], keys={"new": KeySlot(room.two)}, bound={}, sources=[])
    rules = Rules(router, KeyName("x@1", "k"), identify_by_content=True, keep_unknown=False)
    room.pipeline.reconfigure(rules)
    frame = b'<13>1 - - - - - [x@1 k="new"] hello'
    room.feed(keyed("k1", "b"), frame)
    assert room.ledger.dead_lettered == {"unknown_intake": 1}
    assert room.ledger.rejected == {"unknown_intake": 1}
    assert [event["message"] for event in room.first.events] == ["a", "hello"]
    assert room.second.events[0]["event"]["id"] == content_id("two", frame)
    assert room.ledger.received == 4


def test_a_key_that_stays_keeps_when_it_was_last_used(room):
    """Also in another slot; one that is new has not been used."""
    room.feed(keyed("k1", "a"))
    slots = {"k3": KeySlot(room.one), "k1": KeySlot(room.one, 1)}
    room.pipeline.reconfigure(room.rules(slots))
    assert [slot.last_used for slot in room.stats.key_slots] == [None, NOW / 1e9]
    room.now += 10**9
    room.feed(keyed("k1", "a"))
    assert slots["k1"].last_used == NOW / 1e9 + 1


# Identity.


def test_the_id_may_follow_from_what_was_sent():
    """The same for a message that is sent again, another one for another intake."""
    room = Room(identify_by_content=True)
    room.feed(b"hello", b"hello", b"hello!", without_key=room.one)
    room.now += 10**9
    room.feed(b"hello", without_key=room.one)
    room.feed(b"hello", without_key=room.two)
    ids = [event["event"]["id"] for event in room.first.events]
    assert ids[0] == ids[1] == ids[3] == content_id("one", b"hello")
    assert len({*ids}) == 3
    assert ids[4] == room.second.events[0]["event"]["id"]
    assert [arrival.identifier for arrival, _ in room.first.arrivals] == ids


# Whom the origin waits for.


def test_an_origin_waits_for_the_full_sinks_its_messages_went_to(room):
    """Not for those of others, nor for one that a filter spared."""
    room.feed(keyed("k2", "a"))
    assert room.closed == set()
    room.second.gate.close()
    room.feed(keyed("k1", "a"))
    assert room.closed == set()
    room.feed(keyed("k1", "a"), keyed("k2", "b"), keyed("k1", "c"))
    assert room.closed == {room.second.gate}
    room.first.gate.close()
    room.feed(keyed("k2", "a"), keyed("unknown", "b"))
    assert room.closed == {room.first.gate, room.second.gate}
    picky = Room(select=lambda _event, dropped: dropped.update(["only:second"]) or picky.both[:1])
    picky.second.gate.close()
    picky.feed(keyed("k2", "a"))
    assert picky.closed == set()


def test_an_origin_waits_for_a_sink_that_it_has_filled_itself(room):
    """The gate may close with a message of this very read."""
    add = room.first.add
    room.first.add = lambda *given: (add(*given), room.first.gate.close())
    room.feed(keyed("k1", "a"))
    assert room.closed == {room.first.gate}


# Replay.


def test_a_message_of_an_unknown_key_is_replayed_once_the_key_is_known():
    """With the id, the time, the peer and the repairs that it had."""
    before = Room()
    frames = [b"345 " + keyed("new", "caf") + b"\xe9", CutFrame(keyed("new", "cut"))]
    before.feed(*frames)
    room = Room(finish=finisher(["received", "syslog", "source"]))
    room.pipeline = replayer(room, keys={"new": room.two})
    for letter in before.spool.letters:
        account_for(room, letter)
        assert room.replay(letter)
    assert room.ledger.dead_lettered == {"unknown_intake": 0}
    assert (room.ledger.received, room.ledger.copies, room.ledger.in_memory) == (2, 2, 4)
    damaged, cut = room.second.events
    assert damaged["event"] == {
        "kind": "event",
        "id": "019b7ca98f2e00000000000000000005",
        "created": "2026-01-02T03:04:05.678901Z",
    }
    assert damaged["tags"] == [
        "repaired:octet_count",
        "repaired:invalid_utf8",
        "timestamp:received",
    ]
    assert damaged["log"]["source"] == {"address": "192.0.2.1"}
    assert damaged["log"]["syslog"]["priority"] == 13
    assert cut["event"]["id"] == "019b7ca98f2e00000000000000000006"
    assert cut["tags"] == ["truncated", "timestamp:received"]
    arrival, intake = room.second.arrivals[0]
    assert (arrival.receipt.peer, intake) == ("192.0.2.1", "two")
    assert arrival.receipt.moment.timestamp() == 1_767_323_045.678901


def test_a_message_without_key_is_replayed_to_the_intake_of_today(room):
    """Of the listener it came on, else of its sender; otherwise it stays where it is."""
    for listener, peer, worked in [
        ("bound", "192.0.2.1", True),
        ("l", "10.1.1.1", True),
        ("l", "192.0.2.1", False),
        ("bound", "", True),
        ("l", "", False),
    ]:
        letter = a_letter(listener=listener, peer=peer)
        account_for(room, letter)
        assert room.replay(letter) is worked
    assert [intake for _, intake in room.first.arrivals] == ["two", "one", "two"]
    assert room.ledger.dead_lettered == {"unknown_intake": 2}


def test_an_incomplete_frame_is_replayed_as_one_that_was_cut(room):
    """Its event says so."""
    room.pipeline.keep_incomplete(keyed("k1", "dated"), room.origin())
    assert room.replay(room.spool.letters[0])
    assert room.first.events[0]["tags"] == ["truncated"]
    assert room.ledger.dead_lettered == {"incomplete_frame": 0}


def test_what_could_not_be_parsed_is_replayed_once_it_can_be(room):
    """Until then it stays, and nobody gets it."""
    strict = Room(one={"keep_unparsed": True})
    strict.feed(keyed("k1", "bad"))
    (letter,) = strict.spool.letters
    assert not strict.replay(letter)
    assert strict.first.events == []
    assert strict.ledger.dead_lettered == {"parse_error": 1}
    account_for(room, letter)
    assert room.replay(letter)
    assert room.first.events[0]["event"]["id"] == letter.identifier


def test_a_replay_is_not_bounded_by_the_rate():
    """Whoever asks for it wants it now."""
    room = Room(one={"limit": TokenBucket(1), "keep_excess": True})
    room.feed(*(keyed("k1", str(n)) for n in range(4)))
    assert all(room.replay(letter) for letter in room.spool.letters)
    assert [event["message"] for event in room.first.events] == ["0", "1", "2", "3"]


def refused(text="hello", sink="second", **more):
    """Return the letter of an event that a sink refused: its message without header."""
    header = {"priority": 13, "hostname": "relay"}
    event = {
        "message": text,
        "tags": ["repaired:octet_count", "edr"],
        "log": {"syslog": header, "hostname": "h"},
    }
    return a_letter(
        **{
            "reason": "refused",
            "intake": "two",
            "sink": sink,
            "listener": "",
            "raw": text.encode(),
            "is_frame": False,
            "event": json.dumps(event).encode(),
            **more,
        }
    )


def test_what_a_sink_refused_goes_to_that_sink_alone():
    """Through today's parser, with what is known of its frame: repairs and header."""
    room = Room(finish=finisher(["received", "syslog"]))
    letter = refused()
    account_for(room, letter)
    assert room.replay(letter)
    assert room.first.events == []
    (event,) = room.second.events
    assert event["event"] == {
        "kind": "event",
        "id": f"{7:032x}",
        "created": "2023-11-14T22:13:20.250000Z",
    }
    assert event["tags"] == ["repaired:octet_count", "timestamp:received"]
    assert event["log"] == {"syslog": {"priority": 13, "hostname": "relay"}}
    assert (room.ledger.copies, room.ledger.in_memory) == (0, 1)


def test_a_raw_document_that_was_refused_is_replayed_without_its_header():
    """There is none any more, and none is made up."""
    room = Room(finish=finisher(["syslog"]))
    letter = refused(event=None)
    account_for(room, letter)
    assert room.replay(letter)
    assert "log" not in room.second.events[0]


@pytest.mark.parametrize("gone", [{"sink": "third"}, {"intake": "three"}])
def test_what_a_sink_refused_stays_while_it_has_nowhere_to_go(room, gone):
    """The sink, or the intake, may come back."""
    letter = refused(**gone)
    account_for(room, letter)
    assert not room.replay(letter)
    assert room.ledger.dead_lettered == {"refused": 1}


@pytest.mark.parametrize(
    ("text", "sink", "reason"),
    [
        ("noise", "second", "filter:noise"),
        ("dull", "second", "only:second"),
        ("dull", "first", None),
        ("fine", "second", None),
    ],
)
def test_a_filter_may_drop_what_is_replayed(text, sink, reason):
    """One copy, whatever the filters say of the other sinks."""

    def select(event, dropped):
        if event["message"] == "noise":
            dropped["filter:noise"] += 2
            return ()
        if event["message"] == "dull":
            dropped["only:second"] += 1
            return room.both[:1]
        return room.both

    room = Room(select=select)
    letter = refused(text, sink)
    account_for(room, letter)
    assert room.replay(letter)
    assert room.ledger.dropped == ({reason: 1} if reason else {})
    assert room.ledger.in_memory == (0 if reason else 1)
    assert room.ledger.dead_lettered == {"refused": 0}


def test_a_replay_to_all_sinks_accounts_for_every_copy():
    """Those that a filter drops too."""

    def select(_event, dropped):
        dropped["only:second"] += 1
        return room.both[:1]

    room = Room(select=select)
    letter = a_letter(listener="bound")
    account_for(room, letter)
    assert room.replay(letter)
    assert (room.ledger.copies, room.ledger.in_memory) == (1, 1)
    assert room.ledger.dropped == {"only:second": 1}


@pytest.mark.parametrize(
    ("intake", "identifier"), [("", content_id("two", b"hello")), ("two", f"{7:032x}")]
)
def test_where_ids_follow_from_content_a_replay_gives_one_to_what_had_none(intake, identifier):
    """A message that belonged to no intake; the id of an event stays."""
    room = Room(identify_by_content=True)
    letter = a_letter(listener="bound", intake=intake)
    account_for(room, letter)
    assert room.replay(letter)
    assert room.first.events[0]["event"]["id"] == identifier


def a_letter(**changes):
    """Return a letter of a message that came without key."""
    attributes = {
        "reason": "unknown_intake",
        "problem": "x",
        "identifier": f"{7:032x}",
        "intake": "",
        "sink": "",
        "listener": "l",
        "peer": "192.0.2.1",
        "received": datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC).timestamp(),
        "raw": b"hello",
        "is_frame": True,
    }
    return Letter(**{**attributes, **changes})


def account_for(room, letter):
    """Note a letter as one that an earlier process received."""
    room.ledger.received += 1
    room.ledger.dead_lettered[letter.reason] += 1


def replayer(room, keys):
    """Return a pipeline of the room that knows other keys, as after a restart."""
    slots = {key: KeySlot(intake) for key, intake in keys.items()}
    return Pipeline(room.rules(slots), IdSource(9), room.stats, room.spool)
