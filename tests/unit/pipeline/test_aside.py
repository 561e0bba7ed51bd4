"""Messages that are not forwarded."""

import pytest
import structlog

from collector.pipeline import Origin
from collector.ratelimit import TokenBucket
from tests.pipelines import Room, keyed


def assert_letter(letter, **attributes):
    """Fail unless a letter has these attributes."""
    assert {name: getattr(letter, name) for name in attributes} == attributes


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


def test_an_unfinished_frame_is_kept_as_one_that_was_cut(room):
    """It was received, and belongs to nobody as long as nobody asks for it."""
    room.pipeline.keep_incomplete(keyed("k1", "dat"), room.origin(room.one))
    (letter,) = room.spool.letters
    assert (letter.reason, letter.intake, letter.is_cut) == ("incomplete_frame", "", True)
    assert letter.raw == keyed("k1", "dat")
    assert room.ledger.dead_lettered == {"incomplete_frame": 1}
    assert room.ledger.received == room.listener.messages == 1
    assert room.ledger.imbalance() == 0


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


async def test_who_watches_is_shown_what_is_kept_aside():
    """With the problem that a dead letter has."""
    room = Room(one={"keep_unparsed": True, "keep_excess": True, "limit": TokenBucket(1)})
    room.watch()
    room.feed(keyed("k1", "bad"), keyed("k1", "too much"), b"no key")
    room.pipeline.keep_incomplete(b"half", room.origin())
    no_key = "no intake key, and neither the listener nor the sender belongs to an intake"
    assert await room.shown() == [
        ("dead_letter", "one", "not_good: it is not good"),
        ("dead_letter", "one", "intake 'one' takes no more than its max_rate"),
        ("dead_letter", "", no_key),
        ("dead_letter", "", "the connection ended within the message"),
    ]


async def test_who_watches_is_shown_what_is_rejected_and_dropped():
    """Nothing else keeps it."""
    room = Room(keep_unknown=False, one={"limit": TokenBucket(1)})
    room.watch()
    room.feed(keyed("k1", "a"), keyed("k1", "too much"), keyed("other-key", "b"))
    assert await room.shown() == [
        ("ok", "one", ""),
        ("dropped", "one", "intake 'one' takes no more than its max_rate"),
        ("rejected", "", "the intake key is not configured"),
    ]


async def test_who_watches_is_told_of_what_was_refused_unread():
    """Nothing of it is there; however many they are, it is one to be shown."""
    room = Room()
    room.pipeline.reject(room.origin(), "oversize", 3)
    room.watch()
    room.pipeline.reject(room.origin(), "oversize", 3)
    ((held,), skipped) = await room.tail.watches[0].take()
    assert (held.outcome, held.intake, held.problem) == (
        "rejected",
        "",
        "oversize: 3 refused unread",
    )
    assert (held.frame, held.event, skipped) == (b"", b"", 0)
    assert (held.receipt.listener, held.receipt.peer) == ("l", "192.0.2.1")


async def test_who_watches_is_shown_a_copy_that_could_not_be_made():
    """Beside the message, which goes to the other sinks."""

    def document_of(*_):
        raise ValueError

    room = Room(document_of=document_of)
    room.watch()
    room.feed(keyed("k2", "a"))
    problem = "sink 'second': the sink's format failed; the log has the details"
    assert await room.shown() == [("ok", "two", ""), ("dead_letter", "two", problem)]
