"""The bound of what unfinished messages hold, over all connections."""

from collector.board import MAX_COLUMNS, OCTETS, Board
from collector.listeners.buffers import Buffers


class Holder:
    """Lets go when it is told to, as a connection does once it is lost."""

    def __init__(self, buffers):
        self._buffers = buffers
        self.reasons = []

    def evict(self, reason):
        self.reasons.append(reason)
        self._buffers.hold(self, 0)


def holders(buffers, count):
    return [Holder(buffers) for _ in range(count)]


def ended(*some):
    return [bool(holder.reasons) for holder in some]


def test_what_is_held_is_added_up():
    """Each connection has one figure, which changes."""
    buffers = Buffers(100)
    one, other = holders(buffers, 2)
    buffers.hold(one, 10)
    buffers.hold(other, 20)
    buffers.hold(one, 5)
    assert buffers.octets == 25
    buffers.begin_anew(other, 1)
    buffers.hold(one, 0)
    buffers.hold(one, 0)
    assert buffers.octets == 1


def test_up_to_the_bound_nobody_is_ended():
    buffers = Buffers(30)
    one, other = holders(buffers, 2)
    buffers.hold(one, 10)
    buffers.hold(other, 20)
    assert ended(one, other) == [False, False]


def test_beyond_the_bound_the_longest_unfinished_message_is_ended():
    """Growing does not make it younger."""
    buffers = Buffers(30)
    one, two, three = holders(buffers, 3)
    buffers.hold(one, 10)
    buffers.hold(two, 10)
    buffers.hold(one, 11)
    buffers.hold(three, 10)
    assert ended(one, two, three) == [True, False, False]
    assert one.reasons == ["max_buffered_bytes"]
    assert buffers.octets == 20


def test_another_message_is_a_young_one():
    """Whoever has sent one to its end may begin the next."""
    buffers = Buffers(29)
    one, two, three = holders(buffers, 3)
    buffers.hold(one, 10)
    buffers.hold(two, 10)
    buffers.begin_anew(one, 10)
    buffers.hold(three, 10)
    assert ended(one, two, three) == [False, True, False]


def test_who_holds_little_is_left_alone():
    """Ending a thousand slow senders would not help as much as ending the one that holds it all."""
    buffers = Buffers(10_000)
    slow, large = holders(buffers, 1000), Holder(buffers)
    for holder in slow:
        buffers.hold(holder, 1)
    buffers.hold(large, 9_001)
    assert not any(ended(*slow))
    assert ended(large) == [True]
    assert buffers.octets == 1000


def test_who_holds_less_than_a_message_that_has_just_begun_is_not_spared_for_that():
    """A crowd that holds the same each would keep out all who send more at a time."""
    buffers = Buffers(1000)
    crowd, large = holders(buffers, 9), Holder(buffers)
    for holder in crowd:
        buffers.hold(holder, 100)
    for octets in (50, 100, 150, 200):
        buffers.hold(large, octets)
    assert ended(large) == [False]
    assert ended(*crowd) == [True] + [False] * 8


def test_as_many_are_ended_as_it_takes():
    """Also where the bound has been lowered."""
    buffers = Buffers(100)
    some = holders(buffers, 10)
    for holder in some:
        buffers.hold(holder, 10)
    buffers.bound = 55
    buffers.hold(some[0], 11)
    assert ended(*some) == [True] * 5 + [False] * 5
    assert buffers.octets == 50


def test_one_that_holds_more_than_all_may_is_ended_itself():
    buffers = Buffers(10)
    one = Holder(buffers)
    buffers.hold(one, 11)
    assert ended(one) == [True]
    assert buffers.octets == 0


class Processes:
    """Two processes that keep a bound together."""

    def __init__(self, bound):
        self._bound = bound
        self._memory = bytearray(2 * MAX_COLUMNS * OCTETS)
        self.buffers = [self.anew(row) for row in range(2)]

    def anew(self, row):
        """Return what a process begins with."""
        return Buffers(self._bound, Board(self._memory, row, {"held": 0}).column("held"), 2)


def test_several_processes_keep_the_bound_together():
    """The one that holds more than its part ends connections, once it looks."""
    own, others = Processes(30).buffers
    large, small = holders(own, 1) + holders(others, 1)
    own.hold(large, 25)
    others.hold(small, 10)
    assert ended(large, small) == [False, False]
    own.keep_bound()
    assert ended(large, small) == [True, False]
    assert (own.octets, others.octets) == (0, 10)


def test_a_process_that_holds_its_part_and_no_more_ends_nobody():
    """Whatever the others do: they are to make room."""
    own, others = Processes(30).buffers
    large, small = holders(own, 1) + holders(others, 1)
    others.hold(small, 15)
    own.hold(large, 15)
    others.hold(small, 16)
    assert ended(large, small) == [False, True]


def test_what_a_process_held_that_is_gone_is_free():
    """Its successor begins with nothing."""
    processes = Processes(30)
    own, others = processes.buffers
    own.hold(*holders(own, 1), 20)
    processes.anew(0)
    (large,) = holders(others, 1)
    others.hold(large, 30)
    assert ended(large) == [False]
