"""How many dead letters are kept, by all workers together."""

import os

import pytest

from collector import board
from collector.board import Board, Post
from collector.spool.bounds import UNBOUNDED, Bounds


@pytest.fixture
def pair():
    """Return the bounds of two workers."""
    supervisor, descriptor = Board.create(3)
    supervisor.extend(map(board.letters, ("", "incomplete_frame", "unknown_intake")))
    boards = [Board.attach(descriptor, row, supervisor.columns) for row in (1, 2)]
    os.close(descriptor)
    return [Bounds(100, 40, Post(number, 2, own)) for number, own in enumerate(boards)]


def test_who_is_alone_may_keep_as_much_as_the_bound():
    """Whatever there is already; untrusted reasons have a bound of their own each."""
    bounds = Bounds(100, 40)
    bounds.tell({"": 500, "unknown_intake": 40})
    assert [bounds.of(pool) for pool in ("", "unknown_intake", "incomplete_frame")] == [100, 40, 40]
    assert bounds.exceeded() == [""]
    assert UNBOUNDED.exceeded() == []


def test_a_worker_may_keep_what_others_leave(pair):
    """Of each pool."""
    one, other = pair
    one.tell({"": 30, "unknown_intake": 40})
    assert [other.of(pool) for pool in ("", "unknown_intake", "incomplete_frame")] == [70, 20, 40]


def test_a_worker_may_keep_its_part_whatever_others_have(pair):
    """They are the ones that have too many then."""
    one, other = pair
    one.tell({"": 100})
    other.tell({"": 50})
    assert other.of("") == 50
    assert (one.exceeded(), other.exceeded()) == ([""], [])
    assert one.of("") == 50


def test_what_is_no_longer_there_is_told_too(pair):
    """A pool that is not named is empty."""
    one, other = pair
    one.tell({"": 90})
    one.tell({})
    assert other.of("") == 100
