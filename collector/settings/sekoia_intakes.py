"""The `intakes.yaml` of the Sekoia.io forwarder (sekoiaio-docker-concentrator).

    intakes:
      - name: Techno1
        protocol: tcp
        port: 20516
        intake_key: INTAKE_KEY_FOR_TECHNO_1
      - name: Stats
        stats: True
        intake_key: …

Each entry is a port whose messages belong to the intake of a key. `stats: True` stands for the
forwarder's own figures, and `debug: True` has it write messages to its log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from collector.settings.document import read_mapping
from collector.settings.kinds import KindError, whole
from collector.settings.problems import ConfigError, Problem, joined, kind_of, suggestion, unchosen
from collector.settings.secret_files import secret_flaw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Protocol = Literal["udp", "tcp", "tls"]

PROTOCOLS: Final[Mapping[str, Protocol]] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}

MOST_ENTRIES: Final = 256
"""As many as there may be listeners."""

RAW: Final = "raw"
"""The parser of messages that go on as they came."""

_NAMES: Final = ("name", "protocol", "port", "intake_key", "stats", "debug")
_TEXTS: Final = frozenset({"name", "intake_key"})
_LONGEST_NAME: Final = 200
_LABEL_LENGTH: Final = 60
_PORT: Final = whole(1, 65535)

# What in a name is that of a vendor whose events are parsed here.
_VENDORS: Final = (
    ("cybereason", re.compile(r"cyber\W?r?eason|malop")),
    ("harfanglab", re.compile(r"harfang|hurukai")),
)


@dataclass(frozen=True, slots=True)
class Port:
    """An entry of the file.

    Attributes:
        path: where it stands, as `intakes[0]`.
        name: as it was written.
        label: a name that our settings can have; each has its own.
        protocol: how messages come.
        port: where.
    """

    path: str
    name: str
    label: str
    protocol: Protocol
    port: int


@dataclass(slots=True)
class Group:
    """The ports of one key, which are one intake here.

    Attributes:
        label: the name of the intake, that of the first of its ports.
        key: its key, a secret.
        ports: at least one.
    """

    label: str
    key: str = field(repr=False)
    ports: list[Port] = field(default_factory=list)

    @property
    def parser(self) -> str:
        """What reads its messages, as far as the names tell and agree; else `raw`."""
        told = {parser_of(port.name) for port in self.ports} - {RAW}
        return told.pop() if len(told) == 1 else RAW


@dataclass(slots=True)
class Imported:
    """What the file asks for.

    Attributes:
        groups: in the order of the file.
        remarks: what of the file has no place in our settings, each with its path.
    """

    groups: list[Group] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)


def read_intakes(text: str, source: str) -> Imported:
    """Read an `intakes.yaml`.

    Args:
        text: of the file.
        source: its name in messages.

    Raises:
        ConfigError: it cannot be used; holds every problem. No key is in its text.
    """
    tree = read_mapping(text, source, texts=_TEXTS)
    problems: list[Problem] = []
    found = Imported()
    entries = tree.get("intakes")
    if not isinstance(entries, list) or not entries:
        what = "is missing" if "intakes" not in tree else kind_of(entries)
        if entries == []:
            what = "is empty"
        message = f"{what}; accepted: a list of entries with name, protocol, port, intake_key"
        raise ConfigError(source, [Problem("intakes", message)])
    if len(entries) > MOST_ENTRIES:
        message = f"has {len(entries)} entries; accepted: at most {MOST_ENTRIES}"
        raise ConfigError(source, [Problem("intakes", message)])
    for name in tree.keys() - {"intakes"}:
        found.remarks.append(Problem(joined("", name), "is not known and left out"))
    reader = _Reader(found, problems)
    for index, entry in enumerate(entries):
        reader.read(f"intakes[{index}]", entry)
    if not problems and not found.groups:
        problems.append(Problem("intakes", "no entry has a port, so there is nothing to listen on"))
    if problems:
        raise ConfigError(source, problems)
    return found


class _Reader:
    """Reads entry by entry.

    Args:
        found: is filled.
        problems: what is wrong is added.
    """

    def __init__(self, found: Imported, problems: list[Problem]) -> None:
        self._found = found
        self._problems = problems
        self._groups: dict[str, Group] = {}
        self._labels: set[str] = set()
        self._places: dict[tuple[bool, int], str] = {}

    def read(self, path: str, entry: object) -> None:
        """Read one entry."""
        if not isinstance(entry, dict):
            message = f"{kind_of(entry)} where a mapping is expected"
            self._problems.append(Problem(path, message))
            return
        if _is_true(entry.get("stats")):
            message = "the forwarder's own figures are left out: /metrics has ours"
            self._found.remarks.append(Problem(path, message))
            return
        before = len(self._problems)
        self._problems += self._unknown(path, entry)
        name = self._text(path, entry, "name", _LONGEST_NAME)
        protocol = self._protocol(path, entry)
        port = self._port(path, entry)
        key = self._key(path, entry)
        if len(self._problems) == before:
            self._add(path, name, protocol, port, key)
            if _is_true(entry.get("debug")):
                message = "messages are not written to the log: see /api/status and dead letters"
                self._found.remarks.append(Problem(f"{path}.debug", message))

    def _unknown(self, path: str, entry: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield names that are misspelt; others, of other versions, are left out with a remark."""
        for name in entry.keys() - set(_NAMES):
            meant = suggestion(name, _NAMES)
            if meant is not None and meant not in entry:
                yield Problem(joined(path, name), f"is not known; did you mean {meant!r}?")
            else:
                self._found.remarks.append(Problem(joined(path, name), "is not known and left out"))

    def _add(self, path: str, name: str, protocol: Protocol, port: int, key: str) -> None:
        owner = self._places.setdefault((protocol == "udp", port), path)
        if owner != path:
            message = f"{port} ({protocol}) is that of {owner} too; accepted: a port used once"
            self._problems.append(Problem(f"{path}.port", message))
            return
        item = Port(path, name, self._label(name, protocol), protocol, port)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(item.label, key)
            self._found.groups.append(group)
        else:
            message = f"has the key of {group.ports[0].path} and becomes part of its intake"
            self._found.remarks.append(Problem(path, message))
        group.ports.append(item)

    def _label(self, name: str, protocol: str) -> str:
        """Return a name of its own for an entry, of what our settings take in names."""
        plain = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:_LABEL_LENGTH] or "intake"
        wanted = plain if plain not in self._labels else f"{plain[:56]}-{protocol}"
        label, number = wanted, 2
        while label in self._labels:
            label, number = f"{wanted[:56]}-{number}", number + 1
        self._labels.add(label)
        return label

    def _protocol(self, path: str, entry: Mapping[str, Any]) -> Protocol:
        written = self._text(path, entry, "protocol", 16).lower()
        protocol = PROTOCOLS.get(written)
        if protocol is None and written:
            message = f"{unchosen(written, PROTOCOLS)}; accepted: {', '.join(PROTOCOLS)}"
            self._problems.append(Problem(f"{path}.protocol", message))
        return protocol or "tcp"

    def _port(self, path: str, entry: Mapping[str, Any]) -> int:
        if entry.get("port") is None:
            message = f"is missing; accepted: {_PORT.accepted}"
            self._problems.append(Problem(f"{path}.port", message))
            return 0
        try:
            return int(str(_PORT.read(entry["port"])))
        except KindError as error:
            message = f"{error}; accepted: {_PORT.accepted}"
            self._problems.append(Problem(f"{path}.port", message))
            return 0

    def _key(self, path: str, entry: Mapping[str, Any]) -> str:
        key = self._text(path, entry, "intake_key", None)
        if key and (flaw := secret_flaw(key)):
            self._problems.append(Problem(f"{path}.intake_key", flaw))
        return key

    def _text(self, path: str, entry: Mapping[str, Any], name: str, longest: int | None) -> str:
        """Return a text of an entry, empty where it has none that can be used; it is not shown."""
        value = entry.get(name)
        text = value.strip() if isinstance(value, str) else ""
        accepted = "a text" if longest is None else f"a text of at most {longest} characters"
        if value is None or value == "":
            message = f"is missing; accepted: {accepted}"
        elif not isinstance(value, str):
            message = f"{kind_of(value)} where a text is expected"
        elif not text:
            message = f"is empty; accepted: {accepted}"
        elif longest is not None and len(text) > longest:
            message = f"is too long; accepted: {accepted}"
        else:
            return text
        self._problems.append(Problem(f"{path}.{name}", message))
        return ""


def parser_of(name: str) -> str:
    """Guess from the name of an intake what reads its messages; `raw` where it tells nothing."""
    plain = name.lower()
    return next((parser for parser, pattern in _VENDORS if pattern.search(plain)), RAW)


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in {"true", "yes", "on"})
