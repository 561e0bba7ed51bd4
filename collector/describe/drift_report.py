"""What `collector drift` shows: the daemon's list of what is new, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.describe import rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

NOTHING = "nothing new: every examined message was as its parser knows it"

COLUMNS = ("intake", "kind", "field", "count", "sample", "first_seen", "last_seen")


def show(entries: Iterable[Mapping[str, Any]], console: Console) -> None:
    """Print the entries of ``drift`` in `/api/status`, in their order.

    On a terminal that is a table. Elsewhere it is a line of names and a line for each entry, with
    tabs in between, for other programs to read. Whoever answers for the daemon has no say over the
    terminal.

    Args:
        entries: each with a value for every one of `COLUMNS`.
        console: where to print.

    Raises:
        KeyError: an entry lacks one of them.
    """
    shown = [[entry[column] for column in COLUMNS] for entry in entries]
    if shown:
        rows.show(COLUMNS, shown, console, numbers={"count"})
    else:
        console.file.write(f"{NOTHING}\n")
