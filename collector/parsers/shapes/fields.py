"""Where the fields of a shape's events come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from collector.parsers.shapes.codes import Way
    from collector.parsers.shapes.outline import Path, Source


@dataclass(frozen=True, slots=True)
class Constant:
    """A field that all events of the shape have alike."""

    value: Any


@dataclass(frozen=True, slots=True)
class Copy:
    """A field that the kernel writes from a slot.

    Attributes:
        slot: which.
        way: how.
        around: what is to stand before and behind what it writes.
        convert: writes the value where the quick way does not know it.
        slots: which, where it writes a list of several.
    """

    slot: int
    way: Way
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


@dataclass(slots=True)
class Made:
    """A field as it stands: where it comes from, and what it is for the rules that read it."""

    field: Field
    source: Source


def leaves(nested: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the fields of an object and those of the objects in it, with the names on the way."""
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value
