"""What a reload changes: two configurations compared, setting by setting.

Entries of a list are known by their name, so that a listener which is written before the others
changes none of them. What is told never holds a secret: it may go into logs and answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from collector.settings.checking import Settings
from collector.settings.kinds import URL
from collector.settings.problems import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collector.config import Config

ABSENT: Final = "absent"
PRESENT: Final = "present"
"""What is told of an entry or a mapping that is on one side only."""

MASK: Final = "***"
"""What stands for a secret."""

NEED_RESTART: Final = ("spool", "dead_letters", "admin.host", "admin.port", "workers")
"""Settings that a running daemon keeps as they were at its start, as paths of mappings or values.

The spool's file is locked and laid out at the start, and so are those of the workers. The admin
server answers the request that asks for a reload, so it stays where it is.
"""

_MAX_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs between two configurations.

    Attributes:
        path: the setting, as `listeners[syslog-tcp].port`: entries of lists by their name.
        before: a short text; `***` for a secret, `absent` for what was not there.
        after: as `before`; both can be equal, as for a secret that changed.
    """

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}: {self.before} -> {self.after}"


def changes(before: Config, after: Config) -> list[Change]:
    """Compare two configurations.

    Args:
        before: those that are in force.
        after: those that shall be.

    Returns:
        What differs, in the order of the declarations; an entry or an optional mapping that is
        only on one side is one change. Nothing for configurations that are equal.
    """
    return list(_between(before, after))


def needs_restart(before: Config, after: Config) -> list[str]:
    """Return the paths of changes that a running daemon cannot follow."""
    return [change.path for change in changes(before, after) if _is_fixed(change.path)]


def as_running(before: Config, after: Config) -> Config:
    """Return the configuration that a running daemon can take on.

    Args:
        before: the one that is in force.
        after: the one that shall be.

    Returns:
        `after`, with those parts of `before` that need a restart.
    """
    config = after
    for path in NEED_RESTART:
        section, _, setting = path.partition(".")
        value = getattr(before, section)
        if setting:
            kept = {setting: getattr(value, setting)}
            value = getattr(config, section).model_copy(update=kept)
        config = config.model_copy(update={section: value})
    return config


def document_as_running(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Do for configurations as plain data what `as_running` does."""
    document = dict(after)
    for path in NEED_RESTART:
        section, _, setting = path.partition(".")
        if setting:
            kept = _without_blank(before, section)
            document[section] = _put(_without_blank(document, section), setting, kept)
        else:
            document = _put(document, section, before)
    return document


def _put(target: Mapping[str, Any], name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with one entry as another has it, or without it."""
    rest = {key: value for key, value in target.items() if key != name}
    return {**rest, name: source[name]} if name in source else rest


def _without_blank(document: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Return a section of a document; empty where nothing is written."""
    return document.get(section) or {}


def _is_fixed(path: str) -> bool:
    return any(path == fixed or path.startswith(f"{fixed}.") for fixed in NEED_RESTART)


def _between(before: Settings, after: Settings) -> Iterator[Change]:
    """Compare two mappings of the same declaration; paths are relative to them."""
    written_before, written_after = _written(before), _written(after)
    for name, field in type(before).model_fields.items():
        yield from _compared(
            field.alias or name,
            _Side(getattr(before, name), written_before[name]),
            _Side(getattr(after, name), written_after[name]),
        )


@dataclass(frozen=True, slots=True)
class _Side:
    """A setting in one of the two configurations.

    Attributes:
        value: as it is used.
        written: as JSON has it: sizes and durations with their units.
    """

    value: Any
    written: Any

    def text(self) -> str:
        """Return the setting as a short text without secrets."""
        shown = _shown(self.value, self.written)
        return shown if len(shown) <= _MAX_LENGTH else f"{shown[:_MAX_LENGTH]}…"


def _compared(path: str, before: _Side, after: _Side) -> Iterator[Change]:
    old, new = before.value, after.value
    if old == new:
        return
    if isinstance(old, Settings) and isinstance(new, Settings):
        yield from _below(path, _between(old, new))
    elif isinstance(old, Settings) or isinstance(new, Settings):
        yield _presence(path, is_there=isinstance(new, Settings))
    elif _is_named(old) or _is_named(new):
        yield from _between_entries(path, old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _between_mappings(path, before, after)
    else:
        yield Change(path, before.text(), after.text())


def _between_entries(
    path: str, before: Sequence[Settings], after: Sequence[Settings]
) -> Iterator[Change]:
    """Compare two lists of mappings with names."""
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys(chain(old, new)):
        entry = f"{path}[{name}]"
        if name in old and name in new:
            yield from _below(entry, _between(old[name], new[name]))
        else:
            yield _presence(entry, is_there=name in new)
    common = [[name for name in side if name in old and name in new] for side in (old, new)]
    if common[0] != common[1]:
        yield Change(path, *(", ".join(names) for names in common))


def _between_mappings(path: str, before: _Side, after: _Side) -> Iterator[Change]:
    """Compare two mappings whose keys are not declared, as headers."""
    for key in dict.fromkeys(chain(before.value, after.value)):
        below = joined(path, key)
        if key in before.value and key in after.value:
            sides = (_Side(side.value[key], side.written[key]) for side in (before, after))
            yield from _compared(below, *sides)
        else:
            yield _presence(below, is_there=key in after.value)


def _presence(path: str, *, is_there: bool) -> Change:
    return Change(path, *((ABSENT, PRESENT) if is_there else (PRESENT, ABSENT)))


def _below(path: str, found: Iterator[Change]) -> Iterator[Change]:
    for change in found:
        yield Change(f"{path}.{change.path}", change.before, change.after)


def _is_named(value: object) -> bool:
    return isinstance(value, tuple) and any(isinstance(item, Settings) for item in value)


def _by_name(entries: Sequence[Any]) -> dict[str, Settings]:
    return {entry.name: entry for entry in entries}


def _written(settings: Settings) -> Mapping[str, Any]:
    """Return the settings of a mapping as JSON has them, what is secret in a URL taken out."""
    written = settings.model_dump(mode="json", by_alias=False)
    for name, field in type(settings).model_fields.items():
        if URL in field.metadata:
            written[name] = _origin(written[name])
    return written


def _shown(value: object, written: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        items = zip(value, written, strict=True)
        return f"[{', '.join(_shown(*item) for item in items)}]"
    return written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)


def _origin(url: str) -> str:
    """Return where a URL leads, without its path and query, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{MASK}" if parts.netloc else url
