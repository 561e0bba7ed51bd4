"""What settings decide, and a reload changes."""

from datetime import UTC, timedelta, timezone

from collector.identity import content_id
from collector.pipeline import Rules
from collector.routing import KeySlot, Router
from collector.syslog.message import KeyName
from tests.pipelines import NOW, keyed


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


def test_a_receipt_has_the_zone_of_its_listener(room):
    """UTC where the listener has none of its own."""
    zone = timezone(timedelta(hours=2))
    rules = room.rules({}, zones={"l": zone})
    for listener, expected in (("l", zone), ("other", UTC)):
        receipt = rules.receipt(1_767_323_045.5, listener, "192.0.2.1")
        assert receipt.created == "2026-01-02T03:04:05.500000Z"
        assert (receipt.zone, receipt.listener, receipt.peer) == (expected, listener, "192.0.2.1")
