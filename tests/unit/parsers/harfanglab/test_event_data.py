"""The data of Windows events, and the names in it."""

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parsers.harfanglab.event_data import event_data, member_name
from tests.support import harfanglab_fields as mapped

PREFIX = "action.properties."
TAG = ["event_data:left_out"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("-", "-"),
        (" ", " "),
        ("NtLmSsp ", "NtLmSsp "),
        (7, "7"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        ({"b": [1, None], "a": "é"}, '{"b":[1,null],"a":"é"}'),
        ([1, "x"], '[1,"x"]'),
    ],
)
def test_values_become_texts(value, text):
    """What is nested, as JSON in its own order."""
    assert event_data({"Name": value}) == {"Name": text}


@pytest.mark.parametrize("value", ["", None, {}, []])
def test_what_says_nothing_is_absent(value):
    """And not missed."""
    assert event_data({"Name": value, "Other": "x"}) == {"Other": "x"}
    assert event_data({"Name": value}) is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("SubjectUserName", "SubjectUserName"),
        ("AV security intelligence version", "AVsecurityintelligenceversion"),
        ("Engine up-to-date", "Engineup-to-date"),
        (" param1 ", "param1"),
        ("DeviceId", "DeviceID"),
        ("État", "État"),
        ("a(b)[0]/%$", "a(b)[0]/%$"),
        ("_x", "_x"),
    ],
)
def test_names_are_without_blanks(key, name):
    """And otherwise as the provider has them."""
    assert event_data({key: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "key",
    [
        *("", "   ", "a.b", ".", "a*", "*", 'a"', "a'", "a`", "a\\b"),
        *("a\nb", "a\tb", "a\x00", "a\x7f", "a\u2028b", "a\u202eb", "a\u00a0b", "\ufeff", "\ud800"),
        *("__proto__", "__x", "_ _proto__", "constructor", "prototype", "con structor"),
        *("additional_info", "left_out"),
        *("a" * 129, " " * 129),
    ],
    ids=ascii,
)
def test_names_that_would_do_harm_are_left_out(key):
    """It is said how many; if they have no value, nothing is missed."""
    assert event_data({key: "x", "Name": "y"}) == {"Name": "y", "left_out": 1}
    assert event_data({key: ""}) is None


def test_the_longest_name():
    """Is carried."""
    assert event_data({"a" * 128: "x"}) == {"a" * 128: "x"}


@pytest.mark.parametrize("name", ["Process Name", "A B"])
def test_of_two_entries_with_one_name_that_with_blanks_counts(name):
    """Wherever it stands; if it says nothing, the other does."""
    joined = name.replace(" ", "")
    data = {name: "1", joined: "2"}
    assert event_data(data) == {joined: "1", "left_out": 1}
    assert event_data(dict(reversed(data.items()))) == {joined: "1", "left_out": 1}
    assert event_data({joined: "2", name: ""}) == {joined: "2"}
    assert event_data({joined: "1", name: "1"}) == {joined: "1"}


def test_the_new_content_of_a_task_stands_for_its_content():
    """Where there is none."""
    assert event_data({"TaskContentNew": "n"}) == {"TaskContent": "n"}
    assert event_data({"TaskContentNew": "n", "TaskContent": None}) == {"TaskContent": "n"}
    both = {"TaskContentNew": "n", "TaskContent": "c"}
    assert event_data(both) == both


def test_what_is_nested_too_deep_is_left_out():
    """orjson reads more levels than it writes."""
    deep = orjson.loads("[" * 600 + "]" * 600)
    assert event_data({"Deep": deep, "Name": "x"}) == {"Name": "x", "left_out": 1}


def test_the_first_512_entries_are_carried():
    """It is said how many there are besides."""
    found = event_data({f"k{number}": "x" for number in range(512)})
    assert len(found) == 512
    assert "left_out" not in found
    found = event_data({f"k{number}": "x" for number in range(1000)})
    assert found.pop("left_out") == 488
    assert list(found) == [f"k{number}" for number in range(512)]


@pytest.mark.parametrize("key", ["k{}", "k.{}", "{} __", "\n{}"])
def test_a_flood_of_entries_takes_no_time(key):
    """Neither with fit names nor with others."""
    flood = {key.format(number): "x" for number in range(100_000)}
    start = time.process_time()
    found = event_data(flood)
    assert time.process_time() - start < 0.1
    assert found["left_out"] >= 99_488


@pytest.mark.parametrize("value", [None, "text", 5, True, [], [{"a": "b"}], {}])
def test_what_is_no_object_has_no_entries(value):
    """Nor has an empty one."""
    assert event_data(value) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(st.characters()), json_values))
