"""Members that disagree on whether messages stay in order: order wins, while it is wanted."""

import pytest

from collector.stream.yielding import LONGEST_SECONDS, YIELDING_SECONDS, Concession

MANY = {"name": "a", "max_ack_pending": 1000}
ONE = {"name": "a", "max_ack_pending": 1}


@pytest.fixture
def concession():
    """One of a member that wants many messages to be out."""
    return Concession(MANY)


def test_order_that_another_wants_is_left_as_it_is(concession):
    """Nothing else is."""
    concession.learn({**ONE, "ack_wait": 5}, 0.0)
    assert concession.settings == ONE


@pytest.mark.parametrize("found", [{}, {"max_ack_pending": 77}, MANY])
def test_what_nobody_wants_is_changed(concession, found):
    """As where there is no consumer yet."""
    concession.learn(found, 0.0)
    assert concession.settings == MANY


@pytest.mark.parametrize("found", [{}, ONE, MANY])
def test_who_wants_order_never_yields(found):
    """However long it takes."""
    concession = Concession(ONE)
    for now in (0.0, YIELDING_SECONDS, LONGEST_SECONDS):
        concession.learn(found, now)
        assert concession.settings == ONE


def test_more_is_tried_after_a_while(concession):
    """Whoever wanted order may be gone."""
    concession.learn(ONE, 0.0)
    concession.learn(ONE, YIELDING_SECONDS)
    assert concession.settings == MANY


def tries(concession, until):
    """Return when more was tried, by looks each second; each time it is undone at once."""
    found = []
    for now in range(until):
        concession.learn(ONE, float(now))
        if concession.settings == MANY:
            found.append(now)
    return found


def test_what_is_undone_is_tried_less_and_less_often(concession):
    """Somebody who wants order lives; each try costs it for a moment."""
    assert tries(concession, 500) == [60, 181, 422]


def test_it_is_tried_once_an_hour_at_least(concession):
    """Somebody has to, once nobody wants order any more."""
    *_, before, last = tries(concession, 30_000)
    assert last - before <= LONGEST_SECONDS + 1


def test_what_has_lasted_is_forgotten(concession):
    """The next change is another one."""
    concession.learn(ONE, 0.0)
    concession.learn(ONE, 60.0)
    concession.learn(MANY, 400.0)
    concession.learn(ONE, 500.0)
    concession.learn(ONE, 559.0)
    assert concession.settings == ONE
    concession.learn(ONE, 560.0)
    assert concession.settings == MANY
