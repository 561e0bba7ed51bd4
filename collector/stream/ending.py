"""The end of tasks that use nats-py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector import courses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AGAIN_SECONDS: Final = 0.5

LONGEST_SECONDS: Final = 5.0
"""How long tasks that are cancelled may take to end."""

log = structlog.get_logger(__name__)


def watch(task: asyncio.Task[Any], on_failure: Callable[[], None]) -> None:
    """Have it be known when a mistake of ours ends a task, as `collector.courses.watch` does."""
    courses.watch(task, on_failure, "a part of the stream has failed, please report it")


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; what they raise is not of interest any more.

    Once is not enough: nats-py catches cancellations in places, and `wait_for` of Python 3.11,
    which it uses, forgets one that comes as what it waits for is done. What has not ended after
    `LONGEST_SECONDS` is left alone, so that the daemon ends all the same.
    """
    tasks = set(tasks)
    pending = {task for task in tasks if not task.done()}
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_SECONDS
    while pending and loop.time() < until:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    for task in pending:
        log.error("a task does not end, please report it", task=str(task.get_coro()))
    await asyncio.gather(*(tasks - pending), return_exceptions=True)