def test_any_object_gives_names_and_texts(data):
    """Or is counted."""
    found = event_data(data) or {}
    left_out = found.pop("left_out", 0)
    assert all(isinstance(text, str) and text for text in found.values())
    assert all(name and name.isprintable() and "." not in name for name in found)
    assert len(found) + left_out <= len(data)
    said = [value for value in data.values() if value is None or value in ("", [], {})]
    assert len(found) + left_out >= len({key.replace(" ", "") for key in data}) - len(said)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("CN=Ann Lee,OU=Users,DC=acme,DC=example", "Ann Lee"),
        ("CN=Lee\\, Ann,OU=Users", "Lee, Ann"),
        ("CN=a\\\\b,OU=x", "a\\b"),
        ("ACME\\ann", "ann"),
        ("ann", "ann"),
        ("CN=Ann Lee", "CN=Ann Lee"),
        ("CN=,OU=x", "CN=,OU=x"),
        ("cn=Ann Lee,OU=x", "cn=Ann Lee,OU=x"),
        ("-", "-"),
        ("ACME\\", None),
        ("", None),
        (None, None),
        (["CN=a,"], None),
    ],
)
def test_the_name_of_a_member(value, name):
    """Of a distinguished name, its first part."""
    assert member_name(value) == name


def test_a_long_name_of_a_member_takes_no_time():
    """Whatever is in it."""
    for text in ("CN=" + "\\" * 1_000_000, "CN=" + "a" * 1_000_000, "CN=" + "\\," * 500_000):
        start = time.process_time()
        member_name(text)
        assert time.process_time() - start < 1


@pytest.mark.parametrize("profile", ["documented", "ecs"])
@pytest.mark.parametrize(
    "family", [{"log_type": "eventlog"}, {"alert_subtype": "eventlog"}], ids=str
)
def test_the_event_says_that_something_was_left_out(family, profile):
    """As a tag, and how much."""
    found = mapped(profile, **family, event_data={"a.b": "x", "c": "y"})
    assert found["tags"] == TAG
    assert found[PREFIX + "left_out"] == 1
    assert found[PREFIX + "c"] == "y"
    assert "tags" not in mapped(profile, **family, event_data={"a": "x"})


def test_both_objects_are_carried():
    """The one within the alert's record wins."""
    found = mapped(
        "ecs",
        alert_subtype="eventlog",
        event_data={"A": "1", "B": "1", "a.b": "x"},
        eventlog={"event_data": {"B": "2", "C": "2"}},
    )
    assert {name: found[PREFIX + name] for name in "ABC"} == {"A": "1", "B": "2", "C": "2"}
    assert found["tags"] == TAG


def test_event_data_does_not_replace_an_object():
    """There is one of that name already."""
    found = mapped(
        "ecs",
        log_type="eventlog",
        agent={"additional_info": {"additional_info1": "kept"}},
        event_data={"additional_info": "lost"},
    )
    assert found[PREFIX + "additional_info.additional_info1"] == "kept"
    assert found["tags"] == TAG


def test_other_families_have_no_event_data():
    """The condition counts."""
    found = mapped("ecs", log_type="process", event_data={"A": "1", "a.b": "x"})
    assert found == mapped("ecs", log_type="process")
