"""The list of fields written down."""

import orjson
import pytest

from collector.describe.deviations import DEVIATIONS
from collector.describe.fields import Field, Origin, list_fields
from collector.describe.reference import as_objects, component_template, markdown
from collector.parsers import PARSERS, PROFILES, Vendor
from collector.parsers.conditions import equals
from collector.parsers.convert import conversion, fields_of, ip, keywords, number
from collector.parsers.mapping import Rule, Table
from tests.support import ROOT


@fields_of({"known.name": "keyword", "*": "keyword"})
def everything(value):
    """Take ``what`` is there.

    And more.
    """
    return {**value}


@conversion("array of object")
def entries(value):
    """Take the objects | of a list."""
    return value


TOY = Vendor(
    Table(
        "toy",
        (
            Rule("event.type", constant="info", profile="documented"),
            Rule("event.type", constant=("info",), when=equals("kind", "a|b"), profile="ecs"),
            Rule("source.ip", "ip", ip),
            Rule("cybereason.score", "score", number, profile="ecs"),
            Rule("cybereason.tags", "tags", keywords),
            Rule("action.properties.*", "data", everything),
            Rule("action.properties.x", "x"),
            Rule("action.entries", "entries", entries),
        ),
        (Rule("source.address", "source.ip"),),
        (Rule("threat.name", "event.type"),),
    ),
    lambda raw: (raw, {}, ()),
    unmapped=frozenset({"b.c", "a"}),
)


class TestObjects:
    """As JSON."""

    def test_a_field_is_an_object(self):
        """All its sources and conditions, and which go together."""
        field = Field(
            "user.name",
            "keyword",
            (
                Origin("source", ("a", "b"), conditions=("k=1", "k=2")),
                Origin("constant", value=("x",), conditions=("k=3",)),
            ),
            "because",
        )
        assert as_objects([field]) == [
            {
                "name": "user.name",
                "type": "keyword",
                "source": ["a", "b"],
                "condition": ["k=1", "k=2", "k=3"],
                "origins": [
                    {"kind": "source", "sources": ("a", "b"), "conditions": ("k=1", "k=2")},
                    {"kind": "constant", "value": ("x",), "conditions": ("k=3",)},
                ],
                "deviation": "because",
            }
        ]

    def test_one_origin_without_condition_is_no_condition(self):
        """The field is there whenever that source is."""
        field = Field(
            "a", "long", (Origin("source", ("b",), conditions=("k=1",)), Origin("source"))
        )
        (written,) = as_objects([field])
        assert written["condition"] == []
        assert "deviation" not in written

    @pytest.mark.parametrize("name", PARSERS)
    def test_it_can_be_encoded(self, name):
        """For every parser."""
        written = orjson.loads(orjson.dumps(as_objects(list_fields(PARSERS[name], "ecs"))))
        assert {"name", "type", "source", "condition", "origins"} <= written[0].keys()


