"""What becomes of one message: each field of its event with where it comes from.

It is told by the function that maps the message (`compile_tracer`), not worked out from the table
a second time. The explanation can be written as JSON as it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from collector.describe.fields import Origin
from collector.parsers import Event, Profile, Vendor, add_tags
from collector.parsers.compiler import Row, compile_tracer
from collector.parsers.mapping import Rule
from collector.parsers.paths import parents

_MAX_DEPTH: Final = 16  # levels of a source that are looked at; tables read six at most
_DEEPER: Final = "…"  # stands for what is nested deeper


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field of the message, or of the event for inferred fields, with its value."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class ExplainedField:
    """A field of the event.

    Attributes:
        name: dotted.
        value: what the event holds.
        sources: what it was made of; empty for a constant.
        origin: what was done, and the condition that held.
    """

    name: str
    value: Any
    sources: tuple[SourceField, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class UnmappedField:
    """A field of the message that no field of the event was made of.

    Attributes:
        name: dotted path, with the numbers of list entries.
        value: its value; what is nested deeper than 16 levels is cut off.
        reason: why, in a few words.
    """

    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a message.

    Attributes:
        event: the event, as the parser makes it.
        fields: every field of it; the repairs, which are among its ``tags``, apart.
        unmapped: the fields of the message that are in none of them.
        empty: names of fields that were there and had no value.
        repairs: tags that say what it took to read the message.
    """

    event: Event
    fields: tuple[ExplainedField, ...]
    unmapped: tuple[UnmappedField, ...]
    empty: tuple[str, ...]
    repairs: tuple[str, ...]


def explain(
    vendor: Vendor, profile: Profile, raw: str, repaired: Sequence[str] = ()
) -> Explanation:
    """Explain one message; see `Explainer` for many.

    Args:
        vendor: whose message.
        profile: the shape of the event.
        raw: the text of the message.
        repaired: tags that say what it took to read the text.

    Raises:
        ParseError: the message is not what the vendor's parser reads.
    """
    return Explainer(vendor, profile).explain(raw, repaired)


class Explainer:
    """Explains the messages of a vendor.

    Args:
        vendor: whose messages.
        profile: the shape of the events.
    """

    def __init__(self, vendor: Vendor, profile: Profile) -> None:
        self._vendor = vendor
        self._trace = compile_tracer(vendor.table, profile)
        self._rows = vendor.table.rows(profile)

    def explain(self, raw: str, repaired: Sequence[str] = ()) -> Explanation:
        """Parse a message and say where each field comes from.

        Args:
            raw: the text of the message.
            repaired: tags that say what it took to read the text.

        Raises:
            ParseError: the message is not what the vendor's parser reads.
        """
        text, fields, tags = self._vendor.decode(raw)
        record = _Record()
        event = self._trace(text, fields, record.note)
        explained = tuple(record.explained(event))
        repairs = tuple(dict.fromkeys((*tags, *repaired)))
        if repairs:
            add_tags(event, repairs)
        used = {
            source.name
            for field in explained
            if field.origin.kind == "source"
            for source in field.sources
        }
        empty: list[str] = []
        rest = _Rest(used, self._rows, empty)
        unmapped = rest.of_flat(fields) if self._vendor.table.flat else rest.of_object(fields)
        return Explanation(event, explained, tuple(unmapped), tuple(empty), repairs)


class _Record:
    """Keeps by which row each field of an event was set, and from what."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[SourceField, ...], Origin]] = {}

    def note(self, row: Row, read: dict[str, Any], value: Any) -> None:
        """Take down what a row does; see `compiler.Note`."""
        rule, inferred = row
        sources = tuple(
            SourceField(name, _bounded(found)) for name, found in read.items() if found is not None
        )
        made = sources, Origin.of(rule, inferred=inferred)
        if not rule.merges:
            self._made[rule.target] = made
            return
        for key in value:
            name = f"{rule.target.removesuffix('*')}{key}"
            if not (inferred and name in self._made):  # what is there stays
                self._made[name] = made

    def explained(self, event: Event) -> Iterator[ExplainedField]:
        """Yield the fields of the event with who made them, in the order they were set in."""
        leaves: dict[str, list[tuple[str, Any]]] = {place: [] for place in self._made}
        for name, value in _leaves(event):
            place = next(place for place in (name, *parents(name)) if place in leaves)
            leaves[place].append((name, value))
        for place, (sources, origin) in self._made.items():
            for name, value in leaves[place]:
                yield ExplainedField(name, value, sources, origin)


def _leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


class _Rest:
    """Finds the fields of a message that were not used, and says why.

    Args:
        used: the sources of the event's fields.
        rows: the rows that read messages.
        empty: is filled with the names of fields without value.
    """

    def __init__(self, used: set[str], rows: Iterable[Rule], empty: list[str]) -> None:
        self._used = used
        self._empty = empty
        self._targets: dict[str, dict[str, None]] = {}
        self._deciding: set[str] = set()
        for rule in rows:
            self._deciding.update(rule.when.paths if rule.when else ())
            for source in rule.sources:
                self._targets.setdefault(source, {})[rule.target] = None

    def of_flat(self, fields: dict[str, Any]) -> Iterator[UnmappedField]:
        """Yield the unmapped fields of a message whose field names are no paths."""
        for name, value in fields.items():
            if name not in self._used:
                yield UnmappedField(name, value, self._reason(name) or "no rule reads it")

    def of_object(
        self, value: Any, name: str = "", reason: str = "", depth: int = 0
    ) -> Iterator[UnmappedField]:
        """Yield the unmapped fields in a value of a JSON message.

        Args:
            value: what to look into.
            name: its path.
            reason: why what holds it is unmapped, if a rule is about that.
            depth: how deep it is nested.
        """
        if name in self._used:
            return
        reason = self._reason(name) or reason
        if value is None or value in ("", [], {}):
            if depth:  # the message itself has no name
                self._empty.append(name)
        elif depth < _MAX_DEPTH and isinstance(value, dict):
            for key, inner in value.items():
                path = f"{name}.{key}" if name else key
                yield from self.of_object(inner, path, reason, depth + 1)
        elif depth < _MAX_DEPTH and isinstance(value, list) and isinstance(value[0], dict):
            for index, inner in enumerate(value):
                yield from self.of_object(inner, f"{name}[{index}]", reason, depth + 1)
        else:
            yield UnmappedField(name, _bounded(value), reason or "no rule reads it")

    def _reason(self, name: str) -> str:
        if name in self._targets:
            return f"not used here; may become {', '.join(self._targets[name])}"
        return "decides which rules apply" if name in self._deciding else ""


def _bounded(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """Cut off what is nested too deep to be shown."""
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        return _DEEPER
    if isinstance(value, list):
        return [_bounded(inner, depth - 1) for inner in value]
    return {key: _bounded(inner, depth - 1) for key, inner in value.items()}
