"""Explanations and lists of fields as people see them on a terminal."""

import pytest

from collector import samples
from collector.describe.explanation import (
    ExplainedField,
    Explanation,
    SourceField,
    UnmappedField,
    explain,
)
from collector.describe.fields import Origin, list_fields
from collector.describe.tables import print_explanation, print_fields
from collector.parsers import PARSERS


@pytest.fixture
def printed(capsys, monkeypatch):
    """Print something, as wide as is said or without any width; return the lines."""

    def run(show, content, columns=None):
        if columns is None:
            monkeypatch.delenv("COLUMNS", raising=False)
        else:
            monkeypatch.setenv("COLUMNS", str(columns))
        show(content)
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return run


def explanation(*fields, unmapped=(), empty=(), repairs=()):
    return Explanation({}, fields, tuple(unmapped), tuple(empty), tuple(repairs))


def copied(name, source, value):
    return ExplainedField(name, value, (SourceField(source, value),), Origin("source", (source,)))


PID = ExplainedField(
    "process.pid",
    7,
    (SourceField("pid", "0007"),),
    Origin("source", ("pid",), "as long", conditions=("kind=a",)),
)
KIND = ExplainedField("event.kind", "event", (), Origin("constant", value="event"))
TYPE = ExplainedField("event.type", ["info"], (), Origin("constant", value=("info",)))
RELATED = ExplainedField(
    "related.ip",
    ["1", "2"],
    (SourceField("source.ip", "2"), SourceField("destination.ip", "1")),
    Origin("inferred", ("source.ip", "destination.ip"), "distinct", joint=True),
)


def test_an_explanation_is_a_table_from_source_to_field(printed):
    """First what was read, then constants, then what was inferred; at the end what is left."""
    lines = printed(
        print_explanation,
        explanation(
            KIND,
            copied("host.name", "who", "h"),
            PID,
            TYPE,
            copied("log.hostname", "who", "h"),
            RELATED,
            unmapped=[UnmappedField("odd", {"x": 1}, "no rule reads it")],
            empty=["tenant", "agent.domain"],
            repairs=["repaired:bom"],
        ),
    )
    assert lines == [
        "",
        " source field     value         target field   rule",
        f" {'─' * 64}",
        " who              h             host.name      copied",
        "                                log.hostname   copied",
        " pid              0007          process.pid    as long if kind=a",
        "                  → 7",
        "",
        " (constant)       event         event.kind     constant",
        ' (constant)       ["info"]      event.type     constant',
        "",
        " source.ip        2             related.ip     inferred, distinct",
        " destination.ip   1",
        '                  → ["1","2"]',
        "",
        "",
        " unmapped source field   value     why",
        f" {'─' * 50}",
        ' odd                     {"x":1}   no rule reads it',
        "",
        " empty: tenant, agent.domain",
        " repaired: repaired:bom",
    ]


def test_a_value_takes_one_line(printed):
    """Cut to a quarter of the terminal, or to 60 characters."""
    field = copied("message", "text", "x" * 10_000)
    for columns, width in ((100, 25), (40, 20), (None, 50), (400, 60)):
        lines = printed(print_explanation, explanation(field), columns)
        shown = [line for line in lines if "xxx" in line]
        assert len(shown) == 1
        assert f" {'x' * (width - 1)}… " in shown[0]


def test_a_message_of_too_many_fields_is_not_shown_whole(printed):
    """How many are left out is said."""
    unmapped = [UnmappedField(f"k{number}", 1, "no rule reads it") for number in range(1234)]
    lines = printed(print_explanation, explanation(KIND, unmapped=unmapped))
    assert len(lines) < 520
    assert lines[-1] == " and 734 more unmapped source fields"


def test_what_a_sender_wrote_is_neither_markup_nor_control(printed):
    """A terminal shows it and obeys nothing."""
    field = copied("[bold]name[/]", "a\x1b[31m\nb", "[red]x[/red]\x1b]0;title\x07\t\u202e")
    text = "\n".join(printed(print_explanation, explanation(field)))
    assert "[bold]name[/]" in text
    assert r"a\x1b[31m\nb" in text
    assert r"[red]x[/red]\x1b]0;title\x07\t\u202e" in text
    assert "\x1b" not in text


def test_names_are_whole_where_nobody_looks(printed):
    """A file or a pipe has no width: names can be searched for."""
    sample = samples.load("harfanglab")[3]
    found = explain(PARSERS["harfanglab"], "ecs", sample.raw)
    text = "\n".join(printed(print_explanation, found))
    assert all(field.name in text for field in found.fields)
    assert all(field.name in text for field in found.unmapped)


def test_a_list_of_fields_has_a_row_for_each_origin(printed):
    """Name and type once."""
    lines = printed(print_fields, list_fields(PARSERS["cybereason"], "ecs"))
    rows = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in lines]
    start = rows.index(["host.name", "keyword", "MachineName"])
    assert rows[start + 1] == ["host.hostname (inferred)", "host.name is not set"]
    assert ["process.pid", "long"] not in [row[:2] for row in rows]
    assert [
        "file.hash.sha1",
        "keyword",
        "processSha1, else MalopHashList",
    ] in rows
    assert [
        "host.ip",
        "array of ip",
        "dst + destinationTranslatedAddress (collected)",
        "DeviceEventClassID=3",
    ] in rows
    assert ["event.id", "keyword", "(collector: identity of the message)"] in rows
    assert ["event.type", "array of keyword", "constant: info"] in rows
