"""From frames to documents and dead letters."""

from collections import Counter

from collector.events.envelope import finisher
from collector.identity import content_id
from collector.ratelimit import TokenBucket
from collector.syslog.framing import CutFrame
from tests.pipelines import NOW, Room, keyed


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


async def test_who_watches_is_shown_what_becomes_of_events():
    """An event that no sink gets was dropped; for one that some get, the filters are named."""

    def select(event, dropped):
        if event["message"] == "noise":
            dropped["filter:noise"] += 2
            return ()
        dropped["only:first"] += 1
        return room.both[1:]

    room = Room(select=select)
    room.feed(keyed("k1", "before"))
    room.watch()
    room.feed(keyed("k1", "good"), keyed("k1", "bad"))
    room.feed(keyed("k2", "noise"), keyed("k2", "good"), keyed("k2", "bad"))
    assert await room.shown() == [
        ("ok", "one", ""),
        ("pipeline_error", "one", "not_good: it is not good"),
        ("dropped", "two", "filter:noise"),
        ("ok", "two", "only:first"),
        ("pipeline_error", "two", "not_good: it is not good, only:first"),
    ]


def test_a_message_is_examined_for_what_is_new_when_the_watch_is_due(room):
    """Each intake has its own, and one that cannot be parsed is examined as well."""
    room.feed(keyed("k1", "bad"), keyed("k1", "more"), keyed("k2", "hello"), keyed("k3", "x"))
    assert room.one.watch.seen == ["bad"]
    assert room.two.watch.seen == ["hello"]


def test_a_key_says_when_it_was_last_used(room):
    """So that one sees when the old one of two can go."""
    room.feed(keyed("k1", "a"), b"no key")
    assert [slot.last_used for slot in room.slots.values()] == [NOW / 1e9, None]
    assert room.stats.key_slots == tuple(room.slots.values())


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
