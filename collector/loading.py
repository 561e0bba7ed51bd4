"""Where the settings of a daemon come from, at its start and when they are read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import yaml

from collector import embedded
from collector.config import build, plain_data
from collector.roles import Role
from collector.settings.document import read_content, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from collector.config import Config


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and which they are.

    Attributes:
        config: the settings.
        sha256: the hash of their file, in hexadecimal, as `sha256sum` prints it.
        document: the file as plain data, environment put in; empty where there is none. Secret.
        role: of the daemon that goes by them; what it does not use was not looked at.
    """

    config: Config
    sha256: str
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    role: Role = Role.ALL


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading settings again.

    Attributes:
        problem: why nothing has changed; empty if the settings were taken over.
        changes: what is different from before, secrets masked.
        needs_restart: paths of settings that go on as they were.
    """

    problem: str = ""
    changes: list[str] = field(default_factory=list)
    needs_restart: list[str] = field(default_factory=list)


Load = Callable[[], Loaded]
"""Reads settings; raises ConfigError where they cannot be used."""


def load_file(path: Path, environ: Mapping[str, str] = os.environ, role: Role = Role.ALL) -> Loaded:
    """Read a settings file, as far as a role looks at it.

    Raises:
        ConfigError: it cannot be used.
    """
    content, source = read_content(path), str(path)
    document, problems = plain_data(
        text_of(content, source), source=source, environ=environ, role=role
    )
    config = build(document, source=source, problems=problems)
    return Loaded(config, hash_of(content), document, role)


def from_file(path: Path, role: Role = Role.ALL) -> Load:
    """Return what reads a settings file again and again."""
    return partial(load_file, path, role=role)


def load_embedded(environ: Mapping[str, str] = os.environ) -> Loaded:
    """Return the embedded default, whose keys are kept; the hash is that of all but the keys.

    Raises:
        ConfigError: the kept keys cannot be used.
    """
    config, _ = embedded.load(embedded.DIRECTORY, environ)
    without_keys = embedded.settings({"cybereason": "", "harfanglab": ""})
    return Loaded(config, hash_of(yaml.safe_dump(without_keys).encode()))


def hash_of(content: bytes) -> str:
    """Return the hash of what a settings file holds."""
    return sha256(content).hexdigest()
