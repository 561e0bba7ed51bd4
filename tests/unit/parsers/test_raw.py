"""Messages of any kind."""

from collector.parsers import PROFILES, build


def test_the_text_is_all_there_is():
    """In either profile; an empty one is none."""
    for profile in PROFILES:
        parse = build("raw", profile)
        assert parse("any text") == {"message": "any text", "event": {"kind": "event"}}
        assert parse("") == {"event": {"kind": "event"}}


def test_a_lone_surrogate_is_replaced():
    """So that the event can be encoded; the tag says so."""
    event = build("raw", "ecs")("a\ud800b")
    assert (event["message"], event["tags"]) == ("a\ufffdb", ["repaired:lone_surrogates"])
