"""Settings that do not go together, for `Settings.relations` of the declarations.

The functions look at settings as written, not as validated, so that a mistake in one value does not
hide what is wrong between others. Where a value is not of the kind that is compared, they say
nothing.
"""

from __future__ import annotations

from contextlib import suppress
from os.path import normpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from collector.settings.problems import Problem, listed, shown, suggestion
from collector.settings.secret_files import SecretFileError, read_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence


_UNIX = ("unix", "unix-datagram")
_NATS_PORT: Final = 4222  # where none is written
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})


def entries(written: Mapping[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk the mappings of a list.

    Args:
        written: The mapping that holds the list.
        section: The name of the list.

    Yields:
        The path and the settings of each entry that is a mapping.
    """
    values = written.get(section)
    if isinstance(values, list):
        for index, entry in enumerate(values):
            if isinstance(entry, dict):
                yield f"{section}[{index}]", entry


def names(written: Mapping[str, Any], section: str) -> list[str]:
    """Return the names of a list's entries."""
    found = (entry.get("name") for _, entry in entries(written, section))
    return [name for name in found if isinstance(name, str)]


def at_most_one(written: Mapping[str, Any], choices: Sequence[str]) -> Iterator[Problem]:
    """Find alternatives that are written together; an empty list counts as not written."""
    present = [choice for choice in choices if written.get(choice, []) != []]
    if len(present) > 1:
        together = f"{listed(present, 'and')} are written together"
        yield Problem("", f"{together}; accepted: one of {', '.join(choices)}")


def servers_once(servers: object) -> Iterator[Problem]:
    """Find servers of NATS that are written twice, each place behind the first.

    Args:
        servers: their URLs, or one, as written.
    """
    seen: dict[tuple[str, int], int] = {}
    for index, url in enumerate(servers if isinstance(servers, list) else ()):
        with suppress(ValueError):
            parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
            if not parts.hostname:
                continue
            first = seen.setdefault((parts.hostname, parts.port or _NATS_PORT), index)
            if first != index:
                yield Problem(f"servers[{index}]", f"is the server of servers[{first}]")


def exactly_one(written: Mapping[str, Any], choices: Sequence[str]) -> Iterator[Problem]:
    """Find alternatives that are written together, or that none is written."""
    yield from at_most_one(written, choices)
    if not any(choice in written for choice in choices):
        yield Problem("", f"{' or '.join(choices)} is missing; accepted: one of them")


def all_or_none(written: Mapping[str, Any], parts: Sequence[str]) -> Iterator[Problem]:
    """Find settings that are written without those that belong to them."""
    missing = [part for part in parts if part not in written]
    if missing and len(missing) < len(parts):
        together = listed(parts, "and")
        yield Problem(missing[0], f"is missing; accepted: {together} together, or none of them")


def unique_names(written: Mapping[str, Any], section: str) -> Iterator[Problem]:
    """Find names that two entries of a list share."""
    owners: dict[str, str] = {}
    for path, entry in entries(written, section):
        name = entry.get("name")
        if isinstance(name, str) and owners.setdefault(name, path) != path:
            message = f"{shown(name)} is the name of {owners[name]} too"
            yield Problem(f"{path}.name", f"{message}; accepted: a name used once")


def known_name(path: str, name: object, known: Collection[str], what: str) -> Iterator[Problem]:
    """Find a reference that leads nowhere.

    Args:
        path: The path of the reference.
        name: The name that is referred to.
        known: The names there are.
        what: What has these names, as "intake".

    Yields:
        One problem when `name` is a text and none of `known`.
    """
    if not isinstance(name, str) or name in known:
        return
    meant = suggestion(name, known)
    hint = f"did you mean {meant!r}?" if meant else f"accepted: {', '.join(known) or 'none yet'}"
    yield Problem(path, f"no {what} is named {shown(name)}; {hint}")


class Place(NamedTuple):
    """Where a server is to listen, as written: any of its parts may be of any kind.

    Attributes:
        path: The path of its settings.
        transport: As that of a listener.
        host: An address or a name.
        port: A number, perhaps written as a text.
    """

    path: str
    transport: object
    host: object
    port: object


def unique_addresses(places: Sequence[Place]) -> Iterator[Problem]:
    """Find servers on one address; an unspecified address takes all of its port."""
    taken: list[Place] = []
    for place in places:
        # Port 0 is another port each time.
        if None in place or place.transport in _UNIX or _text(place.port) == "0":
            continue
        for other in taken:
            if _overlap(place, other):
                address = f"{_text(place.transport)} {_text(place.host)} {_text(place.port)}"
                message = f"{address} is the address of {other.path} too"
                hint = "accepted: an address used once"
                yield Problem(f"{place.path}.port", f"{message}; {hint}")
                break
        taken.append(place)


def unique_paths(written: Mapping[str, Any]) -> Iterator[Problem]:
    """Find listeners on one unix socket."""
    owners: dict[str, str] = {}
    for path, listener in entries(written, "listeners"):
        place = listener.get("path")
        if isinstance(place, str) and owners.setdefault(normpath(place), path) != path:
            message = f"{shown(place)} is the path of {owners[normpath(place)]} too"
            yield Problem(f"{path}.path", f"{message}; accepted: a path used once")


def _overlap(one: Place, other: Place) -> bool:
    hosts = {_text(one.host), _text(other.host)}
    return (
        _protocol(one) == _protocol(other)
        and _text(one.port) == _text(other.port)
        and (len(hosts) == 1 or not hosts.isdisjoint(_EVERY_ADDRESS))
    )


def _protocol(place: Place) -> str:
    """Return the protocol that has the port: RELP is spoken over TCP."""
    return "tcp" if place.transport == "relp" else _text(place.transport)


def _text(value: object) -> str:
    return value if isinstance(value, str) else shown(value)


def known_references(written: Mapping[str, Any], all_sinks: str) -> Iterator[Problem]:
    """Find intakes and sinks that are referred to and do not exist."""
    intakes, sinks = names(written, "intakes"), names(written, "sinks")
    for path, listener in entries(written, "listeners"):
        yield from known_name(f"{path}.intake", listener.get("intake"), intakes, "intake")
    for path, intake in entries(written, "intakes"):
        wanted = intake.get("sinks")
        for name in wanted if isinstance(wanted, list) else [wanted]:
            yield from known_name(f"{path}.sinks", name, [*sinks, all_sinks], "sink")


def reachable_intakes(written: Mapping[str, Any]) -> Iterator[Problem]:
    """Find intakes that no message can belong to."""
    bound = [listener.get("intake") for _, listener in entries(written, "listeners")]
    for path, intake in entries(written, "intakes"):
        ways = [intake.get(name) for name in ("key", "key_file", "sources")]
        if not any(ways) and intake.get("name") not in bound:
            ways_in = "a key, a key_file, sources, or a listener with this intake"
            yield Problem(path, f"no message can belong to this intake; accepted: {ways_in}")


def unique_keys(written: Mapping[str, Any]) -> Iterator[Problem]:
    """Find a key that two intakes share, in the file or in files it names; it is not shown."""
    owners: dict[str, str] = {}
    for path, intake in entries(written, "intakes"):
        for setting, key in _keys(intake):
            if owners.setdefault(key, path) != path:
                message = f"the same key as that of {owners[key]}"
                yield Problem(f"{path}.{setting}", f"{message}; accepted: a key used once")


def _keys(intake: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    keys = intake.get("key")
    for key in keys if isinstance(keys, list) else [keys]:
        if isinstance(key, str):
            yield "key", key
    files = intake.get("key_file")
    for file in files if isinstance(files, list) else [files]:
        if isinstance(file, str):
            with suppress(SecretFileError):
                yield "key_file", read_secret(Path(file))
