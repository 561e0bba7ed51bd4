"""Constant fields as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.settings.constant_fields import (
    CONSTANT_FIELDS,
    MAX_ENTRIES,
    MAX_FIELDS,
    MAX_LENGTH,
    nested,
    problems,
    types,
)
from collector.settings.kinds import KindError

KNOWN = {
    "@timestamp": "date",
    "event.code": "keyword",
    "event.id": "keyword",
    "harfanglab.agents": "array of object",
    "message": "text",
    "tags": "array of keyword",
    "user_agent.os.*": "keyword",
}

A_VALUE = "accepted: a text, a number, true, false, or a list of these"


def told(fields):
    return [str(problem) for problem in problems(fields, KNOWN)]


FITTING = {
    "labels.site": "paris",
    "labels": {"floor": 3, "area.size": 1.5, "open": True},
    "event.risk": {"zones": ["a", 1, False]},
    "event.code": "1",
    "harfanglab.agents": "none",
    "user_agent.os.name": "x",
    "user_agent.os.name_of.it": "x",
    "tags": ["edr"],
    "x y.été": "z",
    "numbers": [-(1 << 63), (1 << 64) - 1],
}


def test_what_fits_is_no_problem():
    """Dotted names and nested ones beside one another, also for fields that the parser sets."""
    assert told(FITTING) == []
    assert told({"tags": "edr"}) == []


def test_fields_are_read_as_they_stand_in_an_event():
    """Nested."""
    assert nested(FITTING) == {
        "labels": {"site": "paris", "floor": 3, "area": {"size": 1.5}, "open": True},
        "event": {"risk": {"zones": ["a", 1, False]}, "code": "1"},
        "harfanglab": {"agents": "none"},
        "user_agent": {"os": {"name": "x", "name_of": {"it": "x"}}},
        "tags": ["edr"],
        "x y": {"été": "z"},
        "numbers": [-(1 << 63), (1 << 64) - 1],
    }
    assert CONSTANT_FIELDS.read({}) == {}


def test_a_mapping_is_needed():
    """Whatever else is there."""
    with pytest.raises(KindError, match="a list where a mapping is expected"):
        nested(["labels.site"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"event": {"id": "x"}}, "event.id: 'event.id' is set by the collector itself"),
        ({"event.created": "x"}, "event.created: 'event.created' is set by the collector itself"),
        ({"@timestamp": "x"}, "…: '@timestamp' is set by the collector itself; accepted: other"),
        ({"message": "x"}, "message: 'message' is set by the collector itself"),
        ({"message.x": "x"}, "message.x: stands below 'message', a value in these events"),
        ({"event.id.x": "x"}, "event.id.x: stands below 'event.id', a value in these events"),
        ({"event.code.x.y": 1}, "event.code.x.y: stands below 'event.code', a value in these"),
        ({"harfanglab.agents.x": 1}, "harfanglab.agents.x: stands below 'harfanglab.agents', a v"),
        ({"event": 1}, "event: 'event' is an object in these events; accepted: a name below it"),
        ({"user_agent": "x"}, "user_agent: 'user_agent' is an object in these events"),
        ({"user_agent": {"os": "x"}}, "user_agent.os: 'user_agent.os' is an object in these"),
        ({"a": None}, f"a: is empty; {A_VALUE}"),
        ({"a": ""}, f"a: is empty; {A_VALUE}"),
        ({"a": {}}, f"a: is empty; {A_VALUE}"),
        ({"a": []}, f"a: is empty; {A_VALUE}"),
        ({"a": {"b": None}}, f"a.b: is empty; {A_VALUE}"),
        ({"a": ["x", ""]}, f"a: is empty; {A_VALUE}"),
        ({"a": [None]}, f"a: is empty; {A_VALUE}"),
        ({"a": [["x"]]}, f"a: holds a list within a list; {A_VALUE}"),
        ({"a": [{"b": 1}]}, f"a: holds a mapping within a list; {A_VALUE}"),
        ({"a": float("nan")}, f"a: nan is no number of JSON; {A_VALUE}"),
        ({"a": 1 << 64}, "a: 18446744073709551616 is too large; accepted: numbers of 64 bits"),
        ({"a": [-(1 << 200)]}, "a: a number is too large; accepted: numbers of 64 bits"),
        ({"a": "x" * (MAX_LENGTH + 1)}, "a: is too long; accepted: at most 4096 characters"),
        ({"a": ["x"] * (MAX_ENTRIES + 1)}, "a: has too many entries; accepted: at most 100"),
        ({"a": "\ud800"}, "a: holds half of a surrogate pair; accepted: characters"),
        ({"\ud800": "a"}, "…: holds half of a surrogate pair; accepted: characters"),
        ({"tags": 5}, "tags: holds something else than texts; accepted: a text, or a list of"),
        ({"tags": ["a", True]}, "tags: holds something else than texts"),
        ({"tags.x": "a"}, "tags.x: stands below 'tags', a value in these events"),
        ({"": "x"}, "…: '' is not a field name; accepted: names joined by dots, such as labels"),
        ({"a..b": "x"}, "a..b: 'a..b' is not a field name"),
        ({"a.": "x"}, "a.: 'a.' is not a field name"),
        ({"a": {".b": "x"}}, "a..b: 'a..b' is not a field name"),
        ({"a\nb": "x"}, r"…: 'a\nb' is not a field name"),
        ({".".join("abcdefghijklmnopq"): "x"}, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: 'a.b.c.d.e.f."),
        ({"a.b": 1, "a": {"b": 2}}, "a.b: 'a.b' is written twice; accepted: a name used once"),
        ({"a": 1, "a.b": 2}, "a.b: stands below 'a', which has a value; accepted: one of the two"),
        ({"a.b.c": 1, "a": 2}, "a: has a value, and 'a.b.c' stands below it; accepted: one of"),
    ],
)
def test_a_problem_is_told_alone(fields, problem):
    """One line for one mistake."""
    (line,) = told(fields)
    assert line.startswith(problem)


def test_names_that_share_a_beginning_are_different():
    """Only a dot leads below."""
    assert told({"a": 1, "ab": 2, "event.codes": 3, "messages": 4}) == []


def test_there_is_a_bound():
    """The rest is not looked at."""
    fields = {f"a{number}": None for number in range(MAX_FIELDS + 1)}
    lines = told(fields)
    assert lines[0] == "has too many fields; accepted: at most 100"
    assert len(lines) == MAX_FIELDS + 1
    assert told({f"a{number}": 1 for number in range(MAX_FIELDS)}) == []


TREES = st.recursive(
    st.sampled_from([None, "", "x", 0, 1 << 200, True, float("inf"), "\udc00"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "a.b", "", ".", "event.id", "tags"]), below)
    ),
)


@given(fields=st.dictionaries(st.sampled_from(["a", "a.b", "event", "tags", "message"]), TREES))
def test_nothing_else_is_raised(fields):
    """And what is told is one line."""
    assert all("\n" not in line for line in told(fields))
    nested(fields)


def test_types_are_told_by_dotted_name():
    """As people call them."""
    assert types({"a": {"b": 1, "c": ["x"]}, "d": True}) == {
        "a.b": "a number",
        "a.c": "a list",
        "d": "true or false",
    }
