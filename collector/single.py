"""A daemon that is one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.admin.history import counts_of
from collector.board import Post
from collector.daemon import Daemon
from collector.service import Prepared, Service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from prometheus_client.registry import Collector

    from collector.admin.history import Series
    from collector.listeners.opening import OwnSockets
    from collector.loading import Load, Loaded
    from collector.systemd import Notifier
    from collector.tail import Tailed, Wanted


class SingleDaemon(Daemon[Prepared]):
    """One service and its admin server.

    `start` must be called on the event loop that then runs it; `stop` may be called once.

    Args:
        loaded: the settings.
        load: reads them again.
        sockets: bind what the listeners receive from.
        notifier: tells systemd how the daemon is.
        stays: whether it does its part until it is told to stop; else it opens no listener,
            delivers what waits, and no more.
        uses_kernel: whether messages of known shapes are read by the compiled kernel.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Load,
        sockets: OwnSockets,
        notifier: Notifier,
        *,
        stays: bool = True,
        uses_kernel: bool = True,
    ) -> None:
        self._stays = stays
        post = Post.alone()
        self._service = Service(
            loaded.config, sockets, post, uses_kernel=uses_kernel, role=loaded.role
        )
        super().__init__(
            loaded, load, sockets, notifier, stats=self._service.stats, shown=post.board
        )
        self.stop_asked = self._service.stop_asked

    @property
    def failed(self) -> bool:
        """Whether a part that is needed has broken."""
        return self._service.failed

    # What is told of it.

    def ready(self) -> bool:
        """Say whether it does all of its part: every listener listens, what waits goes out."""
        return self._service.ready()

    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it."""
        return [*self._service.degraded(), *self._degraded()]

    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        identity = self._identity()
        return {**identity, "degraded": await self.degraded(), **self._service.status()}

    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""
        self._stats.degraded = await self.degraded()
        return self._service.registry

    async def counts(self) -> dict[Series, int]:
        """Return how many messages and events have come and gone so far."""
        return counts_of(self._service.stats)

    def tail(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield messages as they are dealt with, until it is closed."""
        return self._service.tail(wanted)

    # What a drain asks.

    async def emptied(self) -> None:
        """Wait until nothing waits for any sink that is configured."""
        await self._service.emptied()

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return self._service.waiting()

    # Life.

    async def _open(self) -> None:
        await self._service.open()

    def _begin(self) -> None:
        self._service.begin(stays=self._stays)
        if self._stays:
            self._beside.begin(self.look_after_files(), "files")
            self._beside.begin(self.look_after_history(), "history")

    async def _break_off(self) -> None:
        await self._service.wind_down()

    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""
        self._beside.cancel()
        self._admin.end_streams()
        try:
            await self._service.stop()
        finally:
            await self._admin.stop()

    async def _prepare(self, loaded: Loaded) -> Prepared:
        self._service.inbox = self._inbox_access()
        return await self._service.prepare(loaded.config, listen=self._stays)

    async def _take_over(self, prepared: Prepared) -> None:
        self._service.adopt(prepared)
        await self._service.settle()

    async def _discard(self, prepared: Prepared) -> None:
        self._service.discard(prepared)

    def _fail(self) -> None:
        self._service.fail()
