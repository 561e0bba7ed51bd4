"""Certificates of listeners, sinks and the stream: whether they can be used, and until when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collector import certificates
from collector.certificates import TlsError, validity
from collector.doctor.findings import Finding
from collector.doctor.times import day
from collector.listeners.encryption import Encryption
from collector.settings.problems import Problem
from collector.sinks.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.config import Config, SinkTls, SpoolTls


class _Named(NamedTuple):
    """A file of certificates that settings name.

    Attributes:
        where: the path of the setting.
        setting: its last part.
        file: the file.
        is_ours: whether we show it to peers; else it says whom we trust.
    """

    where: str
    setting: str
    file: Path
    is_ours: bool


def problems(config: Config) -> list[Problem]:
    """Find what is no certificate, or a key of another one.

    It keeps the daemon from starting; for the servers of a stream, from them.
    """
    return list(_problems(config))


def warnings(config: Config, now: float) -> list[Problem]:
    """Find certificates of ours that peers do not accept, or will not for long.

    Args:
        config: settings without `problems`.
        now: the time, in seconds since 1970.
    """
    found = []
    for named in _named(config):
        concern = validity(named.file).concern(now) if named.is_ours else None
        if concern is not None:
            found.append(Problem(named.where, f"{named.file} {concern}"))
    return found


def on_certificates(config: Config, now: float) -> Iterator[Finding]:
    """Look at every certificate, key and authority that settings name.

    Args:
        config: the settings.
        now: the time, in seconds since 1970.
    """
    for problem in _problems(config):
        advice = "PEM files that belong together: the certificate with its chain, and its key"
        yield Finding("error", "certificate", problem.path, problem.message, advice)
    for named in _named(config):
        yield from _on_file(named, now)


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
    try:
        if (tls := config.spool.tls) is not None:
            certificates.client_context(
                ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file, verify=True
            )
    except TlsError as error:
        yield _problem("spool", error)


def _problem(entry: str, error: TlsError) -> Problem:
    return Problem(f"{entry}.tls.{error.setting}", f"{error.path} {error.reason}")


def _on_file(named: _Named, now: float) -> Iterator[Finding]:
    where, file = named.where, named.file
    try:
        valid = validity(file, named.setting)
    except TlsError:
        return  # a problem that is told already
    flaw, concern = valid.flaw(now), valid.concern(now)
    if concern is None:
        yield Finding("ok", "certificate", where, f"{file} is valid until {day(valid.not_after)}")
    elif named.is_ours and flaw is not None:
        found = f"{file} {flaw}: peers refuse it"
        yield Finding("error", "certificate", where, found, "renew it; check the clock")
    elif named.is_ours:
        found = f"{file} {concern}"
        yield Finding(
            "warning", "certificate", where, found, "renew it in time; no restart is needed"
        )
    else:
        # Others in the file may be good, and are not asked for one by one.
        advice = "take out or renew the authority that ends first"
        yield Finding(
            "warning", "certificate", where, f"of {file}, one at least: {concern}", advice
        )


def _named(config: Config) -> Iterator[_Named]:
    """Yield every file of certificates that settings name."""
    for index, listener in enumerate(config.listeners):
        if listener.tls is not None:
            path = f"listeners[{index}].tls"
            yield _Named(f"{path}.cert_file", "cert_file", listener.tls.cert_file, is_ours=True)
            if (file := listener.tls.client_ca_file) is not None:
                yield _Named(f"{path}.client_ca_file", "client_ca_file", file, is_ours=False)
    for index, sink in enumerate(config.sinks):
        if sink.tls is not None:
            yield from _of_client(f"sinks[{index}].tls", sink.tls)
    if config.spool.tls is not None:
        yield from _of_client("spool.tls", config.spool.tls)


def _of_client(path: str, tls: SinkTls | SpoolTls) -> Iterator[_Named]:
    if (file := tls.cert_file) is not None:
        yield _Named(f"{path}.cert_file", "cert_file", file, is_ours=True)
    if (file := tls.ca_file) is not None:
        yield _Named(f"{path}.ca_file", "ca_file", file, is_ours=False)
