"""Messages of any kind."""

from collector.parsers import build


def test_the_text_is_all_there_is():
    """In either profile."""
    assert build("raw")("any text") == {"message": "any text", "event": {"kind": "event"}}


def test_a_lone_surrogate_is_replaced():
    """So that the event can be encoded."""
    assert build("raw", "ecs")("a\ud800b")["message"] == "a\ufffdb"
