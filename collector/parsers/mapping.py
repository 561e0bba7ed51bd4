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

WHOLE_INPUT: Final = "(whole input)"
"""The source of a rule that copies the message text."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where a field comes from.

    Attributes:
        target: dotted name of the output field.
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


@dataclass(frozen=True, slots=True)
class Table:
    """The mapping of one vendor.

    Attributes:
        name: a Python identifier, the vendor's.
        rules: rows that read the input.
        inferred: rows that run after them, in their own order, and read the output: their sources
            and conditions are output fields.
        flat: the input is one dict of non-empty texts, whose keys may hold dots; otherwise it is
            a decoded JSON object, in which anything may stand anywhere.
    """

    name: str
    rules: tuple[Rule, ...]
    inferred: tuple[Rule, ...] = ()
    flat: bool = False


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
