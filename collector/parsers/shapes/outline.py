"""Outlines: what a message has in common with all others of its shape.

An outline is a list of steps. Each is octets that stand in all of them, and then a value, whose
octets differ from one to the next within its kind. Reading a message along an outline is what the
kernel does; here outlines are made of samples, once for each shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STEPS: Final = 400
"""Steps of an outline; messages with more are read the general way."""


class Kind(IntEnum):
    """What the octets of a value may be; the numbers are the kernel's."""

    TEXT = 0
    """The inside of a JSON string, not empty."""
    INTEGER = 1
    """A JSON number of at most 18 digits and nothing else."""
    BOOLEAN = 2
    VALUE = 3
    """Any JSON value."""
    FIELD = 4
    """A CEF value that says something."""
    MARK = 5
    """No octets: a place."""
    END = 6
    FIELD_AS_IS = 7
    """A `FIELD` whose escapes belong to it."""
    REST = 8
    """All that is left of a message, if there is anything."""


class Argument(IntEnum):
    """Where the kernel finds what an operation takes; the numbers are its own."""

    SLOT = 0
    SPAN = 1
    """From one `MARK` to another."""
    RESULT = 2
    """Of an operation before."""


class UnfitError(Exception):
    """A message that no shape is made of; the text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """Octets that all messages of a shape have, and a value.

    Attributes:
        literal: the octets.
        kind: of the value.
        octets: the value in the sample.
        fixed: whether all messages of the shape have the same value.
    """

    literal: bytes
    kind: Kind
    octets: bytes = b""
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from.

    Attributes:
        value: what it is in the sample; `ABSENT` where there is none.
        slots: the steps it follows from; none for what is the same in all messages.
        argument: how the kernel finds it; None for what is the same in all messages.
        through: functions that it then goes through, the first one first.
        kind: of the slot, where it is the value of one as it stands.
        entries: of a list of texts, where they come from.
    """

    value: Any
    slots: tuple[int, ...] = ()
    argument: tuple[int, ...] | None = None
    through: tuple[Callable[[Any], Any], ...] = ()
    kind: Kind | None = None
    entries: tuple[Source, ...] = ()

    def then(self, function: Callable[[Any], Any]) -> Source:
        """Return what becomes of the value in a function."""
        made = function(self.value)
        if not self.slots:
            return Source(made)
        return Source(made, self.slots, self.argument, (*self.through, function))


ABSENT: Final[Any] = type("Absent", (), {"__slots__": (), "__repr__": lambda _: "ABSENT"})()
"""The value of what is not there."""

NOWHERE: Final = Source(ABSENT)


@dataclass(slots=True)
class Outline:
    """A sample taken apart.

    Attributes:
        steps: what it is made of, in order; the last is an `END`.
        sources: its values, by where they stand: a tuple of names.
    """

    steps: list[Step] = field(default_factory=list)
    sources: dict[tuple[str, ...], Source] = field(default_factory=dict)

    def add(self, literal: bytes, kind: Kind, octets: bytes = b"", *, fixed: bool = False) -> int:
        """Add a step; return its number."""
        if len(self.steps) >= MAX_STEPS:
            raise UnfitError("too many values")
        self.steps.append(Step(literal, kind, octets, fixed))
        return len(self.steps) - 1

    def add_value(
        self, path: tuple[str, ...], value: Any, literal: bytes, kind: Kind, octets: bytes
    ) -> None:
        """Add a step whose value stands at a path; `value` is what rules read there."""
        slot = self.add(literal, kind, octets)
        self.sources[path] = Source(value, (slot,), (Argument.SLOT, slot), kind=kind)
