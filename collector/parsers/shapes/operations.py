"""What is left to compute for each message of a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.octets import fitted
from collector.parsers.convert import collected
from collector.parsers.paths import FIRST, first
from collector.parsers.shapes.codes import Argument
from collector.parsers.shapes.fields import leaves
from collector.parsers.shapes.outline import Source, UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.parsers.shapes.outline import Path

MESSAGE_TEXT: Final = Source(object(), (-1,))
"""What a rule finds that reads the text of the message in the event."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is computed for each message of the shape.

    Attributes:
        function: what computes it, see `kernel.Operation`.
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
            return result, *(fitted(orjson.dumps(leaf)) for _, leaf in leaves(result))
        return result, fitted(orjson.dumps(result))


def _outcome(result: Any) -> tuple[Any, ...]:
    """Return what of a result decides the form of an event.

    That is whether there is one, or which fields it has; of tests, which ones are passed.
    """
    if isinstance(result, tuple):
        return result
    if isinstance(result, dict):
        return tuple(path for path, _ in leaves(result))
    return (None,) if result is None else ("value",)


@dataclass(frozen=True, slots=True)
class Tests:
    """Several tests of one value, each of which returns something where it is passed."""

    tests: tuple[Callable[[Any], Any], ...]

    def __call__(self, value: Any) -> tuple[bool, ...]:
        """Return which ones are passed."""
        return tuple(test(value) is not None for test in self.tests)


@dataclass(frozen=True, slots=True)
class Walk:
    """Goes down by names; where there is nothing, None."""

    names: Path

    def __call__(self, value: Any) -> Any:
        """Return what is there."""
        for name in self.names:
            if name == FIRST:
                value = first(value)
            else:
                value = value.get(name) if isinstance(value, dict) else None
        return value


class Operations:
    """The operations of a shape.

    Attributes:
        in_order: as they are to run.
    """

    def __init__(self) -> None:
        self.in_order: list[Operation] = []

    def add(self, function: Callable[..., Any], sources: Sequence[Source]) -> tuple[int, Any]:
        """Have something computed for each message; return its number and the sample's result."""
        operation, result = self.make(function, sources)
        if operation not in self.in_order:
            self.in_order.append(operation)
        return self.in_order.index(operation), result

    def make(
        self, function: Callable[..., Any], sources: Sequence[Source]
    ) -> tuple[Operation, Any]:
        """Return a function of sources as an operation, with the sample's result."""
        result = function(*(source.value for source in sources))
        sources = [self._listed(source) if source.entries else source for source in sources]
        inputs = tuple(
            (False, source.through) if source.slots else (True, source.value) for source in sources
        )
        moving = [source for source in sources if source.slots]
        if MESSAGE_TEXT in sources:
            raise UnfitError("a rule reads the text of the message again")
        operation = Operation(
            Computation(function, inputs, _outcome(result)),
            tuple(source.argument for source in moving if source.argument is not None),
            tuple(sorted({slot for source in moving for slot in source.slots})),
        )
        return operation, result

    def result(self, number: int, value: Any, path: Path = ()) -> Source:
        """Return what an operation has made, or a field of it, for the rules that read it."""
        through = (Walk(path),) if path else ()
        slots = self.in_order[number].slots
        return Source(value, slots, (Argument.RESULT, number), through)

    def _listed(self, source: Source) -> Source:
        """Have a list of texts computed for those who take it."""
        number, _ = self.add(collected.function, source.entries)
        return self.result(number, source.value)
