"""Rule tables and their compiler: a vendor's mapping as data, one plain function at run time.

A table is a tuple of `Rule`, in the order of the mapping specification:

- rows run from top to bottom: a later row that yields a value replaces an earlier one, a row that
  yields nothing changes nothing;
- profile ``ecs`` has the rows ``both`` and ``ecs``; profile ``documented`` has all rows, and there
  a ``documented`` row that yields a value wins over the ``ecs`` rows with the same target.

`compile_table` decides all of this once and writes a Python function: source dicts and target
dicts are local variables, a condition is tested once for all its rows, a plain copy is a plain
assignment. The function can be read (`write_source`), shows up in tracebacks with its lines, and
calls conversions by name; nothing of the table is left to interpret at run time.
"""

import keyword as python_keyword
import linecache
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from collector.parsers.base import Event, Profile
from collector.parsers.conditions import Condition
from collector.parsers.convert import Conversion, keyword

WHOLE_INPUT: Final = "(whole input)"
"""The source of a rule that copies the message text."""

Mapper = Callable[[str, dict[str, Any]], Event]
"""Takes the message text and its fields; returns the event. It never raises."""

_NO_FIELDS: Final[dict[str, Any]] = {}  # stands for what should be an object and is not
_EVERYWHERE: Final = -1  # the home of a branch that more than one group of rules uses


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where a field comes from.

    Attributes:
        target: dotted name of the output field.
        source: dotted path in the input, or several: the first that yields a value counts, unless
            the conversion takes them all.
        convert: what is done to the value.
        constant: the value itself, for a rule without source; a tuple becomes a list.
        when: the rule applies only then.
        profile: the profile the row belongs to.
        ecs_type: the type of the field, where the conversion does not say it.
    """

    target: str
    source: str | tuple[str, ...] = ()
    convert: Conversion = keyword
    constant: str | tuple[str, ...] | None = None
    when: Condition | None = None
    profile: Literal["both", "documented", "ecs"] = "both"
    ecs_type: str | None = None

    def __post_init__(self) -> None:
        if bool(self.source) is (self.constant is not None):
            raise ValueError(f"rule for {self.target}: either a source or a constant")

    @property
    def sources(self) -> tuple[str, ...]:
        """The source paths, none for a constant."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def field_type(self) -> str:
        """The ECS type of the target."""
        if self.ecs_type is not None:
            return self.ecs_type
        return "array of keyword" if isinstance(self.constant, tuple) else self.convert.field_type


@dataclass(frozen=True, slots=True)
class Table:
    """The mapping of one vendor.

    Attributes:
        name: a Python identifier, the vendor's.
        rules: rows that read the input.
        inferred: rows that run after them, in their own order, and read the output: their sources
            and conditions are output fields.
        flat: the input is one dict of non-empty texts, whose keys may hold dots; otherwise it is
            a decoded JSON object, in which anything may stand anywhere.
    """

    name: str
    rules: tuple[Rule, ...]
    inferred: tuple[Rule, ...] = ()
    flat: bool = False


def under(when: Condition, *rules: Rule) -> tuple[Rule, ...]:
    """Put rules under a condition, in addition to those they may have."""
    return tuple(
        replace(rule, when=when if rule.when is None else when & rule.when) for rule in rules
    )


def compile_table(table: Table, profile: Profile) -> Mapper:
    """Turn a table into a function; done once, at start-up.

    Raises:
        ValueError: the table makes a field both a value and an object.
    """
    generator = _Generator(table, profile)
    source = generator.source()
    filename = _remember(f"<mapping {table.name} {profile}>", source)
    namespace = {"__name__": __name__, "NO_FIELDS": _NO_FIELDS} | generator.functions
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - our own tables, no input
    return cast("Mapper", namespace[generator.name])


def write_source(table: Table, profile: Profile) -> str:
    """Write the function that `compile_table` makes of a table, for people to read."""
    return _Generator(table, profile).source()


