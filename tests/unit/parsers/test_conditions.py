"""Conditions of rules."""

import pytest

from collector.parsers.conditions import absent, differs, equals, none_of, present


def holds(condition, fields):
    """Decide a condition as the compiled function does."""
    expression = condition.write(lambda path: f"fields.get({path!r})")
    return eval(expression, {"fields": fields})


A, B, C = equals("a", "1"), equals("b", "2"), equals("c", "3")


@pytest.mark.parametrize(
    ("condition", "text", "yes", "no"),
    [
        (A, "a=1", [{"a": "1"}], [{}, {"a": None}, {"a": 1}, {"a": "2"}, {"a": ["1"]}]),
        (equals("a", 4624), "a=4624", [{"a": 4624}], [{}, {"a": "4624"}, {"a": {}}]),
        (differs("a", "1"), "a is not 1", [{}, {"a": 1}, {"a": ["1"]}], [{"a": "1"}]),
        (
            none_of("a", "1", "2"),
            "a is none of 1, 2",
            [{}, {"a": "3"}, {"a": {"1": 2}}],
            [{"a": "1"}, {"a": "2"}],
        ),
        (present("a"), "a is present", [{"a": ""}, {"a": 0}, {"a": []}], [{}, {"a": None}]),
        (absent("a"), "a is not set", [{}, {"a": None}], [{"a": ""}, {"a": False}]),
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
