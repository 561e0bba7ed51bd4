"""Rule tables: what becomes of a vendor's fields, as data.

A table is a tuple of `Rule`, in the order of the mapping specification:

- rows run from top to bottom: a later row that yields a value replaces an earlier one, a row that
  yields nothing changes nothing;
- profile ``ecs`` has the rows ``both`` and ``ecs``; profile ``documented`` has all rows, and there
  a ``documented`` row that yields a value wins over the ``ecs`` rows with the same target.

`compiler` turns a table into a function; nothing here runs for a message.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from collector.parsers.base import Profile
from collector.parsers.conditions import Condition
from collector.parsers.convert import Conversion, keyword
from collector.parsers.paths import includes

WHOLE_INPUT: Final = "(whole input)"
"""The source of a rule that copies the message text."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where a field comes from.

    Attributes:
        target: dotted name of the output field; ``name.*`` for a conversion that returns several
            fields, which become fields of ``name``.
        source: dotted path in the input, or several: the first that yields a value counts, unless
            the conversion takes them all.
        convert: what is done to the value.
        constant: the value itself, for a rule without source; a tuple becomes a list.
        when: the rule applies only then.
        profile: the profile the row belongs to.
        ecs_type: the type of the field, where the conversion does not say it.
    """

    target: str
    source: str | tuple[str, ...] = ()
    convert: Conversion = keyword
    constant: str | tuple[str, ...] | None = None
    when: Condition | None = None
    profile: Literal["both", "documented", "ecs"] = "both"
    ecs_type: str | None = None

    def __post_init__(self) -> None:
        if bool(self.source) is (self.constant is not None):
            raise ValueError(f"rule for {self.target}: either a source or a constant")
        if self.merges is (self.convert.yields is None):
            raise ValueError(f"rule for {self.target}: `.*` and fields_of() belong together")

    @property
    def merges(self) -> bool:
        """Whether the rule yields several fields."""
        return self.target.endswith(".*")

    @property
    def sources(self) -> tuple[str, ...]:
        """The source paths, none for a constant."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def field_type(self) -> str:
        """The ECS type of the target."""
        if self.ecs_type is not None:
            return self.ecs_type
        return "array of keyword" if isinstance(self.constant, tuple) else self.convert.field_type

    @property
    def fields(self) -> dict[str, str]:
        """Every field the rule may set, with its type; one may end in ``.*``."""
        if self.convert.yields is None or self.constant is not None:
            return {self.target: self.field_type}
        parent = self.target.removesuffix("*")
        return {f"{parent}{name}": kind for name, kind in self.convert.yields.items()}


@dataclass(frozen=True, slots=True)
class Table:
    """The mapping of one vendor.

    Attributes:
        name: a Python identifier, the vendor's.
        rules: rows that read the input.
        inferred: rows that run after them, in their own order, and read the output: their sources
            and conditions are output fields. Where one yields several fields, those that are there
            already stay.
        detections: inferred rows that only profile ``ecs`` has; they run last.
        ecs_rules: rows that read the input, as `rules` do, and that only profile ``ecs`` has; they
            run after `rules`.
        flat: the input is one dict of non-empty texts, whose keys may hold dots; otherwise it is
            a decoded JSON object, in which anything may stand anywhere.
    """

    name: str
    rules: tuple[Rule, ...]
    inferred: tuple[Rule, ...] = ()
    detections: tuple[Rule, ...] = ()
    ecs_rules: tuple[Rule, ...] = ()
    flat: bool = False

    def rows(self, profile: Profile) -> list[Rule]:
        """List the rows of a profile that read the input, in the order in which they run."""
        rows = select(self.rules, profile)
        return [*rows, *self.ecs_rules] if profile == "ecs" else rows

    def inferred_rows(self, profile: Profile) -> list[Rule]:
        """List the rows of a profile that read the output, in the order in which they run.

        These rows are written for all vendors: a source that no row before can set is left out of
        its row here, and so is a row without any source left.
        """
        rows = select(self.inferred, profile)
        if profile == "ecs":
            rows += self.detections
        known = {field for rule in self.rows(profile) for field in rule.fields}
        running = []
        for rule in rows:
            sources = tuple(source for source in rule.sources if includes(known, source))
            if sources == rule.sources:
                running.append(rule)
            elif sources:
                running.append(replace(rule, source=sources))
            else:
                continue
            known.update(rule.fields)
        return running

    def read_paths(self) -> frozenset[str]:
        """List what the rows that read the input read, conditions included, in any profile."""
        rules = (*self.rules, *self.ecs_rules)
        read = {source for rule in rules for source in rule.sources if source != WHOLE_INPUT}
        return frozenset(read.union(*(rule.when.paths for rule in rules if rule.when)))

    def all_rows(self, profile: Profile) -> list[Rule]:
        """List the rows of a profile, those that read the output last."""
        return [*self.rows(profile), *self.inferred_rows(profile)]


def under(when: Condition, *rules: Rule) -> tuple[Rule, ...]:
    """Put rules under a condition, in addition to those they may have."""
    return tuple(
        replace(rule, when=when if rule.when is None else when & rule.when) for rule in rules
    )


def select(rules: Iterable[Rule], profile: Profile) -> list[Rule]:
    """List the rows of a profile in the order in which they take effect.

    Where a ``documented`` row is above ``ecs`` rows with its target, these move up to just before
    it, so that running from top to bottom gives what the profile asks for. An ``ecs`` row that
    reads the same source under the same condition as a ``documented`` one is left out: it is the
    same field in its other shape.
    """
    rules = list(rules)
    if profile == "ecs":
        return [rule for rule in rules if rule.profile != "documented"]
    reshaped = {
        (rule.target, rule.when, rule.source) for rule in rules if rule.profile == "documented"
    }
    first_documented: dict[str, int] = {}
    placed: list[tuple[float, Rule]] = []
    for index, rule in enumerate(rules):
        place: float = index
        if rule.profile == "documented":
            first_documented.setdefault(rule.target, index)
        elif rule.profile == "ecs":
            if (rule.target, rule.when, rule.source) in reshaped:
                continue
            if rule.target in first_documented:
                place = first_documented[rule.target] - 0.5
        placed.append((place, rule))
    placed.sort(key=lambda item: item[0])  # stable: rows that move keep their order
    return [rule for _, rule in placed]
