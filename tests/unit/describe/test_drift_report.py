"""How drift is shown: a table to people, lines to programs."""

import io

import pytest
from rich.console import Console

from collector.describe import drift_report

ENTRY = {
    "intake": "edr",
    "kind": "field",
    "field": "agent.[red]new[/red]",
    "count": 1234,
    "sample": "text xxx-9",
    "first_seen": "2026-01-02T03:04:05+00:00",
    "last_seen": "2026-01-02T03:04:06+00:00",
    "later_addition": "not shown",
}


def shown(*entries, terminal=False, width=200):
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, color_system=None)
    drift_report.show(entries, console)
    return output.getvalue()


def test_programs_get_a_line_of_names_and_one_for_each_entry():
    """With tabs in between, of any length, and nothing that could be taken for markup."""
    wide = {**ENTRY, "field": "x" * 300}
    rest = "1234\ttext xxx-9\t2026-01-02T03:04:05+00:00\t2026-01-02T03:04:06+00:00"
    assert shown(ENTRY, wide, width=20).splitlines() == [
        "intake\tkind\tfield\tcount\tsample\tfirst_seen\tlast_seen",
        f"edr\tfield\tagent.[red]new[/red]\t{rest}",
        f"edr\tfield\t{'x' * 300}\t{rest}",
    ]


def test_people_get_a_table():
    """With every value in it."""
    text = shown(ENTRY, terminal=True)
    assert "first seen" in text
    for column in drift_report.COLUMNS:
        assert str(ENTRY[column]) in text
    assert "not shown" not in text


def test_a_narrow_terminal_hides_nothing():
    """Values go over several lines."""
    text = shown({**ENTRY, "field": "abcdefghij" * 10}, terminal=True, width=60)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_new_is_said(terminal):
    assert shown(terminal=terminal) == f"{drift_report.NOTHING}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_do_not_come_through(terminal):
    """Whoever answers in the daemon's place."""
    text = shown({**ENTRY, "field": "a\x1b[31m\tb\n", "sample": {"x": "\x07"}}, terminal=terminal)
    assert r"a\x1b[31m\tb\n" in text
    assert not {"\x1b", "\x07"} & {*text}


def test_an_entry_that_is_none_is_an_error():
    """It is for the caller to say that this is no collector's answer."""
    with pytest.raises(KeyError):
        shown({"intake": "edr"})
