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
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, cast

from collector.parsers.base import Event, Profile
from collector.parsers.conditions import NAMESPACE, Condition, Read
from collector.parsers.convert import keyword
from collector.parsers.grouping import EVERYWHERE, Block, blocks, parents
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table

Mapper = Callable[[str, dict[str, Any]], Event]
"""Takes the message text and its fields; returns the event. It never raises."""

Note = Callable[[Rule, str], None]
"""Is told of each field that is set: by which rule, and from which of its sources."""

Tracer = Callable[[str, dict[str, Any], Note], Event]
"""A `Mapper` that says what it does."""

_NO_FIELDS: Final[dict[str, Any]] = {}  # stands for what should be an object and is not
_FIRST: Final = "[0]"  # ends the name of a list in a path, for its first entry


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


_NAMESPACE: Final[Mapping[str, Any]] = MappingProxyType(
    {**NAMESPACE, "NO_FIELDS": _NO_FIELDS, "first": _first}
)


def compile_table(table: Table, profile: Profile) -> Mapper:
    """Turn a table into a function; done once, at start-up.

    Raises:
        ValueError: the table makes a field both a value and an object.
    """
    return cast("Mapper", _compile(_Function(table, profile)))


def compile_tracer(table: Table, profile: Profile) -> Tracer:
    """Turn a table into a function that also says which rule set which field.

    It is the function of `compile_table` with a line added to each assignment: what it tells is
    what happened.
    """
    return cast("Tracer", _compile(_Function(table, profile, traced=True)))


def _compile(function: "_Function") -> Callable[..., Event]:
    for prepare in function.preparations:
        prepare()
    source = function.write()
    filename = _remember(f"<mapping {function.title}>", source)
    namespace = {"__name__": __name__, **_NAMESPACE, **function.conversions}
    namespace["RULES"] = function.noted
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - our own tables, no input
    return cast("Callable[..., Event]", namespace[function.name])


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


