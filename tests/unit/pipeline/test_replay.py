"""Messages that come again."""

import json
from datetime import UTC, datetime

import pytest

from collector.events.envelope import finisher
from collector.identity import IdSource, content_id
from collector.pipeline import Pipeline
from collector.ratelimit import TokenBucket
from collector.routing import KeySlot
from collector.spool import Letter
from collector.spool.entries import Entry
from collector.syslog.framing import CutFrame
from tests.pipelines import Room, keyed


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


def test_a_replay_is_no_sighting(room):
    """Nobody has sent it now."""
    letter = a_letter(listener="bound")
    account_for(room, letter)
    assert room.replay(letter)
    assert room.stats.sightings.newest("two", 9) == []


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


def an_entry(intake):
    received = datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC).timestamp()
    return Entry(f"{7:032x}", intake, "192.0.2.1", received)


def test_a_raw_message_that_was_stored_is_read_by_its_intake_of_today(room):
    """With the id and the time that it had."""
    event, encoded, arrival = room.pipeline.read_again("damaged", an_entry("one"))
    assert json.loads(encoded) == event
    assert event["tags"] == ["repaired:bom", "truncated", "timestamp:received"]
    assert event["event"]["id"] == arrival.identifier == f"{7:032x}"
    assert event["event"]["created"] == "2023-11-14T22:13:20.250000Z"
    assert room.first.events == []


def test_a_raw_message_of_an_intake_that_is_gone_is_text(room):
    """Nobody else knows what it means."""
    event, encoded, _ = room.pipeline.read_again("bad", an_entry("three"))
    assert json.loads(encoded) == event
    assert (event["message"], event["event"]["kind"]) == ("bad", "event")
