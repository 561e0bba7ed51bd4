"""When a batch closes, and what it knows of its events."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.backpressure import Gate
from collector.batching import Batcher
from collector.events.envelope import Arrival, Receipt
from collector.ledger import Ledger
from collector.spool.entries import Entry, consecutive, unpack
from tests.making import form_of


class Spool:
    """Keeps what it is given."""

    on_disk = False

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


def batcher_of(spool, timer):
    return Batcher(
        "s",
        form=form_of("ndjson"),
        codec="none",
        max_events=3,
        max_bytes=20,
        max_wait=0.5,
        spool=spool,
        ledger=spool.ledger,
        loop=timer,
    )


@pytest.fixture
def batcher(spool, timer):
    return batcher_of(spool, timer)


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


def test_documents_of_one_read_are_taken_at_once(batcher, spool, ledger, timer):
    """Batches close within them as if each had come alone."""
    batcher.extend([b"1", b"2", b"x" * 50, b"3"], consecutive(7, 4), "i", ONCE)
    assert spool.bodies == [b"1\n2\n", b"x" * 50 + b"\n"]
    assert (ledger.in_memory, ledger.spooled) == (1, 3)
    assert timer.pending() == [0.5]
    batcher.flush()
    ids = [entry.identifier for batch in spool.batches for entry in unpack(batch.entries)]
    assert ids == [f"{number:032x}" for number in (7, 8, 9, 10)]


def test_a_read_without_documents_opens_no_batch(batcher, timer, ledger):
    """There is nothing to wait for."""
    batcher.extend([], b"", "i", ONCE)
    assert timer.pending() == []
    assert ledger.in_memory == 0


READS = st.lists(st.tuples(st.lists(st.integers(0, 22), max_size=9), st.sampled_from("ij")))


@given(reads=READS, at_once=st.data())
def test_it_makes_no_difference_whether_documents_come_at_once(reads, at_once):
    """The same batches close, with the same entries, and the same stays open."""
    one, other = (batcher_of(Spool(Ledger()), Timer()) for _ in range(2))
    first = 0
    for number, (sizes, intake) in enumerate(reads):
        documents, at = [b"x" * size for size in sizes], receipt(number)
        add(one, *documents, at=at, intake=intake, first=first)
        if at_once.draw(st.booleans()):
            other.extend(documents, consecutive(first, len(documents)), intake, at)
        else:
            add(other, *documents, at=at, intake=intake, first=first)
        first += len(documents)
        assert spooled(one) == spooled(other)
    one.flush()
    other.flush()
    assert spooled(one) == spooled(other)


def spooled(batcher):
    """Return what a batcher has handed on, and what its ledger says of the rest."""
    spool = batcher._spool
    closed = [(batch.body, batch.entries, batch.received) for batch in spool.batches]
    return closed, spool.ledger.in_memory
