"""What is new in a message, and that nothing is in those we know."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import samples
from collector.parsers import PARSERS
from collector.parsers.conditions import entries, equals, present
from collector.parsers.convert import conversion, fields_of, ip, keywords, long
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from collector.parsers.vendor import Vendor
from collector.parsers.vocabulary import MAX_FINDINGS, MAX_KEYS, MAX_KINDS, Finding, Vocabulary
from tests.support import SHARED

VENDORS = ("cybereason", "harfanglab")


@conversion("keyword", joint=True)
def both(one, other):
    return one and other and f"{one} {other}"


@conversion("array of keyword")
def capitals(value):
    texts = [text for text in value if text.isupper()] if isinstance(value, list) else []
    return texts or None


@fields_of({"*": "keyword"})
def whole(value):
    return {**value} if isinstance(value, dict) else None


RULES = (
    Rule("message", WHOLE_INPUT),
    Rule("event.kind", constant="event"),
    Rule("process.name", "name"),
    Rule("process.pid", "pid", long, when=equals("family", "process")),
    Rule("process.parent.pid", "parent.pid", long),
    Rule("process.args", "args", keywords),
    Rule("source.ip", ("address", "addresses[0].ip"), ip),
    Rule("source.name", "addresses[0].name", when=entries("addresses", 1)),
    Rule("x.capitals", "letters", capitals),
    Rule("x.both", ("one", "other"), both),
    Rule("data.*", "data", whole),
    Rule("data.b", "data.a.b", long),
    Rule("x.when", constant="yes", when=present("asked") & present("asked_below.it")),
    Rule("x.eventlog", constant="yes", when=equals("family", "eventlog")),
)


def vocabulary(*rules, flat=False, **known):
    known = {"families": ("family",), **known}
    return Vocabulary(Vendor(Table("t", rules or RULES, flat=flat), json.loads, **known))


def found(words, **fields):
    return [(finding.kind, finding.field) for finding in words.examine(fields)]


def test_what_rules_and_conditions_read_is_known():
    """Paths, first entries of lists, what a whole object holds, and what only conditions ask."""
    fields = {
        "family": "process",
        "name": "a",
        "pid": 1,
        "parent": {"pid": "2"},
        "args": ["a"],
        "address": "10.0.0.1",
        "addresses": [{"ip": "::1", "name": "b"}, {"never": "looked at"}],
        "one": "1",
        "other": 2,
        "data": {"anything": {"at": "all"}, "a": {"b": 5, "too": 6}},
        "asked": [1],
        "asked_below": {"it": True},
    }
    words = vocabulary()
    assert words.examine(fields) == []
    assert words.examine(fields) == []


def test_a_field_never_heard_of_is_found_wherever_known_ones_are():
    """At the top, in known objects and in the first entry of known lists."""
    found_here = vocabulary().examine(
        {"new": 1, "parent": {"pid": 1, "new": "a"}, "addresses": [{"new": None}]}
    )
    assert sorted(found_here) == [
        Finding("field", "addresses[0].new", None),
        Finding("field", "new", 1),
        Finding("field", "parent.new", "a"),
    ]


def test_an_unknown_object_is_one_finding():
    """Whatever it holds."""
    assert found(vocabulary(), new={"a": {"b": 1}, "c": 2}) == [("field", "new")]


def test_what_no_rule_reads_can_be_known():
    """With what stands below it, and of any type: nothing depends on that."""
    words = vocabulary(unmapped=frozenset({"seen", "parent.seen", "addresses[0].seen"}))
    fields = {
        "seen": {"below": 1},
        "parent": {"pid": 1, "seen": [1]},
        "addresses": [{"seen": 1}],
    }
    assert words.examine(fields) == []
    assert found(words, seen="a text", parent={"seen": 5, "unseen": 6}) == [
        ("field", "parent.unseen")
    ]


def test_below_an_unmapped_field_what_is_read_is_still_watched():
    """Everything there is known, but the type of what a rule reads matters."""
    words = vocabulary(unmapped=frozenset({"parent", "addresses"}))
    fields = {"parent": {"new": 1, "pid": "x"}, "addresses": [{"new": 1, "ip": "x"}]}
    assert found(words, **fields) == [("type", "addresses[0].ip"), ("type", "parent.pid")]


@pytest.mark.parametrize(
    "fields",
    [
        {"pid": "twelve"},
        {"pid": 1.5},
        {"pid": {"value": 1}},
        {"pid": [1]},
        {"name": {"first": "a"}},
        {"address": "no address"},
        {"parent": "a text"},
        {"parent": [{"pid": 1}]},
        {"data": "a text"},
        {"data": {"a": 1}},
        {"data": {"a": {"b": {"c": 1}}}},
        {"addresses": "a text"},
        {"addresses": {"ip": "::1"}},
        {"args": {"0": "a"}},
        {"asked_below": 1},
        {"family": ["process"]},
        {"family": {"process": 1}},
    ],
    ids=str,
)
def test_a_value_that_no_rule_can_use_is_of_another_type(fields):
    """As is anything but an object where rules look into one; each time that it comes."""
    words = vocabulary()
    for _ in range(2):
        assert [kind for kind, _ in found(words, **fields)] == ["type"]


@pytest.mark.parametrize("nothing", [None, "", "-", "None", [], {}], ids=repr)
def test_what_stands_for_nothing_has_no_type(nothing):
    """It may stand for a value of any."""
    names = ("pid", "name", "parent", "args", "addresses", "data", "one", "asked", "family")
    words = vocabulary()
    assert words.examine(dict.fromkeys(names, nothing)) == []
    assert words.examine({"asked": 1}) == []


def test_a_field_that_changes_its_type_is_found_where_rules_can_use_both():
    """A number as text is a number to a rule, but nothing the vendor does unawares."""
    words = vocabulary()
    assert found(words, name="a", pid=1, asked="a") == []
    assert found(words, name=5, pid="1", asked=[1]) == [
        ("type", "name"),
        ("type", "pid"),
        ("type", "asked"),
    ]
    assert found(words, name="b", pid=2.0, asked="b") == []
    assert words.examine({"pid": True}) == [Finding("type", "pid", True)]


def test_a_value_in_which_a_rule_finds_nothing_is_of_its_type():
    """Unless values in which it found something were of another."""
    words = vocabulary()
    assert found(words, letters=["a"]) == []
    assert found(words, letters="b") == []
    assert found(words, letters=["C"]) == []
    assert found(words, letters=["d"]) == []
    assert found(words, letters="e") == [("type", "letters")]


def test_one_odd_message_makes_no_others_odd():
    """And what has come as often as before is no news any more."""
    words = vocabulary()
    assert found(words, name=5) == []
    assert found(words, name="a") == [("type", "name")]
    for _ in range(3):
        assert found(words, name="a") == []
    assert [found(words, name=5) for _ in range(4)] == [[("type", "name")]] * 3 + [[]]


def test_kinds_that_are_not_known_have_no_types_to_compare():
    """Two new ones have nothing to do with one another."""
    words = vocabulary()
    for name in ("a", 5, "b"):
        assert found(words, family="new", name=name) == [("family", "family=new")]


def test_types_are_compared_within_one_kind_of_message():
    """Vendors use a name for different things in different kinds."""
    words = vocabulary()
    assert found(words, family="process", name="a") == []
    assert found(words, family="eventlog", name=1) == []
    assert found(words, name=True) == []
    assert found(words, family="process", name=1) == [("type", "name")]


def test_an_unknown_kind_of_message_is_found():
    """Known are the values that conditions compare, and those that are named besides."""
    words = vocabulary(known_families=frozenset({("family", "dns"), ("name", "other")}))
    for family in ("process", "eventlog", "dns"):
        assert found(words, family=family) == []
    assert found(words, family="new", name="any") == [("family", "family=new")]
    assert found(vocabulary(), family=7) == [("family", "family=7")]


def test_fields_of_a_flat_message_may_hold_dots():
    """They are names, not paths."""
    rules = (Rule("a", "x.y"), Rule("b", "z[0]"), Rule("c", "n", long))
    words = vocabulary(*rules, flat=True)
    assert found(words, **{"x.y": "1", "z[0]": "2", "n": "3"}) == []
    assert found(words, x="1", n="many") == [("field", "x"), ("type", "n")]


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_documented_samples_hold_nothing_new(vendor):
    """In any order, as a daemon may get them."""
    words = Vocabulary(PARSERS[vendor])
    messages = [PARSERS[vendor].decode(sample.raw)[1] for sample in samples.load(vendor)]
    for fields in [*messages, *reversed(messages)]:
        assert words.examine(fields) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the examples are not there")
@pytest.mark.parametrize("vendor", VENDORS)
def test_the_examples_hold_nothing_new(vendor):
    """One after the other, with the samples before them."""
    words = Vocabulary(PARSERS[vendor])
    messages = [sample.raw for sample in samples.load(vendor)]
    files = sorted((SHARED / "vectors" / vendor).glob("*.json"))
    messages += [json.loads(file.read_text(encoding="utf-8"))["raw"] for file in files]
    new = [words.examine(PARSERS[vendor].decode(raw)[1]) for raw in messages]
    assert [finding for findings in new for finding in findings] == []


def test_new_things_in_a_real_message_are_found():
    """One of each kind, in the documented network event."""
    decode = PARSERS["harfanglab"].decode
    raw = next(s.raw for s in samples.load("harfanglab") if s.name == "network")
    fields = decode(raw)[1]
    words = Vocabulary(PARSERS["harfanglab"])
    assert words.examine(fields) == []
    agent = {**fields["agent"], "battery": 55}
    assert set(found(words, **{**fields, "agent": agent, "dport": {"tcp": 1}})) == {
        ("field", "agent.battery"),
        ("type", "dport"),
    }
    assert found(words, **{**fields, "log_type": "telepathy"})[0] == (
        "family",
        "log_type=telepathy",
    )


def test_a_new_class_of_cybereason_is_found():
    """And a label that is new is a new field."""
    decode = PARSERS["cybereason"].decode
    words = Vocabulary(PARSERS["cybereason"])
    raw = "CEF:0|Cybereason|Cybereason|1.0|99|Malop|5|cs1=11 cs1Label=MalopId cs2=1 cs2Label=New"
    assert words.examine(decode(raw)[1]) == [
        Finding("field", "New", "1"),
        Finding("family", "DeviceEventClassID=99", "99"),
    ]


def test_findings_and_keys_of_one_message_are_bounded():
    """A message of a hundred thousand names is one of another kind, and the first tell."""
    words = vocabulary()
    assert len(words.examine({f"new{n}": n for n in range(100_000)})) == MAX_FINDINGS
    hidden = {f"k{n}": n for n in range(MAX_KEYS)} | {"parent": "a text"}
    assert words.examine({"data": hidden, "name": {}}) == []
    known = vocabulary(*(Rule(f"f{n}", f"f{n}") for n in range(MAX_KEYS + 1)))
    assert known.examine({f"f{n}": "a" for n in range(MAX_KEYS)} | {"new": 1}) == []
    assert found(known, new=1) == [("field", "new")]


def test_kinds_whose_types_are_remembered_are_bounded():
    """Beyond, and for kinds that are not known, nobody can make it remember more."""
    families = frozenset(("family", f"f{n}") for n in range(MAX_KINDS + 10))
    words = vocabulary(known_families=families)
    for n in range(1000):
        words.examine({"family": f"f{n}", "name": "a"})
    assert len(words._types) == MAX_KINDS
    assert found(words, family=f"f{MAX_KINDS + 5}", name=1) == []


def test_deep_nesting_is_not_followed():
    """Unknown objects are not looked into, known ones are as deep as the table."""
    deep = {}
    for _ in range(100_000):
        deep = {"parent": deep}
    finding = vocabulary().examine(deep)
    assert [(found.kind, found.field) for found in finding] == [("field", "parent.parent")]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KNOWN = ("family", "name", "pid", "parent", "args", "address", "addresses", "data", "asked", "new")


@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(), json_values))
def test_any_message_can_be_examined(fields):
    """Whatever it holds, it stays as it is."""
    before = json.dumps(fields)
    for finding in vocabulary().examine(fields):
        assert finding.kind in {"field", "type", "family"}
    assert json.dumps(fields) == before