def _remember(filename: str, source: str) -> str:
    """Give the source a file name of its own, so that tracebacks and `inspect` find its lines."""
    candidate = filename
    number = 1
    while True:
        entry = (len(source), None, source.splitlines(keepends=True), candidate)
        if linecache.cache.setdefault(candidate, entry) == entry:
            return candidate
        number += 1
        candidate = f"{filename[:-1]} {number}>"


def select(rules: Iterable[Rule], profile: Profile) -> list[Rule]:
    """List the rows of a profile in the order in which they take effect."""
    rules = list(rules)
    if profile == "ecs":
        return [rule for rule in rules if rule.profile != "documented"]
    documented = [rule for rule in rules if rule.profile == "documented"]
    # The same field from the same place in two shapes: the documented one always wins.
    reshaped = {(rule.target, rule.when, rule.source) for rule in documented}
    first: dict[str, int] = {}
    places: list[tuple[int, int, int]] = []
    for index, rule in enumerate(rules):
        place = index
        if rule.profile == "documented":
            first.setdefault(rule.target, index)
        elif rule.profile == "ecs":
            if (rule.target, rule.when, rule.source) in reshaped:
                continue
            place = first.get(rule.target, index)
        # An ecs row moves up to just before the first documented row of its target.
        places.append((place, 0 if place != index else 1, index))
    return [rules[index] for _, _, index in sorted(places)]


@dataclass(slots=True)
class _Group:
    """Rules that stand under one ``if``."""

    when: Condition | None
    rules: list[Rule]
    inferred: bool

    def source_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the paths the group reads; what decides is read outside of it."""
        for path in self.when.paths if self.when else ():
            yield _EVERYWHERE, path
        for rule in self.rules:
            for path in rule.sources:
                yield self._home(number), path

    def target_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the fields the group writes."""
        for rule in self.rules:
            yield self._home(number), rule.target

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
            groups.append(_Group(rule.when, [], inferred=False))
        groups[index].rules.append(rule)
        last_writer_of[rule.target] = index
    return groups


def _gather_inferred(rules: Iterable[Rule], known: set[str]) -> list[_Group]:
    """Group inferred rules: in order, and without those that could never find their sources.

    Args:
        rules: the inferred rules.
        known: the fields that the rules before them can set.
    """
    groups: list[_Group] = []
    for rule in rules:
        sources = tuple(source for source in rule.sources if source in known)
        if rule.sources and not sources:
            continue
        if not groups or groups[-1].when != rule.when:
            groups.append(_Group(rule.when, [], inferred=True))
        groups[-1].rules.append(replace(rule, source=sources))
        known.add(rule.target)
    return groups


