"""A rule table for one shape: what of it is known beforehand, and what is left to compute.

Which fields an event has, and in which order, follows from which rules yield something. That in
turn follows from what is there (the outline), from what conditions compare (`decisions`: values
that are fixed, or tests that are made again), and from whether conversions yield something (looked
at again where they may not). So all messages that fit an outline, pass the tests and yield as the
sample did have events of one form: that of the sample, with other values. Most of these the kernel
writes from the message as they stand there (`copies`); the rest is computed (`operations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from collector.parsers.convert import keyword
from collector.parsers.mapping import WHOLE_INPUT
from collector.parsers.paths import FIRST, steps
from collector.parsers.shapes.codes import Kind
from collector.parsers.shapes.copies import LISTS, copy_of, list_of, text_of
from collector.parsers.shapes.decisions import Decisions
from collector.parsers.shapes.fields import Constant, Copy, Leaf, Made, TextCopy, leaves
from collector.parsers.shapes.operations import MESSAGE_TEXT, Operations, Walk
from collector.parsers.shapes.outline import (
    ABSENT,
    NOWHERE,
    SCALARS,
    Outline,
    Source,
    UnfitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collector.parsers.base import Profile
    from collector.parsers.mapping import Rule, Table
    from collector.parsers.shapes.fields import Field
    from collector.parsers.shapes.operations import Operation
    from collector.parsers.shapes.outline import Path

_NULL: Final = Source(None)
"""What a joint conversion gets for a source that is not there."""


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


class _Evaluation:
    def __init__(
        self, table: Table, profile: Profile, outline: Outline, families: Iterable[str]
    ) -> None:
        self._rules = table.rows(profile)
        self._inferred = table.inferred_rows(profile)
        self._flat = table.flat
        self._given = outline.sources
        self._made: dict[Path, Made] = {}
        self._operations = Operations()
        self._decisions = Decisions(families)
        self._uncertain: list[tuple[Copy, Source, Rule]] = []

    def run(self) -> Evaluated:
        for rule in self._rules:
            if self._decisions.holds(rule.when, self._input):
                self._apply(rule, self._input, inferred=False)
        for rule in self._inferred:
            if self._decisions.holds(rule.when, self._output):
                self._apply(rule, self._output, inferred=True)
        fields = {path: made.field for path, made in self._made.items()}
        checks = self._checks(fields)
        for tests, source in self._decisions.tests():
            self._operations.add(tests, [source])
        return Evaluated(fields, self._operations.in_order, self._decisions.fixed, checks)

    def _checks(self, fields: dict[Path, Field]) -> dict[Path, Operation]:
        """See to it that the conversions of copies yield something; return `Evaluated.checks`."""
        written = {id(field): path for path, field in fields.items()}
        checks: dict[Path, Operation] = {}
        for copy, source, rule in self._uncertain:
            if id(copy) in written:
                checks[written[id(copy)]], _ = self._operations.make(
                    rule.convert.function, [source]
                )
            else:  # another rule has replaced the field, whose place it has
                self._operations.add(rule.convert.function, [source])
        return checks

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
            return above.then(Walk(names))
        self._decisions.repeat(_as_object, above)  # in another message it may be one
        return NOWHERE

    def _output(self, name: str) -> Source:
        path = tuple(name.split("."))
        made = self._made.get(path)
        if made is not None:
            return made.source
        if any(other[: len(path)] == path for other in self._made):
            raise UnfitError(f"a rule reads the object {name}")
        return NOWHERE

    # Rules.

    def _apply(self, rule: Rule, find: Callable[[str], Source], *, inferred: bool) -> None:
        target = tuple(rule.target.removesuffix(".*").split("."))
        if rule.constant is not None:
            constant = rule.constant if isinstance(rule.constant, str) else [*rule.constant]
            self._made[target] = Made(Constant(constant), Source(constant))
        elif rule.source == WHOLE_INPUT:
            self._made[target] = Made(TextCopy(), MESSAGE_TEXT)
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
        if not rule.convert.joint and sources[0].is_nothing:
            return
        sources = [_NULL if source.value is ABSENT else source for source in sources]
        made = self._known(rule, sources)
        if made is not None:
            self._made[target] = made
        elif _may_yield(rule, sources) and not self._set_by_name(rule, target, sources[0]):
            self._merge(target, self._left(rule, sources), inferred=inferred)

    def _known(self, rule: Rule, sources: Sequence[Source]) -> Made | None:
        """Return the field that needs no operation; None if there is no such field."""
        if not any(source.slots for source in sources):
            result = rule.convert.function(*(source.value for source in sources))
            if rule.merges and result is not None:
                raise UnfitError("several fields that are the same in all messages")
            return None if result is None else Made(Constant(result), Source(result))
        if rule.convert in LISTS:
            return list_of(rule.convert, sources)
        made = copy_of(rule.convert, sources[0])
        if made is not None and isinstance(made.field, Copy) and made.field.convert is not None:
            self._uncertain.append((made.field, sources[0], rule))
        return made

    def _left(self, rule: Rule, sources: Sequence[Source]) -> dict[Path, Made]:
        """Have a conversion run for each message; return the fields it yields, by name."""
        number, result = self._operations.add(rule.convert.function, sources)
        if result is None:
            return {}
        if not rule.merges:
            return {(): Made(Leaf(number, 1), self._operations.result(number, result))}
        return {
            path: Made(Leaf(number, index), self._operations.result(number, value, path))
            for index, (path, value) in enumerate(leaves(result), 1)
        }

    def _merge(self, target: Path, fields: dict[Path, Made], *, inferred: bool) -> None:
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
        fields: dict[Path, Made] = {(name,): text_of(marks[mark]) for name, mark in found.items()}
        self._merge(target, fields, inferred=False)
        return True

    def _entries(self, source: Source) -> dict[str, Source]:
        """Return where the entries of an object come from that say something.

        Returns:
            The sources by name; nothing if there is one that is no text and no number.
        """
        places = [path for path, given in self._given.items() if given is source]
        if not places or not source.is_object:
            return {}
        entries = {}
        for name in source.value:
            entry = self._given.get((*places[0], name), NOWHERE)
            if entry.kind in SCALARS:
                entries[name] = entry
            elif entry.slots or entry.value not in (None, "", {}):
                return {}
        return entries


def _as_object(value: Any) -> Any:
    return value if isinstance(value, dict) else None


def _may_yield(rule: Rule, sources: Sequence[Source]) -> bool:
    """Say whether something may come of it that is not known: of no source nothing comes."""
    if not any(source.slots for source in sources):
        return False
    # An object is no keyword, whatever is in it.
    return not (rule.convert is keyword and sources[0].is_object)
