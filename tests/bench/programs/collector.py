"""The daemon, with the settings it has by default apart from those that the job names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import collector
from tests.bench.load import KEYS
from tests.daemon import Daemon

if TYPE_CHECKING:
    from tests.bench.programs import Job

ADMIN: Final = {"admin": {"port": 0}}
"""What `Daemon` adds to the settings of a job."""

_SPOOLS: Final = {"disk": "sqlite", "memory": "memory"}


class Collector:
    """The daemon as a `Program`.

    Args:
        job: what to do.
        parser: for all intakes; None for each vendor's own. `raw` only wraps the message, which is
            the floor: everything but parsing.
    """

    def __init__(self, job: Job, parser: str | None = None) -> None:
        self._daemon = Daemon(job.directory, settings(job, parser), defaults=ADMIN)

    async def __aenter__(self) -> Self:
        await self._daemon.__aenter__()
        self.process = self._daemon.process.pid
        self.address = self._daemon.address("in")
        self.version = collector.__version__
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._daemon.__aexit__(*exc)


def settings(job: Job, parser: str | None = None) -> dict[str, Any]:
    """Return the daemon's settings for a job."""
    found: dict[str, Any] = {
        "listeners": [{"name": "in", "transport": job.transport, "host": "127.0.0.1", "port": 0}],
        "intakes": [
            {
                "name": vendor,
                "parser": parser or vendor,
                "key": KEYS[vendor],
                "profile": job.profile,
            }
            for vendor in job.vendors
        ],
        "sinks": [
            {
                "name": "sink",
                "url": f"http://127.0.0.1:{job.sink}/events",
                "compression": job.compression,
            }
        ],
        "spool": {"type": _SPOOLS[job.spool], "path": str(job.directory / "spool")},
    }
    if job.workers > 1:
        found["workers"] = job.workers
    return found
