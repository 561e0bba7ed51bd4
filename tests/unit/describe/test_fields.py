"""The list of fields: what the tables say, merged by name, and nothing that cannot come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import samples
from collector.describe.fields import COLLECTOR_FIELDS, Field, Origin, in_words, list_fields
from collector.events import envelope
from collector.events.fields import known_fields
from collector.parsers import PARSERS, PROFILES, Vendor, build
from collector.parsers.compiler import compile_tracer
from collector.parsers.conditions import absent, equals
from collector.parsers.convert import collected, fields_of, file_name, keyword, long
from collector.parsers.mapping import Rule, Table, under
from tests.field_types import misfits
from tests.messages import messages


@fields_of({"name": "keyword", "*": "keyword"})
def parts(value):
    """Split it."""
    return {"name": value}


TOY = Vendor(
    Table(
        "toy",
        (
            Rule("event.kind", constant="alert", when=equals("kind", "a")),
            Rule("event.kind", constant="alert", when=equals("kind", "b")),
            Rule("event.kind", constant="event", when=equals("kind", "c")),
            Rule("event.type", constant="info", when=equals("kind", "b"), profile="documented"),
            Rule("event.type", constant=("start",), when=equals("kind", "a"), profile="ecs"),
            Rule("host.ip", ("a", "b.c"), collected, ecs_type="array of ip"),
            *under(equals("kind", "a"), Rule("process.pid", ("pid", "id"), long)),
            Rule("process.pid", ("pid", "id"), long),
        ),
        (
            Rule("host.name", ("host.hostname", "host.ip"), when=absent("host.name")),
            Rule("user.name", "user.id"),
            Rule("os.*", "event.kind", parts),
            Rule("os.any", "os.thing"),
        ),
    ),
    lambda raw: (raw, {}, ()),
)


def by_name(vendor, profile):
    return {field.name: field for field in list_fields(vendor, profile)}


class TestToyVendor:
    """A whole table."""

    def test_ways_that_differ_in_their_condition_are_one_origin(self):
        """Any of the conditions is enough; if one has none there is no condition."""
        fields = by_name(TOY, "ecs")
        pipeline_error = Origin(
            "collector",
            conversion="pipeline_error",
            conditions=("the message cannot be parsed",),
        )
        assert fields["event.kind"] == Field(
            "event.kind",
            "keyword",
            (
                Origin("constant", value="alert", conditions=("kind=a", "kind=b")),
                Origin("constant", value="event", conditions=("kind=c",)),
                pipeline_error,
            ),
        )
        assert fields["process.pid"] == Field(
            "process.pid", "long", (Origin("source", ("pid", "id"), "as long"),)
        )

    def test_sources_that_count_together_are_marked(self):
        """A list of all is not the first that is there."""
        (origin,) = by_name(TOY, "ecs")["host.ip"].origins
        assert origin == Origin("source", ("a", "b.c"), "collected", joint=True)

    def test_two_types_are_both_said(self):
        """With the reason where one of them is not ECS's."""
        fields = by_name(TOY, "documented")
        assert fields["event.type"].type == "array of keyword or keyword"
        assert fields["event.type"].deviation.startswith("one text, as the samples")
        ecs = by_name(TOY, "ecs")["event.type"]
        assert (ecs.type, ecs.deviation) == ("array of keyword", None)

    def test_rows_that_a_later_constant_always_replaces_are_left_out(self):
        """Nothing of theirs comes out."""
        a, b = equals("kind", "a"), equals("kind", "b")
        table = Table(
            "toy",
            (
                Rule("t", "first"),
                Rule("t", "a", when=a),
                Rule("t", "b", when=b),
                Rule("t", "both", when=a & b),
                Rule("t", constant="x", when=a | b),
                Rule("t", "last", when=a),
                Rule("u", "first", when=a),
                Rule("u", constant="y"),
            ),
        )
        fields = by_name(Vendor(table, TOY.decode), "ecs")
        read = {origin.sources or origin.value for origin in fields["t"].origins}
        assert read == {("first",), ("both",), "x", ("last",)}
        assert [origin.value for origin in fields["u"].origins] == ["y"]

    def test_inferred_fields_name_the_sources_that_can_be_there(self):
        """A row without any is left out."""
        fields = by_name(TOY, "ecs")
        assert fields["host.name"].origins == (
            Origin("inferred", ("host.ip",), conditions=("host.name is not set",)),
        )
        assert "user.name" not in fields

    def test_a_row_that_yields_several_fields_is_listed_for_each(self):
        """A star stands for names that the message decides, which can be sources too."""
        fields = by_name(TOY, "ecs")
        origin = Origin("inferred", ("event.kind",), "parts")
        assert fields["os.name"].origins == fields["os.*"].origins == (origin,)
        assert fields["os.any"].origins == (Origin("inferred", ("os.thing",)),)

    def test_fields_are_sorted_by_name(self):
        """Those of the collector among them."""
        names = [field.name for field in list_fields(TOY, "ecs")]
        assert names == sorted(set(names))
        assert {name for name, _, _ in COLLECTOR_FIELDS} <= set(names)


