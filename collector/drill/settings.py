"""The user's settings, changed so that a drill touches nothing outside its own directory.

The changes are made to the settings as they are written, before `${VAR}` is replaced: what a
variable holds, be it a secret, is never written to a file. Credentials of sinks and keys of intakes
are taken out or replaced, so that a drill needs none of them.
"""

from __future__ import annotations

import shutil
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal

import yaml

from collector import config as settings
from collector import embedded
from collector.roles import STREAM
from collector.settings.document import read_mapping, read_text
from collector.settings.problems import ConfigError, Problem
from collector.settings.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from collector.config import Config, ListenerSettings

Transport = Literal["udp", "tcp"]
"""How a drill can send."""

HOST = "127.0.0.1"
FILE_NAME = "collector.yaml"
SPOOL_NAME = "spool"

# The listener that is added where the user has none of the transport that is asked for.
ADDED_LISTENER = "drill"

# What a drill cannot send over becomes what it can, and is else as the user has it.
_STAND_INS = {"relp": "tcp", "unix": "tcp", "unix-datagram": "udp"}

# Who may send, and where a socket is.
_DOOR_OF_LISTENER = ("allowed_sources", "proxy_protocol", "tls", "path", "mode")
# How the user's sink is reached and asked.
_DOOR_OF_SINK = ("auth", "headers", "tls", "proxy")
# What a file and a stream have in common.
_OF_BOTH_SPOOLS = ("when_full", "synchronous")
_EMBEDDED = "embedded default"


def read(file: Path | None) -> tuple[dict[str, Any], str]:
    """Read the user's settings as they are written.

    Args:
        file: The settings file; None for the embedded default, whose kept keys are not touched.

    Returns:
        The settings, and their name for messages.

    Raises:
        ConfigError: The file cannot be read, or is not YAML.
    """
    if file is None:
        return embedded.settings({"cybereason": "drill", "harfanglab": "drill"}), _EMBEDDED
    return read_mapping(read_text(file), str(file)), str(file)


def private(tree: Mapping[str, Any], *, directory: Path, sink_url: str) -> dict[str, Any]:
    """Return the settings of the private daemon.

    What is not of the expected kind stays as it is: checking the settings says what is wrong.

    Args:
        tree: The user's settings as they are written.
        directory: Where the daemon may write.
        sink_url: The private sink; the position of a sink in the settings is appended.
    """
    changed = deepcopy(dict(tree))
    for _, listener in _entries(changed, "listeners"):
        listener |= {"host": HOST, "port": 0}
        transport = listener.get("transport")
        if isinstance(transport, str):
            listener["transport"] = _STAND_INS.get(transport, transport)
        for name in _DOOR_OF_LISTENER:
            listener.pop(name, None)
    for index, intake in _entries(changed, "intakes"):
        intake["key"] = key_of(index)
        intake.pop("key_file", None)
    for index, sink in _entries(changed, "sinks"):
        sink["url"] = f"{sink_url}/{index}"
        for name in _DOOR_OF_SINK:
            sink.pop(name, None)
    spool = changed.get("spool") or {}
    if isinstance(spool, dict):
        changed["spool"] = {**_local(spool), "path": str(directory / SPOOL_NAME)}
    changed["admin"] = {"host": HOST, "port": 0}
    changed["logging"] = {"level": "info", "format": "json"}
    return changed


def _local(spool: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a spool, of a file instead of a stream that others share."""
    if spool.get("type") != STREAM:
        return dict(spool)
    kept = {name: spool[name] for name in _OF_BOTH_SPOOLS if name in spool}
    if "local_max_bytes" in spool:
        kept["max_bytes"] = spool["local_max_bytes"]
    return kept


def key_of(intake: int) -> str:
    """Return the key that stands in for those of an intake, by its position in the settings."""
    return f"drill-key-{intake}"


def checked(
    tree: dict[str, Any], *, source: str, transport: Transport, environ: Mapping[str, str]
) -> Config:
    """Check the settings of the private daemon, and have it listen for what is to be sent.

    Args:
        tree: As `private` makes them; a listener is added where none has the transport.
        source: Their name in messages.
        transport: How messages will be sent.
        environ: What `${VAR}` refers to.

    Raises:
        ConfigError: They cannot be used, or there is no intake that would take a message.
    """
    config = _parsed(tree, source, environ)
    if not config.intakes:
        message = "there is none, so there is nothing to try out; accepted: at least one"
        raise ConfigError(source, [Problem("intakes", message)])
    if all(listener.transport != transport for listener in config.listeners):
        added = {"name": ADDED_LISTENER, "transport": transport, "host": HOST, "port": 0}
        tree["listeners"].append(added)
        config = _parsed(tree, source, environ)
    return config


def target(config: Config, transport: Transport) -> ListenerSettings:
    """Return the listener that messages are sent to; there is one, `checked` sees to that."""
    return next(listener for listener in config.listeners if listener.transport == transport)


def keep_ports(tree: dict[str, Any], ports: Sequence[int], admin_port: int) -> None:
    """Have the next start of the daemon listen where this one does.

    Args:
        tree: Settings as `checked` left them.
        ports: Those of the listeners, in the order of the settings.
        admin_port: That of the admin server.
    """
    for (_, listener), port in zip(_entries(tree, "listeners"), ports, strict=True):
        listener["port"] = port
    tree["admin"]["port"] = admin_port


def write(tree: Mapping[str, Any], directory: Path) -> Path:
    """Write settings to a file for the owner alone, and return its path."""
    file = directory / FILE_NAME
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(dict(tree), sort_keys=False), encoding="utf-8")
    return file


def notes(tree: Mapping[str, Any], config: Config, directory: Path) -> Iterator[str]:
    """Say where the drill is, or can be, less than the settings ask for.

    Args:
        tree: The user's settings as they are written.
        config: Those of the private daemon.
        directory: Where it may write.
    """
    spool = tree.get("spool")
    if isinstance(spool, dict) and spool.get("type") == STREAM:
        yield "the private daemon keeps events in a file of its own and touches no stream"
    free, bound = shutil.disk_usage(directory).free, config.spool.bound
    if config.spool.type != "memory" and free < bound:
        room = format_size(free // MIB * MIB)
        has_less = f"{directory} has room for {room} only, spool.max_bytes is {format_size(bound)}"
        yield f"{has_less}; TMPDIR names another directory"


def _parsed(tree: Mapping[str, Any], source: str, environ: Mapping[str, str]) -> Config:
    return settings.parse(yaml.safe_dump(dict(tree)), source=source, environ=environ)


def _entries(tree: Mapping[str, Any], section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the mappings of a list with their positions."""
    entries = tree.get(section)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry
