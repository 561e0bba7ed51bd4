"""Batches that are in memory alone, and who waits for them."""

import pytest

from collector.spool.unsettled import Unsettled
from tests.spools import batch_of


def numbered(number, *events):
    batch = batch_of(*events or (number,))
    batch.number = number
    return batch


@pytest.fixture
def batches():
    return [numbered(number) for number in (1, 2, 3)]


@pytest.fixture
def unsettled(batches):
    unsettled = Unsettled()
    for batch in batches:
        unsettled.add(batch)
    return unsettled


@pytest.fixture
def told():
    """Who was called back, in order."""
    return []


def test_what_is_there_takes_what_its_batches_take(unsettled, batches):
    assert (len(unsettled), unsettled.octets) == (3, sum(batch.size for batch in batches))
    for batch in batches:
        unsettled.remove(batch)
    assert (len(unsettled), unsettled.octets) == (0, 0)


def test_who_waits_for_nothing_is_called_back_at_once(told):
    Unsettled().when_settled(lambda: told.append("now"))
    assert told == ["now"]


def test_who_waits_is_called_back_when_all_before_is_settled(unsettled, batches, told):
    """In whatever order that comes about; what was added since is of no concern."""
    unsettled.when_settled(lambda: told.append("three"))
    later = numbered(4)
    unsettled.add(later)
    unsettled.when_settled(lambda: told.append("four"))
    for batch in (batches[2], batches[0]):
        unsettled.remove(batch)
    assert told == []
    unsettled.remove(batches[1])
    assert told == ["three"]
    unsettled.remove(later)
    assert told == ["three", "four"]


def test_several_become_one_with_the_place_of_the_first(unsettled, batches, told):
    """Who waited for the last of them waits for the whole."""
    unsettled.when_settled(lambda: told.append("three"))
    whole = numbered(2, 2, 3)
    unsettled.join(batches[1:], whole)
    assert (len(unsettled), unsettled.octets) == (2, batches[0].size + whole.size)
    unsettled.remove(batches[0])
    assert told == []
    unsettled.remove(whole)
    assert (told, unsettled.octets) == (["three"], 0)
