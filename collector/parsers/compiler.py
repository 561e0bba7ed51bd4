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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

from collector.parsers.base import Event, Profile
from collector.parsers.conditions import NAMESPACE, Condition, Read
from collector.parsers.convert import keyword
from collector.parsers.grouping import EVERYWHERE, Block, blocks
from collector.parsers.mapping import WHOLE_INPUT, Rule, Table
from collector.parsers.paths import FIRST, first, parents

Mapper = Callable[[str, dict[str, Any]], Event]
"""Takes the message text and its fields; returns the event. It never raises."""


class Row(NamedTuple):
    """A row of a table that runs.

    Attributes:
        rule: the row.
        inferred: it reads the output.
    """

    rule: Rule
    inferred: bool


Note = Callable[[Row, dict[str, Any], Any], None]
"""Is told of each row that sets something, just before it does: which row it is, what it reads, by
source, and the value it yields; that is a dict of several fields where the rule `merges`."""

Tracer = Callable[[str, dict[str, Any], Note], Event]
"""A `Mapper` that says what it does."""

_Use = tuple[int, str]
"""The number of a block, or `EVERYWHERE`, and the dotted path of a field that it reads or sets."""

_NO_FIELDS: Final[dict[str, Any]] = {}  # stands for what should be an object and is not
_NAMESPACE: Final[Mapping[str, Any]] = MappingProxyType(
    {**NAMESPACE, "NO_FIELDS": _NO_FIELDS, "first": first}
)


def compile_table(table: Table, profile: Profile) -> Mapper:
    """Turn a table into a function; done once, at start-up.

    Raises:
        ValueError: the table makes a field both a value and an object.
    """
    return cast("Mapper", _compile(_Function(table, profile)))


def compile_tracer(table: Table, profile: Profile) -> Tracer:
    """Turn a table into a function that also says which row set which field, and from what.

    It is the function of `compile_table` with a line added to each assignment: what it tells is
    what happens.
    """
    return cast("Tracer", _compile(_Function(table, profile, traced=True)))


def write_source(table: Table, profile: Profile) -> str:
    """Write the function that `compile_table` makes of a table, for people to read."""
    return _Function(table, profile).write()


def _compile(function: "_Function") -> Callable[..., Event]:
    for conversion in function.conversions:
        if conversion.prepare:
            conversion.prepare()
    source = function.write()
    filename = _remember(f"<mapping {function.title}>", source)
    namespace = {"__name__": __name__, **_NAMESPACE, "RULES": [*function.rows]}
    for conversion, name in function.conversions.items():
        namespace[name] = conversion.function
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - our own tables, no input
    return cast("Callable[..., Event]", namespace[function.name])


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


@dataclass(frozen=True, slots=True)
class _Side:
    """The input or the output: where its fields are found.

    Attributes:
        root: the variable that holds all.
        names: the variable of each dict inside it that has one; the outer ones first.
        homes: the only block that uses it, else `EVERYWHERE`.
        checked: the values that are there fit their fields, and there are no lists of objects.
    """

    root: str
    names: dict[str, str]
    homes: dict[str, int]
    checked: bool

    def place(self, path: str) -> tuple[str, str]:
        """Return the variable that holds a field, and the field's key in it."""
        parent, _, key = path.rpartition(".")
        return (self.names[parent], key) if parent in self.names else (self.root, path)

    def get(self, path: str, absent: str = "None") -> str:
        """Write the expression that reads a field; see `Read`."""
        if path == WHOLE_INPUT:
            return "text"
        holder, key = self.place(path)
        if key.endswith(FIRST) and not self.checked:
            return f"first({holder}.get({key.removesuffix(FIRST)!r}))"
        default = "" if absent == "None" else f", {absent}"
        return f"{holder}.get({key!r}{default})"

    def at(self, home: int) -> list[tuple[str, str]]:
        """List the dicts that have this home, with their variables."""
        return [(path, name) for path, name in self.names.items() if self.homes[path] == home]


