"""Waiting for what may never answer: names, and disks of the network."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def beside(function: Callable[[], T], seconds: float) -> T:
    """Call what may wait for the system without end, for so long at most.

    It is called on a thread that ends with the process: what hangs holds up nobody.

    Raises:
        TimeoutError: it took longer.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not outcome.done():
            if error is None:
                outcome.set_result(result)  # type: ignore[arg-type] # one of the two is there
            else:
                outcome.set_exception(error)

    def call() -> None:
        try:
            ending = (function(), None)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            ending = (None, error)  # type: ignore[assignment]
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, *ending)

    Thread(target=call, daemon=True).start()
    async with asyncio.timeout(seconds):
        return await outcome
