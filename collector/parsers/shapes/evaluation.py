"""A rule table for one shape: what of it is known beforehand, and what is left to compute.

Which fields an event has, and in which order, follows from which rules yield something. That in
turn follows from what is there (the outline), from what conditions compare (values that are fixed,
or tests that are made again), and from whether conversions yield something (looked at again where
they may not). So all messages that fit an outline, pass the tests and yield as the sample did have
events of one form: that of the sample, with other values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.parsers.conditions import NAMESPACE
from collector.parsers.convert import boolean, collected, distinct, ip, keyword, long, number
from collector.parsers.mapping import WHOLE_INPUT
from collector.parsers.paths import FIRST, first, steps
from collector.parsers.shapes.outline import (
    ABSENT,
    NOWHERE,
    Argument,
    Kind,
    Outline,
    Source,
    UnfitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collector.parsers.base import Profile
    from collector.parsers.conditions import Condition
    from collector.parsers.mapping import Rule, Table

Path = tuple[str, ...]

_TEXTS: Final = frozenset({Kind.TEXT, Kind.FIELD, Kind.FIELD_AS_IS, Kind.REST})
_SCALARS: Final = _TEXTS | {Kind.INTEGER, Kind.BOOLEAN}

_WAYS: Final[Mapping[Kind | None, str]] = {
    Kind.FIELD: "UNESCAPED",
    Kind.FIELD_AS_IS: "RAW",
    Kind.REST: "RAW",
}
"""How the kernel writes the inside of a text, where it is not JSON already."""

_QUOTES: Final = b'"', b'"'
_BRACKETS: Final = b'["', b'"]'

_LISTS: Final = (collected, distinct)
_MAX_ENTRIES: Final = 16  # of a list that the kernel writes by itself


@dataclass(frozen=True, slots=True)
class Constant:
    """A field that all events of the shape have alike."""

    value: Any


@dataclass(frozen=True, slots=True)
class Copy:
    """A field that the kernel writes from a slot.

    Attributes:
        slot: which.
        way: how, by the kernel's name of it.
        around: what is to stand before and behind what it writes.
        convert: writes the value where the quick way does not know it.
        slots: which, where it writes a list of several.
    """

    slot: int
    way: str
    around: tuple[bytes, bytes] = (b"", b"")
    convert: Callable[[Any], bytes | None] | None = None
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that an operation writes; `index` is its number among what that one writes."""

    operation: int
    index: int


@dataclass(frozen=True, slots=True)
class TextCopy:
    """The text of the message."""


Field = Constant | Copy | Leaf | TextCopy


@dataclass(frozen=True, slots=True)
class Operation:
    """What is computed for each message of the shape.

    Attributes:
        function: a `Computation`.
        arguments: how the kernel finds what it takes.
        slots: what the result follows from.
    """

    function: Computation
    arguments: tuple[tuple[int, ...], ...]
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Computation:
    """A function of the values of a message that must turn out as it did for the sample.

    Attributes:
        function: what is computed.
        inputs: of each argument its constant, or the functions it goes through first.
        outcome: of what form the result is: see `_outcome`.
    """

    function: Callable[..., Any]
    inputs: tuple[tuple[bool, Any], ...]
    outcome: tuple[Any, ...]

    def __call__(self, *given: Any) -> tuple[Any, ...] | None:
        """Return the result and the JSON of each of its leaves; None where the form is another."""
        values = iter(given)
        arguments = []
        for is_constant, what in self.inputs:
            if is_constant:
                arguments.append(what)
                continue
            value = next(values)
            for function in what:
                value = function(value)
            arguments.append(value)
        result = self.function(*arguments)
        if _outcome(result) != self.outcome:
            return None
        if isinstance(result, dict):
            return result, *(orjson.dumps(leaf) for _, leaf in leaves(result))
        return result, orjson.dumps(result)


