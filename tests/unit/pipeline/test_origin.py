"""Who sent it, and with which key."""

import structlog

from collector.events.envelope import finisher
from collector.pipeline.origin import KNOWN_HEADERS, Header
from collector.ratelimit import TokenBucket
from tests.pipelines import NOW, Room, keyed


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
    room.stats.sightings.saw = lambda *given: seen.append(given)
    room.feed(*[keyed("k1", "a")] * 50, *[keyed("k2", "a")] * 50)
    assert [intake for intake, *_ in seen] == ["one", "two"]


def test_a_peer_without_address_is_no_empty_text(room):
    """Behind a Unix socket: it is local where it is told, and in events there is none."""
    room = Room(finish=finisher(["source"]), keep_unknown=False)
    with structlog.testing.capture_logs() as lines:
        room.feed(keyed("k2", "dated"), keyed("other-key", "a"), peer="")
        room.pipeline.reject(room.origin(peer=""), "oversize")
    assert "log" not in room.second.events[0]
    assert room.stats.sightings.newest("two", 9) == [("local", NOW / 1e9)]
    assert [line["peer"] for line in lines] == ["local"] * 2


def test_an_origin_remembers_few_headers(room):
    """The newest: who sends on behalf of many is read the general way."""
    origin = room.origin()
    for tail in (b"%d " % number for number in range(KNOWN_HEADERS + 1)):
        origin.headers.append(Header(tail, room.one, None, None))
    assert [header.tail for header in origin.headers] == [b"1 ", b"2 ", b"3 ", b"4 "]