class TestComponentTemplate:
    """As the mapping of an index."""

    def properties(self, profile="ecs"):
        return component_template(TOY, profile)["template"]["mappings"]["properties"]

    def test_it_is_a_tree_of_properties(self):
        """With a type for each leaf; a list has that of its entries."""
        found = self.properties()
        assert found["source"] == {
            "properties": {
                "ip": {"type": "ip", "ignore_malformed": True},
                "address": {"type": "keyword", "ignore_above": 1024},
            }
        }
        assert found["cybereason"]["properties"] == {
            "score": {"type": "float", "ignore_malformed": True},
            "tags": {"type": "keyword", "ignore_above": 1024},
        }
        assert found["message"] == {"type": "match_only_text"}
        assert found["@timestamp"] == {"type": "date"}
        assert found["event"]["properties"]["type"] == {"type": "keyword", "ignore_above": 1024}

    def test_names_that_a_message_decides_do_not_become_fields_of_the_index(self):
        """Whatever else is known of the object."""
        assert self.properties()["action"]["properties"] == {
            "properties": {"type": "flattened", "ignore_above": 1024},
            "entries": {"type": "flattened", "ignore_above": 1024},
        }

    def test_it_says_what_it_is(self):
        """For those who find it in a cluster."""
        assert component_template(TOY, "ecs")["_meta"] == {
            "description": "Fields of toy events, profile ecs",
            "managed_by": "collector",
        }

    @pytest.mark.parametrize("name", PARSERS)
    def test_profiles_map_what_both_have_alike(self, name):
        """So that an intake can change its profile and keep its index."""

        def leaves(properties, prefix=""):
            for key, mapping in properties.items():
                if "properties" in mapping:
                    yield from leaves(mapping["properties"], f"{prefix}{key}.")
                else:
                    yield f"{prefix}{key}", orjson.dumps(mapping)

        documented, ecs = (
            dict(
                leaves(
                    component_template(PARSERS[name], profile)["template"]["mappings"]["properties"]
                )
            )
            for profile in PROFILES
        )
        assert {key: documented[key] for key in documented.keys() & ecs.keys()} == {
            key: ecs[key] for key in documented.keys() & ecs.keys()
        }


class TestMarkdown:
    """As a page to read."""

    PAGE = markdown(TOY, "ecs").splitlines()

    def section(self, title):
        start = self.PAGE.index(f"## {title}") + 2
        end = next(
            (at for at in range(start, len(self.PAGE)) if self.PAGE[at].startswith("## ")), None
        )
        return [line for line in self.PAGE[start:end] if line]

    def test_it_says_how_it_was_made(self):
        """So that it is not edited."""
        assert self.PAGE[0] == "# Fields of toy events"
        assert "`collector fields --parser toy --profile ecs --format markdown`" in self.PAGE[2]

    def test_every_field_is_a_row(self):
        """A bar in a cell does not end it."""
        rows = self.section("Profile ecs")
        assert rows[:2] == ["| field | type | source | condition |", "|---|---|---|---|"]
        assert r"| `event.type` | array of keyword | `info` | kind=a\|b |" in rows
        assert "| `source.ip` | ip | `ip` (as ip) |  |" in rows
        assert "| `source.address` | keyword | *inferred* `source.ip` |  |" in rows
        assert "| `event.id` | keyword | *the collector:* identity of the message |  |" in rows

    def test_what_differs_in_the_other_profile_follows(self):
        """And nothing else of it."""
        rows = self.section("What differs in profile documented")
        assert rows[2:] == [
            "| `event.type` | keyword | `info` |  |",
            "Not there: `threat.name`.",
        ]

    def test_deviations_have_their_reasons(self):
        """Those of either profile."""
        rows = self.section("Not as ECS has it")
        reason = DEVIATIONS["event.type"].reason
        assert f"| `event.type` | documented | {reason} |" in rows
        reason = DEVIATIONS["log.source.address"].reason
        assert f"| `log.source.address` | documented, ecs | {reason} |" in rows

    def test_source_fields_that_are_known_and_unmapped_are_named(self):
        """Sorted."""
        assert self.section("Source fields that stay in the message alone") == ["`a`, `b.c`."]

    def test_conversions_are_explained(self):
        """In one sentence each."""
        rows = self.section("What is done to a value")
        assert "| everything | Take `what` is there. |" in rows
        assert r"| entries | Take the objects \| of a list. |" in rows


@pytest.mark.parametrize("name", ["cybereason", "harfanglab"])
def test_the_reference_in_the_repository_is_current(name):
    """It is written by the command, not by hand."""
    path = ROOT / "deploy" / "fields" / f"{name}.md"
    command = f"collector fields --parser {name} --profile ecs --format markdown"
    assert path.read_text(encoding="utf-8") == markdown(PARSERS[name], "ecs") + "\n", (
        f"run: {command} > deploy/fields/{name}.md"
    )
