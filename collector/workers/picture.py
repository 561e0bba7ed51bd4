"""The daemon as it is told to others: what every worker says of itself, put together."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from collector.admin.status import listener_status
from collector.exposition import MetricsCollector
from collector.workers import merging

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from collector.admin.history import Series
    from collector.config import Config
    from collector.listening import Listening
    from collector.metrics import Stats
    from collector.workers.dealing import Dealing
    from collector.workers.member import Member

LOOK_SECONDS: Final = 1.0
"""For how long a look at the workers is good enough for those who can do with an older one."""


class Looks:
    """Looks at all workers, one look at a time for all who ask.

    Args:
        looks: each learns how one of them is.
    """

    def __init__(self, looks: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
        self._looks = tuple(looks)
        self._loop = asyncio.get_running_loop()
        self._taking: asyncio.Task[None] | None = None
        self._taken = -math.inf

    async def now(self) -> None:
        """Learn how all workers are, as far as they say so in time."""
        if self._taking is None:
            self._taking = self._loop.create_task(self._take(), name="look")
        await asyncio.shield(self._taking)  # who asks may leave, others wait for it too

    async def lately(self) -> None:
        """Do the same, unless it was done within `LOOK_SECONDS`."""
        if self._loop.time() - self._taken > LOOK_SECONDS:
            await self.now()

    async def _take(self) -> None:
        try:
            await asyncio.gather(*(look() for look in self._looks))
            self._taken = self._loop.time()
        finally:
            self._taking = None


class _Merged(Collector):
    """The metrics of all processes, as they were when they were asked."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield from self._families


class Picture:
    """What is told of all processes together.

    Args:
        members: the workers.
        dealing: knows who has how many connections.
        listening: knows where the listeners listen.
        stats: counters of the supervisor.
    """

    def __init__(
        self, members: Sequence[Member], dealing: Dealing, listening: Listening, stats: Stats
    ) -> None:
        self._members = members
        self._dealing = dealing
        self._listening = listening
        self._stats = stats
        self._looks = Looks(member.look for member in members)
        # Metrics are many: they are told to who scrapes them, not to each page once a second.
        self._scrapes = Looks(partial(member.look, families=True) for member in members)
        self._registry = CollectorRegistry()
        self._registry.register(MetricsCollector(stats, None))
        PlatformCollector(self._registry)
        ProcessCollector(registry=self._registry)

    async def degraded(self, more: list[dict[str, str]]) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it.

        Args:
            more: what the supervisor knows besides.
        """
        await self._looks.lately()
        return self._known_degraded(more)

    def _known_degraded(self, more: list[dict[str, str]]) -> list[dict[str, str]]:
        return merging.merged_degraded(
            [
                *(member.degraded for member in self._members),
                self._dealing.degraded(),
                self._stats.sightings.degraded(),
                more,
            ]
        )

    async def status(
        self, config: Config, identity: dict[str, Any], more: list[dict[str, str]]
    ) -> dict[str, Any]:
        """Return the body of `/api/status`.

        Args:
            config: the settings.
            identity: what is said of the daemon as such.
            more: what works only in part, as far as the supervisor knows besides.
        """
        await self._looks.now()
        addresses = self._listening.addresses()
        own = {
            **identity,
            "degraded": self._known_degraded(more),
            "ledger": self._stats.ledger.as_dict(),
            "listeners": [
                listener_status(item, self._stats.listeners[item.name], addresses.get(item.name))
                for item in config.listeners
                if item.name in self._stats.listeners
            ],
            **merging.blank(config),
        }
        return {**self._merged(own), "workers": [*map(self._told, self._members)]}

    def _merged(self, own: dict[str, Any]) -> dict[str, Any]:
        """Return the state of the whole as last known; see `merging.merged_status`."""
        states = [member.state for member in self._members if member.state]
        return merging.merged_status(own, states, [member.left for member in self._members])

    async def counts(self) -> dict[Series, int]:
        """Return how many messages and events have come and gone so far.

        Metrics are asked for with them: what a worker has counted since it was last asked ends with
        it, and nobody may scrape for long.
        """
        await self._scrapes.now()
        found = self._merged({})
        return {
            **{("listener", item["name"]): item["messages"] for item in found["listeners"]},
            **{("intake", item["name"]): sum(item["events"].values()) for item in found["intakes"]},
            **{("sink", item["name"]): item["delivered"] for item in found["sinks"]},
        }

    def _told(self, member: Member) -> dict[str, Any]:
        """Return what `/api/status` says of a worker."""
        started = datetime.fromtimestamp(member.started, UTC).isoformat(timespec="seconds")
        return {
            "number": member.number,
            "pid": member.pid if member.is_running else None,
            "started": started,
            "restarts": member.restarts,
            "connections": self._dealing.connections(member),
            "ledger": member.ledger,
        }

    async def metrics(self, more: list[dict[str, str]]) -> Collector:
        """Return what yields all metrics, as they are now.

        Args:
            more: what works only in part, as far as the supervisor knows besides.
        """
        await self._scrapes.now()
        self._stats.degraded = self._known_degraded(more)
        own = merging.packed(self._registry.collect())
        parts = [part for member in self._members for part in member.families]
        return _Merged(merging.merged_families([own, *parts]))
