"""Conditions, decided once for all messages of a shape.

How a condition turns out for the sample, it is to turn out for every message of the shape: either
the value that it asks for belongs to the shape, or it is tested again in each message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.parsers.conditions import NAMESPACE
from collector.parsers.shapes.codes import Kind
from collector.parsers.shapes.operations import Tests
from collector.parsers.shapes.outline import ABSENT, SCALARS, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collector.parsers.conditions import Condition

    Find = Callable[[str], Source]
    """Finds what stands at a path."""

    Test = Callable[[Any], Any]
    """Takes a value and returns something where it passes, else None."""


class Decisions:
    """What was decided for a shape.

    Args:
        families: fields of few values, which belong to the shape where a condition asks for them.

    Attributes:
        fixed: the slots whose values belong to the shape.
    """

    def __init__(self, families: Iterable[str]) -> None:
        self._families = frozenset(families)
        self.fixed: set[int] = set()
        self._tests: dict[tuple[Any, ...], tuple[Source, dict[Test, None]]] = {}

    def holds(self, when: Condition | None, find: Find) -> bool:
        """Decide a condition, and see to it that it is decided alike for all of the shape."""
        if when is None:
            return True
        if not when.parts:
            return self._decide(when, find)
        if when.joined_by == "and":
            return all(self.holds(part, find) for part in when.parts)
        return any(self.holds(part, find) for part in when.parts)

    def _decide(self, when: Condition, find: Find) -> bool:
        source = find(when.paths[0])
        test, absent = _test_of(when)
        holds = test(absent if source.value is ABSENT else source.value) is not None
        is_plain = not source.through and source.kind is not Kind.VALUE
        if not source.slots or (when.by == "presence" and is_plain):
            return holds
        is_one_of_few = when.paths[0] in self._families or holds == bool(when.compared)
        if when.by == "value" and is_plain and source.kind in SCALARS and is_one_of_few:
            self.fixed.update(source.slots)
        else:
            self.repeat(test, source)
        return holds

    def repeat(self, test: Test, source: Source) -> None:
        """Have a test made again for each message, which is to turn out as it did here."""
        place = (source.argument, source.through, source.entries)
        self._tests.setdefault(place, (source, {}))[1][test] = None

    def tests(self) -> Iterator[tuple[Tests, Source]]:
        """Yield what is to be tested in each message: of a value that is fixed, nothing."""
        for source, tests in self._tests.values():
            if not self.fixed.issuperset(source.slots):
                yield Tests(tuple(tests)), source


_BY_TEXT: dict[str, tuple[Test, Any]] = {}


def _test_of(when: Condition) -> tuple[Test, Any]:
    """Return a condition without parts as a test of its field, and the value of no field."""
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
