"""Dead letters in the spool's file."""

import sqlite3
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.spool import UNTRUSTED, Letter, letters
from collector.spool.letters import Choice, Kind


def letter(reason="refused", **changes):
    attributes = {
        "reason": reason,
        "problem": "HTTP 400",
        "identifier": f"{7:032x}",
        "intake": "edr",
        "sink": "siem",
        "listener": "tcp",
        "peer": "192.0.2.1",
        "received": 5.25,
        "raw": b"x\xff",
        "is_frame": False,
    }
    return Letter(**{**attributes, **changes})


@pytest.fixture
def file():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in letters.SCHEMA.split(";"):
        connection.execute(statement)
    return connection


def numbers(file, choice=letters.ALL, **arguments):
    return [item.number for item in letters.choose(file, choice, **arguments)]


def test_a_letter_comes_back_as_it_was_kept(file):
    """With its number, and the time at which it was set aside."""
    whole = letter(event=b'{"message":"x"}')
    frame = letter("incomplete_frame", sink="", is_frame=True, is_cut=True)
    letters.insert(file, [whole, frame], 9.5)
    found = letters.choose(file, letters.ALL)
    for item, number in ((whole, 1), (frame, 2)):
        item.number, item.kept = number, 9.5
    fields = Letter.__dataclass_fields__
    assert [[getattr(item, name) for name in fields] for item in found] == [
        [getattr(item, name) for name in fields] for item in (whole, frame)
    ]


def test_letters_come_in_order_a_part_at_a_time(file):
    letters.insert(file, [letter() for _ in range(5)], 0.0)
    assert numbers(file, limit=2) == [1, 2]
    assert numbers(file, after=2, limit=2) == [3, 4]
    assert numbers(file, after=5) == []


def test_few_large_letters_come_at_once(file):
    """Not more than is good for memory, but one at least."""
    letters.insert(file, [letter(raw=bytes(letters.MAX_OCTETS // 2)) for _ in range(4)], 0.0)
    letters.insert(file, [letter(raw=bytes(2 * letters.MAX_OCTETS))], 0.0)
    assert numbers(file) == [1, 2]
    assert numbers(file, after=4) == [5]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), [1, 2, 3, 4]),
        (Choice(reason="refused"), [1, 2]),
        (Choice(intake=""), [3]),
        (Choice(sink="other"), [2]),
        (Choice(since=20.0), [2, 3, 4]),
        (Choice(numbers=(4, 1, 99)), [1, 4]),
        (Choice(numbers=()), []),
        (Choice(last=2), [1, 2]),
        (Choice(reason="refused", since=20.0), [2]),
        (Choice(reason="' OR 1 --"), []),
        (Choice(until=20.0), [1, 2]),
        (Choice(pool=""), [1, 2, 4]),
        (Choice(pool="unknown_intake"), [3]),
    ],
    ids=str,
)
def test_a_choice_says_which_letters_are_meant(file, choice, expected):
    """By every filter alike: what is counted is what is shown and what is deleted."""
    letters.insert(file, [letter()], 10.0)
    letters.insert(file, [letter(sink="other")], 20.0)
    letters.insert(file, [letter("unknown_intake", intake="", sink="")], 30.0)
    letters.insert(file, [letter("parse_error", sink="")], 40.0)
    admitted = [item.number for item in letters.choose(file, letters.ALL) if choice.admits(item)]
    assert admitted == expected
    assert numbers(file, choice) == expected
    assert letters.count(file, choice).total() == len(expected)
    assert sum(kind.letters for kind in letters.summary(file, choice)) == len(expected)
    assert letters.delete(file, choice).total() == len(expected)
    assert set(numbers(file)) == {1, 2, 3, 4} - set(expected)


def test_a_choice_survives_being_written_down():
    """As JSON, for a request."""
    choice = Choice(reason="refused", numbers=(1, 2), last=9)
    assert choice.as_dict() == {"reason": "refused", "numbers": (1, 2), "last": 9}
    assert Choice.of({"reason": "refused", "numbers": [1, 2], "last": 9}) == choice
    assert Choice.of({}) == letters.ALL
    with pytest.raises(TypeError):
        Choice.of({"of_a_later_version": 1})


def test_a_choice_of_all_is_known_as_such():
    """What comes later is not meant by anybody."""
    assert Choice().is_all
    assert Choice(last=7, until=20.0).is_all
    assert not Choice(intake="").is_all


def test_the_summary_tells_kinds_apart(file):
    """With the times between which they were set aside."""
    letters.insert(file, [letter()], 10.0)
    letters.insert(file, [letter(), letter("unknown_intake", intake="", sink="")], 20.0)
    size = letter().size
    assert letters.summary(file) == [
        Kind("refused", "edr", "siem", 2, 2 * size, 10.0, 20.0),
        Kind("unknown_intake", "", "", 1, size, 20.0, 20.0),
    ]
    assert letters.count(file) == {"refused": 2, "unknown_intake": 1}


def test_a_letter_is_of_a_kind(file):
    """As the summary has it."""
    letters.insert(file, [letter()], 10.0)
    (found,) = letters.choose(file, letters.ALL)
    assert [letters.kind_of(found)] == letters.summary(file)


