"""Which rules of a table stand under one ``if`` of the function that is made of it.

Only the order among rules with the same target means something: so rules with the same condition
are brought together where that order allows it, and neighbours whose conditions begin alike share
the beginning.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from collector.parsers.base import Profile
from collector.parsers.conditions import Condition
from collector.parsers.mapping import Rule, Table
from collector.parsers.paths import includes, parents

EVERYWHERE: Final = -1
"""The home of what is used in more than one block."""


@dataclass(slots=True)
class Group:
    """Rules with one condition."""

    when: Condition | None
    inferred: bool
    rules: list[Rule]

    def changes(self, condition: Condition | None) -> bool:
        """Tell whether an inferred row of the group may set a field that the condition reads."""
        deciding = condition.paths if condition else ()
        return any(includes(rule.fields, path) for rule in self.rules for path in deciding)


@dataclass(slots=True)
class Block:
    """Groups that stand under one ``if``: one group, or several with the same first condition."""

    groups: list[Group]

    @property
    def inferred(self) -> bool:
        """Whether the rows read the output."""
        return self.groups[0].inferred

    @property
    def when(self) -> Condition | None:
        """What is decided for all."""
        first = self.groups[0].when
        return first.first if first and len(self.groups) > 1 else first

    def parts(self) -> Iterator[tuple[Condition | None, list[Rule]]]:
        """Yield the rules of each group, with what is left to decide for them."""
        for group in self.groups:
            yield group.when.rest if group.when and len(self.groups) > 1 else None, group.rules

    @property
    def rules(self) -> Iterator[Rule]:
        """The rules of all groups."""
        return (rule for group in self.groups for rule in group.rules)

    def takes(self, group: Group) -> bool:
        """Tell whether a group that comes next may join."""
        last = self.groups[-1]
        return (
            group.when is not None
            and last.when is not None
            and group.when.first == last.when.first
            and group.inferred is last.inferred
            and not (last.inferred and any(one.changes(group.when.first) for one in self.groups))
        )

    def source_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the paths the block reads, with its home; what decides is read outside of it."""
        for path in self.when.paths if self.when else ():
            yield EVERYWHERE, path
        for when, rules in self.parts():
            for path in when.paths if when else ():
                yield self._home(number), path
            for rule in rules:
                for path in rule.sources:
                    yield self._home(number), path

    def target_uses(self, number: int) -> Iterator[tuple[int, str]]:
        """Yield the fields the block writes, with its home."""
        for rule in self.rules:
            yield self._home(number), rule.target

    def _home(self, number: int) -> int:
        return EVERYWHERE if self.when is None else number


def blocks(table: Table, profile: Profile) -> list[Block]:
    """Put the rows of a table into the blocks of its function, in the order in which they run."""
    return _nest([*_gather(table.rows(profile)), *_gather_inferred(table.inferred_rows(profile))])


def _nest(groups: Iterable[Group]) -> list[Block]:
    """Put neighbours with the same first condition into one block."""
    blocks: list[Block] = []
    for group in groups:
        if blocks and blocks[-1].takes(group):
            blocks[-1].groups.append(group)
        else:
            blocks.append(Block([group]))
    return blocks


def _gather(rules: Iterable[Rule]) -> list[Group]:
    """Bring rules with the same condition together.

    Only the order among rules with the same target means something. So a rule joins the last
    group with its condition, unless a group behind that one already writes its target.
    """
    groups: list[Group] = []
    last_group_of: dict[Condition | None, int] = {}
    last_writer_of: dict[str, int] = {}
    for rule in rules:
        index = last_group_of.get(rule.when, -1)
        if index < max(last_writer_of.get(place, -1) for place in _places(rule.target)):
            index = -1
        if index < 0:
            index = last_group_of[rule.when] = len(groups)
            groups.append(Group(rule.when, inferred=False, rules=[]))
        groups[index].rules.append(rule)
        last_writer_of[rule.target] = index
        for parent in parents(rule.target):
            last_writer_of[f"{parent}*"] = index
    return groups


def _places(target: str) -> Iterator[str]:
    """Yield the keys under which `_gather` finds who else writes a field.

    ``a.b`` is written by the rules for ``a.b`` and ``a.*``; ``a.*`` by those for anything in ``a``.
    """
    parent = target.rpartition(".")[0]
    if target.endswith(".*"):
        yield f"{parent}*"
    else:
        yield target
        yield f"{parent}.*"


def _gather_inferred(rules: Iterable[Rule]) -> list[Group]:
    """Group inferred rules, all of which stay in their order."""
    groups: list[Group] = []
    for rule in rules:
        if not groups or groups[-1].when != rule.when or groups[-1].changes(rule.when):
            groups.append(Group(rule.when, inferred=True, rules=[]))
        groups[-1].rules.append(rule)
    return groups
