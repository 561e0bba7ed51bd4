"""What is made of the benchmark's runs."""

from dataclasses import replace

import pytest

from tests.bench.measuring import Result, Way, read_way, summarize

RUN = Result(
    program="collector",
    load="cybereason",
    way="tcp-1",
    sent=1000,
    received=1000,
    seconds=0.5,
    cpu_seconds=0.02,
    peak_octets=100,
    request_octets=900.0,
    written_octets=50.0,
    other_cores=0.25,
)


@pytest.mark.parametrize(
    ("text", "way"), [("tcp-8", Way(8)), ("tcp-1", Way(1)), ("udp-25000", Way(0, 25_000))]
)
def test_a_way_is_read_as_it_is_written(text, way):
    """On the command line and in the table."""
    assert read_way(text) == way
    assert str(way) == text


@pytest.mark.parametrize("text", ["", "tcp", "tcp-", "tcp-0", "udp--5", "relp-1", "tcp-many"])
def test_a_way_that_is_none_is_refused(text):
    """With what would be one."""
    with pytest.raises(ValueError, match="neither tcp-CONNECTIONS nor udp-RATE"):
        read_way(text)


def test_the_cost_is_that_of_an_event_that_arrived():
    """What was lost costs as much and brings nothing."""
    assert (RUN.rate, RUN.cpu_microseconds, RUN.lost) == (2000.0, 20.0, 0)
    lossy = replace(RUN, received=500)
    assert (lossy.rate, lossy.cpu_microseconds, lossy.lost) == (1000.0, 40.0, 500)
    assert replace(RUN, received=0).cpu_microseconds == float("inf")


def test_programs_are_compared_round_by_round():
    """The machine may be slower in one of them."""
    other = replace(RUN, program="other", cpu_seconds=0.06, seconds=1.0)
    slow = [replace(run, cpu_seconds=run.cpu_seconds * 4, seconds=4.0) for run in (RUN, other)]
    ours, theirs = summarize([RUN, other, *slow, RUN, other], "collector")
    assert (ours.program, ours.rounds, ours.cpu_ratio, ours.rate_ratio) == ("collector", 3, 1, 1)
    assert theirs.cpu_ratio == pytest.approx(3)
    assert theirs.rate_ratio == 0.5
    assert theirs.cpu_microseconds == pytest.approx(60)


def test_the_best_round_is_told_too():
    """It is the one that others disturbed least."""
    (summary,) = summarize([RUN, replace(RUN, cpu_seconds=0.03)], "collector")
    assert summary.best_cpu_microseconds == pytest.approx(20)
    assert summary.cpu_microseconds == pytest.approx(25)


def test_the_worst_loss_is_what_counts():
    """A median would hide it."""
    runs = [replace(RUN, received=received) for received in (1000, 990, 1000)]
    (summary,) = summarize(runs, "collector")
    assert summary.lost == 10


def test_without_the_reference_there_are_no_ratios():
    """It need not take part."""
    (summary,) = summarize([replace(RUN, program="other")], "collector")
    assert (summary.rate_ratio, summary.cpu_ratio) == (None, None)


def test_loads_and_ways_are_kept_apart():
    """In the order in which they came."""
    runs = [RUN, replace(RUN, load="mixed"), replace(RUN, way="tcp-8"), RUN]
    found = [(s.load, s.way, s.rounds) for s in summarize(runs, "collector")]
    assert found == [("cybereason", "tcp-1", 2), ("mixed", "tcp-1", 1), ("cybereason", "tcp-8", 1)]
