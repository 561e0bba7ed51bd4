"""How many connections a worker has descriptors for.

A process may have so many files open (getrlimit(2), RLIMIT_NOFILE), and each connection is one. If
connections took all, the spool could not write its file anew, sinks could not be reached and no
report be made: some are kept back.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collector.config import Config

KEPT_BACK: Final = 24
"""For what is open for a moment: the spool's file written anew, secrets and certificates that are
read again, names that are looked up, connections that are being closed."""

OPEN: Final = Path("/proc/self/fd")


def room(connections: int, config: Config, files: Path = OPEN) -> int:
    """Return how many connections this process may have, those there are included.

    Args:
        connections: how many there are.
        config: the settings; each request to a sink is on a connection, too.
        files: where the system tells what is open.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = sum(1 for _ in files.iterdir()) - connections
    requests = sum(sink.concurrency for sink in config.sinks)
    return max(0, limit - taken - requests - KEPT_BACK)
