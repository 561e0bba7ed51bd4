"""Which events match a filter, and where copies go."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import FilterSettings, SinkSettings
from collector.events.filters import any_of, matcher, reasons, selector

EVENT = {
    "message": "hello",
    "event": {"code": "4624", "kind": "alert", "severity": 5, "category": ["session", "iam"]},
    "process": {"pid": 4624, "elevated": True, "score": 1.5},
    "users": [{"name": "alice", "roles": ["admin", 7]}, "bob", {"name": "carol"}, [{"name": "d"}]],
    "matrix": [[["x"]]],
}


def a_filter(field="event.code", name="f", **test):
    return FilterSettings.model_validate({"name": name, "field": field, **test})


def matches(field, **test):
    return matcher(a_filter(field, **test))(EVENT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event.code", 4624),
        ("event.code", "4624"),
        ("process.pid", 4624),
        ("process.pid", "4624"),
        ("process.elevated", True),
        ("process.elevated", "true"),
        ("process.score", 1.5),
        ("event.category", "iam"),
        ("users.name", "carol"),
        ("users.roles", 7),
        ("message", "hello"),
    ],
)
def test_values_are_compared_by_their_text(field, value):
    """In one comparison, among several, and by their beginning; any entry of a list may match."""
    assert matches(field, equals=value)
    assert matches(field, **{"in": ["other", value]})
    assert matches(field, **{"in": value})
    assert matches(field, prefix=value)
    assert matches(field, exists=True)
    assert not matches(field, exists=False)
    assert not matches(field, equals="other")
    assert not matches(field, **{"in": ["other"]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event.code", "46240"),
        ("event.code", "462"),
        ("process.elevated", 1),
        ("process.elevated", "True"),
        ("process.score", "1"),
        ("event", "alert"),
        ("event.kind.x", "alert"),
        ("event.outcome", "None"),
        ("users", "alice"),
        ("users.name", "d"),
        ("users.name.x", "alice"),
        ("matrix", "x"),
        ("nothing", ""),
    ],
)
def test_another_value_does_not_match(field, value):
    """Nor does an object, a list within a list, or what is not there."""
    assert not matcher(a_filter(field).model_copy(update={"equals": str(value)}))(EVENT)


def test_the_beginning_of_a_value_may_match():
    """Of a number by its digits."""
    assert matches("event.code", prefix="46")
    assert matches("process.pid", prefix=46)
    assert matches("event.category", prefix="ia")
    assert not matches("event.code", prefix="64")
    assert not matches("event", prefix="e")


@pytest.mark.parametrize(
    ("field", "there"),
    [
        ("event", True),
        ("event.code", True),
        ("users.roles", True),
        ("matrix", True),
        ("event.outcome", False),
        ("event.code.x", False),
        ("users.name.x", False),
        ("x.y.z", False),
    ],
)
def test_a_field_may_be_asked_to_be_there(field, there):
    """Or not to be; an object is there, too."""
    assert matches(field, exists=True) is there
    assert matches(field, exists="true") is there
    assert matches(field, exists=False) is not there


JSON = st.recursive(
    st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.floats() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below),
)


@given(event=st.dictionaries(st.sampled_from("abc"), JSON), value=st.sampled_from(["1", "true"]))
def test_no_event_makes_a_filter_raise(event, value):
    """And what equals begins so, and is there."""
    for path in ("a", "a.b", "a.b.c"):
        equal = matcher(a_filter(path, equals=value))(event)
        begins = matcher(a_filter(path, prefix=value))(event)
        there = matcher(a_filter(path, exists=True))(event)
        assert equal <= begins <= there


def test_deep_lists_are_no_matter():
    """A sender chooses how deep."""
    deep = "x"
    for _ in range(100_000):
        deep = [deep]
    assert not matcher(a_filter("a.b", equals="x"))({"a": deep})
    assert not matcher(a_filter("a", equals="x"))({"a": deep})


def test_one_of_several_filters_suffices():
    """None ask for nothing."""
    passes = any_of([a_filter(equals=1), a_filter("event.kind", equals="alert")])
    assert passes(EVENT)
    assert not passes({"event": {"kind": "event"}})
    assert any_of([]) is None


# Where copies go.


def sink(name, *only):
    return SinkSettings(name=name, url="inbox:", only=only)


NOISE = a_filter("event.code", "noise", equals=1)
TESTS = a_filter("labels.test", "tests", exists=True)
ALERTS = a_filter("event.kind", "alerts", equals="alert")


def selected(event, drop=(), *sinks):
    dropped = Counter()
    select = selector(drop, [(item, item.name.upper()) for item in sinks])
    return list(select(event, dropped)), dropped


def test_a_matching_event_is_dropped_with_all_its_copies():
    """For the first filter that matches."""
    both = {"event": {"code": "1"}, "labels": {"test": "x"}}
    sinks = (sink("a"), sink("b", ALERTS))
    assert selected(both, [NOISE, TESTS], *sinks) == ([], {"filter:noise": 2})
    assert selected(both, [TESTS, NOISE], *sinks) == ([], {"filter:tests": 2})


def test_a_sink_with_filters_gets_what_one_of_them_matches():
    """The copy it does not get is counted as its own."""
    sinks = (sink("a"), sink("b", ALERTS, TESTS), sink("c", TESTS))
    assert selected({"event": {"kind": "alert"}}, [NOISE], *sinks) == (["A", "B"], {"only:c": 1})
    assert selected({}, [NOISE], *sinks) == (["A"], {"only:b": 1, "only:c": 1})
    assert selected({"labels": {"test": 1}}, (), *sinks) == (["A", "B", "C"], {})


def test_without_filters_there_is_no_function():
    """Nothing is paid for what is not asked for."""
    assert selector([], [(sink("a"), "A"), (sink("b"), "B")]) is None


def test_the_reasons_are_known_beforehand():
    """Each once, for metrics that begin at 0."""

    class Config:
        intakes = [
            type("I", (), {"drop": (NOISE, TESTS)}),
            type("I", (), {"drop": (NOISE,)}),
        ]
        sinks = [sink("a"), sink("b", ALERTS)]

    assert reasons(Config) == ["filter:noise", "filter:tests", "only:b"]
