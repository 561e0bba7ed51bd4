"""Rows to people and to programs."""

import io

from rich.console import Console

from collector.describe import rows


def shown(*, terminal, width=80):
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, color_system=None)
    rows.show(
        ("name", "how_many"), [("[red]a[/red]\x1b", 7), ("b", 12)], console, numbers={"how_many"}
    )
    return output.getvalue()


def test_programs_get_lines_with_tabs():
    """Of any length, and with nothing that a terminal would obey."""
    assert shown(terminal=False, width=5) == ("name\thow_many\n[red]a[/red]\\x1b\t7\nb\t12\n")


def test_people_get_a_table():
    """Markup in it is text; numbers stand below one another."""
    text = shown(terminal=True)
    assert "[red]a[/red]\\x1b" in text
    assert "how many" in text
    assert "        7 │" in text
