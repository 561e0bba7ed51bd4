"""Credentials for the servers of a stream: until when they are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.certificates import Validity
from collector.doctor.findings import Finding
from collector.doctor.times import day
from collector.settings.files import FileError
from collector.settings.problems import Problem
from collector.settings.secret_files import read_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config import Config

_WHERE = "spool.credentials_file"


def warnings(config: Config, now: float) -> list[Problem]:
    """Find credentials that servers refuse, since they are valid at another time.

    Args:
        config: the settings.
        now: the time, in seconds since 1970.
    """
    return [
        Problem(finding.where, finding.found)
        for finding in on_credentials(config, now)
        if finding.level == "error"
    ]


def on_credentials(config: Config, now: float) -> Iterator[Finding]:
    """Look at the credentials that settings name, if they do; nothing of them is shown.

    Args:
        config: the settings.
        now: the time, in seconds since 1970.
    """
    file = config.spool.credentials_file
    if file is None:
        return
    try:
        begin, end = read_credentials(file).span()
    except FileError as error:
        advice = "the file of the user, as nsc wrote it; it is read at each connection"
        yield Finding("error", "credentials", _WHERE, str(error), advice)
        return
    if flaw := Validity(begin, end or float("inf")).flaw(now):
        found = f"{file} {flaw}: the servers refuse it"
        advice = "a new JWT in that file, which needs no restart; check the clock"
        yield Finding("error", "credentials", _WHERE, found, advice)
    elif end is not None:
        yield Finding("ok", "credentials", _WHERE, f"{file} is valid until {day(end)}")
    else:
        yield Finding("ok", "credentials", _WHERE, f"{file} holds a JWT that does not end")
