"""Outlines and where their values come from."""

import pytest

from collector.parsers.shapes.codes import MAX_STEPS, Argument, Kind
from collector.parsers.shapes.outline import (
    ABSENT,
    NOWHERE,
    Outline,
    Source,
    Step,
    UnfitError,
)


def test_steps_are_numbered():
    """By which slots are called."""
    outline = Outline()
    assert outline.add(b"a=", Kind.FIELD, b"1") == 0
    assert outline.add(b" b=", Kind.FIELD, b"2", fixed=True) == 1
    assert outline.steps[1] == Step(b" b=", Kind.FIELD, b"2", fixed=True)


def test_a_value_is_found_at_its_path():
    """With the slot that it is read from."""
    outline = Outline()
    outline.add_value(("a", "b"), "x", b'{"a":{"b":"', Kind.TEXT, b"x")
    assert outline.sources["a", "b"] == Source("x", (0,), (Argument.SLOT, 0), kind=Kind.TEXT)


def test_steps_are_bounded():
    """No message has so many fields."""
    outline = Outline()
    for _ in range(MAX_STEPS):
        outline.add(b"", Kind.MARK)
    with pytest.raises(UnfitError):
        outline.add(b"", Kind.END)


def test_a_constant_stays_one_in_a_function():
    """So nothing is computed for each message."""
    assert Source("a").then(str.upper) == Source("A")


def test_a_function_is_one_more_on_the_way():
    """The first one comes first; it is no longer the slot as it stands."""
    source = Source("a", (3,), (Argument.SLOT, 3), kind=Kind.TEXT).then(str.upper).then(len)
    assert source == Source(1, (3,), (Argument.SLOT, 3), (str.upper, len))


def test_what_is_nowhere_is_absent():
    """And is told from null."""
    assert NOWHERE.value is ABSENT
    assert repr(ABSENT) == "ABSENT"
