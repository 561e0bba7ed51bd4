"""What only the content of certificates tells: whether they can be used, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.certificates import TlsError, validity
from collector.listeners.encryption import Encryption
from collector.settings.problems import Problem
from collector.sinks.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.config import Config


def problems(config: Config) -> list[Problem]:
    """Find what keeps the daemon from starting: what is no certificate, a key of another one."""
    return list(_problems(config))


def warnings(config: Config, now: float) -> list[Problem]:
    """Find certificates that peers do not accept, or will not for long.

    Args:
        config: settings without `problems`.
        now: the time, in seconds since 1970.
    """
    found = []
    for path, file in _own_certificates(config):
        valid = validity(file)
        concern = valid.concern(now)
        if concern is not None:
            found.append(Problem(path, f"{file} {concern}"))
    return found


def _problems(config: Config) -> Iterator[Problem]:
    for index, listener in enumerate(config.listeners):
        try:
            if listener.tls is not None:
                Encryption.of(listener.tls)
        except TlsError as error:
            yield _problem(f"listeners[{index}]", error)
    for index, sink in enumerate(config.sinks):
        try:
            client_context(sink.tls)
        except TlsError as error:
            yield _problem(f"sinks[{index}]", error)


def _problem(entry: str, error: TlsError) -> Problem:
    return Problem(f"{entry}.tls.{error.setting}", f"{error.path} {error.reason}")


def _own_certificates(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield the paths of the settings that name certificates of ours, and the files."""
    for index, listener in enumerate(config.listeners):
        if listener.tls is not None:
            yield f"listeners[{index}].tls.cert_file", listener.tls.cert_file
    for index, sink in enumerate(config.sinks):
        if sink.tls is not None and sink.tls.cert_file is not None:
            yield f"sinks[{index}].tls.cert_file", sink.tls.cert_file
