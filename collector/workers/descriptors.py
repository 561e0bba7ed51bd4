"""How many connections a worker has descriptors for.

A process may have so many files open (getrlimit(2), RLIMIT_NOFILE), and each connection is one. If
connections took all, the spool could not write its file anew, sinks could not be reached and no
report be made: some are kept back.
"""

from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.listeners.opening import Place
from collector.refusals import RefusedError

if TYPE_CHECKING:
    from collector.config import Config

KEPT_BACK: Final = 24
"""For what is open for a moment: the spool's file written anew, secrets and certificates that are
read again, names that are looked up, connections that are being closed."""

UNTOLD: Final = 32
"""Taken to be open besides sockets for datagrams where the system does not tell: /proc may be
missing, or there is no descriptor left to read it. A worker has 20 to 25."""

ADVICE: Final = "raise LimitNOFILE of the unit, or ulimits of the container"

OPEN: Final = Path("/proc/self/fd")


def room(connections: int, config: Config, files: Path = OPEN) -> int:
    """Return how many connections this process may have, those there are included.

    Args:
        connections: how many there are.
        config: the settings; each request to a sink is on a connection, too.
        files: where the system tells what is open.
    """
    return max(0, _limit() - _needed(connections, config, files))


def check(connections: int, config: Config, files: Path = OPEN) -> None:
    """Look whether this process may have a connection at all; arguments as for `room`.

    Raises:
        RefusedError: it may not, however many are closed.
    """
    limit, needed = _limit(), _needed(connections, config, files)
    if limit <= needed:
        raise RefusedError(
            f"a worker may have {limit} open files, and needs {needed + 1} for a single connection:"
            f" {ADVICE}"
        )


def _limit() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit


def _needed(connections: int, config: Config, files: Path) -> int:
    """Return how many descriptors there must be besides those of connections."""
    requests = sum(sink.concurrency for sink in config.sinks)
    return _taken(connections, config, files) + requests + KEPT_BACK


def _taken(connections: int, config: Config, files: Path) -> int:
    try:
        return sum(1 for _ in files.iterdir()) - connections
    except OSError:
        places = map(Place.of, config.listeners)
        return UNTOLD + sum(place.kind == socket.SOCK_DGRAM for place in places)
