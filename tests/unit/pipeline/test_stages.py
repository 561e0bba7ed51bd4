"""What the functions of an intake make of a message."""

import structlog

from collector.events.envelope import finisher
from collector.syslog.framing import CutFrame
from tests.pipelines import Room, keyed


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
