"""The picture of a daemon on a terminal, made to fit: what does not is left out and said so."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from collector.describe.quantities import count
from collector.describe.terminal import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from collector.describe.status_picture import Picture, Section

    Line = list[Segment]

_ALARM: Final = "bold red"
_QUIET: Final = "dim"

# Columns that get what room the others leave, and the least that is worth while.
_OPEN: Final = MappingProxyType({"problem": 10, "reasons": 10})
_GAP: Final = 2

# A table is worth while from the line of its names and one row on.
_LEAST_LINES: Final = 2

# Alarms are at most this part of the lines there are: each is a red row of a table too, as a rule.
_ALARMS_PART: Final = 4


@dataclass(frozen=True, slots=True)
class TopScreen:
    """What `collector top` shows at one moment; rich asks it anew when the terminal is resized.

    Attributes:
        where: whom it asks.
        picture: the newest state; None before there is one.
        problem: why there is no newer one; empty if there is.
        age: how old the state is, as a text.
        keys: what can be typed.
    """

    where: str
    picture: Picture | None
    problem: str
    age: str
    keys: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as many lines as there is room for."""
        flat = options.update(height=None)
        room = options.max_height - 1  # the last line says what can be typed
        lines = _rendered(self._head(room), console, flat)[:room]
        sections = self.picture.sections if self.picture is not None else ()
        wanted = [1 + len(section.rows) for section in sections]
        is_roomy = len(lines) + sum(wanted) + len(wanted) <= room
        given = wanted if is_roomy else dealt(wanted, room - len(lines))
        for section, number in zip(sections, given, strict=True):
            if number:
                most = number - 1
                table = _table(section, options.max_width, is_old=bool(self.problem), most=most)
                lines += _rendered((Text(), table) if is_roomy else (table,), console, flat)
        yield from chain.from_iterable((*line, Segment.line()) for line in lines)
        yield from console.render(self._foot(sum(wanted) - sum(given)), flat.update(no_wrap=True))

    def _head(self, room: int) -> Iterator[RenderableType]:
        if self.problem:
            yield Text(cut(f"{self.problem}; trying again", 500), style=_ALARM)
        if self.picture is None:
            if not self.problem:
                yield Text(f"asking {self.where}", style=_QUIET)
            return
        is_old = bool(self.problem)
        yield Text(self.picture.title + (f" ({self.age} ago)" if is_old else ""), style="bold")
        alarms = self.picture.alarms
        most = max(1, room // _ALARMS_PART)
        for alarm in alarms if len(alarms) <= most else alarms[: most - 1]:
            yield Text(f"! {alarm}", style=_ALARM)
        if len(alarms) > most:
            yield Text(f"! {count(len(alarms) - most + 1)} more", style=_ALARM)

    def _foot(self, left_out: int) -> Text:
        lines = f"{left_out} line{'s' if left_out > 1 else ''}"
        more = f"; {lines} more on a larger terminal" if left_out else ""
        return Text(f"{self.keys}{more}; {self.where}", style=_QUIET, overflow="ellipsis", end="")


def show(picture: Picture, console: Console) -> None:
    """Print a picture as a whole, however long that is."""
    console.print(Text(picture.title, style="bold"))
    for alarm in picture.alarms:
        console.print(Text(f"! {alarm}", style=_ALARM))
    for section in picture.sections:
        console.print()
        console.print(_table(section, console.width, is_old=False, most=len(section.rows)))


def dealt(wanted: Sequence[int], room: int) -> list[int]:
    """Deal out the lines of a terminal, so that a long table does not hide those below it.

    The first table has what it wants. Of the others each gets the least that is worth while, as
    far as that goes, and what is left goes round line by line.

    Args:
        wanted: lines for each table, two at least; the most important first.
        room: how many lines there are.

    Returns:
        Lines for each table, no more than it wants and together no more than there are.
    """
    given: list[int] = []
    for number in wanted:
        enough = min(_LEAST_LINES if given else number, room)
        given.append(enough if enough >= _LEAST_LINES else 0)
        room -= given[-1]
    hungry = [at for at, number in enumerate(given) if 0 < number < wanted[at]]
    while room and hungry:
        for at in hungry[:room]:
            given[at] += 1
        room -= min(room, len(hungry))
        hungry = [at for at in hungry if given[at] < wanted[at]]
    return given


def _table(section: Section, width: int, *, is_old: bool, most: int) -> Table:
    """Return a section that fits into a width: spare columns go first, then long texts are cut.

    Args:
        section: what is shown.
        width: of the terminal.
        is_old: whether it is no longer known to be so.
        most: rows that there is room for.
    """
    names = [name.replace("_", " ") for name in section.columns]
    rows = _chosen(section, most)
    if (whole := len(section.rows) + section.left_out) > len(rows):
        names[0] += f" ({count(len(rows))} of {count(whole)})"
    kept = _fitting(section, names, width)
    is_open = [section.columns[at] in _OPEN for at in kept]
    table = Table(box=None, header_style="bold", pad_edge=False, expand=any(is_open))
    for at, opened in zip(kept, is_open, strict=True):
        table.add_column(
            names[at],
            justify="right" if section.columns[at] in section.numbers else "left",
            no_wrap=True,
            ratio=1 if opened else None,
        )
    for number in rows:
        style = _ALARM if number in section.alarming else (_QUIET if is_old else None)
        # As Text: names may look like markup.
        cells = (Text(section.rows[number][at], overflow="ellipsis") for at in kept)
        table.add_row(*cells, style=style)
    return table


def _rendered(
    items: Iterable[RenderableType], console: Console, options: ConsoleOptions
) -> list[Line]:
    return [line for item in items for line in console.render_lines(item, options, pad=False)]


def _chosen(section: Section, most: int) -> list[int]:
    """Return the rows to show, by position: those that want to be looked at come before others."""
    by_weight = sorted(range(len(section.rows)), key=lambda at: at not in section.alarming)
    return sorted(by_weight[:most])


def _fitting(section: Section, names: Sequence[str], width: int) -> list[int]:
    """Return the columns, by position, that there is room for."""
    widths = [
        _OPEN.get(column) or max(len(name), *(len(row[at]) for row in section.rows))
        for at, (column, name) in enumerate(zip(section.columns, names, strict=True))
    ]
    kept = list(range(len(widths)))
    for name in section.spare:
        if sum(widths[at] + _GAP for at in kept) <= width + _GAP:
            break
        kept.remove(section.columns.index(name))
    return kept