def _branches(uses: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Find the dicts on the way to some paths, and the group of rules each belongs to.

    Args:
        uses: number of a group, or `_EVERYWHERE`, and a dotted path it uses.

    Returns:
        Each parent path with the only group that uses it, else `_EVERYWHERE`; parents first.
    """
    homes: dict[str, int] = {}
    for group, path in uses:
        for parent in _parents(path):
            homes[parent] = group if homes.get(parent, group) == group else _EVERYWHERE
    return dict(sorted(homes.items()))


def _parents(path: str) -> Iterator[str]:
    """Yield ``a.b`` and ``a`` of ``a.b.c``."""
    while parent := path.rpartition(".")[0]:
        yield parent
        path = parent


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


class _Generator:
    """Writes the function of one table and profile.

    A branch is a dict inside the input or the output. Each is a local variable, fetched or made
    once: in the group of rules that alone uses it, otherwise at the start of the function.
    """

    def __init__(self, table: Table, profile: Profile) -> None:
        self._table = table
        self._profile = profile
        rules = select(table.rules, profile)
        self._groups = _gather(rules)
        known = {rule.target for rule in rules}
        self._groups += _gather_inferred(select(table.inferred, profile), known)
        _check_targets(known)

        self._names = _Names()
        self.name = self._names.new(f"map_{table.name}_{profile}")
        self.functions: dict[str, Callable[..., Any]] = {}
        self._function_names: dict[Callable[..., Any], str] = {}
        for group in self._groups:
            for rule in group.rules:
                self._bind(rule.convert.function)

        self._inputs = {} if table.flat else _branches(self._input_uses())
        self._outputs = self._worthwhile(_branches(self._output_uses()))
        self._input_names = {path: self._names.new(f"fields_{path}") for path in self._inputs}
        self._output_names = {path: self._names.new(path) for path in self._outputs}
        self._deciding: dict[str, str] = {}

    def _bind(self, function: Callable[..., Any]) -> None:
        if function not in self._function_names:
            name = self._names.new(function.__name__)
            self._function_names[function] = name
            self.functions[name] = function

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

    def source(self) -> str:
        """Write the whole function."""
        body = [
            f'"""Table {self._table.name}, profile {self._profile}."""',
            "out = {}",
            *self._open(_EVERYWHERE),
            *self._decide(),
        ]
        for index, group in enumerate(self._groups):
            body += self._group(index, group)
        body += [*self._close(_EVERYWHERE), "return out"]
        return "\n".join([f"def {self.name}(text, fields):", *_indent(body), ""])

    def _open(self, home: int) -> Iterator[str]:
        """Fetch the input branches and make the output branches that live in one place."""
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
        body = [*self._open(index)]
        for rule in group.rules:
            body += self._rule(rule, inferred=group.inferred)
        body += self._close(index)
        if group.when is None:
            yield from body
        else:
            read = self._read_output if group.inferred else self._read_input
            yield f"if {group.when.write(read)}:  # {group.when}"
            yield from _indent(body)

    def _rule(self, rule: Rule, *, inferred: bool) -> Iterator[str]:
        function = self._function_names[rule.convert.function]
        if rule.constant is not None:
            constant = list(rule.constant) if isinstance(rule.constant, tuple) else rule.constant
            yield self._assign(rule.target, repr(constant))
        elif rule.source == WHOLE_INPUT:
            yield self._assign(rule.target, "text")
        elif rule.convert.joint:
            read = self._read_output if inferred else self._read_input
            arguments = ", ".join(read(path) for path in rule.sources)
            yield f"if (value := {function}({arguments})) is not None:"
            yield f"    {self._assign(rule.target, 'value')}"
        else:
            # The first source that yields a value counts: it is written last.
            for path in reversed(rule.sources):
                if inferred or self._table.flat:
                    yield from self._copy_clean(rule, path, function, inferred=inferred)
                else:
                    yield from self._copy(rule, path, function)

    def _copy(self, rule: Rule, path: str, function: str) -> Iterator[str]:
        """Write the lines for one source, in which anything may stand."""
        yield f"if (value := {self._read_input(path)}) is not None:"
        if rule.convert is keyword:
            # Nearly always a text, which is worth a line: it spares the call.
            yield "    if type(value) is not str:"
            yield f"        value = {function}(value)"
            yield "    if value:"
        else:
            yield f"    if (value := {function}(value)) is not None:"
        yield f"        {self._assign(rule.target, 'value')}"

    def _copy_clean(self, rule: Rule, path: str, function: str, *, inferred: bool) -> Iterator[str]:
        """Write the lines for one source whose value, if it is there, fits the field."""
        holder, key = self._output_place(path) if inferred else ("fields", path)
        if rule.convert is keyword:
            yield f"if {key!r} in {holder}:"
            yield f"    {self._assign(rule.target, f'{holder}[{key!r}]')}"
        else:
            yield f"if {key!r} in {holder} and (value := {function}({holder}[{key!r}])) is not None:"
            yield f"    {self._assign(rule.target, 'value')}"

    def _read_input(self, path: str) -> str:
        if path in self._deciding:
            return self._deciding[path]
        if self._table.flat:
            return f"fields.get({path!r})"
        parent, _, key = path.rpartition(".")
        return f"{self._input_names.get(parent, 'fields')}.get({key!r})"

    def _read_output(self, path: str) -> str:
        holder, key = self._output_place(path)
        return f"{holder}.get({key!r})"

    def _output_place(self, path: str) -> tuple[str, str]:
        """Return the variable that holds an output field, and the field's key in it."""
        parent, _, key = path.rpartition(".")
        return self._output_names[parent] if parent else "out", key

    def _assign(self, target: str, expression: str) -> str:
        """Write the assignment; branches of a single field are written around the value."""
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
