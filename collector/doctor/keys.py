"""Keys of intakes, tokens, and who may read the files of secrets."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

from collector.doctor.findings import Finding
from collector.intakes import read_keys
from collector.settings.advice import is_loopback
from collector.settings.checking import Settings
from collector.settings.files import FileError
from collector.settings.problems import ConfigError, joined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.config import Config

SHORTEST_KEY: Final = 16
"""Characters. A UUID, as most keys are, has 36; what is shorter than this can be tried out."""

SHORTEST_TOKEN: Final = 16
"""Characters. Drawn at random, as many cannot be tried out over HTTP, however fast that goes."""

_GUESSED: Final = "can be guessed: it is short, or has few different characters"

_SECRET_SETTINGS: Final = frozenset(
    {"credentials_file", "key_file", "password_file", "token_file", "value_file"}
)


def on_keys(config: Config) -> Iterator[Finding]:
    """Look at the keys of intakes: used twice, or guessed within days; none is shown."""
    try:
        keys = read_keys(config)
    except (FileError, ConfigError) as error:
        advice = "a file of its own for each key, which the daemon's user may read"
        yield Finding("error", "intake key", "intakes", str(error), advice)
        return
    for index, intake in enumerate(config.intakes):
        yield from _on_keys_of(f"intakes[{index}]", keys[intake.name], intake.key_file)


def _on_keys_of(path: str, keys: tuple[str, ...], files: tuple[Path, ...]) -> Iterator[Finding]:
    where = f"{path}.key_file" if files else f"{path}.key"
    if not keys:
        found = "none: what its listener or its sources bring is taken without one"
        yield Finding(
            "note", "intake key", path, found, "a key keeps others out, where senders can"
        )
        return
    if any(_can_be_guessed(key, SHORTEST_KEY) for key in keys):
        found = _GUESSED
        advice = (
            "a new one: `python3 -c 'import uuid; print(uuid.uuid4())'`, and both while it changes"
        )
        yield Finding("warning", "intake key", where, found, advice)
    elif len(keys) > 1:
        found = f"{len(keys)} keys are taken, as while a key changes"
        yield Finding("note", "intake key", where, found, "leave out the old one when it is unused")
    else:
        yield Finding("ok", "intake key", where, f"set, {len(keys[0])} characters")


def _can_be_guessed(secret: str, shortest: int) -> bool:
    return len(secret) < shortest or len(set(secret)) < shortest // 2


def on_secret_files(config: Config) -> Iterator[Finding]:
    """Look at who may read the files of secrets."""
    for where, file in secret_files(config):
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
        except OSError as error:
            found = f"{file} cannot be looked at: {error.strerror}"
            yield Finding("error", "secret file", where, found, "let the daemon's user read it")
            continue
        if mode & stat.S_IROTH:
            found = f"{file} can be read by everybody on this machine (mode {mode:04o})"
            yield Finding("warning", "secret file", where, found, f"`chmod o= {file}`")
        else:
            yield Finding("ok", "secret file", where, f"{file}, mode {mode:04o}")


def on_admin_token(config: Config) -> Iterator[Finding]:
    """Say who may look at the daemon, and whether others can guess the token; it is not shown."""
    admin = config.admin
    try:
        token = admin.read_token()
    except FileError as error:
        advice = "a file with the token, which the daemon's user may read"
        yield Finding("error", "admin", "admin.token_file", str(error), advice)
        return
    if token is None and not is_loopback(admin.host):
        found = "off loopback without a token: status, tail and API answer nobody"
        yield Finding(
            "warning", "admin", "admin.token_file", found, "set it, or admin.host: 127.0.0.1"
        )
    if token is not None and _can_be_guessed(token, SHORTEST_TOKEN):
        advice = "a new one: `openssl rand -hex 32`"
        yield Finding("warning", "admin", "admin.token_file", _GUESSED, advice)


def secret_files(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield the paths of the settings that name files of secrets or private keys, and the files."""
    for where, name, value in _walk(config, ""):
        if name in _SECRET_SETTINGS:
            files = value if isinstance(value, tuple) else (value,)
            yield from ((where, file) for file in files if file is not None)


def _walk(settings: Settings, path: str) -> Iterator[tuple[str, str, Any]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        where = joined(path, name)
        if isinstance(value, Settings):
            yield from _walk(value, where)
        elif isinstance(value, tuple) and value and isinstance(value[0], Settings):
            for index, item in enumerate(value):
                yield from _walk(item, f"{where}[{index}]")
        else:
            yield where, name, value
