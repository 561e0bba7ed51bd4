"""The compiler of rule tables: one plain function per table and profile, written at start-up.

The function it writes looks like one written by hand: the dicts of the input and of the output
are local variables, a condition is tested once for all its rows, a plain copy is an assignment.
Nothing of the table is left to interpret when a message comes.

The source can be read (`write_source`) and stands in `linecache`, so that tracebacks and
`inspect.getsource` show its lines. Conversions come in as globals, never as text.
"""

import keyword as python_keyword
import linecache
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, cast

from collector.parsers.base import Event, Profile
from collector.parsers.conditions import Condition
from collector.parsers.convert import keyword
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table, select

Mapper = Callable[[str, dict[str, Any]], Event]
"""Takes the message text and its fields; returns the event. It never raises."""

_NO_FIELDS: Final[dict[str, Any]] = {}  # stands for what should be an object and is not
_EVERYWHERE: Final = -1  # the home of a branch that more than one group of rules uses


def compile_table(table: Table, profile: Profile) -> Mapper:
    """Turn a table into a function; done once, at start-up.

    Raises:
        ValueError: the table makes a field both a value and an object.
    """
    function = _Function(table, profile)
    source = function.write()
    filename = _remember(f"<mapping {table.name} {profile}>", source)
    namespace = {"__name__": __name__, "NO_FIELDS": _NO_FIELDS} | function.conversions
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - our own tables, no input
    return cast("Mapper", namespace[function.name])


def write_source(table: Table, profile: Profile) -> str:
    """Write the function that `compile_table` makes of a table, for people to read."""
    return _Function(table, profile).write()


def _remember(filename: str, source: str) -> str:
    """Give the source a file name of its own, under which tracebacks find its lines."""
    candidate = filename
    number = 1
    while True:
        entry = (len(source), None, source.splitlines(keepends=True), candidate)
        if linecache.cache.setdefault(candidate, entry) == entry:
            return candidate
        number += 1
        candidate = f"{filename[:-1]} {number}>"


@dataclass(slots=True)
class _Group:
    """Rules that stand under one ``if``."""

    when: Condition | None
    inferred: bool
    rules: list[Rule]

    def source_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the paths the group reads, with its home; what decides is read outside of it."""
        for path in self.when.paths if self.when else ():
            yield _EVERYWHERE, path
        for rule in self.rules:
            for path in rule.sources:
                yield self._home(number), path

    def target_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the fields the group writes, with its home."""
        for rule in self.rules:
            yield self._home(number), rule.target

    def changes_its_condition(self) -> bool:
        """Tell whether an inferred row of the group may set a field that its condition reads."""
        deciding = self.when.paths if self.when else ()
        return any(rule.target in deciding for rule in self.rules)

    def _home(self, number: int) -> int:
        return _EVERYWHERE if self.when is None else number


def _gather(rules: Iterable[Rule]) -> list[_Group]:
    """Bring rules with the same condition together.

    Only the order among rules with the same target means something. So a rule joins the last
    group with its condition, unless a group behind that one already writes its target.
    """
    groups: list[_Group] = []
    last_group_of: dict[Condition | None, int] = {}
    last_writer_of: dict[str, int] = {}
    for rule in rules:
        index = last_group_of.get(rule.when, -1)
        if index < 0 or index < last_writer_of.get(rule.target, -1):
            index = last_group_of[rule.when] = len(groups)
            groups.append(_Group(rule.when, inferred=False, rules=[]))
        groups[index].rules.append(rule)
        last_writer_of[rule.target] = index
    return groups


def _gather_inferred(rules: Iterable[Rule], known: set[str]) -> list[_Group]:
    """Group inferred rules: in their order, and without sources that nothing can have set.

    Args:
        rules: the inferred rules.
        known: the fields that rules before them can set; theirs are added.
    """
    groups: list[_Group] = []
    for rule in rules:
        sources = tuple(source for source in rule.sources if source in known)
        if rule.sources and not sources:
            continue
        if not groups or groups[-1].when != rule.when or groups[-1].changes_its_condition():
            groups.append(_Group(rule.when, inferred=True, rules=[]))
        groups[-1].rules.append(replace(rule, source=sources))
        known.add(rule.target)
    return groups


def _parents(path: str) -> Iterator[str]:
    """Yield ``a.b`` and ``a`` of ``a.b.c``."""
    while parent := path.rpartition(".")[0]:
        yield parent
        path = parent


