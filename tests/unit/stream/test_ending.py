"""Tasks that end, also those that do not want to."""

import asyncio
from contextlib import suppress

import structlog

from collector.stream import ending
from collector.stream.ending import end, watch


async def test_tasks_end_whatever_they_raise():
    """Nobody is interested any more."""

    async def fail():
        raise ValueError

    tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.done() for task in tasks)


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again(monkeypatch):
    """As one that waits for a connection which is refused at that moment."""
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)
    swallowed = []

    async def swallow():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)

    task = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()


async def test_a_task_that_never_ends_is_left(monkeypatch):
    """The daemon ends all the same, and says so."""
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(ending, "LONGEST_SECONDS", 0.05)
    free = asyncio.Event()

    async def stay():
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    task = asyncio.create_task(stay())
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as lines:
        await end([task])
    ended = task.done()
    free.set()
    await task
    assert not ended
    assert [line["event"] for line in lines] == ["a task does not end, please report it"]


async def test_a_task_that_fails_is_told():
    """As what it is a part of."""
    failures = []

    async def fail():
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(fail())
        watch(task, lambda: failures.append(task))
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert failures == [task]
    assert [line["event"] for line in lines] == [
        "a part of the stream has failed, please report it"
    ]


async def test_nothing_ends_at_once():
    """There may be no tasks."""
    await end([])