def test_texts_have_the_type_of_ecs():
    """Where the mapping specification only says keyword."""
    assert by_name(PARSERS["raw"], "ecs")["message"].type == "match_only_text"


@pytest.mark.parametrize(
    ("conversion", "words"), [(keyword, ""), (long, "as long"), (file_name, "file name")]
)
def test_conversions_are_named_in_words(conversion, words):
    """A plain copy is not worth any."""
    assert in_words(conversion) == words


@pytest.mark.parametrize(
    ("origin", "how"),
    [
        (Origin("source", ("a",)), "copied"),
        (Origin("source", ("a",), "as long"), "as long"),
        (Origin("constant", value="x"), "constant"),
        (Origin("inferred", ("a",)), "inferred"),
        (Origin("inferred", ("a",), "file name"), "inferred, file name"),
        (Origin("collector", conversion="time of receipt"), "time of receipt"),
    ],
)
def test_an_origin_says_how(origin, how):
    """In a few words."""
    assert origin.how == how


every_table = pytest.mark.parametrize(
    ("name", "profile"), [(name, profile) for name in PARSERS for profile in PROFILES]
)


@every_table
def test_the_rows_that_are_listed_are_those_that_run(name, profile):
    """As the compiled function has them, which may order them anew."""
    table = PARSERS[name].table
    rows = compile_tracer(table, profile).__globals__["RULES"]
    assert {rule for rule, _ in rows} == {*table.all_rows(profile)}


@every_table
def test_settings_know_the_same_fields(name, profile):
    """Of an intake with all parts of the envelope."""
    listed = {field.name for field in list_fields(PARSERS[name], profile)}
    assert listed == {*known_fields(name, profile, envelope.FIELDS)}


@every_table
def test_every_field_has_one_type_but_for_lists(name, profile):
    """A text and a number under one name would not go into one index."""
    for field in list_fields(PARSERS[name], profile):
        kinds = {kind.removeprefix("array of ") for kind in field.type.split(" or ")}
        assert len(kinds) == 1, field


@every_table
def test_no_field_is_both_a_value_and_an_object(name, profile):
    """Those that the collector adds included."""
    names = {field.name for field in list_fields(PARSERS[name], profile)}
    assert not [name for name in names if any(other.startswith(f"{name}.") for other in names)]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "sample",
    [sample for vendor in ("cybereason", "harfanglab") for sample in samples.load(vendor)],
    ids=lambda sample: sample.name,
)
def test_samples_hold_what_is_listed(sample, profile):
    """Each leaf is a field of the list, and its value of the field's type."""
    event = build(sample.vendor, profile)(sample.raw)
    assert misfits(event, list_fields(PARSERS[sample.vendor], profile)) == []


LISTS = {
    (name, profile): (build(name, profile), list_fields(PARSERS[name], profile))
    for name in ("cybereason", "harfanglab")
    for profile in PROFILES
}


def unchecked(name, profile):
    """Return the fields whose type a row claims and its conversion does not see to.

    The specification copies some addresses as they are, and with them what is none.
    """
    texts = {"keyword", "text", "wildcard", "date"}  # a date in a text is one
    return {
        rule.target: rule.field_type.removeprefix("array of ")
        for rule in PARSERS[name].table.all_rows(profile)
        if rule.ecs_type not in (None, rule.convert.field_type)
        and not {rule.ecs_type, rule.convert.field_type} <= texts
    }


@pytest.mark.parametrize(("name", "profile"), LISTS)
def test_only_addresses_and_one_number_are_not_checked(name, profile):
    """The memory of a host may have a fraction."""
    fields = unchecked(name, profile)
    assert fields.pop("harfanglab.host.total_memory", "long") == "long"
    assert {*fields.values()} == {"ip"}


@pytest.mark.parametrize(("name", "profile"), LISTS)
@given(data=st.data())
def test_any_message_gives_what_is_listed(name, profile, data):
    """Each leaf is a field of the list; its value is of the type, where that is checked."""
    parse, fields = LISTS[name, profile]
    found = misfits(parse(data.draw(messages(name))), fields)
    assert [line for line in found if line.partition(":")[0] not in unchecked(name, profile)] == []
