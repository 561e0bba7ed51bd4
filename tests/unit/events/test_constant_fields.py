"""The operator's fields in events."""

from collector.events.constant_fields import adder

FIELDS = {
    "labels": {"site": "paris", "floor": 3},
    "organization": {"name": "ACME"},
    "event": {"risk": {"zones": ["a", "b"]}},
    "tier": 1,
    "tags": ["edr", "truncated", "edr"],
}


def test_fields_are_added_beside_those_of_the_parser():
    """In objects that are there and in new ones; over values that are there."""
    event = {"labels": {"site": "unknown", "x": "y"}, "event": {"kind": "alert"}}
    adder(FIELDS)(event)
    assert event == {
        "labels": {"site": "paris", "x": "y", "floor": 3},
        "organization": {"name": "ACME"},
        "event": {"kind": "alert", "risk": {"zones": ["a", "b"]}},
        "tier": 1,
        "tags": ["edr", "truncated"],
    }


def test_tags_are_added_to_those_of_the_event():
    """Each once; one may stand alone."""
    event = {"tags": ["timestamp:received", "truncated"]}
    adder(FIELDS)(event)
    assert event["tags"] == ["timestamp:received", "truncated", "edr"]
    adder({"tags": "one"})(event)
    assert event["tags"][-1] == "one"


def test_nothing_is_shared_between_events():
    """What is done to one does nothing to the next."""
    add = adder(FIELDS)
    first, second = {}, {}
    add(first)
    first["labels"]["site"] = first["tags"] = None
    first["event"]["risk"]["zones"].append("c")
    first["event"]["risk"]["x"] = 1
    add(second)
    assert second == {**FIELDS, "tags": ["edr", "truncated"]}


def test_what_is_no_object_makes_way_for_one():
    """Where the input decides what stands there."""
    event = {"labels": "text", "event": ["list"]}
    adder({"labels": {"site": "paris"}, "event": {"risk": {"score": 1}}})(event)
    assert event == {"labels": {"site": "paris"}, "event": {"risk": {"score": 1}}}


def test_without_fields_there_is_no_function():
    """Nothing is paid for what is not asked for."""
    assert adder({}) is None
