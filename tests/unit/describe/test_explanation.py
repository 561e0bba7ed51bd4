"""Explanations say what the parser did, whatever the message."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import samples
from collector.describe.explanation import Explainer, SourceField, UnmappedField, explain
from collector.describe.fields import Origin
from collector.parsers import PARSERS, PROFILES, ParseError, Vendor, build
from collector.parsers.conditions import absent, equals, present
from collector.parsers.convert import collected, conversion, distinct, fields_of, long
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from tests.messages import messages
from tests.support import leaves


@conversion("keyword")
def shouted(value):
    """Write it in capitals."""
    return (value.upper() or None) if isinstance(value, str) else None


@fields_of({"name": "keyword", "os.name": "keyword", "os.version": "keyword"})
def agent_parts(value):
    """Take name/os/version apart."""
    if not isinstance(value, str) or value.count("/") != 2:
        return None
    name, os, version = value.split("/")
    return {"name": name, "os": {"name": os, "version": version}}


@fields_of({"*": "keyword"})
def everything(value):
    """Take what is there."""
    return {**value} if isinstance(value, dict) and value else None


def decode(raw):
    """Read JSON, with a mark for what is damaged."""
    if not raw.startswith("{"):
        raise ParseError("not_toy", "not a toy message")
    return raw, orjson.loads(raw.rstrip("!")), (("repaired:end",) if raw.endswith("!") else ())


TOY = Vendor(
    Table(
        "toy",
        (
            Rule("message", WHOLE_INPUT),
            Rule("event.kind", constant="event"),
            Rule("event.kind", constant="alert", when=equals("kind", "alert")),
            Rule("event.type", constant=("info",)),
            Rule("user.name", "who"),
            Rule("user.name", ("login.user", "login.name"), shouted, when=present("login")),
            Rule("host.ip", ("a", "b", "c"), collected),
            Rule("rule.name", "rules[0].name"),
            Rule("process.pid", "pid", long),
            Rule("data.*", "data", everything),
            Rule("data.x", "x"),
            Rule("data.*", "more", everything),
            Rule("agent.*", "agent", agent_parts),
            Rule("agent.name", "agent_name"),
        ),
        (
            Rule("host.name", "host.ip", when=absent("host.name")),
            Rule("agent.*", "user.name", agent_parts),
            Rule("related.user", ("user.name", "nothing"), distinct),
        ),
    ),
    decode,
)


def explained(fields, vendor=TOY, profile="ecs"):
    """Explain a message of these fields; return what is told of each field of its event."""
    found = explain(vendor, profile, orjson.dumps(fields).decode())
    return {field.name: field for field in found.fields}


class TestFields:
    """Where the fields of the event come from."""

    def test_the_last_row_that_yields_a_value_counts(self):
        """With its source, its value before and after, and its condition."""
        field = explained({"who": "ann", "login": {"name": "bob"}})["user.name"]
        assert field.value == "BOB"
        assert field.sources == (SourceField("login.name", "bob"),)
        assert field.origin == Origin(
            "source",
            ("login.user", "login.name"),
            "shouted",
            conditions=("login is present",),
        )
        field = explained({"who": "ann", "login": {"name": ""}})["user.name"]
        assert (field.value, field.sources) == ("ann", (SourceField("who", "ann"),))

    def test_the_first_source_that_yields_a_value_is_the_source(self):
        """The others had no part in it."""
        field = explained({"login": {"user": "eve", "name": "bob"}})["user.name"]
        assert field.sources == (SourceField("login.user", "eve"),)

    def test_rows_that_take_all_sources_name_those_that_are_there(self):
        """In the order of the row."""
        field = explained({"c": "3", "a": "1", "b": None})["host.ip"]
        assert field.value == ["1", "3"]
        assert field.sources == (SourceField("a", "1"), SourceField("c", "3"))

    def test_constants_have_no_source(self):
        """A list is a list."""
        fields = explained({"kind": "alert"})
        assert (fields["event.kind"].value, fields["event.kind"].sources) == ("alert", ())
        assert fields["event.kind"].origin.conditions == ("kind=alert",)
        assert fields["event.type"].value == ["info"]

    def test_the_text_is_a_source_of_its_own(self):
        """As the table calls it."""
        assert explained({})["message"].sources == (SourceField(WHOLE_INPUT, "{}"),)

    def test_the_first_entry_of_a_list_is_read(self):
        """The path says so."""
        field = explained({"rules": [{"name": "r"}, {"name": "s"}]})["rule.name"]
        assert field.sources == (SourceField("rules[0].name", "r"),)

    def test_inferred_fields_name_fields_of_the_event(self):
        """With the values these had."""
        field = explained({"who": "ann"})["related.user"]
        assert field.origin == Origin("inferred", ("user.name",), "distinct", joint=True)
        assert field.sources == (SourceField("user.name", "ann"),)

    def test_of_several_rows_that_yield_several_fields_each_has_its_own(self):
        """A later one replaces what it yields, and nothing else."""
        fields = explained({"data": {"x": 1, "y": 2}, "x": "3", "more": {"y": 4, "z": 5}})
        assert {name: fields[name].value for name in fields if name.startswith("data.")} == {
            "data.x": "3",
            "data.y": 4,
            "data.z": 5,
        }
        assert fields["data.x"].sources == (SourceField("x", "3"),)
        assert fields["data.y"].sources == (SourceField("more", {"y": 4, "z": 5}),)

    def test_a_value_may_replace_an_object_and_an_object_a_value(self):
        """Only what the event holds is told."""
        fields = explained({"data": {"x": {"y": 1}}, "x": "3"})
        assert fields["data.x"].sources == (SourceField("x", "3"),)
        assert "data.x.y" not in fields
        fields = explained({"x": "3", "more": {"x": {"y": 1, "z": 2}}})
        assert fields["data.x.z"].sources == (SourceField("more", {"x": {"y": 1, "z": 2}}),)
        assert "data.x" not in fields

    def test_inferred_ones_fill_only_what_is_not_there(self):
        """Whole objects count as there."""
        fields = explained({"agent": "a/b/c", "who": "d/e/f"})
        assert fields["agent.os.name"].sources == (SourceField("agent", "a/b/c"),)
        fields = explained({"agent_name": "a", "who": "d/e/f"})
        assert fields["agent.name"].sources == (SourceField("agent_name", "a"),)
        assert fields["agent.os.name"].sources == (SourceField("user.name", "d/e/f"),)


class TestUnmapped:
    """What of the message is in no field of the event."""

    def test_it_is_listed_with_the_reason(self):
        """In the order of the message."""
        message = {
            "odd": 1,
            "kind": "alert",
            "who": "ann",
            "login": {"name": "bob", "more": {"x": [1, 2]}},
            "rules": [{"name": "r", "id": 7}, {"name": "s"}],
            "pid": "many",
        }
        assert explain(TOY, "ecs", orjson.dumps(message).decode()).unmapped == (
            UnmappedField("odd", 1, "no rule reads it"),
            UnmappedField("kind", "alert", "decides which rules apply"),
            UnmappedField("who", "ann", "not used here; may become user.name"),
            UnmappedField("login.more.x", [1, 2], "decides which rules apply"),
            UnmappedField("rules[0].id", 7, "no rule reads it"),
            UnmappedField("rules[1].name", "s", "no rule reads it"),
            UnmappedField("pid", "many", "not used here; may become process.pid"),
        )

    def test_an_object_that_is_used_is_used_with_all_it_holds(self):
        """Nothing of it is unmapped."""
        assert explain(TOY, "ecs", '{"data":{"x":{"y":1}}}').unmapped == ()

    def test_what_has_no_value_is_only_named(self):
        """There is nothing to map."""
        found = explain(TOY, "ecs", '{"a":null,"b":"","c":[],"d":{},"e":{"f":null}}')
        assert found.empty == ("a", "b", "c", "d", "e.f")
        assert found.unmapped == ()
        assert explain(TOY, "ecs", "{}").empty == ()

    def test_field_names_with_dots_are_names_where_the_message_is_flat(self):
        """They are no paths."""
        flat = Vendor(
            Table("flat", (Rule("user.name", "a.b"),), flat=True),
            lambda raw: (raw, {"a.b": "1", "a.c": "2", "a": "3"}, ()),
        )
        found = explain(flat, "ecs", "")
        assert [field.sources for field in found.fields] == [(SourceField("a.b", "1"),)]
        assert [field.name for field in found.unmapped] == ["a.c", "a"]

    @pytest.mark.parametrize("nested", ['{"a":' * 1000 + "1" + "}" * 1000, "[" * 900 + "]" * 900])
    def test_deep_nesting_is_cut_off(self, nested):
        """So that it can be shown and written as JSON."""
        found = explain(TOY, "ecs", f'{{"odd":{nested},"who":{nested}}}')
        assert b"\xe2\x80\xa6" in orjson.dumps(found.unmapped)

    def test_many_fields_take_linear_time(self):
        """None is looked for among the others."""
        message = {f"k{number}": {"x": [number]} for number in range(20_000)}
        found = explain(TOY, "ecs", orjson.dumps({"data": message} | message).decode())
        assert len(found.unmapped) == 20_000


def test_repairs_are_told_and_in_the_event():
    """As the parser has them."""
    found = explain(TOY, "ecs", '{"who":"ann"}!')
    assert found.repairs == ("repaired:end",)
    assert found.event == TOY.parser("ecs")('{"who":"ann"}!')
    found = explain(TOY, "ecs", '{"who":"ann"}!', ["repaired:utf8", "repaired:end"])
    assert found.repairs == ("repaired:end", "repaired:utf8")
    assert found.event["tags"] == ["repaired:end", "repaired:utf8"]


def test_what_cannot_be_parsed_is_a_parse_error():
    """As for the parser."""
    with pytest.raises(ParseError, match="not a toy message"):
        explain(TOY, "ecs", "nonsense")


VENDORS = ("cybereason", "harfanglab")
EXPLAINERS = {
    (name, profile): (Explainer(PARSERS[name], profile), build(name, profile))
    for name in VENDORS
    for profile in PROFILES
}


def check(name, profile, raw):
    """See that explanation and parser agree."""
    explainer, parse = EXPLAINERS[name, profile]
    found = explainer.explain(raw)
    event = parse(raw)
    assert found.event == event
    told = {field.name: field.value for field in found.fields}
    if found.repairs:
        told["tags"] = [*told.get("tags", ()), *found.repairs]
    assert told == leaves(event)
    assert all(source.value is not None for field in found.fields for source in field.sources)
    assert orjson.loads(orjson.dumps(found))["event"] == found.event
    return found


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "sample",
    [sample for name in VENDORS for sample in samples.load(name)],
    ids=lambda sample: sample.name,
)
def test_samples_are_explained_as_they_are_parsed(sample, profile):
    """Every field of the event with its value, and every field of the message once."""
    found = check(sample.vendor, profile, sample.raw)
    used = {source.name for field in found.fields for source in field.sources}
    assert used.isdisjoint(field.name for field in found.unmapped)


@pytest.mark.parametrize(("name", "profile"), EXPLAINERS)
@given(data=st.data())
def test_messages_are_explained_as_they_are_parsed(name, profile, data):
    """Whatever stands in the fields that rules read."""
    check(name, profile, data.draw(messages(name)))
