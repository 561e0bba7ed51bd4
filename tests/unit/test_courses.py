"""Courses: what goes on beside, until it is cancelled."""

import asyncio

import pytest
from structlog.testing import capture_logs

from collector.courses import Courses, watch, whole


@pytest.fixture
def failures():
    """What failed, in order."""
    return []


async def test_a_task_that_fails_is_told(failures):
    """Once, in the log, and to whoever is to know."""

    async def fail():
        raise ZeroDivisionError

    with capture_logs() as lines:
        task = asyncio.create_task(fail(), name="pump")
        watch(task, lambda: failures.append(len(lines)), "pump failed")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert failures == [1]
    [line] = lines
    assert (line["event"], line["task"], line["log_level"]) == ("pump failed", "pump", "error")
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_task_that_ends_as_it_is_to_is_no_failure(failures):
    """Cancelled, or done."""
    done, cancelled = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(60))
    for task in (done, cancelled):
        watch(task, lambda: failures.append(1), "pump failed")
    cancelled.cancel()
    with capture_logs() as lines:
        await asyncio.wait([done, cancelled])
        await asyncio.sleep(0)
    assert lines == failures == []


async def test_a_task_that_is_not_to_end_by_itself_has_failed_then(failures):
    """Even without an error."""
    task = asyncio.create_task(asyncio.sleep(0))
    with capture_logs() as lines:
        watch(task, lambda: failures.append(1), "pump failed", may_end=False)
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert failures == [1]
    assert [(line["event"], line["exc_info"]) for line in lines] == [("pump failed", None)]


async def test_one_that_breaks_is_told_and_fails():
    failed = asyncio.Event()

    async def broken():
        raise RuntimeError("a mistake")

    courses = Courses(failed.set)
    with capture_logs() as lines:
        courses.begin(broken(), "files")
        await asyncio.wait_for(failed.wait(), 10)
    [line] = lines
    assert (line["event"], line["task"]) == ("task failed, please report it", "files")
    assert str(line["exc_info"]) == "a mistake"


async def test_those_that_are_cancelled_end_in_silence(failures):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    courses = Courses(lambda: failures.append(1))
    with capture_logs() as lines:
        courses.begin(endless(), "senders")
        await asyncio.wait_for(begun.wait(), 10)
        courses.cancel()
        await asyncio.wait_for(ended.wait(), 10)
        await asyncio.sleep(0)
    assert lines == failures == []


def test_what_is_done_in_part_only_fails(failures):
    """The error goes on; what is done whole says nothing."""
    with capture_logs() as lines:
        with whole(lambda: failures.append(1)):
            pass
        assert lines == failures == []
        with pytest.raises(RuntimeError, match="a mistake"), whole(lambda: failures.append(1)):
            raise RuntimeError("a mistake")
    assert failures == [1]
    assert [line["event"] for line in lines] == [
        "settings taken over in part only, please report it"
    ]
