"""What goes on beside, and what becomes of a daemon when it ends by mistake."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

log = structlog.get_logger(__name__)


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
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def cancel(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error(
                "task failed, please report it", task=task.get_name(), exc_info=task.exception()
            )
            self._fail()


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