def _homes(uses: Iterable[_Use]) -> dict[str, int]:
    """Find the dicts on the way to what is used.

    Returns:
        Each dict by its path with the only block it is used in, else `EVERYWHERE`; the outer ones
        first.
    """
    homes: dict[str, int] = {}
    for home, path in uses:
        for parent in parents(path):
            homes[parent] = home if homes.get(parent, home) == home else EVERYWHERE
    return dict(sorted(homes.items()))


def _worthwhile(
    homes: dict[str, int], written: Iterable[_Use], read: Iterable[_Use]
) -> dict[str, int]:
    """Leave out the dicts that hold one field and are not read: they are written around it."""
    targets = {target for _, target in written}
    count = Counter(parent for target in targets for parent in parents(target))
    kept = {target.removesuffix(".*") for target in targets if target.endswith(".*")}
    kept |= {parent for _, path in read for parent in parents(path)}
    return {path: home for path, home in homes.items() if count[path] > 1 or path in kept}


class _Function:
    """The function of one table and profile, ready to be written.

    A branch is a dict inside the input or the output. Each is a local variable, fetched or made
    once: in the group of rules that alone uses it, otherwise at the start of the function.

    Attributes:
        title: what it is made of.
        name: the name of the function.
        conversions: what it calls, with the names of these globals.
        rows: the rows that a traced function tells of, with their numbers.
    """

    def __init__(self, table: Table, profile: Profile, *, traced: bool = False) -> None:
        self.title = f"{table.name} {profile}{' traced' if traced else ''}"
        self._docstring = f"Table {table.name}, profile {profile}."
        self._traced = traced
        self._blocks = blocks(table, profile)
        rows = dict.fromkeys(
            Row(rule, block.inferred) for block in self._blocks for rule in block.rules
        )
        self.rows = {row: number for number, row in enumerate(rows)}
        _check_targets({field for rule, _ in rows for field in rule.fields})

        names = _Names()
        self.name = names.new(f"map_{table.name}_{profile}")
        self.conversions = {
            conversion: names.new(conversion.function.__name__)
            for conversion in dict.fromkeys(rule.convert for rule, _ in rows)
        }
        read: list[_Use] = []
        read_again: list[_Use] = []
        written: list[_Use] = []
        for index, block in enumerate(self._blocks):
            (read_again if block.inferred else read).extend(block.source_uses(index))
            written.extend(block.target_uses(index))
        homes = {} if table.flat else _homes(read)
        variables = {path: names.new(f"fields_{path}") for path in homes}
        self._input = _Side("fields", variables, homes, checked=table.flat)
        homes = _worthwhile(_homes([*written, *read_again]), written, read_again)
        variables = {path: names.new(path) for path in homes}
        self._output = _Side("out", variables, homes, checked=True)
        self._names = names
        self._deciding: dict[str, str] = {}
        for block in self._blocks:
            if block.when and not block.inferred:
                block.when.write(self._decide)  # which names the variables

    def write(self) -> str:
        """Write the whole function."""
        blocks = (self._block(index, block) for index, block in enumerate(self._blocks))
        body = [
            f'"""{self._docstring}"""',
            "out = {}",
            *self._open(EVERYWHERE),
            *(f"{name} = {self._input.get(path)}" for path, name in self._deciding.items()),
            *chain.from_iterable(blocks),
            *self._close(EVERYWHERE),
            "return out",
        ]
        arguments = "text, fields, note" if self._traced else "text, fields"
        return "\n".join([f"def {self.name}({arguments}):", *_indent(body), ""])

    def _open(self, home: int) -> Iterator[str]:
        """Fetch the input branches and make the output branches that have this home."""
        for path, name in self._input.at(home):
            yield f"{name} = {self._input.get(path)}"
            yield f"if type({name}) is not dict:"
            yield f"    {name} = NO_FIELDS"
        for _, name in self._output.at(home):
            yield f"{name} = {{}}"

    def _close(self, home: int) -> Iterator[str]:
        """Put the output branches that hold something into their parents, the innermost first."""
        for path, name in reversed(self._output.at(home)):
            yield f"if {name}:"
            yield f"    {self._assign(path, name)}"

    def _block(self, index: int, block: Block) -> Iterator[str]:
        side = self._output if block.inferred else self._input
        body = [*self._open(index)]
        for when, rules in block.parts():
            body += _under(when, side.get, self._group(rules, side))
        body += self._close(index)
        yield from _under(block.when, side.get if block.inferred else self._decide, body)

    def _decide(self, path: str, absent: str = "None") -> str:
        """Return what a condition compares: a variable, since others ask for the field too."""
        if absent != "None":
            return self._input.get(path, absent)
        if path not in self._deciding:
            self._deciding[path] = self._names.new(path)
        return self._deciding[path]

    def _group(self, group: list[Rule], side: _Side) -> Iterator[str]:
        """Write the lines of rules that read one side, under one condition."""
        for (_, convert), rules in groupby(group, key=lambda rule: (rule.target, rule.convert)):
            if convert.joint:
                yield from self._joint([*rules], side)
                continue
            for rule in rules:
                if rule.constant is not None:
                    constant = rule.constant if isinstance(rule.constant, str) else [*rule.constant]
                    yield from self._set(rule, repr(constant), side)
                elif rule.source == WHOLE_INPUT:
                    yield from self._set(rule, "text", side, WHOLE_INPUT)
                else:
                    # The first source that yields a value counts: it is written last.
                    for path in reversed(rule.sources):
                        yield from self._copy(rule, path, side)

    def _joint(self, rules: list[Rule], side: _Side) -> Iterator[str]:
        """Write the lines of neighbours with the same target and conversion."""
        calls = [
            f"(value := {self.conversions[rule.convert]}"
            f"({', '.join(map(side.get, rule.sources))})) is not None"
            for rule in rules
        ]
        if self._traced or rules[0].merges:  # each of them may set fields
            for rule, call in zip(rules, calls, strict=True):
                yield f"if {call}:"
                yield from _indent(self._set(rule, "value", side, *rule.sources))
        else:
            # The last one that yields a value counts: it is tried first.
            yield f"if {' or '.join(reversed(calls))}:"
            yield f"    {self._assign(rules[0].target, 'value')}"

    def _copy(self, rule: Rule, path: str, side: _Side) -> Iterator[str]:
        """Write the lines for one source."""
        holder, key = side.place(path)
        there, value = f"{key!r} in {holder}", f"{holder}[{key!r}]"
        conversion = self.conversions[rule.convert]
        if side.checked:
            copied = rule.convert is keyword
            test = "" if copied else f" and (value := {conversion}({value})) is not None"
            yield f"if {there}{test}:"
            yield from _indent(self._set(rule, value if copied else "value", side, path))
            return
        yield f"if {there} and (value := {value}) is not None:"
        if rule.convert is keyword:
            # Nearly always a text, which is worth a line: it spares the call.
            yield "    if type(value) is not str:"
            yield f"        value = {conversion}(value)"
            yield "    if value:"
        else:
            yield f"    if (value := {conversion}(value)) is not None:"
        yield from _indent(_indent(self._set(rule, "value", side, path)))

    def _set(self, rule: Rule, expression: str, side: _Side, *sources: str) -> Iterator[str]:
        """Write how a rule sets its field, or its fields; inferred ones that are there stay."""
        inferred = side is self._output
        if self._traced:
            read = ", ".join(f"{path!r}: {side.get(path)}" for path in sources)
            number = self.rows[Row(rule, inferred)]
            yield f"note(RULES[{number}], {{{read}}}, {expression})"
        if rule.merges:
            into = self._output.names[rule.target.removesuffix(".*")]
            yield f"{into} = {expression} | {into}" if inferred else f"{into}.update({expression})"
        else:
            yield self._assign(rule.target, expression)

    def _assign(self, target: str, expression: str) -> str:
        """Write the assignment; a branch of one field is written around its value."""
        parent, _, key = target.rpartition(".")
        if parent and parent not in self._output.names:
            return self._assign(parent, f"{{{key!r}: {expression}}}")
        return f"{self._output.names.get(parent, 'out')}[{key!r}] = {expression}"


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
