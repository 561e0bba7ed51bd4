"""What waits to be written, and how it is put together and taken apart."""

from collector.spool.pending import Pending
from tests.spools import batch_of, letter_of


def numbered(*numbers):
    """Return batches by number."""
    batches = []
    for number in numbers:
        batch = batch_of(number)
        batch.number = number
        batches.append(batch)
    return batches


def test_nothing_is_pending_at_first():
    """Whatever is added changes that, be it only the accounts."""
    assert not Pending()
    assert Pending(accounts_changed=True)
    assert Pending(callbacks=[print])
    assert Pending(released={1: "refused"})
    assert Pending(notes={"name": b"value"})


def test_what_comes_in_is_in_memory_and_takes_room():
    """Batches by their events, a dead letter as one."""
    pending, batch, letter = Pending(), batch_of(1, 2, 3), letter_of()
    pending.put(batch)
    pending.set_aside(letter)
    assert pending.copies_in_memory() == 4
    assert pending.octets == batch.size + letter.size
    pending.discard(batch)
    assert pending.discard_letters() == 1
    assert (pending.copies_in_memory(), pending.octets) == (0, 0)
    assert not pending


def test_a_part_that_is_done_with_before_it_was_written_never_is():
    """Only what is in the file must be deleted."""
    pending = Pending()
    [part] = numbered(7)
    pending.batches[7] = part
    pending.remove(7)
    pending.remove(5)
    assert pending.batches == {}
    assert pending.removed == [5]


def test_what_came_later_is_added_as_if_it_had_been_done_in_turn():
    """A part of the former that the latter has done with is gone."""
    former, later = Pending(), Pending()
    first, second, third = numbered(1, 2, 3)
    former.put(first)
    former.batches[2] = second
    later.remove(2)
    later.remove(9)
    later.put(third)
    later.bury([letter_of()])
    later.released[4] = "refused"
    former.notes |= {"a": b"1", "b": b"1"}
    later.notes["b"] = b"2"
    later.accounts_changed = True
    later.callbacks.append(print)
    former.add(later)
    assert list(former.batches) == [1, 3]
    assert former.incoming == {1, 3}
    assert former.removed == [9]
    assert former.released == {4: "refused"}
    assert former.notes == {"a": b"1", "b": b"2"}
    assert former.accounts_changed
    assert former.callbacks == [print]
    assert former.octets == first.size + third.size + letter_of().size


def test_what_brings_no_new_copies_can_be_taken_out():
    """Deliveries, parts and burials; what comes in, replays, notes and callbacks stay."""
    pending = Pending()
    incoming, part = numbered(1, 2)
    pending.put(incoming)
    pending.batches[2] = part
    pending.remove(9)
    pending.bury([letter_of()])
    pending.released[4] = "refused"
    pending.notes["name"] = b"value"
    pending.callbacks.append(print)
    assert pending.has_settled
    settled = pending.take_settled()
    assert not pending.has_settled
    assert (list(settled.batches), settled.removed, len(settled.buried)) == ([2], [9], 1)
    assert (settled.octets, pending.octets) == (letter_of().size, incoming.size)
    assert settled.incoming == set()
    assert list(pending.batches) == [1]
    assert pending.released == {4: "refused"}
    assert pending.notes == {"name": b"value"}
    assert pending.callbacks == [print]
