"""Tells senders that wait for it when what they sent is safe.

Who acknowledges messages keeps its senders waiting for as long as a commit takes, so what waits is
not left to gather until a batch is full or old: the open batches are closed as soon as the last
commit is done, which makes as large batches as the spool can write without anybody waiting longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from collector.spool import Spool

log = structlog.get_logger(__name__)


class Durability:
    """Calls back when messages are safe: in the spool or among the dead letters, as written.

    Args:
        spool: where messages go.
        flush: hands the open batches to the spool.
        loop: runs the callbacks.
    """

    def __init__(
        self, spool: Spool, flush: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._spool = spool
        self._flush = flush
        self._loop = loop
        self._waiting: list[Callable[[], None]] = []
        self._under_way = False

    def when_safe(self, callback: Callable[[], None]) -> None:
        """Call back once all that the pipeline was fed so far is safe, in the order of calls."""
        self._waiting.append(callback)
        if not self._under_way:
            self._under_way = True
            # What else is read in this turn of the loop goes with it.
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        callbacks, self._waiting = self._waiting, []
        self._flush()
        self._spool.when_durable(lambda: self._committed(callbacks))

    def _committed(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:  # a mistake of ours costs one connection its answers, not all
                log.exception("answering failed, please report it")
        self._under_way = bool(self._waiting)
        if self._under_way:
            self._loop.call_soon(self._commit)
