"""Which events go on: the filters of intakes (`drop`) and sinks (`only`).

A filter looks at one field of the finished event. Filters become functions when the daemon starts;
an intake without any, whose sinks have none, has no function either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from collector.parsers import Event
from collector.parsers.convert import keyword

if TYPE_CHECKING:
    from collector.config import Config, FilterSettings, SinkSettings

Test = Callable[[Event], bool]
"""Says whether an event matches. It does not raise for an event that could be encoded."""

_Out = TypeVar("_Out")


Select = Callable[[Event, Counter[str]], Sequence[_Out]]
"""Says where the copies of an event go, and counts those that go nowhere by reason."""


def selector(
    drop: Iterable[FilterSettings], ways_out: Iterable[tuple[SinkSettings, _Out]]
) -> Select[_Out] | None:
    """Make the function that says where the copies of an intake's events go.

    Args:
        drop: the filters of the intake. The first that matches an event takes all its copies.
        ways_out: the sinks of the intake, each with what takes its copies. A copy that the sink's
            own filters do not let through is counted by itself.

    Returns:
        The function; None if all events go everywhere.
    """
    drops = tuple((_drop_reason(item), matcher(item)) for item in drop)
    outlets = tuple((way, any_of(sink.only), _only_reason(sink)) for sink, way in ways_out)
    if not drops and all(only is None for _, only, _ in outlets):
        return None

    def select(event: Event, dropped: Counter[str]) -> Sequence[_Out]:
        for reason, matches in drops:
            if matches(event):
                dropped[reason] += len(outlets)
                return ()
        chosen = []
        for way, only, reason in outlets:
            if only is None or only(event):
                chosen.append(way)
            else:
                dropped[reason] += 1
        return chosen

    return select


def reasons(config: Config) -> list[str]:
    """List the accounts of the copies that filters may drop, in the order of the settings."""
    found = [_drop_reason(item) for intake in config.intakes for item in intake.drop]
    found += [_only_reason(sink) for sink in config.sinks if sink.only]
    return list(dict.fromkeys(found))


def _drop_reason(item: FilterSettings) -> str:
    return f"filter:{item.name}"


def _only_reason(sink: SinkSettings) -> str:
    return f"only:{sink.name}"


def any_of(filters: Sequence[FilterSettings]) -> Test | None:
    """Return the test that an event passes if one filter matches it; None without filters."""
    tests = tuple(matcher(item) for item in filters)
    if not tests:
        return None
    return lambda event: any(matches(event) for matches in tests)


def matcher(settings: FilterSettings) -> Test:
    """Return what a filter asks of an event, as a function."""
    path = tuple(settings.field.split("."))
    if settings.exists is not None:
        return exists(path, wanted=settings.exists)
    if settings.prefix is not None:
        return starts_with(path, settings.prefix)
    return one_of(path, settings.in_ if settings.equals is None else (settings.equals,))


def one_of(path: Sequence[str], values: Collection[str]) -> Test:
    """Ask for a field whose text is one of `values`; see `keyword`."""
    wanted = frozenset(values)
    return _test(path, lambda value: keyword.function(value) in wanted)


def starts_with(path: Sequence[str], prefix: str) -> Test:
    """Ask for a field whose text begins with `prefix`; see `keyword`."""
    return _test(path, lambda value: (keyword.function(value) or "").startswith(prefix))


def exists(path: Sequence[str], *, wanted: bool) -> Test:
    """Ask for a field to be there, or not to be there."""
    is_there = _test(path, lambda _: True)
    return is_there if wanted else lambda event: not is_there(event)


def _test(path: Sequence[str], accepts: Callable[[object], bool]) -> Test:
    return lambda event: _holds(event, path, accepts)


def _holds(value: object, path: Sequence[str], accepts: Callable[[object], bool]) -> bool:
    """Tell whether something that a path leads to is accepted.

    A list stands for its entries, on the way (objects) as at the end. Lists within lists do not:
    so it goes no deeper than the path is long.
    """
    for depth, name in enumerate(path):
        if isinstance(value, list):
            rest = path[depth:]
            return any(_holds(entry, rest, accepts) for entry in value if isinstance(entry, dict))
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    if isinstance(value, list):
        return any(map(accepts, value))
    return accepts(value)
