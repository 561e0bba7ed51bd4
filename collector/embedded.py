"""The embedded default: a collector that runs without a settings file.

It listens on loopback alone and shows what arrives in its own inbox. Its intake keys come from the
environment or are generated at the first start, and are kept for the next one.
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import SecretStr

from collector.config import AdminSettings, Config, build
from collector.settings.checking import Settings, check
from collector.settings.document import read_mapping, read_text
from collector.settings.kinds import INBOX, SECRET
from collector.settings.problems import ConfigError, Problem

DIRECTORY = Path("collector-data")
"""Where the embedded default keeps its files, below the working directory."""

KEYS_FILE = "keys.yaml"

ADMIN = AdminSettings(host="127.0.0.1", port=9514)
"""Where the embedded default is asked."""

_SOURCE = "embedded default"
_HOST = "127.0.0.1"
_PORT = 5514
_BOUND_PORTS = {"cybereason": 5515, "harfanglab": 5516}
_VARIABLES = {"cybereason": "CYBEREASON_INTAKE_KEY", "harfanglab": "HARFANGLAB_INTAKE_KEY"}
_HEADER = "# Intake keys of `collector run` without a settings file. Secret.\n"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made, to be shown this once.

    Attributes:
        file: Where the keys are kept.
        keys: The keys that were generated, by the name of their intake; in plain text.
    """

    file: Path
    keys: Mapping[str, str] = field(repr=False)

    def announcement(self) -> str:
        """Return lines of plain text that show the keys."""
        lines = [f"Intake keys, kept in {self.file} and shown this once:"]
        return "\n".join([*lines, *(f"  {name}: {key}" for name, key in self.keys.items())])


def load(directory: Path, environ: Mapping[str, str]) -> tuple[Config, FirstStart | None]:
    """Make the embedded default.

    Args:
        directory: Where the keys are kept, and what waits for the inbox; made where it is missing,
            for the owner alone.
        environ: May hold `CYBEREASON_INTAKE_KEY` and `HARFANGLAB_INTAKE_KEY`, which precede the
            kept keys and replace them.

    Returns:
        The settings, and what to show when keys were generated.

    Raises:
        ConfigError: A key cannot be used, or the file of the keys cannot be read or written.
    """
    file = directory / KEYS_FILE
    kept = _kept_keys(file)
    keys = {
        name: environ.get(variable) or kept.get(name) or str(uuid.uuid4())
        for name, variable in _VARIABLES.items()
    }
    config = build(settings(keys, directory), source=_SOURCE)
    if keys != kept:
        _keep(file, keys)
    generated = {
        name: key
        for name, key in keys.items()
        if name not in kept and not environ.get(_VARIABLES[name])
    }
    return config, FirstStart(file, generated) if generated else None


def known_key(intake: str, environ: Mapping[str, str], directory: Path = DIRECTORY) -> str | None:
    """Find the key of an intake of the embedded default, for a sender beside it.

    Args:
        intake: The name of the intake.
        environ: As for `load`.
        directory: As for `load`.

    Returns:
        The key, or None where neither the environment nor a usable file has it.
    """
    variable = _VARIABLES.get(intake)
    if variable is not None and environ.get(variable):
        return environ[variable]
    try:
        return _kept_keys(directory / KEYS_FILE).get(intake)
    except ConfigError:
        return None


def what_next(admin_address: tuple[str, int], program: str) -> str:
    """Say what a user can do with the embedded default, once it runs.

    Args:
        admin_address: Host and port of the admin server.
        program: How the collector was called.

    Returns:
        Lines of plain text.
    """
    host, port = admin_address
    ports = ", ".join(f"tcp {port} ({name})" for name, port in _BOUND_PORTS.items())
    command = f"python -m {__package__}" if program.endswith("__main__.py") else program
    return "\n".join(
        [
            f"Listening on {_HOST}: udp and tcp {_PORT} (by intake key), {ports}.",
            f"The status page is at http://{host}:{port}/",
            f"The newest events are at http://{host}:{port}/api/inbox",
            f"Send samples from another terminal: {command} send",
        ]
    )


def settings(keys: Mapping[str, str], directory: Path = DIRECTORY) -> dict[str, Any]:
    """Return the embedded default as a settings file would have it.

    Args:
        keys: Intake keys by the name of their intake.
        directory: Where the spool is.
    """
    by_key = [
        {"name": f"syslog-{transport}", "transport": transport, "host": _HOST, "port": _PORT}
        for transport in ("udp", "tcp")
    ]
    bound = [
        {"name": name, "transport": "tcp", "host": _HOST, "port": port, "intake": name}
        for name, port in _BOUND_PORTS.items()
    ]
    return {
        "listeners": by_key + bound,
        "intakes": [{"name": name, "parser": name, "key": key} for name, key in keys.items()],
        "sinks": [{"name": "default", "url": INBOX}],
        "spool": {"path": str(directory)},
        "admin": ADMIN.model_dump(include={"host", "port"}),
        "logging": {"format": "console"},
    }


class _Keys(Settings):
    """The file of the kept keys."""

    holds_secrets: ClassVar[bool] = True

    cybereason: Annotated[SecretStr, SECRET] | None = None
    """The key of the intake cybereason."""
    harfanglab: Annotated[SecretStr, SECRET] | None = None
    """The key of the intake harfanglab."""


def _kept_keys(file: Path) -> dict[str, str]:
    if _is_missing(file):
        return {}
    keys, problems = check(_Keys, read_mapping(read_text(file), str(file)))
    if keys is None:
        raise ConfigError(str(file), problems)
    return {name: key.get_secret_value() for name, key in keys if key is not None}


def _is_missing(file: Path) -> bool:
    try:
        return not file.exists()
    except OSError:
        return False  # reading it says why


def _keep(file: Path, keys: Mapping[str, str]) -> None:
    """Write the keys so that the file is whole or absent, and nobody else's to read."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600, exist_ok=False)
        with new.open("w", encoding="utf-8") as written:
            written.write(_HEADER + yaml.safe_dump(dict(keys)))
            written.flush()
            os.fsync(written.fileno())
        new.replace(file)
    except OSError as error:
        message = f"cannot be written: {error.strerror}; accepted: a directory you may write to"
        raise ConfigError(str(file), [Problem("", message)]) from error
