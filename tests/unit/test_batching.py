"""When a batch closes, and what it knows of its events."""

import asyncio
from datetime import UTC, datetime

import pytest

from collector.backpressure import Gate
from collector.batching import Batcher
from collector.events.envelope import Arrival, Receipt
from collector.ledger import Ledger
from collector.spool.entries import Entry, unpack
from tests.making import form_of


class Spool:
    """Keeps what it is given."""

    def __init__(self, ledger):
        self.gates = {"s": Gate()}
        self.ledger = ledger
        self.batches = []

    def put(self, batch):
        self.batches.append(batch)
        self.ledger.in_memory -= batch.events
        self.ledger.spooled += batch.events

    @property
    def bodies(self):
        return [batch.body for batch in self.batches]


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
def ledger():
    return Ledger()


@pytest.fixture
def spool(ledger):
    return Spool(ledger)


@pytest.fixture
def batcher(spool, ledger, timer):
    return Batcher(
        "s",
        form=form_of("ndjson"),
        codec="none",
        max_events=3,
        max_bytes=20,
        max_wait=0.5,
        spool=spool,
        ledger=ledger,
        loop=timer,
    )


def receipt(seconds=0, peer="192.0.2.1"):
    return Receipt(datetime.fromtimestamp(seconds, UTC), "", UTC, peer)


ONCE = receipt()


def add(batcher, *documents, at=ONCE, intake="i", first=0):
    """Add documents that came in one read; their ids count up."""
    for number, document in enumerate(documents, first):
        batcher.add(document, Arrival(f"{number:032x}", b"", (), at), intake)


def test_a_batch_closes_at_its_number_of_events(batcher, spool, ledger, timer):
    """The timer goes with it, and its events are the spool's."""
    add(batcher, b"1", b"2", b"3", b"4")
    assert spool.bodies == [b"1\n2\n3\n"]
    assert (ledger.in_memory, ledger.spooled) == (1, 3)
    assert timer.pending() == [0.5]


def test_a_batch_closes_before_it_grows_too_large(batcher, spool):
    """The document that does not fit begins the next one."""
    add(batcher, b"x" * 9, b"y" * 9)
    assert spool.bodies == []
    add(batcher, b"z")
    assert spool.bodies == [b"x" * 9 + b"\n" + b"y" * 9 + b"\n"]


def test_a_document_larger_than_a_batch_has_one_of_its_own(batcher, spool):
    """It is not refused and does not drag others along."""
    add(batcher, b"a", b"x" * 50, b"b")
    batcher.flush()
    assert spool.bodies == [b"a\n", b"x" * 50 + b"\n", b"b\n"]


def test_a_batch_closes_when_its_first_event_has_waited_long_enough(batcher, spool, timer, ledger):
    """The wait begins with the first event, not with the last."""
    add(batcher, b"a", at=receipt(10))
    add(batcher, b"b", at=receipt(11))
    assert timer.pending() == [0.5]
    timer.run_out()
    assert spool.bodies == [b"a\nb\n"]
    assert spool.batches[0].received == 10.0
    assert (ledger.in_memory, ledger.spooled) == (0, 2)


def test_flushing_nothing_makes_no_batch(batcher, spool):
    """An empty body is no batch."""
    batcher.flush()
    assert spool.batches == []


def test_a_batch_says_what_it_is(batcher, spool):
    """For whom, in which form, and how long it is before compression."""
    add(batcher, b"1", b"22", b"3")
    (batch,) = spool.batches
    assert (batch.sink, batch.form, batch.codec) == ("s", "ndjson:event", "none")
    assert (batch.events, batch.octets) == (3, 7)


def test_a_batch_knows_where_each_of_its_events_came_from(batcher, spool):
    """Runs of one read and intake are told apart, and the next batch begins anew."""
    one, other = receipt(10.5), receipt(9.25, peer="192.0.2.2")
    add(batcher, b"a", at=one, first=1)
    add(batcher, b"b", at=one, intake="j", first=2)
    add(batcher, b"c", b"d", at=other, intake="j", first=3)
    batcher.flush()
    first, second = spool.batches
    assert unpack(first.entries) == [
        Entry(f"{1:032x}", "i", "192.0.2.1", 10.5),
        Entry(f"{2:032x}", "j", "192.0.2.1", 10.5),
        Entry(f"{3:032x}", "j", "192.0.2.2", 9.25),
    ]
    assert unpack(second.entries) == [Entry(f"{4:032x}", "j", "192.0.2.2", 9.25)]
    assert (first.received, second.received) == (9.25, 9.25)


def test_a_batcher_shows_the_gate_of_its_sink(batcher, spool):
    """So that those who fill it know whom to wait for."""
    assert batcher.gate is spool.gates["s"]
