"""What goes on beside, and what becomes of a daemon when it ends by mistake."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

log = structlog.get_logger(__name__)


def watch(
    task: asyncio.Task[Any], fail: Callable[[], None], event: str, *, may_end: bool = True
) -> None:
    """Have it be known when a mistake of ours ends a task.

    Args:
        task: its name is for the log.
        fail: is called after that was logged.
        event: the line of the log.
        may_end: whether it may end by itself; else that is a mistake as well.
    """

    def look(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None or not may_end:
            log.error(event, task=task.get_name(), exc_info=error)
            fail()

    task.add_done_callback(look)


class Courses:
    """Tasks that are to go on until they are cancelled.

    Args:
        fail: is called when one has ended, which only a mistake of ours brings about.
    """

    def __init__(self, fail: Callable[[], None]) -> None:
        self._fail = fail
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, course: Coroutine[Any, Any, None], name: str) -> None:
        """Begin one; `name` is for the log."""
        task = asyncio.get_running_loop().create_task(course, name=name)
        watch(task, self._fail, "task failed, please report it", may_end=False)
        self._tasks.append(task)

    def cancel(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()


@contextmanager
def whole(fail: Callable[[], None]) -> Iterator[None]:
    """Ask for a stop if settings are taken over in part only.

    Half changed, we might answer for messages that are not safe.

    Args:
        fail: asks for it; the error goes on.
    """
    try:
        yield
    except Exception:
        log.exception("settings taken over in part only, please report it")
        fail()
        raise
