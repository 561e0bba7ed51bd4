"""Every field is as ECS has it, is a vendor's own, or is listed with the reason why it is not.

`ecs-fields.csv` beside the repository holds the fields of ECS 9.4, reused ones (`process.hash.md5`)
in full, each with its type and whether it is a list.
"""

import csv
import json
from typing import NamedTuple

import pytest

from collector.describe.deviations import DEVIATIONS, OWN_NAMES
from collector.describe.fields import list_fields
from collector.describe.reference import component_template
from collector.parsers import PARSERS, PROFILES, build
from tests.field_types import misfits
from tests.support import SHARED

SCHEMA = SHARED / "spec" / "ecs-fields.csv"
VECTORS = SHARED / "vectors"
# Types of ECS that an index maps differently for the same values.
FAMILIES = (
    {"keyword", "constant_keyword", "wildcard", "text", "match_only_text"},
    {"long", "integer", "short", "byte", "unsigned_long"},
    {"float", "half_float", "scaled_float", "double"},
    {"object", "flattened", "nested"},
)

pytestmark = pytest.mark.skipif(not SCHEMA.is_file(), reason="the fields of ECS are not there")


class EcsField(NamedTuple):
    """A field of ECS: its type, and whether it always holds a list."""

    type: str
    is_list: bool


def read_schema():
    with SCHEMA.open(encoding="utf-8", newline="") as file:
        return {
            row["field"]: EcsField(row["type"], row["array"] == "yes")
            for row in csv.DictReader(file)
        }


ECS = read_schema() if SCHEMA.is_file() else {}


def is_own(name):
    """Tell whether a field is in an object that ECS does not have."""
    return name.partition(".")[0] in OWN_NAMES


def is_compatible(kind, ecs_type):
    """Tell whether values of a type can be in a field of ECS."""
    return kind == ecs_type or any({kind, ecs_type} <= family for family in FAMILIES)


def flaw(field):
    """Say what is not as ECS has it; None if nothing."""
    ecs = ECS.get(field.name.removesuffix(".*"))
    if ecs is None:
        return "not in ECS"
    if field.name.endswith(".*"):
        return None if is_compatible("object", ecs.type) else f"an object where ECS has {ecs.type}"
    for kind in field.type.split(" or "):
        if not is_compatible(kind.removeprefix("array of "), ecs.type):
            return f"{kind} where ECS has {ecs.type}"
        if kind.startswith("array of ") is not ecs.is_list:
            return f"{kind}, and ECS has {'a list' if ecs.is_list else 'one value'}"
    return None


every_list = pytest.mark.parametrize(
    ("name", "profile"), [(name, profile) for name in PARSERS for profile in PROFILES]
)


@every_list
def test_every_field_is_in_ecs_or_listed(name, profile):
    """A field that deviates has its reason, and one that has a reason deviates."""
    for field in list_fields(PARSERS[name], profile):
        if not is_own(field.name):
            assert (flaw(field) is None) is (field.deviation is None), (field, flaw(field))


def test_every_deviation_is_that_of_some_field():
    """One that is none any more is not to be listed."""
    names = {
        field.name
        for vendor in PARSERS.values()
        for profile in PROFILES
        for field in list_fields(vendor, profile)
        if field.deviation is not None
    }
    assert names == set(DEVIATIONS)


def mapped(properties, prefix=""):
    """Yield the fields of a mapping with their types."""
    for name, mapping in properties.items():
        if "properties" in mapping:
            yield from mapped(mapping["properties"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", mapping["type"]


@every_list
def test_an_index_has_the_types_of_ecs(name, profile):
    """So that the component template goes with those that Elastic has for ECS."""
    template = component_template(PARSERS[name], profile)
    types = dict(mapped(template["template"]["mappings"]["properties"]))
    ecs = {field: ECS[field].type for field in types if field in ECS}
    assert {field: types[field] for field in ecs} == ecs


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "path",
    sorted(VECTORS.glob("*/*.json")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_examples_hold_what_is_listed(path, profile):
    """Each leaf of an event is a field of the list, and its value of the field's type."""
    name = path.parent.name if path.parent.name in PARSERS else path.stem.partition("_")[0]
    event = build(name, profile)(json.loads(path.read_text(encoding="utf-8"))["raw"])
    assert misfits(event, list_fields(PARSERS[name], profile)) == []
