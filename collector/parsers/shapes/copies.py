"""Fields that the kernel writes by itself: texts, numbers, dates and lists straight from slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.parsers.convert import boolean, collected, distinct, ip, keyword, long, number
from collector.parsers.shapes.codes import MAX_ENTRIES, Kind, Way
from collector.parsers.shapes.fields import Copy, Made
from collector.parsers.shapes.outline import SCALARS, TEXTS, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.parsers.convert import Conversion

LISTS: Final = (collected, distinct)
"""Conversions that `list_of` is asked about, `copy_of` about all others."""

_WAYS: Final[Mapping[Kind | None, Way]] = {
    Kind.FIELD: Way.UNESCAPED,
    Kind.FIELD_AS_IS: Way.RAW,
    Kind.REST: Way.RAW,
}
"""How the inside of a text is written, where it is not JSON already."""

_QUOTES: Final = b'"', b'"'
_BRACKETS: Final = b'["', b'"]'


def copy_of(convert: Conversion, source: Source) -> Made | None:
    """Return how the kernel writes a conversion of a slot; None where it cannot."""
    if convert.joint or source.through or source.kind not in SCALARS:
        return None
    kind, slot = source.kind, source.slots[0]
    if convert is keyword:
        return text_of(source)
    made = source.then(convert.function)
    if (kind is Kind.INTEGER and convert in {long, number}) or (
        kind is Kind.BOOLEAN and convert is boolean
    ):
        return Made(Copy(slot, Way.BARE), made)
    if kind not in TEXTS or convert.way is None or made.value is None:
        return None
    # An address is the text itself, once it is known to be one.
    copy = Copy(slot, convert.way, convert=_writer(convert.function))
    return Made(copy, source if convert is ip else made)


def text_of(source: Source) -> Made:
    """Return how the kernel writes a slot as a text."""
    text = source if source.kind in TEXTS else source.then(keyword.function)
    return Made(Copy(source.slots[0], _way_of(source), _QUOTES), text)


def list_of(convert: Conversion, sources: Sequence[Source]) -> Made | None:
    """Return how the kernel writes a list of texts; None where it cannot."""
    entries: list[Source] = []
    for source in sources:
        if source.entries:
            entries += source.entries
        elif source.kind in TEXTS and not source.through:
            entries.append(source)
        elif not source.is_nothing:
            return None
    if not 0 < len(entries) <= MAX_ENTRIES or convert.way is None:
        return None
    slots = tuple(source.slots[0] for source in entries)
    function = convert.function
    listed = Source(function(*(source.value for source in entries)), slots, entries=tuple(entries))
    if len(entries) == 1:
        return Made(Copy(slots[0], _way_of(entries[0]), _BRACKETS), listed)
    write = _writer(lambda values: function(*values))
    return Made(Copy(0, convert.way, convert=write, slots=slots), listed)


def _way_of(source: Source) -> Way:
    return _WAYS.get(source.kind, Way.QUOTED)


def _writer(function: Callable[[Any], Any]) -> Callable[[Any], bytes | None]:
    def write(value: Any) -> bytes | None:
        result = function(value)
        return None if result is None else orjson.dumps(result)

    return write
