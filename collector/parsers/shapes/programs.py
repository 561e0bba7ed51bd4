"""Programs: what is left of a shape, as the kernel runs it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.parsers.shapes.codes import Argument, Kind, Way
from collector.parsers.shapes.compiled import IS_THERE
from collector.parsers.shapes.fields import Constant, Copy, Leaf, leaves

if IS_THERE:
    from collector.parsers.shapes import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.parsers.base import Event
    from collector.parsers.shapes.evaluation import Evaluated
    from collector.parsers.shapes.fields import Field
    from collector.parsers.shapes.operations import Operation
    from collector.parsers.shapes.outline import Outline, Path, Step

_IDENTITY_OCTETS: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Stands for a value of an event."""

    path: Path


def layout_of(event: Event, fields: dict[Path, Field]) -> dict[str, Any]:
    """Return an event with a `Place` for each value that is not the same in all of its shape."""
    return _emptied(event, fields, ())


def _emptied(event: Event, fields: dict[Path, Field], above: Path) -> dict[str, Any]:
    emptied: dict[str, Any] = {}
    for name, value in event.items():
        path = (*above, name)
        if isinstance(value, dict):
            emptied[name] = _emptied(value, fields, path)
        else:
            field = fields[path]
            emptied[name] = field.value if isinstance(field, Constant) else Place(path)
            if isinstance(emptied[name], list):
                emptied[name] = [*emptied[name]]
    return emptied


def program_of(
    outline: Outline, evaluated: Evaluated, layout: dict[str, Any], added: Sequence[Any]
) -> kernel.Program:
    """Return the program that writes the events of a shape.

    Args:
        outline: the sample, taken apart.
        evaluated: what is left of the table.
        layout: made by `layout_of`; whatever was added to it, or has replaced a place, is the same
            in all events.
        added: but for these objects, each of which stands for a part of the envelope.
    """
    placed = {value.path for _, value in leaves(layout) if isinstance(value, Place)}
    replaced = evaluated.checks.keys() - placed
    operations = [*evaluated.operations, *(evaluated.checks[path] for path in replaced)]
    return kernel.Program(
        [step.kind for step in outline.steps],
        _operations(operations, outline.steps),
        _Writer(outline, evaluated.fields, added).pieces(layout),
    )


def _operations(operations: Sequence[Operation], steps: Sequence[Step]) -> list[kernel.Operation]:
    """Return operations as the kernel has them."""
    identities: list[bytes] = []
    for operation in operations:
        identities.append(_identity(operation, operations, identities, steps))
    return [
        kernel.Operation(
            operation.function,
            [tuple(map(int, argument)) for argument in operation.arguments],
            operation.slots,
            identity,
        )
        for operation, identity in zip(operations, identities, strict=True)
    ]


def _identity(
    operation: Operation,
    operations: Sequence[Operation],
    identities: Sequence[bytes],
    steps: Sequence[Step],
) -> bytes:
    """Return what the result of an operation follows from besides the octets of its slots.

    That is the function, and what the octets mean to it: of what kind they are, which argument is
    made of which of them, and what stands between them.

    Args:
        operation: the operation.
        operations: it and those whose results it takes.
        identities: of these.
        steps: of the outline.
    """
    place = {slot: number for number, slot in enumerate(operation.slots)}
    arguments: list[Any] = []
    for way, *where in operation.arguments:
        if way == Argument.RESULT:
            taken = [place[slot] for slot in operations[where[0]].slots]
            arguments.append((identities[where[0]], taken))
        else:
            # Of a span, the octets up to its end, but not those before its beginning.
            slots = [*where] if way == Argument.SLOT else range(where[0] + 1, where[1] + 1)
            between = [steps[slot].literal for slot in slots] if way == Argument.SPAN else []
            arguments.append((between, [(int(steps[s].kind), place.get(s)) for s in slots]))
    described = repr((operation.function, arguments)).encode()
    return blake2b(described, digest_size=_IDENTITY_OCTETS).digest()


class _Writer:
    """Writes a layout as pieces: constant octets, each with the value behind them."""

    def __init__(self, outline: Outline, fields: dict[Path, Field], added: Sequence[Any]) -> None:
        self._outline = outline
        self._fields = fields
        self._added = added
        self._literal = b""
        self._pieces: list[kernel.Piece] = []

    def pieces(self, layout: dict[str, Any]) -> list[kernel.Piece]:
        self._write(layout)
        self._value(Way.CONSTANT)
        return self._pieces

    def _write(self, what: Any) -> None:
        for number, added in enumerate(self._added):
            if what is added:
                self._value(Way.ENVELOPE, number)
                return
        if isinstance(what, Place):
            self._field(self._fields[what.path])
        elif isinstance(what, dict):
            self._object(what)
        else:
            self._literal += orjson.dumps(what)

    def _object(self, what: dict[str, Any]) -> None:
        self._literal += b"{"
        for number, (name, value) in enumerate(what.items()):
            self._literal += (b"," if number else b"") + orjson.dumps(name) + b":"
            self._write(value)
        self._literal += b"}"

    def _field(self, field: Field) -> None:
        if isinstance(field, Leaf):
            self._value(Way.LEAF, field.operation, field.index)
        elif isinstance(field, Copy):
            before, behind = field.around
            self._literal += before
            self._value(field.way, field.slot, 0, field.convert, field.slots)
            self._literal += behind
        else:
            self._literal += b'"'
            for slot, step in enumerate(self._outline.steps):
                self._literal += _escaped(step.literal)
                if step.kind not in {Kind.MARK, Kind.END}:
                    self._value(Way.RAW, slot)
            self._literal += b'"'

    def _value(self, way: Way, *where: Any) -> None:
        self._pieces.append(kernel.Piece(self._literal, way, *where))
        self._literal = b""


def _escaped(octets: bytes) -> bytes:
    """Return octets as the inside of a JSON string."""
    return orjson.dumps(octets.decode())[1:-1]
