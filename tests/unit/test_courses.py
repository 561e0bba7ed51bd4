"""Courses: what goes on beside, until it is cancelled."""

import asyncio

import pytest
from structlog.testing import capture_logs

from collector.courses import Courses, whole


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


async def test_those_that_are_cancelled_end_in_silence():
    failures = []
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


def test_what_is_done_in_part_only_fails():
    """The error goes on; what is done whole says nothing."""
    failures = []
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
