"""The live tail of all workers: each watches for itself, and the supervisor shows it as one.

Each worker bounds what it shows to what a person reads, so that several may show a little more.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

import structlog

from collector.tail import Tailed, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from collector.workers.channel import Message
    from collector.workers.member import Member

MAX_QUEUED: Final = 16
"""How often workers have shown something that nobody has taken; beyond it is counted as skipped.
Each time it is no more than what a watch holds."""

log = structlog.get_logger(__name__)


class Tails:
    """What the supervisor has the workers watch.

    Args:
        workers: returns those that are at work.
    """

    def __init__(self, workers: Callable[[], Iterable[Member]]) -> None:
        self._workers = workers
        self._numbers = count()
        self._wanted: dict[int, Wanted] = {}
        self._shown: dict[int, asyncio.Queue[Tailed]] = {}
        self._skipped: dict[int, int] = {}

    async def follow(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield what there is to show, until the generator is closed."""
        number = next(self._numbers)
        self._wanted[number], self._skipped[number] = wanted, 0
        shown = self._shown[number] = asyncio.Queue(MAX_QUEUED)
        for worker in self._workers():
            worker.tell(_watch(number, wanted))
        try:
            while True:
                messages, skipped = await shown.get()
                more, self._skipped[number] = self._skipped[number], 0
                yield Tailed(messages, skipped + more)
        finally:
            for known in (self._wanted, self._shown, self._skipped):
                del known[number]
            for worker in self._workers():
                worker.tell({"kind": "watch no more", "number": number})

    def begin(self, worker: Member) -> None:
        """Have a worker that has just started watch what the others do."""
        for number, wanted in self._wanted.items():
            worker.tell(_watch(number, wanted))

    def hear(self, message: Message) -> None:
        """Take in what a worker shows."""
        number = message["number"]
        shown = self._shown.get(number)
        if shown is None:  # nobody watches any more
            return
        if shown.full():
            self._skipped[number] += len(message["messages"]) + message["skipped"]
        else:
            shown.put_nowait(Tailed(message["messages"], message["skipped"]))


def _watch(number: int, wanted: Wanted) -> Message:
    return {"kind": "watch", "number": number, "wanted": wanted.as_json()}


class Watching:
    """What a worker watches for the supervisor.

    Args:
        tail: returns what there is to show, until it is closed.
        send: tells the supervisor.
        is_congested: says whether the supervisor does not read what it is told.
    """

    def __init__(
        self,
        tail: Callable[[Wanted], AsyncGenerator[Tailed]],
        send: Callable[[Message], None],
        is_congested: Callable[[], bool],
    ) -> None:
        self._tail = tail
        self._send = send
        self._is_congested = is_congested
        self._watches: dict[int, asyncio.Task[None]] = {}

    def obey(self, message: Message) -> None:
        """Watch, or do so no longer."""
        number = message["number"]
        if message["kind"] == "watch no more":
            if number in self._watches:
                self._watches.pop(number).cancel()
        elif number not in self._watches:  # it may have been told twice, just after its start
            course = self._watch(number, Wanted(**message["wanted"]))
            task = asyncio.get_running_loop().create_task(course, name="tail")
            task.add_done_callback(partial(self._ended, number))
            self._watches[number] = task

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        """Forget a watch, so that it can be begun again; only a mistake of ours ends one."""
        if not task.cancelled():
            log.error(
                "task failed, please report it", task=task.get_name(), exc_info=task.exception()
            )
        if self._watches.get(number) is task:
            del self._watches[number]

    async def _watch(self, number: int, wanted: Wanted) -> None:
        skipped = 0
        async with aclosing(self._tail(wanted)) as following:
            async for messages, more in following:
                skipped += more
                if self._is_congested():  # connections and answers go first
                    skipped += len(messages)
                    continue
                self._send(
                    {"kind": "tail", "number": number, "messages": messages, "skipped": skipped}
                )
                skipped = 0
