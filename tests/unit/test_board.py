"""Numbers that several processes share."""

import os

import pytest

from collector.board import MAX_COLUMNS, Board, FullError, Post


@pytest.fixture
def boards():
    """Return a board as three processes see it, the supervisor first."""
    own, descriptor = Board.create(3)
    own.extend(["a", "b"])
    others = [Board.attach(descriptor, row, own.columns) for row in (1, 2)]
    os.close(descriptor)
    return [own, *others]


def test_what_each_process_writes_adds_up_for_all(boards):
    """A column at a time."""
    for number, shown in enumerate(boards, 1):
        shown.column("a").add(number)
        shown.column("b").value = 10 * number
    assert [shown.column("a").total() for shown in boards] == [6, 6, 6]
    assert [shown.column("b").value for shown in boards] == [10, 20, 30]


def test_numbers_may_be_negative_and_large(boards):
    """As 64 bits hold them."""
    boards[0].column("a").value = 2**62
    boards[1].column("a").add(-(2**61))
    assert boards[2].column("a").total() == 2**61


def test_a_successor_finds_what_the_one_before_it_has_written():
    """The memory outlives the process."""
    own, descriptor = Board.create(2)
    own.extend(["a"])
    Board.attach(descriptor, 1, own.columns).column("a").value = 7
    assert Board.attach(descriptor, 1, own.columns).column("a").value == 7
    os.close(descriptor)


def test_what_a_process_held_that_has_ended_can_be_struck_out(boards):
    """And nothing else of it, or of others."""
    for shown in boards:
        shown.column("a").value = shown.column("b").value = 7
    boards[0].strike_out("b", 1)
    assert [shown.column("b").value for shown in boards] == [7, 0, 7]
    assert boards[0].column("a").total() == 21


def test_the_number_of_another_process_can_be_read(boards):
    """By its row, if the column is known."""
    boards[2].column("b").value = 7
    assert [boards[0].read("b", row) for row in range(3)] == [0, 0, 7]
    with pytest.raises(KeyError):
        boards[0].read("c", 1)


def test_a_name_keeps_its_column(boards):
    """Also where more names come; a process that has not heard of one does not know it."""
    boards[0].extend(["b", "c", "a"])
    assert boards[0].columns == {"a": 0, "b": 1, "c": 2}
    with pytest.raises(KeyError):
        boards[1].column("c")
    boards[1].learn(boards[0].columns)
    boards[1].column("c").value = 3
    assert boards[0].column("c").total() == 3


def test_there_are_so_many_columns_and_no_more():
    own = Board.alone()
    own.extend(map(str, range(MAX_COLUMNS)))
    own.extend(["0"])
    with pytest.raises(FullError, match="restart"):
        own.extend(["one more"])


def test_the_only_process_has_every_column_to_itself():
    """Whatever it is called."""
    post = Post.alone()
    column = post.board.column("any")
    column.add(2)
    assert (post.number, post.count, column.total()) == (0, 1, 2)
    assert post.board.column("any").value == 2
