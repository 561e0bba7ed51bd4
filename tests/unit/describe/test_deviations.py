"""Fields that are not as ECS has them; `tests/conformance/test_ecs.py` compares them with ECS."""

from collector.describe.deviations import DEVIATIONS, ECS_TYPES, OWN_NAMES, deviation
from collector.parsers import PARSERS, PROFILES


def test_a_field_that_ecs_lacks_deviates_whatever_its_type():
    """The reason is said."""
    assert deviation("log.hostname", {"keyword"}) == DEVIATIONS["log.hostname"].reason
    assert deviation("log.hostname", ["date"]) == DEVIATIONS["log.hostname"].reason


def test_a_field_in_another_shape_deviates_in_that_shape_alone():
    """The list that profile `ecs` has is ECS's own."""
    assert deviation("event.type", ["array of keyword"]) is None
    assert deviation("event.type", ["array of keyword", "keyword"]) is not None


def test_any_other_field_is_no_deviation():
    """Known or not."""
    assert deviation("event.kind", ["keyword"]) is None


def test_own_fields_need_no_reason():
    """They are not claimed to be ECS's."""
    assert not any(name.partition(".")[0] in OWN_NAMES for name in DEVIATIONS)


def test_the_types_of_ecs_are_those_of_texts_that_a_table_has():
    """Nothing is listed that no parser writes, and nothing that a table says itself."""
    found = {
        name: kind
        for vendor in PARSERS.values()
        for profile in PROFILES
        for rules in (vendor.table.rows(profile), vendor.table.inferred_rows(profile))
        for rule in rules
        for name, kind in rule.fields.items()
        if name in ECS_TYPES
    }
    assert found == dict.fromkeys(ECS_TYPES, "keyword")