def _branches(uses: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Find the dicts on the way to some paths.

    Args:
        uses: home of a group and a dotted path it uses.

    Returns:
        Each parent path with the only home it is used in, else `EVERYWHERE`; parents first.
    """
    homes: dict[str, int] = {}
    for home, path in uses:
        for parent in parents(path):
            homes[parent] = home if homes.get(parent, home) == home else EVERYWHERE
    return dict(sorted(homes.items()))


class _Names:
    """Python names, each given out once."""

    def __init__(self) -> None:
        self._taken = {"text", "fields", "note", "out", "value", "type", "str", "dict", "RULES"}
        self._taken |= {*_NAMESPACE}

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
        title: what it is made of.
        name: the name of the function.
        conversions: the globals it calls.
        preparations: what is to be done before it is called.
        noted: the rules that a traced function tells of, by number.
    """

    def __init__(self, table: Table, profile: Profile, *, traced: bool = False) -> None:
        self.title = f"{table.name} {profile}{' traced' if traced else ''}"
        self._docstring = f"Table {table.name}, profile {profile}."
        self._flat = table.flat
        self._traced = traced
        self.noted: list[Rule] = []
        _check_targets({field for rule in table.all_rows(profile) for field in rule.fields})
        self._blocks = blocks(table, profile)

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
        used = {
            rule.convert: None
            for block in self._blocks
            for group in block.groups
            for rule in group.rules
        }
        self._conversion_names = {
            conversion: self._names.new(conversion.function.__name__) for conversion in used
        }
        self.conversions = {
            name: conversion.function for conversion, name in self._conversion_names.items()
        }
        self.preparations = [conversion.prepare for conversion in used if conversion.prepare]

    def _input_uses(self) -> Iterator[tuple[int, str]]:
        for index, block in enumerate(self._blocks):
            if not block.inferred:
                yield from block.source_uses(index)

    def _output_uses(self) -> Iterator[tuple[int, str]]:
        for index, block in enumerate(self._blocks):
            yield from block.target_uses(index)
            if block.inferred:
                yield from block.source_uses(index)

    def _worthwhile(self, branches: dict[str, int]) -> dict[str, int]:
        """Leave out the output branches that hold one field only: those are written in place."""
        fields: dict[str, set[str]] = {branch: set() for branch in branches}
        for _, path in self._output_uses():
            for parent in parents(path):
                fields[parent].add(path)
                if path.endswith(".*"):
                    fields[parent].add(f"{path} and more")
        read = {
            parent
            for block in self._blocks
            if block.inferred
            for _, path in block.source_uses(0)
            for parent in parents(path)
        }
        return {
            branch: home
            for branch, home in branches.items()
            if len(fields[branch]) > 1 or branch in read
        }

    def write(self) -> str:
        """Write the whole function."""
        rows = [
            line for index, block in enumerate(self._blocks) for line in self._block(index, block)
        ]
        body = [
            f'"""{self._docstring}"""',
            "out = {}",
            *self._open(EVERYWHERE),
            *(f"{name} = {self._get(path)}" for path, name in self._deciding.items()),
            *rows,
            *self._close(EVERYWHERE),
            "return out",
        ]
        arguments = "text, fields, note" if self._traced else "text, fields"
        return "\n".join([f"def {self.name}({arguments}):", *_indent(body), ""])

    def _open(self, home: int) -> Iterator[str]:
        """Fetch the input branches and make the output branches that have this home."""
        for path, name in self._input_names.items():
            if self._inputs[path] == home:
                yield f"{name} = {self._get(path)}"
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

    def _block(self, index: int, block: Block) -> Iterator[str]:
        body = [*self._open(index)]
        for when, rules in block.parts():
            read = self._get_output if block.inferred else self._get
            body += _under(when, read, self._group(rules, inferred=block.inferred))
        body += self._close(index)
        yield from _under(block.when, self._get_output if block.inferred else self._decide, body)

    def _group(self, group: list[Rule], *, inferred: bool) -> Iterator[str]:
        for _, rules in groupby(group, key=lambda rule: (rule.target, rule.convert)):
            yield from self._rules([*rules], inferred=inferred)

    def _rules(self, rules: list[Rule], *, inferred: bool) -> Iterator[str]:
        """Write the lines of neighbours with the same target and conversion."""
        if rules[0].convert.joint:
            yield from self._joint(rules, inferred=inferred)
            return
        for rule in rules:
            if rule.constant is not None:
                constant = rule.constant if isinstance(rule.constant, str) else [*rule.constant]
                yield from self._set(rule, repr(constant), "")
            elif rule.source == WHOLE_INPUT:
                yield from self._set(rule, "text", WHOLE_INPUT)
            else:
                # The first source that yields a value counts: it is written last.
                for path in reversed(rule.sources):
                    yield from self._copy(rule, path, inferred=inferred)

    def _joint(self, rules: list[Rule], *, inferred: bool) -> Iterator[str]:
        read = self._get_output if inferred else self._get
        calls = [
            f"(value := {self._conversion_names[rule.convert]}"
            f"({', '.join(read(path) for path in rule.sources)})) is not None"
            for rule in rules
        ]
        if self._traced or rules[0].merges:  # each of them may set fields
            for rule, call in zip(rules, calls, strict=True):
                source = "; ".join(rule.sources)
                yield f"if {call}:"
                yield from _indent(self._set(rule, "value", source, keeping=inferred))
        else:
            # The last one that yields a value counts: it is tried first.
            yield f"if {' or '.join(reversed(calls))}:"
            yield from _indent(self._set(rules[0], "value", ""))

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
            yield from _indent(self._set(rule, value, path, keeping=inferred))
            return
        yield f"if {key!r} in {holder} and (value := {value}) is not None:"
        if rule.convert is keyword:
            # Nearly always a text, which is worth a line: it spares the call.
            yield "    if type(value) is not str:"
            yield f"        value = {conversion}(value)"
            yield "    if value:"
        else:
            yield f"    if (value := {conversion}(value)) is not None:"
        yield from _indent(_indent(self._set(rule, "value", path)))

    def _decide(self, path: str, absent: str = "None") -> str:
        """Return what a condition compares: a variable, since others ask for the field too."""
        if absent != "None":
            return self._get(path, absent)
        if path not in self._deciding:
            self._deciding[path] = self._names.new(path)
        return self._deciding[path]

    def _get(self, path: str, absent: str = "None") -> str:
        holder, key = self._input_place(path)
        if key.endswith(_FIRST):
            return f"first({holder}.get({key.removesuffix(_FIRST)!r}))"
        return _get(holder, key, absent)

    def _get_output(self, path: str, absent: str = "None") -> str:
        return _get(*self._output_place(path), absent)

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

    def _set(
        self, rule: Rule, expression: str, source: str, *, keeping: bool = False
    ) -> Iterator[str]:
        """Write how a rule sets its field, or its fields, of which `keeping` leaves those there."""
        if rule.merges:
            branch = self._output_names[rule.target.removesuffix(".*")]
            yield (
                f"{branch} = {expression} | {branch}"
                if keeping
                else f"{branch}.update({expression})"
            )
        else:
            yield self._assign(rule.target, expression)
        if self._traced:
            yield f"note(RULES[{len(self.noted)}], {source!r})"
            self.noted.append(rule)

    def _assign(self, target: str, expression: str) -> str:
        """Write the assignment; a branch of one field is written around its value."""
        parent, _, key = target.rpartition(".")
        if not parent:
            return f"out[{key!r}] = {expression}"
        if parent in self._output_names:
            return f"{self._output_names[parent]}[{key!r}] = {expression}"
        return self._assign(parent, f"{{{key!r}: {expression}}}")


def _get(holder: str, key: str, absent: str) -> str:
    default = "" if absent == "None" else f", {absent}"
    return f"{holder}.get({key!r}{default})"


def _check_targets(fields: set[str]) -> None:
    objects = {parent for field in fields for parent in parents(field)}
    if fields & objects:
        raise ValueError(f"both a value and an object: {', '.join(sorted(fields & objects))}")


def _under(when: Condition | None, read: Read, lines: Iterable[str]) -> Iterator[str]:
    """Put lines under a condition, if there is one."""
    if when is None:
        yield from lines
    else:
        yield f"if {when.write(read)}:  # {when}"
        yield from _indent(lines)


def _indent(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)
