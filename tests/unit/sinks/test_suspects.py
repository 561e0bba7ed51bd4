"""Batches that a sink has refused, until it is known whose fault that is."""

from collector.sinks import suspects as module
from collector.sinks.suspects import Suspects
from collector.spool import Batch


def suspect(number, *, place=0, offset=0, refused_at=0, received=0.0, size=10):
    body = b"x" * size
    batch = Batch("s", "ndjson:event", "none", body, 1, size, received, b"", refused_at)
    batch.number, batch.place, batch.offset = number, place, offset
    return batch


def filled(*batches):
    suspects = Suspects()
    for batch in batches:
        suspects.add(batch)
    return suspects


def test_the_oldest_is_the_first_to_have_arrived():
    """By place, parts of one batch by where they stood in it; not by when it was refused."""
    first, second = suspect(9, place=1, offset=2), suspect(8, place=1, offset=5)
    third = suspect(7, place=2)
    suspects = filled(third, second, first)
    assert [suspects.pop_oldest() for _ in range(3)] == [first, second, third]
    assert len(suspects) == 0


def test_each_has_its_turn():
    """Although those that were tried come back to their places."""
    batches = [suspect(number, place=number) for number in range(4)]
    suspects = filled(*batches)
    tried = []
    for _ in batches:
        tried.append(suspects.pop_next())
        suspects.add(tried[-1])
    assert sorted(batch.number for batch in tried) == [0, 1, 2, 3]


def test_a_suspect_stands_until_the_sink_accepts_something():
    """Then it can be decided, and those refused later cannot yet."""
    before, after = suspect(1, refused_at=3), suspect(2, refused_at=4)
    suspects = filled(before)
    assert suspects.stand(3)
    assert not suspects.stand(4)
    suspects.add(after)
    assert suspects.stand(4)
    assert suspects.pop_decidable(4) == [before]
    assert suspects.pop_decidable(4) == []
    assert len(suspects) == 1


def test_those_that_are_too_old_are_taken_out():
    """The others stay."""
    old, young = suspect(1, received=5.0), suspect(2, received=9.0)
    suspects = filled(old, young)
    assert suspects.pop_received_before(9.0) == [old]
    assert suspects.pop_oldest() is young


def test_they_take_so_much_and_no_more(monkeypatch):
    """What is taken out makes room."""
    monkeypatch.setattr(module, "MAX_OCTETS", 25)
    suspects = filled(suspect(1), suspect(2))
    assert not suspects.full
    suspects.add(suspect(3, refused_at=1))
    assert suspects.full
    suspects.pop_decidable(1)
    assert not suspects.full
    for number in (4, 5):
        suspects.add(suspect(number))
    assert suspects.full
    suspects.pop_oldest()
    assert not suspects.full
