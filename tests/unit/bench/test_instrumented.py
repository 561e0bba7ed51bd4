"""The clocks of the instrumented daemon."""

import asyncio
import threading
import time

import pytest

from tests.bench import instrumented
from tests.bench.instrumented import Clock


@pytest.fixture
def clock(monkeypatch):
    """A clock of a thread that takes time only where a test says so."""
    now = [0]
    monkeypatch.setattr(instrumented.time, "thread_time_ns", lambda: now[0])
    found = Clock()
    found.work = lambda nanoseconds: now.__setitem__(0, now[0] + nanoseconds)
    return found


def test_a_stage_is_without_the_stages_that_it_calls(clock):
    """So that all of them add up."""
    inner = clock.timed("inner", lambda: clock.work(10))

    def work():
        clock.work(1)
        inner()
        inner()
        clock.work(2)

    clock.timed("outer", work)()
    assert clock.nanoseconds == {"inner": 20, "outer": 3}


def test_a_function_that_raises_is_timed_too(clock):
    """And raises what it raised."""

    def fail():
        clock.work(5)
        raise LookupError

    with pytest.raises(LookupError):
        clock.timed("stage", fail)()
    assert clock.nanoseconds == {"stage": 5}


def test_other_threads_are_not_timed(clock):
    """Their time is read from the kernel."""
    thread = threading.Thread(target=clock.timed("stage", lambda: clock.work(5)))
    thread.start()
    thread.join()
    assert clock.nanoseconds == {}


async def test_a_coroutine_is_not_charged_for_what_runs_while_it_waits(clock):
    """Its steps alone count; what it returns is passed on."""
    event = asyncio.Event()

    async def work():
        clock.work(1)
        await event.wait()
        clock.work(2)
        return "done"

    task = asyncio.ensure_future(as_coroutine(clock.timed_coroutine("stage", work)()))
    await asyncio.sleep(0)
    clock.work(100)
    event.set()
    assert await task == "done"
    assert clock.nanoseconds == {"stage": 3}


async def test_a_coroutine_can_be_cancelled(clock):
    """It is told, as it would be without a clock."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    task = asyncio.ensure_future(as_coroutine(clock.timed_coroutine("stage", work)()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def as_coroutine(awaitable):
    """Await something that is no coroutine."""
    return await awaitable


def test_time_is_that_of_the_thread():
    """Waiting costs nothing."""
    clock = Clock()
    clock.timed("stage", lambda: time.sleep(0.2))()
    assert clock.nanoseconds["stage"] < 150_000_000