def _outcome(result: Any) -> tuple[Any, ...]:
    """Return what of a result decides the form of an event.

    That is whether there is one, or which fields it has; of tests, which ones are passed.
    """
    if isinstance(result, tuple):
        return result
    if isinstance(result, dict):
        return tuple(path for path, _ in leaves(result))
    return (None,) if result is None else ("value",)


def leaves(nested: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the fields of an object and those of the objects in it, with the names on the way."""
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


@dataclass(slots=True)
class Evaluated:
    """What is left of a table for one shape.

    Attributes:
        fields: where the fields of an event come from, by the names on the way to them.
        operations: in the order in which they are to run.
        fixed: the slots whose values belong to the shape.
        checks: of fields that the kernel writes, where that is what shows that there is one: an
            operation that is to run instead where a field is not written.
    """

    fields: dict[Path, Field]
    operations: list[Operation]
    fixed: set[int]
    checks: dict[Path, Operation]


def evaluate(
    table: Table, profile: Profile, outline: Outline, families: Iterable[str]
) -> Evaluated:
    """Work out what a table makes of the messages of a shape.

    Args:
        table: the rules.
        profile: the shape of the events.
        outline: the sample, taken apart.
        families: fields of few values, which belong to the shape where a condition asks for them.

    Raises:
        UnfitError: it cannot be worked out beforehand.
    """
    return _Evaluation(table, profile, outline, families).run()


@dataclass(slots=True)
class _Made:
    """A field as it stands: where it comes from, and what it is for the rules that read it."""

    field: Field
    source: Source


class _Evaluation:
    def __init__(
        self, table: Table, profile: Profile, outline: Outline, families: Iterable[str]
    ) -> None:
        self._rules = table.rows(profile)
        self._inferred = table.inferred_rows(profile)
        self._flat = table.flat
        self._given = outline.sources
        self._families = frozenset(families)
        self._made: dict[Path, _Made] = {}
        self._operations: list[Operation] = []
        self._fixed: set[int] = set()
        self._uncertain: list[tuple[Copy, Source, Rule]] = []
        self._tests: dict[tuple[Any, ...], tuple[Source, dict[Callable[[Any], Any], None]]] = {}

    def run(self) -> Evaluated:
        for rule in self._rules:
            if self._holds(rule.when, self._input):
                self._apply(rule, self._input, inferred=False)
        for rule in self._inferred:
            if self._holds(rule.when, self._output):
                self._apply(rule, self._output, inferred=True)
        fields = {path: made.field for path, made in self._made.items()}
        written = {id(field): path for path, field in fields.items()}
        checks: dict[Path, Operation] = {}
        for copy, source, rule in self._uncertain:
            if id(copy) in written:
                checks[written[id(copy)]], _ = self._operation(rule.convert.function, [source])
            else:  # yet it must yield something
                self._compute(rule.convert.function, [source])
        for source, tests in self._tests.values():
            if not self._fixed.issuperset(source.slots):
                self._compute(_Tests(tuple(tests)), [source])
        return Evaluated(fields, self._operations, self._fixed, checks)

    # Where values come from.

    def _input(self, name: str) -> Source:
        path = (name,) if self._flat else tuple(steps(name))
        found = self._given.get(path)
        if found is not None:
            return found
        for end in range(len(path) - 1, 0, -1):
            above = self._given.get(path[:end])
            if above is not None:
                return self._inside(above, path[end:])
        return NOWHERE

    def _inside(self, above: Source, names: Path) -> Source:
        """Return what is in a list, or in what is no object, at the names below it."""
        if above.kind is not Kind.VALUE:
            return NOWHERE
        if names[0] == FIRST:
            return above.then(_Walk(names))
        self._test(above, _as_object)  # in another message it may be one
        return NOWHERE

    def _output(self, name: str) -> Source:
        path = tuple(name.split("."))
        made = self._made.get(path)
        if made is not None:
            return made.source
        if any(other[: len(path)] == path for other in self._made):
            raise UnfitError(f"a rule reads the object {name}")
        return NOWHERE

    # Conditions.

    def _holds(self, when: Condition | None, find: Callable[[str], Source]) -> bool:
        """Decide a condition, and see to it that it is decided alike for all of the shape."""
        if when is None:
            return True
        if not when.parts:
            return self._decide(when, find)
        if when.joined_by == "and":
            return all(self._holds(part, find) for part in when.parts)
        return any(self._holds(part, find) for part in when.parts)

    def _decide(self, when: Condition, find: Callable[[str], Source]) -> bool:
        source = find(when.paths[0])
        test, absent = _test_of(when)
        holds = test(absent if source.value is ABSENT else source.value) is not None
        is_plain = not source.through and source.kind is not Kind.VALUE
        if not source.slots or (when.by == "presence" and is_plain):
            return holds
        is_one_of_few = when.paths[0] in self._families or holds == bool(when.compared)
        if when.by == "value" and is_plain and source.kind in _SCALARS and is_one_of_few:
            self._fixed.update(source.slots)
        else:
            self._test(source, test)
        return holds

    def _test(self, source: Source, test: Callable[[Any], Any]) -> None:
        """Have a test made again for each message, which is to turn out as it did here."""
        place = (source.argument, source.through, source.entries)
        self._tests.setdefault(place, (source, {}))[1][test] = None

    # Rules.

    def _apply(self, rule: Rule, find: Callable[[str], Source], *, inferred: bool) -> None:
        target = tuple(rule.target.removesuffix(".*").split("."))
        if rule.constant is not None:
            constant = rule.constant if isinstance(rule.constant, str) else [*rule.constant]
            self._made[target] = _Made(Constant(constant), Source(constant))
        elif rule.source == WHOLE_INPUT:
            self._made[target] = _Made(TextCopy(), _TEXT)
        elif rule.convert.joint:
            self._convert(rule, target, [find(name) for name in rule.sources], inferred=inferred)
        else:
            # The first source that yields a value counts: it comes last.
            for name in reversed(rule.sources):
                self._convert(rule, target, [find(name)], inferred=inferred)

    def _convert(
        self, rule: Rule, target: Path, sources: Sequence[Source], *, inferred: bool
    ) -> None:
        """Have a conversion of what sources hold, where they hold something, become a field."""
        if not rule.convert.joint and _is_nothing(sources[0]):
            return
        sources = [NOTHING if source.value is ABSENT else source for source in sources]
        made = self._known(rule, sources)
        if made is not None:
            self._made[target] = made
        elif _may_yield(rule, sources) and not self._set_by_name(rule, target, sources[0]):
            self._merge(target, self._left(rule, sources), inferred=inferred)

    def _known(self, rule: Rule, sources: Sequence[Source]) -> _Made | None:
        """Return the field that needs no operation; None if there is no such field."""
        if not any(source.slots for source in sources):
            result = rule.convert.function(*(source.value for source in sources))
            if rule.merges and result is not None:
                raise UnfitError("several fields that are the same in all messages")
            return None if result is None else _Made(Constant(result), Source(result))
        if rule.convert in _LISTS:
            return _list(rule, sources)
        made = _copy(rule, sources[0])
        if made is not None and isinstance(made.field, Copy) and made.field.convert is not None:
            self._uncertain.append((made.field, sources[0], rule))
        return made

    def _left(self, rule: Rule, sources: Sequence[Source]) -> dict[Path, _Made]:
        """Have a conversion run for each message; return the fields it yields, by name."""
        number, result = self._compute(rule.convert.function, sources)
        slots = self._operations[number].slots
        if result is None:
            return {}
        if not rule.merges:
            return {(): _Made(Leaf(number, 1), _result(result, slots, number))}
        return {
            path: _Made(Leaf(number, index), _result(value, slots, number, path))
            for index, (path, value) in enumerate(leaves(result), 1)
        }

    def _merge(self, target: Path, fields: dict[Path, _Made], *, inferred: bool) -> None:
        """Set fields below a target; of several inferred ones those that are there already stay.

        Args:
            target: the object, or the field itself.
            fields: by the names on the way down; no names for the field itself.
            inferred: whether the rule reads the event.
        """
        depth = len(target) + 1
        there = {path[:depth] for path in self._made if len(path) >= depth}
        for path, made in fields.items():
            place = (*target, *path[:1])
            if path and place in there:
                if inferred:
                    continue
                self._made = {p: old for p, old in self._made.items() if p[:depth] != place}
                there.discard(place)
            self._made[*target, *path] = made

    def _set_by_name(self, rule: Rule, target: Path, source: Source) -> bool:
        """Set the fields that the entries of an object become, where that can be told beforehand.

        Each entry is replaced by a text that no other has, which then is found in the fields.
        """
        entries = self._entries(source) if rule.convert.by_name else {}
        if not entries:
            return False
        marks = {f"\ue000{entry.slots[0]}": entry for entry in entries.values()}
        named = dict(zip(entries, marks, strict=True))
        found = rule.convert.function({name: named.get(name) for name in source.value})
        if not found or {*found.values()} != {*marks}:
            return False  # some are left out, or are named alike
        fields: dict[Path, _Made] = {}
        for name, mark in found.items():
            entry = marks[mark]
            fields[name,] = _keyword(entry)
        self._merge(target, fields, inferred=False)
        return True

    def _entries(self, source: Source) -> dict[str, Source]:
        """Return where the entries of an object come from that say something.

        Returns:
            The sources by name; nothing if there is one that is no text and no number.
        """
        places = [path for path, given in self._given.items() if given is source]
        if not places or not _is_object(source):
            return {}
        entries = {}
        for name in source.value:
            entry = self._given.get((*places[0], name), NOWHERE)
            if entry.kind in _SCALARS:
                entries[name] = entry
            elif entry.slots or entry.value not in (None, "", {}):
                return {}
        return entries

    def _compute(self, function: Callable[..., Any], sources: Sequence[Source]) -> tuple[int, Any]:
        """Have something computed for each message; return its number and the sample's result."""
        operation, result = self._operation(function, sources)
        if operation not in self._operations:
            self._operations.append(operation)
        return self._operations.index(operation), result

    def _operation(
        self, function: Callable[..., Any], sources: Sequence[Source]
    ) -> tuple[Operation, Any]:
        """Return a function of sources as an operation, with the sample's result."""
        result = function(*(source.value for source in sources))
        sources = [self._listed(source) if source.entries else source for source in sources]
        inputs = tuple(
            (False, source.through) if source.slots else (True, source.value) for source in sources
        )
        moving = [source for source in sources if source.slots]
        if _TEXT in sources:
            raise UnfitError("a rule reads the text of the message again")
        operation = Operation(
            Computation(function, inputs, _outcome(result)),
            tuple(source.argument for source in moving if source.argument is not None),
            tuple(sorted({slot for source in moving for slot in source.slots})),
        )
        return operation, result

    def _listed(self, source: Source) -> Source:
        """Have a list of texts computed for those who take it."""
        number_of, _ = self._compute(collected.function, source.entries)
        return _result(source.value, source.slots, number_of)


NOTHING: Final = Source(None)
"""What a conversion gets for a source that is not there."""


def _result(value: Any, slots: tuple[int, ...], operation: int, path: Path = ()) -> Source:
    """Return a field that an operation has made, for the rules that read it."""
    through = (_Walk(path),) if path else ()
    return Source(value, slots, (Argument.RESULT, operation), through)


# What a rule finds that reads the text of the message in the event.
_TEXT: Final = Source(object(), (-1,))


@dataclass(frozen=True, slots=True)
class _Tests:
    """Several tests of one value."""

    tests: tuple[Callable[[Any], Any], ...]

    def __call__(self, value: Any) -> tuple[bool, ...]:
        return tuple(test(value) is not None for test in self.tests)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes down by names; what is not there is None."""

    names: Path

    def __call__(self, value: Any) -> Any:
        for name in self.names:
            if name == FIRST:
                value = first(value)
            else:
                value = value.get(name) if isinstance(value, dict) else None
        return value


_BY_TEXT: dict[str, tuple[Callable[[Any], Any], Any]] = {}


def _test_of(when: Condition) -> tuple[Callable[[Any], Any], Any]:
    """Return a condition without parts as a function of its field, and the value of no field.

    The function returns something where the condition holds, else None.
    """
    known = _BY_TEXT.get(when.text)
    if known is None:
        default = "None"

        def read(path: str, absent: str = "None") -> str:  # noqa: ARG001 - as `Read` has it
            nonlocal default
            default = absent
            return "value"

        source = f"lambda value: True if {when.write(read)} else None"
        test = eval(source, dict(NAMESPACE))  # noqa: S307 - our own tables, no input
        known = _BY_TEXT[when.text] = test, eval(default)  # noqa: S307
    return known


def _is_nothing(source: Source) -> bool:
    """Say whether there is nothing in any message of the shape."""
    return not source.slots and (source.value is ABSENT or source.value is None)


def _as_object(value: Any) -> Any:
    return value if isinstance(value, dict) else None


def _is_object(source: Source) -> bool:
    return isinstance(source.value, dict) and source.kind is not Kind.VALUE and not source.through


def _may_yield(rule: Rule, sources: Sequence[Source]) -> bool:
    """Say whether something may come of it that is not known: of no source nothing comes."""
    if not any(source.slots for source in sources):
        return False
    # An object is no keyword, whatever is in it.
    return not (rule.convert is keyword and _is_object(sources[0]))


def _copy(rule: Rule, source: Source) -> _Made | None:
    """Return how the kernel writes a conversion of a slot by itself; None where it cannot."""
    if rule.convert.joint or source.through or source.kind not in _SCALARS:
        return None
    kind, slot, convert = source.kind, source.slots[0], rule.convert
    if convert is keyword:
        return _keyword(source)
    made = source.then(convert.function)
    if (kind is Kind.INTEGER and convert in {long, number}) or (
        kind is Kind.BOOLEAN and convert is boolean
    ):
        return _Made(Copy(slot, "BARE"), made)
    if kind not in _TEXTS or convert.way is None or made.value is None:
        return None
    # An address is the text itself, once it is known to be one.
    copy = Copy(slot, convert.way, convert=_writer(convert.function))
    return _Made(copy, source if convert is ip else made)


def _keyword(source: Source) -> _Made:
    """Return how the kernel writes a slot as a text."""
    kind = source.kind
    way = _WAYS.get(kind, "QUOTED")
    text = source if kind in _TEXTS else source.then(keyword.function)
    return _Made(Copy(source.slots[0], way, _QUOTES), text)


def _list(rule: Rule, sources: Sequence[Source]) -> _Made | None:
    """Return how the kernel writes a list of texts by itself; None where it cannot."""
    entries: list[Source] = []
    for source in sources:
        if source.entries:
            entries += source.entries
        elif source.kind in _TEXTS and not source.through:
            entries.append(source)
        elif not _is_nothing(source):
            return None
    if not 0 < len(entries) <= _MAX_ENTRIES or rule.convert.way is None:
        return None
    slots = tuple(source.slots[0] for source in entries)
    function = rule.convert.function
    listed = Source(function(*(source.value for source in entries)), slots, entries=tuple(entries))
    if len(entries) == 1:
        return _Made(Copy(slots[0], _WAYS.get(entries[0].kind, "QUOTED"), _BRACKETS), listed)
    write = _writer(lambda values: function(*values))
    return _Made(Copy(0, rule.convert.way, convert=write, slots=slots), listed)


def _writer(function: Callable[[Any], Any]) -> Callable[[Any], bytes | None]:
    def write(value: Any) -> bytes | None:
        result = function(value)
        return None if result is None else orjson.dumps(result)

    return write
