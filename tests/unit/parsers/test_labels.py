"""Custom fields of CEF and the names they are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.labels import LabelResolver, resolve


def both(pairs):
    """Name the values with and without remembering, which is the same."""
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    resolver = LabelResolver()
    found = resolve(keys, values)
    assert resolver.fields(keys, values) == found
    assert resolver.fields(keys, values) == found  # now it remembers
    return found


@pytest.mark.parametrize(
    ("given_", "resolved"),
    [
        ({"cs1": "a", "cs1Label": "Name"}, {"Name": "a"}),
        ({"cs1Label": "Name", "x": "1", "cs1": "a"}, {"x": "1", "Name": "a"}),
        (
            {"flexString2": "True", "cfp3": "1", "flexString2Label": "f", "cfp3Label": "c"},
            {"f": "True", "c": "1"},
        ),
        ({"deviceCustomDate1": "0", "deviceCustomDate1Label": "When"}, {"When": "0"}),
        ({"anything": "1", "anythingLabel": "Else"}, {"Else": "1"}),
        ({"cn3Label": "isSigned"}, {}),
        ({"cs1": "a", "cs1Label": ""}, {"cs1": "a"}),
        ({"cs1": "a", "cs1Label": "None"}, {"cs1": "a"}),
        ({"cs1": "a", "cs1Label": "-"}, {"cs1": "a"}),
        ({"Label": "x"}, {"Label": "x"}),
        ({"LabelOfBox": "x", "aLabels": "y"}, {"LabelOfBox": "x", "aLabels": "y"}),
        ({}, {}),
    ],
)
def test_a_value_is_named_by_its_label(given_, resolved):
    """Labels themselves are left out."""
    assert both(given_.items()) == resolved


@pytest.mark.parametrize("unknown", ["", "None", "-"])
def test_a_value_that_stands_for_none_is_left_out_and_its_label_with_it(unknown):
    """What an earlier label of the same name says then counts."""
    assert both([("cs1", unknown), ("cs1Label", "Name"), ("k", unknown)]) == {}
    pairs = [("cs1", "a"), ("cs2", unknown), ("cs1Label", "Name"), ("cs2Label", "Name")]
    assert both(pairs) == {"Name": "a"}


@pytest.mark.parametrize(
    ("given_", "resolved"),
    [
        ({"rt": "1", "cs1": "a", "cs1Label": "rt"}, {"rt": "a"}),
        ({"cs1": "a", "cs2": "b", "cs1Label": "Name", "cs2Label": "Name"}, {"Name": "b"}),
        ({"cs1": "a", "cs1Label": "cs1"}, {"cs1": "a"}),
        (
            {"cs1": "a", "cs2": "b", "cs1Label": "cs2", "cs2Label": "cs1"},
            {"cs1": "b", "cs2": "a"},
        ),
    ],
)
def test_of_several_values_of_one_name_the_last_label_counts(given_, resolved):
    """As the last of several equal keys does."""
    assert both(given_.items()) == resolved


def test_of_equal_keys_the_last_counts():
    """Also where it is a label."""
    pairs = [("k", "1"), ("cs1", "a"), ("cs1Label", "X"), ("k", "2"), ("cs1Label", "Y")]
    assert both(pairs) == {"k": "2", "Y": "a"}


def test_one_layout_serves_messages_with_different_labels():
    """They are told apart by what the labels say."""
    resolver = LabelResolver()
    keys = ["cs1", "cs1Label", "k"]
    assert resolver.fields(keys, ["a", "X", "1"]) == {"X": "a", "k": "1"}
    assert resolver.fields(keys, ["a", "Y", "1"]) == {"Y": "a", "k": "1"}
    assert resolver.fields(keys, ["a", "k", "1"]) == {"k": "a"}
    assert resolver.fields(keys, ["a", "X", "2"]) == {"X": "a", "k": "2"}


def test_what_is_remembered_is_bounded():
    """In number and in size, of layouts and of labels."""
    resolver = LabelResolver()
    for number in range(2000):
        resolver.fields([f"k{number}"], ["v"])
        resolver.fields(["cs1", "cs1Label"], ["a", f"Name{number}"])
    resolver.fields(["k" * 100_000], ["v"])
    resolver.fields([f"k{number}" for number in range(200)], ["v"] * 200)
    assert resolver.fields(["cs1", "cs1Label"], ["a", "n" * 100_000]) == {"n" * 100_000: "a"}
    assert len(resolver._layouts) <= 128
    assert all(len(keys) <= 128 and len("".join(keys)) <= 2048 for keys in resolver._layouts)
    assert all(len(layout._names) <= 16 for layout in resolver._layouts.values())


KEYS = st.sampled_from(["cs1", "cs1Label", "cs2", "cs2Label", "cs1LabelLabel", "Label", "k"])
VALUES = st.sampled_from(["a", "b", "", "None", "-", "k", "cs1", "cs2Label"])


@given(st.lists(st.tuples(KEYS, VALUES)))
def test_remembering_changes_nothing(pairs):
    """Whatever the keys, the labels and their order."""
    both(pairs)
