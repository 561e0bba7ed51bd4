"""Identifiers of events."""

from collector.identity import TAIL_BITS, IdSource, as_text, content_id


def ids(source, count, milliseconds):
    first = source.reserve(count, milliseconds)
    return [as_text(first + number) for number in range(count)]


def test_an_id_is_the_time_and_a_counter():
    """32 hexadecimal digits: milliseconds, then the tail."""
    assert ids(IdSource(0xABC), 2, 0x123456789ABC) == [
        "123456789abc00000000000000000abc",
        "123456789abc00000000000000000abd",
    ]


def test_ids_sort_by_time_and_never_repeat():
    """A clock that stands or goes back does not."""
    source = IdSource(7)
    made = ids(source, 3, 1000) + ids(source, 2, 1000) + ids(source, 2, 900) + ids(source, 1, 2000)
    assert made == sorted(set(made))
    assert len(made) == 8


def test_a_tail_that_is_used_up_begins_again_later():
    """Ids keep their order and their length when the counter wraps."""
    source = IdSource((1 << TAIL_BITS) - 2)
    made = ids(source, 1, 5) + ids(source, 3, 5) + ids(source, 1, 5)
    assert made == sorted(set(made))
    assert {len(text) for text in made} == {32}


def test_the_id_of_a_content_is_that_of_its_repetition():
    """It has the form of every other; another intake or another octet makes another one."""
    made = [content_id("a", b"one"), content_id("a", b"one "), content_id("b", b"one")]
    assert content_id("a", b"one") == made[0]
    assert len(set(made)) == 3
    assert {len(text) for text in made} == {32}
    assert all(int(text, 16) for text in made)


def test_intake_and_frame_are_told_apart():
    """What ends the name of one cannot begin the frame of another."""
    assert content_id("a", b"bc") != content_id("ab", b"c")
