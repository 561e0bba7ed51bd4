"""Dotted paths."""

import pytest

from collector.parsers.paths import FIRST, first, includes, parents, steps


def test_the_parents_of_a_path():
    """The innermost first."""
    assert [*parents("a.b.c")] == ["a.b", "a"]
    assert [*parents("a[0].b")] == ["a[0]"]
    assert [*parents("a")] == []


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a", ["a"]),
        ("a.b.c", ["a", "b", "c"]),
        ("a[0]", ["a", FIRST]),
        ("a.b[0].c", ["a", "b", FIRST, "c"]),
    ],
)
def test_a_path_has_steps(path, names):
    """To the first entry of a list too."""
    assert steps(path) == names


@pytest.mark.parametrize(
    ("name", "included"),
    [("a", True), ("b.c", True), ("b", False), ("b.c.d", False), ("c.d", False), ("", False)],
)
def test_names_that_end_in_a_star_stand_for_more(name, included):
    """For fields of that object alone."""
    assert includes({"a", "b.*", "c"}, name) is included


@pytest.mark.parametrize(
    ("value", "entry"),
    [(["a", "b"], "a"), ([None], None), ([], None), ("ab", None), ({"0": 1}, None), (None, None)],
)
def test_the_first_entry_of_a_list(value, entry):
    """Of what is none there is no entry."""
    assert first(value) == entry
