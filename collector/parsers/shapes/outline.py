"""Outlines: what a message has in common with all others of its shape.

An outline is a list of steps. Each is octets that stand in all of them, and then a value, whose
octets differ from one to the next within its kind. Reading a message along an outline is what the
kernel does; here outlines are made of samples, once for each shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from collector.parsers.shapes.codes import MAX_STEPS, Argument, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

Path = tuple[str, ...]
"""Where a value stands: the names on the way to it."""


TEXTS: Final = frozenset({Kind.TEXT, Kind.FIELD, Kind.FIELD_AS_IS, Kind.REST})
SCALARS: Final = TEXTS | {Kind.INTEGER, Kind.BOOLEAN}


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

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing in any message of the shape."""
        return not self.slots and (self.value is ABSENT or self.value is None)

    @property
    def is_object(self) -> bool:
        """Whether it is an object in all messages of the shape, whose entries have sources."""
        return isinstance(self.value, dict) and self.kind is not Kind.VALUE and not self.through

    def then(self, function: Callable[[Any], Any]) -> Source:
        """Return what becomes of the value in a function."""
        made = function(self.value)
        if not self.slots:
            return Source(made)
        return Source(made, self.slots, self.argument, (*self.through, function))


ABSENT: Final[Any] = type("Absent", (), {"__slots__": (), "__repr__": lambda _: "ABSENT"})()
"""The value of what is not there."""

NOWHERE: Final = Source(ABSENT)
"""The source of what is in no message of the shape."""


@dataclass(slots=True)
class Outline:
    """A sample taken apart.

    Attributes:
        steps: what it is made of, in order; the last is an `END`.
        sources: its values, by where they stand.
    """

    steps: list[Step] = field(default_factory=list)
    sources: dict[Path, Source] = field(default_factory=dict)

    def add(self, literal: bytes, kind: Kind, octets: bytes = b"", *, fixed: bool = False) -> int:
        """Add a step; return its number."""
        if len(self.steps) >= MAX_STEPS:
            raise UnfitError("too many values")
        self.steps.append(Step(literal, kind, octets, fixed))
        return len(self.steps) - 1

    def add_value(self, path: Path, value: Any, literal: bytes, kind: Kind, octets: bytes) -> None:
        """Add a step whose value stands at a path; `value` is what rules read there."""
        slot = self.add(literal, kind, octets)
        self.sources[path] = Source(value, (slot,), (Argument.SLOT, slot), kind=kind)