def _branches(uses: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Find the dicts on the way to some paths.

    Args:
        uses: home of a group and a dotted path it uses.

    Returns:
        Each parent path with the only home it is used in, else `_EVERYWHERE`; parents first.
    """
    homes: dict[str, int] = {}
    for home, path in uses:
        for parent in _parents(path):
            homes[parent] = home if homes.get(parent, home) == home else _EVERYWHERE
    return dict(sorted(homes.items()))


class _Names:
    """Python names, each given out once."""

    def __init__(self) -> None:
        self._taken = {"text", "fields", "out", "value", "type", "str", "dict", "NO_FIELDS"}

    def new(self, wanted: str) -> str:
        name = re.sub(r"\W", "_", wanted)
        if not name.isidentifier() or python_keyword.iskeyword(name):
            name = f"_{name}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


class _Function:
    """The function of one table and profile, on its way to being written.

    A branch is a dict inside the input or the output. Each is a local variable, fetched or made
    once: in the group of rules that alone uses it, otherwise at the start of the function.

    Attributes:
        name: the name of the function.
        conversions: the globals it calls.
    """

    def __init__(self, table: Table, profile: Profile) -> None:
        self._title = f"Table {table.name}, profile {profile}."
        self._flat = table.flat
        rules = select(table.rules, profile)
        known = {rule.target for rule in rules}
        self._groups = _gather(rules)
        self._groups += _gather_inferred(select(table.inferred, profile), known)
        _check_targets(known)

        names = _Names()
        self.name = names.new(f"map_{table.name}_{profile}")
        self._names = names
        self._bind_conversions()
        self._inputs = {} if table.flat else _branches(self._input_uses())
        self._outputs = self._worthwhile(_branches(self._output_uses()))
        self._input_names = {path: names.new(f"fields_{path}") for path in self._inputs}
        self._output_names = {path: names.new(path) for path in self._outputs}
        self._deciding: dict[str, str] = {}

    def _bind_conversions(self) -> None:
        used = {rule.convert: None for group in self._groups for rule in group.rules}
        self._conversion_names = {
            conversion: self._names.new(conversion.function.__name__) for conversion in used
        }
        self.conversions = {
            name: conversion.function for conversion, name in self._conversion_names.items()
        }

    def _input_uses(self) -> Iterator[tuple[int, str]]:
        for index, group in enumerate(self._groups):
            if not group.inferred:
                yield from group.source_uses(index)

    def _output_uses(self) -> Iterator[tuple[int, str]]:
        for index, group in enumerate(self._groups):
            yield from group.target_uses(index)
            if group.inferred:
                yield from group.source_uses(index)

    def _worthwhile(self, branches: dict[str, int]) -> dict[str, int]:
        """Leave out the output branches that hold one field only: those are written in place."""
        fields: dict[str, set[str]] = {branch: set() for branch in branches}
        for _, path in self._output_uses():
            for parent in _parents(path):
                fields[parent].add(path)
        read = {
            parent
            for group in self._groups
            if group.inferred
            for _, path in group.source_uses(0)
            for parent in _parents(path)
        }
        return {
            branch: home
            for branch, home in branches.items()
            if len(fields[branch]) > 1 or branch in read
        }

    def write(self) -> str:
        """Write the whole function."""
        body = [
            f'"""{self._title}"""',
            "out = {}",
            *self._open(_EVERYWHERE),
            *self._decide(),
        ]
        for index, group in enumerate(self._groups):
            body += self._group(index, group)
        body += [*self._close(_EVERYWHERE), "return out"]
        return "\n".join([f"def {self.name}(text, fields):", *_indent(body), ""])

    def _open(self, home: int) -> Iterator[str]:
        """Fetch the input branches and make the output branches that have this home."""
        for path, name in self._input_names.items():
            if self._inputs[path] == home:
                yield f"{name} = {self._read_input(path)}"
                yield f"if type({name}) is not dict:"
                yield f"    {name} = NO_FIELDS"
        for path, name in self._output_names.items():
            if self._outputs[path] == home:
                yield f"{name} = {{}}"

    def _close(self, home: int) -> Iterator[str]:
        """Put the output branches that hold something into their parents, the innermost first."""
        for path, name in reversed(self._output_names.items()):
            if self._outputs[path] == home:
                yield f"if {name}:"
                yield f"    {self._assign(path, name)}"

    def _decide(self) -> Iterator[str]:
        """Read the fields that conditions ask for, each once."""
        for group in self._groups:
            if group.when is None or group.inferred:
                continue
            for path in group.when.paths:
                if path not in self._deciding:
                    expression = self._read_input(path)
                    self._deciding[path] = self._names.new(path)
                    yield f"{self._deciding[path]} = {expression}"

    def _group(self, index: int, group: _Group) -> Iterator[str]:
        read = self._read_output if group.inferred else self._read_input
        body = [*self._open(index)]
        for _, rules in groupby(group.rules, key=lambda rule: (rule.target, rule.convert)):
            body += self._rules([*rules], read, inferred=group.inferred)
        body += self._close(index)
        if group.when is None:
            yield from body
        else:
            yield f"if {group.when.write(read)}:  # {group.when}"
            yield from _indent(body)

    def _rules(
        self, rules: list[Rule], read: Callable[[str], str], *, inferred: bool
    ) -> Iterator[str]:
        """Write the lines of neighbours with the same target and conversion."""
        target, convert = rules[0].target, rules[0].convert
        if convert.joint:
            # The last one that yields a value counts: it is tried first.
            calls = [
                f"(value := {self._conversion_names[convert]}"
                f"({', '.join(read(path) for path in rule.sources)})) is not None"
                for rule in reversed(rules)
            ]
            yield f"if {' or '.join(calls)}:"
            yield f"    {self._assign(target, 'value')}"
            return
        for rule in rules:
            if rule.constant is not None:
                constant = rule.constant if isinstance(rule.constant, str) else [*rule.constant]
                yield self._assign(target, repr(constant))
            elif rule.source == WHOLE_INPUT:
                yield self._assign(target, "text")
            else:
                # The first source that yields a value counts: it is written last.
                for path in reversed(rule.sources):
                    yield from self._copy(rule, path, inferred=inferred)

    def _copy(self, rule: Rule, path: str, *, inferred: bool) -> Iterator[str]:
        """Write the lines for one source."""
        holder, key = self._output_place(path) if inferred else self._input_place(path)
        value = f"{holder}[{key!r}]"
        conversion = self._conversion_names[rule.convert]
        if inferred or self._flat:  # what is there fits its field
            if rule.convert is keyword:
                yield f"if {key!r} in {holder}:"
            else:
                yield f"if {key!r} in {holder} and (value := {conversion}({value})) is not None:"
                value = "value"
            yield f"    {self._assign(rule.target, value)}"
            return
        yield f"if {key!r} in {holder} and (value := {value}) is not None:"
        if rule.convert is keyword:
            # Nearly always a text, which is worth a line: it spares the call.
            yield "    if type(value) is not str:"
            yield f"        value = {conversion}(value)"
            yield "    if value:"
        else:
            yield f"    if (value := {conversion}(value)) is not None:"
        yield f"        {self._assign(rule.target, 'value')}"

    def _read_input(self, path: str) -> str:
        if path in self._deciding:
            return self._deciding[path]
        holder, key = self._input_place(path)
        return f"{holder}.get({key!r})"

    def _read_output(self, path: str) -> str:
        holder, key = self._output_place(path)
        return f"{holder}.get({key!r})"

    def _input_place(self, path: str) -> tuple[str, str]:
        """Return the variable that holds an input field, and the field's key in it."""
        if self._flat:
            return "fields", path
        parent, _, key = path.rpartition(".")
        return self._input_names[parent] if parent else "fields", key

    def _output_place(self, path: str) -> tuple[str, str]:
        """Return the variable that holds an output field, and the field's key in it."""
        parent, _, key = path.rpartition(".")
        return self._output_names[parent] if parent else "out", key

    def _assign(self, target: str, expression: str) -> str:
        """Write the assignment; a branch of one field is written around its value."""
        parent, _, key = target.rpartition(".")
        if not parent:
            return f"out[{key!r}] = {expression}"
        if parent in self._output_names:
            return f"{self._output_names[parent]}[{key!r}] = {expression}"
        return self._assign(parent, f"{{{key!r}: {expression}}}")


def _check_targets(fields: set[str]) -> None:
    objects = {parent for field in fields for parent in _parents(field)}
    if fields & objects:
        raise ValueError(f"both a value and an object: {', '.join(sorted(fields & objects))}")


def _indent(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)
