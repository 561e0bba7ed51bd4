"""How events are compared in the other tests."""

import pytest

from tests.support import assert_contains, differences, leaves


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}),
        ({"a": 1.0}, {"a": 1}),
        ({"a": ["x", "y"]}, {"a": ["x", "y"]}),
        ({"related": {"ip": ["x", "y"]}}, {"related": {"ip": ["y", "x"]}}),
        ({"event": {"type": ["x", "y"]}}, {"event": {"type": ["y", "x"]}}),
        ({"a": "2025-07-21T13:01:35Z"}, {"a": "2025-07-21T13:01:35.000000Z"}),
        ({"a": "2025-07-21T13:01:35+02:00"}, {"a": "2025-07-21T11:01:35.000000Z"}),
        ({"a": "", "b": [], "c": {"d": []}}, {}),
        ({"a": ""}, {"a": ""}),
    ],
)
def test_an_event_may_hold_more_than_is_expected(expected, actual):
    """Values compare by what they mean."""
    assert differences(expected, actual) == []


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        ({"a": {"b": 1}}, {"a": {}}, ["a.b: expected 1, absent"]),
        ({"a": {"b": 1}}, {}, ["a.b: expected 1, absent"]),
        ({"a": 1}, {"a": 2}, ["a: expected 1, got 2"]),
        ({"a": 1}, {"a": True}, ["a: expected 1, got True"]),
        ({"a": 1}, {"a": "1"}, ["a: expected 1, got '1'"]),
        ({"a": "x"}, {"a": ["x"]}, ["a: expected 'x', got ['x']"]),
        ({"a": {"b": 1}}, {"a": "x"}, ["a: expected {'b': 1}, got 'x'"]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, ["a: expected ['x', 'y'], got ['y', 'x']"]),
        (
            {"related": {"ip": ["x"]}},
            {"related": {"ip": ["x", "y"]}},
            ["related.ip: expected ['x'], got ['x', 'y']"],
        ),
        ({"a": ""}, {"a": "x"}, ["a: expected '', got 'x'"]),
        ({"a": 1, "b": 2}, {}, ["a: expected 1, absent", "b: expected 2, absent"]),
    ],
)
def test_every_difference_is_named(expected, actual, found):
    """With its path."""
    assert differences(expected, actual) == found
    with pytest.raises(AssertionError):
        assert_contains(actual, expected)


def test_the_leaves_of_an_event_have_dotted_names():
    """Lists are leaves."""
    assert leaves({"a": {"b": 1, "c": {"d": [2]}}, "e": "x"}) == {"a.b": 1, "a.c.d": [2], "e": "x"}
