"""What a daemon does of the work that several of them share over a stream.

All of them go by the same settings file. What one does not do, it does not look at: a receiver
needs no credentials of sinks, a deliverer no certificates of listeners.
"""

from __future__ import annotations

from copy import deepcopy
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from collector.settings.kinds import INBOX
from collector.settings.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config, ListenerSettings

VARIABLE: Final = "COLLECTOR_ROLE"
"""The variable of the environment that names the role where no option does."""

STREAM: Final = "jetstream"
"""The type of spool over which daemons share their work."""

# How a sink is reached and asked.
_ACCESS: Final = ("auth", "headers", "tls", "proxy")

# In the place of a sink's address; whoever does not deliver posts nothing there.
_NOWHERE: Final = "http://not-looked-at.invalid/"


class Role(StrEnum):
    """The part of one daemon."""

    ALL = "all"
    RECEIVE = "receive"
    DELIVER = "deliver"

    @property
    def receives(self) -> bool:
        """Whether it listens."""
        return self is not Role.DELIVER

    @property
    def delivers(self) -> bool:
        """Whether it posts to sinks."""
        return self is not Role.RECEIVE

    def listeners(self, config: Config) -> tuple[ListenerSettings, ...]:
        """Return those that it opens."""
        return config.listeners if self.receives else ()


def part_of(tree: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """Return the settings that a role looks at.

    Args:
        tree: settings as they are written; values may be of any kind. They are not changed.
        role: whose.

    Returns:
        The same settings, places in lists included, without what the role does not use: files and
        variables that are named there alone need not be there.
    """
    part = deepcopy(dict(tree))
    if not role.delivers:
        for sink in _entries(part, "sinks"):
            for name in _ACCESS:
                sink.pop(name, None)
            if sink.get("url") not in (None, INBOX):
                sink["url"] = _NOWHERE
    if not role.receives:
        for listener in _entries(part, "listeners"):
            listener.pop("tls", None)
    return part


def problems(tree: Mapping[str, Any], role: Role) -> list[Problem]:
    """Find settings with which a role cannot be had.

    Args:
        tree: settings, environment put in; values may be of any kind.
        role: the daemon's.
    """
    spool = tree.get("spool")
    kind = spool.get("type") if isinstance(spool, dict) else None
    if role is Role.ALL or kind == STREAM:
        return []
    message = f"role {role} needs a spool that daemons share; accepted: {STREAM}, or role all"
    return [Problem("spool.type", message)]


def _entries(tree: Mapping[str, Any], section: str) -> Iterator[dict[str, Any]]:
    """Yield the mappings of a list."""
    entries = tree.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield entry
