"""When senders are told that what they sent is safe."""

import asyncio

import pytest
import structlog

from collector.durability import Durability


class Spool:
    """Writes when the test says; what is put, and when, is remembered."""

    def __init__(self):
        self.course = []
        self._writing = None

    def flush(self):
        self.course.append("flush")

    def when_durable(self, callback):
        self.course.append("write")
        self._writing = callback

    @property
    def is_writing(self):
        return self._writing is not None

    def written(self):
        callback, self._writing = self._writing, None
        self.course.append("written")
        callback()


class SpoolInMemory(Spool):
    """Has nothing to write."""

    def when_durable(self, callback):
        super().when_durable(callback)
        self.written()


def durability_of(spool):
    return Durability(spool, spool.flush, asyncio.get_running_loop())


@pytest.fixture
def spool():
    return Spool()


async def turns():
    """Let the loop do what it has to do now."""
    for _ in range(3):
        await asyncio.sleep(0)


def noting(spool, name):
    return lambda: spool.course.append(name)


async def test_open_batches_are_closed_and_written_before_anybody_is_told(spool):
    """Nobody waits for a batch to be full or old."""
    durability_of(spool).when_safe(noting(spool, "told"))
    await turns()
    assert spool.course == ["flush", "write"]
    spool.written()
    assert spool.course == ["flush", "write", "written", "told"]


async def test_what_is_read_in_one_turn_of_the_loop_is_written_together(spool):
    """In the order in which it was read."""
    durability = durability_of(spool)
    durability.when_safe(noting(spool, "first"))
    durability.when_safe(noting(spool, "second"))
    await turns()
    spool.written()
    assert spool.course == ["flush", "write", "written", "first", "second"]


async def test_what_is_read_while_the_spool_writes_is_written_next(spool):
    """It is not covered by the commit that is under way, and makes one batch, not many."""
    durability = durability_of(spool)
    durability.when_safe(noting(spool, "first"))
    await turns()
    for name in ("second", "third"):
        durability.when_safe(noting(spool, name))
        await turns()
    assert spool.course == ["flush", "write"]
    spool.written()
    assert spool.course[3:] == ["first"]
    await turns()
    assert spool.course[4:] == ["flush", "write"]
    spool.written()
    assert spool.course[7:] == ["second", "third"]


async def test_nothing_is_written_while_nobody_waits(spool):
    """Batches gather as they would without such senders."""
    durability = durability_of(spool)
    durability.when_safe(noting(spool, "told"))
    await turns()
    spool.written()
    await turns()
    assert not spool.is_writing
    durability.when_safe(noting(spool, "told again"))
    await turns()
    assert spool.is_writing
    spool.written()
    assert spool.course[-1] == "told again"


async def test_who_is_told_may_wait_again(spool):
    """As a sender does that had waited for an answer."""
    durability = durability_of(spool)
    durability.when_safe(lambda: durability.when_safe(noting(spool, "again")))
    await turns()
    spool.written()
    await turns()
    spool.written()
    assert spool.course[-1] == "again"


async def test_one_that_cannot_be_told_costs_nobody_else_anything(spool):
    """Those after it are told, what was read meanwhile is written, and the log says what broke."""
    durability = durability_of(spool)

    def broken():
        durability.when_safe(noting(spool, "later"))
        raise RuntimeError("broken on purpose")

    durability.when_safe(broken)
    durability.when_safe(noting(spool, "told"))
    await turns()
    with structlog.testing.capture_logs() as lines:
        spool.written()
    assert spool.course[-1] == "told"
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("answering failed, please report it", "error")
    ]
    await turns()
    spool.written()
    assert spool.course[-1] == "later"


async def test_a_spool_in_memory_is_as_safe_as_it_gets_at_once():
    """The callback comes within the call."""
    spool = SpoolInMemory()
    durability = durability_of(spool)
    for name in ("first", "second"):
        durability.when_safe(noting(spool, name))
        await turns()
    once = ["flush", "write", "written"]
    assert spool.course == [*once, "first", *once, "second"]
