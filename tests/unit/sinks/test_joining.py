"""Which batches go out as one."""

from dataclasses import replace

import pytest

from collector.sinks import joining
from collector.sinks.joining import Limits, gather
from collector.spool.entries import Entry, pack_entries
from tests.spools import whole_batch_of

LIMITS = Limits(10, 1000)


def line(*batches):
    """Return batches that stand one behind the other."""
    for place, batch in enumerate(batches, 1):
        batch.place = place
    return list(batches)


def gathered(batches, limits=LIMITS):
    """Return how many of the batches go as one."""
    first, *others = batches

    def take_if(fits):
        return others.pop(0) if others and fits(others[0]) else None

    together = gather(first, take_if, limits)
    assert [*together, *others] == batches
    return len(together)


def test_batches_that_wait_one_behind_the_other_go_as_one():
    """As many as there are."""
    assert gathered(line(whole_batch_of(1))) == 1
    assert gathered(line(whole_batch_of(1), whole_batch_of(2, 3), whole_batch_of(4))) == 3


def test_together_they_are_no_larger_than_one_may_be():
    """By events, by octets of the body, and by what they take in the spool."""
    batches = line(*(whole_batch_of(n, n) for n in range(10)))
    assert gathered(batches) == 5
    assert gathered(batches, Limits(10, 4 * batches[0].octets - 1)) == 3
    assert gathered(batches, Limits(10, 1000, 2 * batches[0].size)) == 2


def test_one_that_does_not_fit_is_not_overtaken():
    """They are to stay in order."""
    batches = line(whole_batch_of(1), whole_batch_of(*range(10)), whole_batch_of(2))
    assert gathered(batches) == 1


@pytest.mark.parametrize(
    "change", [{"form": "json:event"}, {"codec": "gzip"}, {"refused_at": 3}, {"place": 1}]
)
def test_only_what_is_alike_and_behind_goes_as_one(change):
    """Nor is what a sink has refused mixed with what it may take."""
    first, second = line(whole_batch_of(1), whole_batch_of(2))
    assert gathered([first, replace(second, **change)]) == 1


def test_what_a_sink_has_refused_goes_alone():
    """Others are not to share its fate."""
    first, second = line(whole_batch_of(1), whole_batch_of(2))
    first.refused_at = 1
    assert gathered([first, second]) == 1


@pytest.mark.parametrize(("intake", "expected"), [("edr", 2), ("dns", 1)])
def test_a_form_that_names_the_intake_holds_one(intake, expected):
    """Others hold events of any."""
    first, second = line(whole_batch_of(1), whole_batch_of(2))
    second.entries = pack_entries([Entry("2" * 32, intake, "192.0.2.1", 0.0)])
    assert gathered([first, second]) == 2
    first.form = second.form = "sekoia:raw"
    assert gathered([first, second]) == expected


@pytest.mark.parametrize("entries", [b"", b"[]\n", b"[[1]]\n"])
def test_what_cannot_be_read_goes_alone(entries):
    """So does what a later version has stored."""
    first, second = line(whole_batch_of(1), whole_batch_of(2))
    first.form = second.form = "sekoia:raw"
    second.entries = entries
    assert gathered([first, second]) == 1
    first.form = second.form = "later:event"
    assert gathered([first, second]) == 1


def test_so_many_at_a_time_go_as_one(monkeypatch):
    """It takes time in which nothing else is done."""
    monkeypatch.setattr(joining, "MAX_JOINED", 4)
    assert gathered(line(*(whole_batch_of(n) for n in range(9)))) == 4
