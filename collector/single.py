"""A daemon that is one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.daemon import Daemon
from collector.service import REFUSALS, Prepared, Service, StartError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from collector.listeners.opening import OwnSockets
    from collector.loading import Load, Loaded
    from collector.systemd import Notifier


class SingleDaemon(Daemon[Prepared]):
    """One service and its admin server.

    `start` must be called on the event loop that then runs it; `stop` may be called once.

    Args:
        loaded: the settings.
        load: reads them again.
        sockets: bind what the listeners receive from.
        notifier: tells systemd how the daemon is.
        listens: whether to start listeners at all; without, only what waits is delivered.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Load,
        sockets: OwnSockets,
        notifier: Notifier,
        *,
        listens: bool = True,
    ) -> None:
        self._sockets = sockets
        self._listens = listens
        self._service = Service(loaded.config, sockets)
        super().__init__(loaded, load, notifier, self._service.stats)
        self.stop_asked = self._service.stop_asked

    @property
    def failed(self) -> bool:
        """Whether a part that is needed has broken."""
        return self._service.failed

    # What is told of it.

    def ready(self) -> bool:
        """Say whether every listener listens."""
        return self._service.ready()

    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with the reason; anybody may read it."""
        return [*self._service.degraded(), *self._stale_files()]

    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""
        identity = self._identity()
        return {**identity, "degraded": await self.degraded(), **self._service.status()}

    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""
        return self._service.registry

    # What a drain asks.

    async def emptied(self) -> None:
        """Wait until nothing waits for any sink that is configured."""
        await self._service.emptied()

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return self._service.waiting()

    # Life.

    async def start(self) -> None:
        """Start everything, listeners last.

        Raises:
            StartError: an address cannot be bound, or a secret file that could be read a moment ago
            no longer can; what had been started is stopped again.
        """
        await self._service.open()
        try:
            async with self._changing:  # a reload that is asked for by now comes after it
                await self._start_admin()
                self._service.inbox = self._inbox_access()
                await self._go_by(self._loaded)
                self._service.begin(listens=self._listens)
        except (StartError, *REFUSALS) as error:
            await self._service.wind_down()
            await self._admin.stop()
            raise StartError(str(error)) from error
        self._sockets.close_rest()
        if self._listens:
            self._beside.begin(self.look_after_files(), "files")

    async def stop(self) -> None:
        """Stop listening, deliver what is there, give up after the grace period or if cancelled."""
        self._beside.cancel()
        try:
            await self._service.stop()
        finally:
            await self._admin.stop()

    async def _prepare(self, loaded: Loaded) -> Prepared:
        return await self._service.prepare(loaded.config, listen=self._listens)

    async def _take_over(self, prepared: Prepared) -> None:
        self._service.adopt(prepared)
        await self._service.settle()

    async def _discard(self, prepared: Prepared) -> None:
        self._service.discard(prepared)

    def _fail(self) -> None:
        self._service.fail()
