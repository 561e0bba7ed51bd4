"""The fields an event can hold: of which type, from where, and when.

The list comes from the rule tables themselves, row by row as they run, so it cannot lag behind
them. What the collector adds to every event is in it too, see `COLLECTOR_FIELDS`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from collector.describe.deviations import ECS_TYPES, deviation
from collector.events import envelope
from collector.parsers import Profile, Vendor
from collector.parsers.convert import Conversion, keyword
from collector.parsers.mapping import Rule


@dataclass(frozen=True, slots=True)
class Origin:
    """One way in which a field comes about.

    Attributes:
        kind: ``source``, read from the message; ``constant``, a value of the table; ``inferred``,
            read from fields of the event; ``collector``, added by the daemon.
        sources: what is read: source fields, or fields of the event if inferred.
        conversion: what is done to it in words; empty where it is copied.
        joint: all the sources are used together; otherwise the first that yields a value.
        value: the value itself, where nothing is read.
        conditions: any of them is enough; none where there is no condition.
    """

    kind: Literal["source", "constant", "inferred", "collector"]
    sources: tuple[str, ...] = ()
    conversion: str = ""
    joint: bool = False
    value: str | tuple[str, ...] | None = None
    conditions: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Rule, *, inferred: bool) -> "Origin":
        """Describe what a row of a table does."""
        constant = rule.constant is not None
        return cls(
            kind="inferred" if inferred else "constant" if constant else "source",
            sources=rule.sources,
            conversion="" if constant else in_words(rule.convert),
            joint=rule.convert.joint,
            value=rule.constant,
            conditions=() if rule.when is None else (str(rule.when),),
        )

    @property
    def how(self) -> str:
        """Say what is done, without the sources and the conditions."""
        if self.kind == "inferred":
            return f"inferred, {self.conversion}" if self.conversion else "inferred"
        if self.kind == "constant":
            return "constant"
        return self.conversion or "copied"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that an event can hold.

    Attributes:
        name: dotted; it ends in ``.*`` where the message decides on the last part.
        type: the ECS type; ``array of`` before that of the entries; `` or `` between two.
        origins: where it comes from, in the order in which the rows first run. A later row that
            yields a value wins, but for inferred ones where their condition says so.
        deviation: why it is not as ECS has it; None if it is.
    """

    name: str
    type: str
    origins: tuple[Origin, ...]
    deviation: str | None = None


def in_words(conversion: Conversion) -> str:
    """Name what a conversion does; nothing for a plain copy."""
    if conversion is keyword:
        return ""
    name = conversion.function.__name__.strip("_").replace("_", " ")
    return f"as {name}" if name == conversion.field_type else name


def _collector_fields() -> Iterator[tuple[str, str, Origin]]:
    for fields in (envelope.ALWAYS, *envelope.FIELDS.values()):
        for name, (field_type, what, condition) in fields.items():
            conditions = (condition,) if condition else ()
            yield name, field_type, Origin("collector", conversion=what, conditions=conditions)


COLLECTOR_FIELDS: Final = tuple(_collector_fields())
"""What the collector adds to events of every parser: name, type and origin."""


def list_fields(vendor: Vendor, profile: Profile) -> tuple[Field, ...]:
    """List every field of a vendor's events, by name.

    Args:
        vendor: whose events.
        profile: their shape.
    """
    found: dict[str, list[tuple[str, Origin]]] = {}
    table = vendor.table
    rows = [(rule, False) for rule in _effective(table.rows(profile))]
    rows += [(rule, True) for rule in table.inferred_rows(profile)]
    for rule, inferred in rows:
        origin = Origin.of(rule, inferred=inferred)
        for name, field_type in rule.fields.items():
            found.setdefault(name, []).append((field_type, origin))
    for name, field_type, origin in COLLECTOR_FIELDS:
        found.setdefault(name, []).append((field_type, origin))
    return tuple(_field(name, found[name]) for name in sorted(found))


def _effective(rows: Iterable[Rule]) -> Iterator[Rule]:
    """Leave out rows whose value a later constant always replaces.

    In profile ``documented`` these are the lists that the texts of the documentation stand for.
    """
    constants: dict[str, list[Rule]] = {}
    kept = []
    for rule in reversed([*rows]):
        later = constants.setdefault(rule.target, [])
        if not any(_covers(constant, rule) for constant in later):
            kept.append(rule)
        if rule.constant is not None:
            later.append(rule)
    yield from reversed(kept)


def _covers(constant: Rule, rule: Rule) -> bool:
    """Tell whether a rule's condition holds only where that of a constant does."""
    if constant.when is None or constant.when == rule.when:
        return True
    return rule.when in constant.when.alternatives


def _field(name: str, entries: list[tuple[str, Origin]]) -> Field:
    types = dict.fromkeys(field_type for field_type, _ in entries)
    return Field(
        name,
        ECS_TYPES.get(name) or " or ".join(types),
        tuple(_merged(origin for _, origin in entries)),
        deviation(name, types),
    )


def _merged(origins: Iterable[Origin]) -> Iterator[Origin]:
    """Join those that do the same under different conditions."""
    conditions: dict[Origin, list[tuple[str, ...]]] = {}
    for origin in origins:
        conditions.setdefault(replace(origin, conditions=()), []).append(origin.conditions)
    for origin, alternatives in conditions.items():
        always = () in alternatives
        texts = dict.fromkeys(text for texts in alternatives for text in texts)
        yield replace(origin, conditions=() if always else tuple(texts))
