"""Conditions of rules."""

import pytest

from collector.parsers.conditions import (
    NAMESPACE,
    absent,
    differs,
    entries,
    equals,
    none_of,
    not_null,
    present,
    starts_with,
    valid_ip,
)


def holds(condition, fields):
    """Decide a condition as the compiled function does."""
    expression = condition.write(lambda path, absent="None": f"fields.get({path!r}, {absent})")
    return eval(expression, {**NAMESPACE, "fields": fields})


A, B, C = equals("a", "1"), equals("b", "2"), equals("c", "3")


@pytest.mark.parametrize(
    ("condition", "text", "yes", "no"),
    [
        (A, "a=1", [{"a": "1"}], [{}, {"a": None}, {"a": 1}, {"a": "2"}, {"a": ["1"]}]),
        (
            equals("a", 4624),
            "a=4624",
            [{"a": 4624}, {"a": "4624"}],
            [{}, {"a": "04624"}, {"a": [4624]}, {"a": {}}],
        ),
        (differs("a", "1"), "a is not 1", [{}, {"a": 1}, {"a": ["1"]}], [{"a": "1"}]),
        (
            none_of("a", "1", "2"),
            "a is none of 1, 2",
            [{}, {"a": "3"}, {"a": {"1": 2}}],
            [{"a": "1"}, {"a": "2"}],
        ),
        (present("a"), "a is present", [{"a": ""}, {"a": 0}, {"a": []}], [{}, {"a": None}]),
        (absent("a"), "a is not set", [{}, {"a": None}], [{"a": ""}, {"a": False}]),
        (
            differs("a", "", shown="an empty string"),
            "a is not an empty string",
            [{}, {"a": None}, {"a": "x"}, {"a": 0}],
            [{"a": ""}],
        ),
        (
            not_null("a"),
            "a is not null or is absent",
            [{}, {"a": ""}, {"a": 0}, {"a": False}],
            [{"a": None}],
        ),
        (
            valid_ip("a"),
            "a is a valid IP address",
            [{"a": "192.0.2.1"}, {"a": "2001:db8::1"}],
            [{}, {"a": ""}, {"a": "-"}, {"a": 3221225985}, {"a": ["192.0.2.1"]}, {"a": {}}],
        ),
        (
            starts_with("a", "http"),
            "a starts with http",
            [{"a": "http"}, {"a": "https://x"}],
            [{}, {"a": "HTTP"}, {"a": ["http"]}, {"a": 1}],
        ),
        (
            entries("a", 1),
            "a is a non-empty list",
            [{"a": [None]}, {"a": [1, 2]}],
            [{}, {"a": []}, {"a": "x"}, {"a": {"b": 1}}],
        ),
        (
            entries("a", 2),
            "a has at least two entries",
            [{"a": [1, 2]}],
            [{}, {"a": [1]}, {"a": "xy"}],
        ),
    ],
    ids=str,
)
def test_a_condition_says_what_it_decides(condition, text, yes, no):
    """Values of any type may stand in the field."""
    assert str(condition) == text
    assert condition.paths == ("a",)
    assert [holds(condition, fields) for fields in yes] == [True] * len(yes)
    assert [holds(condition, fields) for fields in no] == [False] * len(no)


@pytest.mark.parametrize(
    ("condition", "text", "yes", "no"),
    [
        (A | B, "a=1 or b=2", [{"a": "1"}, {"b": "2"}], [{}, {"a": "2", "b": "1"}]),
        (A & B, "a=1 and b=2", [{"a": "1", "b": "2"}], [{"a": "1"}, {"b": "2"}]),
        (A | B | C, "a=1 or b=2 or c=3", [{"c": "3"}], [{"c": "1"}]),
        (
            (A | B) & C,
            "(a=1 or b=2) and c=3",
            [{"a": "1", "c": "3"}, {"b": "2", "c": "3"}],
            [{"a": "1", "b": "2"}, {"c": "3"}],
        ),
        (A & (B | C), "a=1 and (b=2 or c=3)", [{"a": "1", "c": "3"}], [{"b": "2", "c": "3"}]),
        (A & B | C, "a=1 and b=2 or c=3", [{"c": "3"}, {"a": "1", "b": "2"}], [{"a": "1"}]),
    ],
    ids=str,
)
def test_conditions_combine(condition, text, yes, no):
    """With parentheses where they matter, in the text as in the code."""
    assert str(condition) == text
    assert [holds(condition, fields) for fields in yes] == [True] * len(yes)
    assert [holds(condition, fields) for fields in no] == [False] * len(no)


def test_conditions_with_the_same_text_are_the_same():
    """So that the rules of both stand under one `if`."""
    assert equals("a", "1") | equals("b", "2") == A | B
    assert hash(equals("a", "1")) == hash(A)
    assert A != B


def test_a_combined_condition_knows_all_its_fields():
    """They are read before it is decided."""
    assert ((A | B) & C).paths == ("a", "b", "c")


@pytest.mark.parametrize(
    ("condition", "first", "rest"),
    [
        (A, A, None),
        (A | B, A | B, None),
        (A & B, A, B),
        ((A | B) & C, A | B, C),
        (A & (B & C), A, B & C),
        ((A & B) & C, A, B & C),
        (A & (B | C), A, B | C),
    ],
    ids=str,
)
def test_a_condition_has_a_part_that_is_decided_first(condition, first, rest):
    """Both together decide the same."""
    assert (condition.first, condition.rest) == (first, rest)
    for fields in (
        {},
        {"a": "1"},
        {"b": "2"},
        {"a": "1", "b": "2"},
        {"a": "1", "b": "2", "c": "3"},
    ):
        whole = holds(first, fields) and (rest is None or holds(rest, fields))
        assert holds(condition, fields) == whole


@pytest.mark.parametrize(
    ("condition", "alternatives"),
    [
        (A, (A,)),
        (A & B, (A & B,)),
        (A | B, (A, B)),
        (A | (B | C), (A, B, C)),
        (A & B | C, (A & B, C)),
        ((A | B) & C, ((A | B) & C,)),
        (not_null("a"), (not_null("a"),)),
        (equals("a", "1 or b=2"), (equals("a", "1 or b=2"),)),
    ],
    ids=lambda value: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_a_condition_knows_its_alternatives(condition, alternatives):
    """Whatever its text looks like."""
    assert condition.alternatives == alternatives


def test_a_condition_knows_the_values_it_compares_with():
    """So that others can be told from them."""
    assert ((A | present("x")) & equals("c", 3)).compared == (("a", "1"), ("c", 3))
