"""The rule tables hold the rows of the mapping specification, in its order."""

import csv

import pytest

from collector.parsers import cybereason, harfanglab, mapping
from tests.support import SHARED

SPECIFICATION = SHARED / "spec"
INFERRED = "inferred: "
FAMILIES = {
    "",
    "log_type=network or alert_subtype=network",
    "log_type=network",
    "log_type=alert and alert_subtype=network",
    "log_type=process",
    "alert_subtype=process",
    "log_type=process or alert_subtype=process",
    "log_type=alert and alert_subtype=process",
    "log_type=alert",
    "alert_subtype=process or threat_type=commandline",
    "log_type=investigation",
    "log_type=eventlog",
    "alert_subtype=eventlog",
    "log_type=eventlog or alert_subtype=eventlog",
    "(log_type=eventlog or alert_subtype=eventlog) and event_id=4624",
    "(log_type=eventlog or alert_subtype=eventlog) and event_id=4625",
    "log_type=network or log_type=alert",
}
# The documentation shows these two as texts; families it does not show follow it.
SHAPED = {"event.category", "event.type"}

pytestmark = pytest.mark.skipif(
    not SPECIFICATION.is_dir(), reason="the mapping specification is not there"
)


def specified(vendor):
    """Return the rows of a specification: condition, sources, target, type, profile."""
    with (SPECIFICATION / f"{vendor}.csv").open(encoding="utf-8", newline="") as file:
        return [
            (row["family"], row["source"], row["target"], row["type"], row["profile"])
            for row in csv.DictReader(file)
        ]


def written(rules: tuple[mapping.Rule, ...]):
    """Return the rows of a table in the same form."""
    return [
        (
            str(rule.when or ""),
            "; ".join(rule.sources),
            rule.target,
            rule.field_type,
            rule.profile,
        )
        for rule in rules
    ]


def by_target(rows):
    """Sort rows by their target alone: the order of those with the same target stays."""
    return sorted(rows, key=lambda row: row[2])


def test_the_table_of_cybereason_is_the_specification():
    """Row by row."""
    rows = [row for row in specified("cybereason") if not row[0].startswith(INFERRED)]
    assert written(cybereason.TABLE.rules) == rows


def test_the_table_of_harfanglab_is_the_specification_of_its_families():
    """Row by row, in the order that counts; what event data holds is not among them."""
    rows = [
        row for row in specified("harfanglab") if row[0] in FAMILIES and "event_data." not in row[1]
    ]
    extra = set(written(harfanglab.TABLE.rules)) - set(rows)
    assert {(target, profile) for _, _, target, _, profile in extra} == {
        (target, "documented") for target in SHAPED
    }
    assert by_target(row for row in written(harfanglab.TABLE.rules) if row not in extra) == (
        by_target(rows)
    )


@pytest.mark.parametrize(
    "table", [cybereason.TABLE, harfanglab.TABLE], ids=lambda table: table.name
)
def test_inferred_fields_are_specified(table):
    """Each with its type, and from the sources the specification names or more."""
    rows = {
        (target, profile): ({*source.replace("normalized:", "").split("; ")}, field_type)
        for family, source, target, field_type, profile in specified("harfanglab")
        if family.startswith(INFERRED)
    }
    for rule in table.inferred:
        sources, field_type = rows[rule.target, rule.profile]
        assert rule.field_type == field_type
        assert sources <= {*rule.sources} | {"destination.nat.ip"}
