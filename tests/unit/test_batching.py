"""When a batch closes."""

import asyncio

import pytest

from collector.batching import Batcher
from collector.ledger import Ledger


class Spool:
    """Keeps what it is given."""

    def __init__(self):
        self.bodies = []
        self.batches = []

    def put(self, batch):
        self.batches.append(batch)
        self.bodies.append(batch.body)


class Timer:
    """Stands in for the loop: the test says when time is up."""

    def __init__(self):
        self.calls = []

    def call_later(self, delay, callback):
        handle = asyncio.TimerHandle(delay, callback, (), self)
        self.calls.append((delay, handle))
        return handle

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, handle):
        pass

    def pending(self):
        return [delay for delay, handle in self.calls if not handle.cancelled()]

    def run_out(self):
        for _, handle in self.calls:
            if not handle.cancelled():
                handle._run()


@pytest.fixture
def timer():
    return Timer()


@pytest.fixture
def spool():
    return Spool()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def batcher(spool, ledger, timer):
    return Batcher(
        "s",
        codec="none",
        max_events=3,
        max_bytes=20,
        max_wait=0.5,
        spool=spool,
        ledger=ledger,
        loop=timer,
    )


def test_a_batch_closes_at_its_number_of_events(batcher, spool, ledger, timer):
    """The timer goes with it."""
    for event in (b"1", b"2", b"3", b"4"):
        batcher.add(event, 0.0)
    assert spool.bodies == [b"1\n2\n3\n"]
    assert ledger.in_memory == 1
    assert timer.pending() == [0.5]


def test_a_batch_closes_before_it_grows_too_large(batcher, spool):
    """The event that does not fit begins the next one."""
    batcher.add(b"x" * 9, 0.0)
    batcher.add(b"y" * 9, 0.0)
    assert spool.bodies == []
    batcher.add(b"z", 0.0)
    assert spool.bodies == [b"x" * 9 + b"\n" + b"y" * 9 + b"\n"]


def test_an_event_larger_than_a_batch_has_one_of_its_own(batcher, spool):
    """It is not refused and does not drag others along."""
    batcher.add(b"a", 0.0)
    batcher.add(b"x" * 50, 0.0)
    batcher.add(b"b", 0.0)
    batcher.flush()
    assert spool.bodies == [b"a\n", b"x" * 50 + b"\n", b"b\n"]


def test_a_batch_closes_when_its_first_event_has_waited_long_enough(batcher, spool, timer, ledger):
    """The wait begins with the first event, not with the last."""
    batcher.add(b"a", 10.0)
    batcher.add(b"b", 11.0)
    assert timer.pending() == [0.5]
    timer.run_out()
    assert spool.bodies == [b"a\nb\n"]
    assert spool.batches[0].received == 10.0
    assert ledger.in_memory == 0


def test_flushing_nothing_makes_no_batch(batcher, spool):
    """An empty body is no batch."""
    batcher.flush()
    assert spool.batches == []
