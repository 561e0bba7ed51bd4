"""The rule tables hold the rows of the mapping specification, in its order."""

import csv
import re

import pytest

from collector.parsers import convert, cybereason, harfanglab, mapping
from collector.parsers.ecs import INFERRED as INFERRED_RULES
from collector.parsers.harfanglab import logon, related, values
from collector.parsers.harfanglab.event_data import event_data
from tests.support import SHARED

SPECIFICATION = SHARED / "spec"
INFERRED = "inferred: "
LOGON = f"{INFERRED}runs after all rules above, only when action.id is 4624 or 4625"
# What is done to a value, by the beginning of what the specification says about it; where it says
# nothing of the kind, a value is converted to the type of its field.
CONVERSIONS = {
    "split DOMAIN\\user: the part before": convert.before_backslash,
    "split DOMAIN\\user: the part after": convert.after_backslash,
    "only if valid IP address": convert.ip,
    "one-entry list, only if valid IP address": convert.ips,
    "date to ISO 8601": convert.iso_date,
    "first non-empty of the listed sources; date to ISO 8601": convert.iso_date,
    "text after the last backslash": values.after_last_backslash,
    "basename": convert.file_name,
    "only if not a valid IP address": values.no_address,
    "copy the whole object": values.digests,
}
PLAIN = ("unchanged", "integer to text", "text to integer", "first non-empty", "no validity check")
TYPES = {"long": convert.long, "keyword": convert.keyword, "wildcard": convert.keyword}
# The documentation shows these two as texts; families it does not show follow it.
SHAPED = {"event.category", "event.type"}

pytestmark = pytest.mark.skipif(
    not SPECIFICATION.is_dir(), reason="the mapping specification is not there"
)


def read_specification(vendor):
    """Return the rows of a specification, each a dict by column."""
    with (SPECIFICATION / f"{vendor}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def specified(rows):
    """Return rows of the specification as condition, sources, target, type, profile."""
    return [
        (row["family"], row["source"], row["target"], row["type"], row["profile"]) for row in rows
    ]


def written(rules):
    """Return the rows of a table in the same form; each field of a rule is a row."""
    return [
        (str(rule.when or ""), "; ".join(rule.sources), target, field_type, rule.profile)
        for rule in rules
        for target, field_type in fields_of(rule)
    ]


def fields_of(rule: mapping.Rule):
    """Return what a rule sets: the digests that it copies are one object in the specification."""
    if rule.convert is values.digests:
        return [(rule.target.removesuffix(".*"), "object")]
    return rule.fields.items()


def is_carried(row):
    """Tell whether a row copies an entry of event data, which one rule does for all."""
    return (
        row["target"].startswith("action.properties.")
        and "event_data." in row["source"]
        and row["transform"] in {"", "first non-empty of the listed sources"}
    )


def by_target(rows):
    """Sort rows by their target alone: the order of those with the same target stays."""
    return sorted(rows, key=lambda row: row[2])


def test_the_table_of_cybereason_is_the_specification():
    """Row by row."""
    rows = [
        row for row in read_specification("cybereason") if not row["family"].startswith(INFERRED)
    ]
    assert written(cybereason.TABLE.rules) == specified(rows)


def test_the_table_of_harfanglab_is_the_specification():
    """Row by row, in the order that counts: that of the rows with the same target."""
    rows = specified(
        row
        for row in read_specification("harfanglab")
        if not row["family"].startswith(INFERRED) and not is_carried(row)
    )
    table = written(rule for rule in harfanglab.TABLE.rules if rule.convert is not event_data)
    extra = set(table) - set(rows)
    assert {(target, profile) for _, _, target, _, profile in extra} == {
        (target, "documented") for target in SHAPED
    }
    assert by_target(row for row in table if row not in extra) == by_target(rows)


def test_rows_of_harfanglab_do_what_the_specification_says():
    """Constants, and the conversions that more than one row has."""
    rows = {}
    for row in read_specification("harfanglab"):
        rows.setdefault(specified([row])[0], []).append(row["transform"])
    checked = 0
    for rule in harfanglab.TABLE.rules:
        for written_row in written([rule]):
            transform = rows.get(written_row, [""]).pop(0)
            expected = what_is_done(transform, rule.field_type)
            if rule.source and expected and written_row in rows:
                assert rule.convert is expected, (written_row, transform)
                checked += 1
            elif constant := re.match(r"constant value (\w+)(, as a one-entry list)?", transform):
                assert rule.constant == ((constant[1],) if constant[2] else constant[1])
                checked += 1
    assert checked > 250


def what_is_done(transform, field_type):
    """Return the conversion that the specification asks for; None where it is the only one."""
    for beginning, conversion in CONVERSIONS.items():
        if transform.startswith(beginning):
            return conversion
    if not transform or transform.startswith(PLAIN):
        return TYPES.get(field_type)
    return None


def test_event_data_is_carried_as_specified():
    """Each entry under its name, by the rules for the objects that hold them."""
    rules = {rule.source: rule for rule in harfanglab.TABLE.rules if rule.convert is event_data}
    rows = [row for row in read_specification("harfanglab") if is_carried(row)]
    assert len(rows) > 300
    for row in rows:
        for source in row["source"].split("; "):
            data, _, key = source.rpartition("event_data.")
            rule = rules[f"{data}event_data"]
            assert {str(rule.when), rule.profile} == {row["family"], row["profile"]}
            assert rule.convert({key: "x"}) == {row["target"].rpartition(".")[2]: "x"}


@pytest.mark.parametrize(
    "rules",
    [cybereason.TABLE.inferred, (*related.RULES, *INFERRED_RULES)],
    ids=["cybereason", "harfanglab"],
)
def test_inferred_fields_are_specified(rules):
    """Each with its type, and from the sources the specification names or more."""
    rows = {
        (target, profile): ({*source.replace("normalized:", "").split("; ")}, field_type)
        for family, source, target, field_type, profile in specified(
            read_specification("harfanglab")
        )
        if family.startswith(INFERRED)
    }
    for rule in rules:
        for target, kind in rule.fields.items():
            sources, field_type = rows[target, rule.profile]
            assert kind == field_type
            assert sources <= {*rule.sources} | {"destination.nat.ip"}


def test_what_follows_from_a_windows_logon_is_the_specification():
    """Row by row; a category of its own has the other shape in `documented`."""
    rows = [
        (
            logon_condition(row),
            row["source"].replace("normalized:", ""),
            *(row[column] for column in ("target", "type", "profile")),
        )
        for row in read_specification("harfanglab")
        if row["family"].startswith(LOGON)
    ]
    shaped = "event.category"
    table = [
        # The list it appends to is a source of the row, not of the specification.
        (when, source if source != target else "", target, kind, profile)
        for when, source, target, kind, profile in written(logon.RULES)
        if (target, profile) != (shaped, "documented")
    ]
    assert len(table) == len(logon.RULES) - 1
    assert table == rows
    assert harfanglab.TABLE.inferred[-len(logon.RULES) :] == logon.RULES


def logon_condition(row):
    """Write the condition of a row about logons as rules do."""
    texts = ["(action.id=4624 or action.id=4625)"]
    if " is absent or " in row["family"]:
        name = "action.properties.WorkstationName"
        texts.append(f"({name} is not set or {name}=-)")
    elif "LogonType is set" in row["family"]:
        texts.append("action.properties.LogonType is present")
    if found := re.search(r"only when (\S+ is not set)", row["transform"]):
        texts.append(found[1])
    return " and ".join(texts) if len(texts) > 1 else texts[0].strip("()")
