"""Waiting for what may never answer."""

import time

import pytest

from collector.doctor.waiting import beside


async def test_what_hangs_is_not_waited_for():
    """Its thread ends with the process."""
    with pytest.raises(TimeoutError):
        await beside(lambda: time.sleep(2), 0.05)


async def test_what_comes_in_time_is_returned_or_raised():
    assert await beside(lambda: 3, 5) == 3
    with pytest.raises(ZeroDivisionError):
        await beside(lambda: 1 // 0, 5)
