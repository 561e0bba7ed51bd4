"""The counters of a process, and the reasons that they are counted by."""

import inspect
import re

from collector import metrics
from collector.dead_letters import BURIED
from collector.ledger import Ledger
from collector.metrics import Histogram, IntakeStats, Stats
from collector.pipeline import aside
from collector.sinks import http
from collector.spool import incoming, outgoing


def test_a_histogram_counts_up_to_each_bound():
    """An observation on a bound is within it; beyond the last is +Inf."""
    histogram = Histogram((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(seconds)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == 12.0


def test_the_reasons_of_dead_letters_are_those_that_they_are_kept_for():
    """Each is a word of the code that keeps them."""
    told = {aside.UNKNOWN_INTAKE, aside.MAX_RATE, http.REFUSED, http.GAVE_UP, BURIED}
    told |= set(re.findall(r'_set_aside\("(\w+)"', inspect.getsource(aside)))
    assert set(metrics.DEAD_LETTERS) == told
    shared = {outgoing.REFUSED, outgoing.TOO_LARGE, incoming.FOREIGN}
    assert set(metrics.SHARED_DEAD_LETTERS) == shared


def test_what_earlier_processes_dropped_is_in_the_ledger_alone():
    """Reasons that are known are there from the start."""
    stats = Stats(Ledger(), drop_reasons=("shutdown", "spool_full"))
    stats.ledger.dropped.update({"spool_full": 100, "filter:gone": 7})
    stats.mark_start()
    stats.ledger.dropped["spool_full"] += 3
    assert stats.dropped() == {"shutdown": 0, "spool_full": 3, "filter:gone": 0}


def test_dead_letters_are_counted_by_intake_and_reason():
    """Those of no intake have none in their name."""
    stats = Stats(Ledger(), intakes={"edr": IntakeStats("edr")})
    stats.dead_lettered["edr", "refused"] = 4
    made = stats.dead_letters_made(is_shared=False)
    assert made["edr", "refused"] == 4
    assert made["edr", "parse_error"] == made["", "unknown_intake"] == 0


def test_a_spool_that_is_shared_has_reasons_of_its_own_for_dead_letters():
    """They are told where it is, from the start."""
    stats = Stats(Ledger(), intakes={"edr": IntakeStats("edr")})
    alone, shared = (stats.dead_letters_made(is_shared=shared) for shared in (False, True))
    assert shared.keys() - alone.keys() == {
        ("edr", "stream_refused"),
        ("edr", "too_large_for_stream"),
        ("", "foreign_message"),
    }
