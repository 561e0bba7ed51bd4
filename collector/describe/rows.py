"""Rows of texts: a table to people, lines to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from collector.describe.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rich.console import Console


def show(
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    console: Console,
    *,
    numbers: Collection[str] = (),
) -> None:
    """Print rows, on a terminal as a table.

    Elsewhere it is a line of names and a line for each row, with tabs in between. What was written
    by others has no say over the terminal.

    Args:
        columns: their names.
        rows: each with a value for every column.
        console: where to print.
        numbers: the columns that hold numbers.
    """
    shown = [[printable(str(value)) for value in row] for row in rows]
    if console.is_terminal:
        console.print(_table(columns, shown, numbers))
        return
    for row in [columns, *shown]:
        console.file.write("\t".join(row) + "\n")  # the console itself would expand the tabs


def _table(
    columns: Iterable[str], rows: Iterable[Iterable[str]], numbers: Collection[str]
) -> Table:
    table = Table()
    for column in columns:
        table.add_column(
            column.replace("_", " "),
            justify="right" if column in numbers else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))  # as Text: names may look like markup
    return table
