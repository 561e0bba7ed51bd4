"""The fields that an operator gives to every event of an intake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.parsers import add_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from collector.parsers import Event

    Branch = tuple[tuple[str, ...], dict[str, Any], tuple[tuple[str, list[Any]], ...]]

_TAGS: Final = "tags"


def adder(fields: Mapping[str, Any]) -> Callable[[Event], None] | None:
    """Make the function that adds constant fields to an event.

    Args:
        fields: the fields, nested as in an event. `tags` are added to those that are there; any
            other field replaces what is there, on the way to it too.

    Returns:
        The function, which leaves nothing in an event that another event has too; None without
        fields.
    """
    if not fields:
        return None
    others = {name: value for name, value in fields.items() if name != _TAGS}
    branches = tuple(_branches(others, ()))
    given = fields.get(_TAGS, ())
    tags = tuple(dict.fromkeys([given] if isinstance(given, str) else given))

    def add(event: Event) -> None:
        for path, scalars, lists in branches:
            holder = event
            for name in path:
                below = holder.get(name)
                if not isinstance(below, dict):
                    below = holder[name] = {}
                holder = below
            holder.update(scalars)
            for name, entries in lists:
                holder[name] = [*entries]
        if tags:
            add_tags(event, tags)

    return add


def _branches(fields: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Branch]:
    """Yield each object that holds a field: the path to it, single values, and lists."""
    lists = tuple((name, value) for name, value in fields.items() if isinstance(value, list))
    scalars = {name: value for name, value in fields.items() if not isinstance(value, list | dict)}
    if scalars or lists:
        yield path, scalars, lists
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _branches(value, (*path, name))
