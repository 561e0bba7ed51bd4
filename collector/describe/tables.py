"""Explanations and lists of fields as tables on a terminal.

What is shown was written by a sender: it is never read as markup, and characters that a terminal
would obey are shown as escapes.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.describe.explanation import ExplainedField, Explanation
from collector.describe.fields import Field, Origin
from collector.describe.terminal import cut, printable

_PLAIN_WIDTH: Final = 200  # columns where there is no terminal: files and pipes want whole names
_NARROWEST_VALUE: Final = 20  # columns; between these a value gets a quarter of the width
_WIDEST_VALUE: Final = 60
_MAX_UNMAPPED: Final = 500  # rows; no vendor sends that many, and a table of 20,000 takes 13 s
_CONSTANT: Final = "(constant)"


def print_explanation(explanation: Explanation) -> None:
    """Print what became of a message: a row per field of its event, then what is in none."""
    console = _console()
    width = min(max(console.width // 4, _NARROWEST_VALUE), _WIDEST_VALUE)
    console.print(_mapped(explanation.fields, width))
    if explanation.unmapped:
        table = _table("unmapped source field", "value", "why", value_width=width)
        for unmapped in explanation.unmapped[:_MAX_UNMAPPED]:
            table.add_row(_text(unmapped.name), _value(unmapped.value), _text(unmapped.reason))
        console.print(table)
        if (more := len(explanation.unmapped) - _MAX_UNMAPPED) > 0:
            console.print(f" and {more} more unmapped source fields")
    for title, names in (("empty", explanation.empty), ("repaired", explanation.repairs)):
        if names:
            console.print(_text(f" {title}: {', '.join(names)}"))


def print_fields(fields: Iterable[Field]) -> None:
    """Print a list of fields, a row for each way in which one comes about."""
    table = _table("name", "type", "source", "condition")
    for field in fields:
        for number, origin in enumerate(field.origins):
            head = (_text(field.name, "bold"), field.type) if number == 0 else ("", "")
            table.add_row(*head, _origin(origin), _text("; ".join(origin.conditions), "dim"))
    _console().print(table)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    return console


def _mapped(fields: Sequence[ExplainedField], value_width: int) -> Table:
    table = _table("source field", "value", "target field", "rule", value_width=value_width)
    for kind in ("source", "constant", "inferred"):
        section = [field for field in fields if field.origin.kind == kind]
        for names, made in groupby(_by_source(section), key=_source_names):
            for number, field in enumerate(made):
                first = number == 0 or not names
                name = _source(names) if first else Text()
                table.add_row(name, _values(field, first), _text(field.name), _rule(field.origin))
        table.add_section()
    return table


def _by_source(fields: list[ExplainedField]) -> list[ExplainedField]:
    """Bring fields with the same sources together, in the order of the first of each."""
    first: dict[tuple[str, ...], int] = {}
    for field in fields:
        first.setdefault(_source_names(field), len(first))
    return sorted(fields, key=lambda field: first[_source_names(field)])


def _source_names(field: ExplainedField) -> tuple[str, ...]:
    return tuple(source.name for source in field.sources)


def _source(names: tuple[str, ...]) -> Text:
    return _lines(map(_text, names)) if names else Text(_CONSTANT, "dim")


def _values(field: ExplainedField, with_sources: bool) -> Text:
    """Write the values of the sources, and that of the field where it is another."""
    if not field.sources:
        return _value(field.value)
    values = [source.value for source in field.sources]
    lines = [_value(value) for value in values] if with_sources else []
    made = _value(field.value)
    if made.plain not in (_value(values[0]).plain, _value(values).plain):
        lines.append(Text("→ ").append_text(made))
    return _lines(lines)


def _lines(texts: Iterable[Text]) -> Text:
    return Text("\n").join(texts)


def _rule(origin: Origin) -> Text:
    text = Text(origin.how)
    if origin.conditions:
        text.append(f" if {' or '.join(origin.conditions)}", "dim")
    return text


def _origin(origin: Origin) -> Text:
    if origin.kind == "collector":
        return Text(f"(collector: {origin.conversion})", "dim")
    if origin.value is not None:
        value = origin.value if isinstance(origin.value, str) else ", ".join(origin.value)
        return Text(f"{origin.how}: {value}")
    text = Text((" + " if origin.joint else ", else ").join(origin.sources))
    return text if origin.how == "copied" else text.append(f" ({origin.how})", "dim")


def _table(*titles: str, value_width: int = 0) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in titles:
        if title == "value":
            table.add_column(title, no_wrap=True, overflow="ellipsis", max_width=value_width)
        else:
            table.add_column(title, overflow="fold")
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def _value(value: Any) -> Text:
    """Write a value in one line, cut to 60 characters; its column may cut it further."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return Text(cut(text, _WIDEST_VALUE))
