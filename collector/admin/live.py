"""How things are, once a second, for pages that show it; nothing is done while none does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from collector.admin.history import History
    from collector.admin.streams import Stream

TOLD_SECONDS: Final = 1.0


class Live:
    """Tells how things are.

    Args:
        status: returns the body of `/api/status`.
        history: of the last minutes.
    """

    def __init__(self, status: Callable[[], Awaitable[dict[str, Any]]], history: History) -> None:
        self._status = status
        self._history = history
        self._asking = asyncio.Lock()
        self._told = b""
        self._stale_at = 0.0

    async def tell(self, stream: Stream) -> None:
        """Tell one page, until it is cancelled: the history, then how it goes on."""
        await stream.send("history", self._history.as_json())
        last = self._history.last
        while True:
            await stream.send("status", await self._latest())
            newest = self._history.last
            if newest is not None and newest is not last:
                await stream.send("point", newest.as_json())
                last = newest
            await asyncio.sleep(TOLD_SECONDS)

    async def _latest(self) -> bytes:
        """Return the status of this second; whoever else looks gets the same."""
        now = asyncio.get_running_loop().time
        async with self._asking:
            if now() >= self._stale_at:
                self._told = orjson.dumps(await self._status())
                self._stale_at = now() + TOLD_SECONDS / 2
            return self._told
