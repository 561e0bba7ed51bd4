"""What a soak makes of what it saw."""

import os
import random

import pytest

from tests.bench import soak
from tests.bench.soak import FailingConnection, Report, Sender, Sink, Trend, Watch, trend

MIB = 1024 * 1024
MINUTES = 12


def seen(megabytes, minutes=MINUTES):
    """Return samples of every second; `megabytes` says what is resident at a second."""
    return [(float(second), int(megabytes(second) * MIB)) for second in range(60 * minutes)]


def test_memory_that_goes_up_and_down_is_flat():
    """It is what batches take at the moment."""
    found = trend("daemon", seen(lambda second: 90 + second % 7), warm_up=120)
    assert found.is_flat
    assert abs(found.slope) < 0.01
    assert (found.start, found.end) == pytest.approx((93, 93), abs=1)
    assert found.peak == 96


def test_memory_that_grows_has_a_slope():
    """Half a megabyte a minute is told apart from what comes and goes."""
    found = trend("daemon", seen(lambda second: 90 + second / 120 + second % 7), warm_up=120)
    assert found.is_flat is False
    assert found.slope == pytest.approx(0.5, abs=0.01)
    assert str(found).endswith("MiB/min: GROWS")


def test_a_warm_up_does_not_count():
    """But for the peak."""
    found = trend("daemon", seen(lambda second: 200 if second < 100 else 90), warm_up=120)
    assert found == Trend("daemon", 90, 90, 200, 0, is_flat=True)


def test_a_short_run_does_not_say_whether_it_is_flat():
    """Within a minute batches that come and go look like growth."""
    found = trend("daemon", seen(lambda _: 90, minutes=1), warm_up=15)
    assert found.is_flat is None
    assert str(found).endswith("too short to say")


def test_a_process_that_was_hardly_there_has_no_trend():
    """One that has ended in the warm-up."""
    assert trend("worker 7", seen(lambda _: 90, minutes=1), warm_up=59) is None


def test_processes_are_named():
    """One that is alone is the daemon; else it is the supervisor of the others."""
    samples = seen(lambda _: 90)
    assert [each.process for each in Watch(5, {5: samples}).trends(60)] == ["daemon"]
    trends = Watch(5, {5: samples, 9: samples, 7: samples}).trends(60)
    assert [each.process for each in trends] == ["supervisor", "worker 7", "worker 9"]


def test_a_sender_keeps_its_rate():
    """Whenever it is asked, what is due by then is sent, and nothing twice."""
    frames = [b"0", b"1", b"2"]
    sender = Sender(("127.0.0.1", 1), frames, 10, random.Random(1))
    sent = sender._due(0.5) + sender._due(0.5) + sender._due(1.0)
    assert sender.sent == len(sent) == 10
    first = sent[:3]
    assert sorted(first) == sorted(b"012")
    assert sent == (first * 4)[:10]


@pytest.mark.parametrize(
    ("fault", "answered", "counted"),
    [("", b"HTTP/1.1 200 OK", 2), ("busy", b"HTTP/1.1 503 Busy", 0), ("broken", b"", 0)],
)
def test_a_sink_that_fails_takes_nothing(fault, answered, counted):
    """It answers, or breaks off."""

    class Transport:
        written = b""
        was_aborted = False

        def write(self, data):
            self.written += data

        def abort(self):
            self.was_aborted = True

    sink, transport = Sink(fault=fault), Transport()
    connection = FailingConnection(sink)
    connection.connection_made(transport)
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nb")
    assert transport.written.startswith(answered)
    assert bool(transport.written) is bool(answered)
    assert transport.was_aborted is (fault == "broken")
    assert sink.events == counted


@pytest.mark.parametrize(
    ("changed", "lossless"),
    [
        ({}, True),
        ({"received": 101}, True),
        ({"received": 99}, False),
        ({"left": 1}, False),
        ({"imbalance": 1}, False),
    ],
)
def test_a_report_tells_of_losses(changed, lossless):
    """Events that came twice are none: the sink broke off after it had them."""
    numbers = {"sent": 100, "received": 100, "imbalance": 0, "left": 0} | changed
    report = Report(
        minutes=1,
        faults=2,
        connections=3,
        cpu_microseconds=20,
        warm_up=1,
        trends=[Trend("daemon", 90, 95, 99, 1.0, is_flat=False)],
        samples={},
        **numbers,
    )
    assert report.is_lossless is lossless
    assert report.has_grown
    assert ("nothing is lost" in str(report)) is lossless


@pytest.mark.parametrize(("lossless", "grown", "code"), [(1, 0, 0), (0, 0, 1), (1, 1, 1)])
def test_the_exit_code_tells_of_growth_and_losses(monkeypatch, lossless, grown, code):
    """So that it can stand in a nightly job."""

    class Found:
        is_lossless = bool(lossless)
        has_grown = bool(grown)

    async def run(*_):
        return Found()

    monkeypatch.setattr(soak, "run", run)
    assert soak.main([]) == code


async def test_what_is_resident_is_looked_at():
    """Of the process itself too."""
    watch = Watch(os.getpid())
    looking = soak.asyncio.create_task(watch.look())
    while os.getpid() not in watch.samples:
        await soak.asyncio.sleep(0)
    looking.cancel()
    (_, octets), *_ = watch.samples[os.getpid()]
    assert octets > MIB
