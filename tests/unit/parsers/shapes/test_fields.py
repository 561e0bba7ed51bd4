"""Fields of events."""

from collector.parsers.shapes.fields import leaves


def test_leaves_are_named_by_the_way_to_them():
    """An object is none."""
    assert [*leaves({"a": {"b": 1, "c": {}}, "d": [2]})] == [(("a", "b"), 1), (("d",), [2])]