def test_the_oldest_make_room_for_newer_ones(file):
    """As few as have to go."""
    letters.insert(file, [letter(raw=bytes(n)) for n in (500, 10, 10, 10)], 0.0)
    size = letter(raw=bytes(10)).size
    assert letters.evict(file, "", 10_000) == {}
    assert letters.evict(file, "", 2 * size + 1) == {"refused": 2}
    assert numbers(file) == [3, 4]
    assert letters.evict(file, "", 0) == {"refused": 2}


def test_a_flood_of_what_anybody_can_send_evicts_nothing_else(file):
    """Each of its reasons has a bound of its own."""
    letters.insert(file, [letter()], 0.0)
    letters.insert(file, [letter("unknown_intake"), letter("incomplete_frame")] * 50, 0.0)
    evicted = letters.evict(file, "unknown_intake", 3 * letter().size)
    assert evicted == {"unknown_intake": 47}
    assert letters.count(file) == {"refused": 1, "unknown_intake": 3, "incomplete_frame": 50}


def test_letters_expire_by_the_time_they_were_set_aside(file):
    for kept in (10.0, 20.0, 30.0):
        letters.insert(file, [letter()], kept)
    assert letters.expire(file, 20.0) == {"refused": 1}
    assert numbers(file) == [2, 3]


def test_what_was_replayed_is_deleted_by_number(file):
    """What is no longer there is not counted."""
    letters.insert(file, [letter(), letter("parse_error"), letter()], 0.0)
    assert letters.delete_numbers(file, [1, 2, 99]) == {"refused": 1, "parse_error": 1}
    assert numbers(file) == [3]


def test_deleting_takes_a_part_at_a_time(file, monkeypatch):
    """So that nothing else waits for long."""
    monkeypatch.setattr(letters, "MAX_DELETED", 2)
    letters.insert(file, [letter() for _ in range(3)], 0.0)
    assert [letters.delete(file, letters.ALL).total() for _ in range(3)] == [2, 1, 0]


def test_a_number_is_never_given_twice(file):
    """Who has seen a letter by its number does not purge another."""
    letters.insert(file, [letter(), letter()], 0.0)
    assert letters.last_number(file) == 2
    letters.delete(file, letters.ALL)
    assert letters.last_number(file) == 0
    letters.insert(file, [letter()], 0.0)
    assert numbers(file) == [3]


REASONS = st.sampled_from(["refused", "parse_error", *sorted(UNTRUSTED)])
POOLS = st.sampled_from(["", *sorted(UNTRUSTED)])
ACTIONS = st.one_of(
    st.tuples(st.just("insert"), st.lists(REASONS, max_size=5)),
    st.tuples(st.just("evict"), st.tuples(POOLS, st.integers(0, 2000))),
    st.tuples(st.just("expire"), st.integers(0, 30)),
    st.tuples(st.just("delete"), REASONS),
    st.tuples(st.just("delete_numbers"), st.lists(st.integers(1, 40), max_size=5)),
)


@given(st.lists(ACTIONS, max_size=30))
def test_totals_and_counts_hold_whatever_happens(actions):
    """What is deleted and what is there make up what was kept; sizes are those of the rows."""
    file = sqlite3.connect(":memory:", isolation_level=None)
    for statement in letters.SCHEMA.split(";"):
        file.execute(statement)
    kept, deleted = Counter(), Counter()
    for moment, (action, argument) in enumerate(actions):
        if action == "insert":
            letters.insert(file, [letter(reason) for reason in argument], float(moment))
            kept.update(argument)
        elif action == "evict":
            deleted += letters.evict(file, *argument)
            assert letters.sizes(file)[argument[0]] <= argument[1]
        elif action == "expire":
            deleted += letters.expire(file, argument)
        elif action == "delete":
            deleted += letters.delete(file, Choice(reason=argument))
        else:
            deleted += letters.delete_numbers(file, argument)
        assert letters.count(file) + deleted == kept
        rows = Counter(dict(file.execute("SELECT pool, sum(size) FROM letter GROUP BY 1")))
        assert letters.sizes(file) == rows
    file.close()


def test_letters_of_another_file_are_moved_in_under_numbers_given_to_them(file):
    """Nobody else gets these meanwhile, also where there is none yet."""
    assert letters.reserve(file, 2) == 0
    letters.insert(file, [letter(raw=b"5")], 10.0)
    assert letters.reserve(file, 3) == 3
    moved = [letter(raw=b"6", number=1, kept=7.0), letter(raw=b"7", number=5, kept=8.0)]
    letters.move_in(file, moved)
    letters.insert(file, [letter(raw=b"8")], 11.0)
    found = letters.choose(file, letters.ALL)
    assert [(item.number, int(item.raw), item.kept) for item in found] == [
        (1, 6, 7.0),
        (3, 5, 10.0),
        (5, 7, 8.0),
        (7, 8, 11.0),
    ]
    assert letters.sizes(file) == {"": sum(item.size for item in found)}


def test_letters_may_be_chosen_from_a_number_on(file):
    """What stands before was not meant."""
    letters.insert(file, [letter(), letter(), letter()], 10.0)
    assert [item.number for item in letters.choose(file, Choice(first=2))] == [2, 3]
