"""What a batch knows of each of its events, packed."""

from hypothesis import given
from hypothesis import strategies as st

from collector.spool.entries import (
    Entry,
    consecutive,
    first_intake,
    octets_of,
    pack,
    pack_entries,
    unpack,
)

IDS = [f"{number:032x}" for number in (1, 2, 3)]


def test_runs_are_counted_and_ids_stand_behind_them():
    """A line of JSON, then 16 octets for each id, whatever octets those are."""
    packed = pack(octets_of(["0a" * 16, IDS[1]]), [(2, "edr", "192.0.2.1", 10.5)])
    assert packed == b'[[2,"edr","192.0.2.1",10.5]]\n' + b"\n" * 16 + b"\0" * 15 + b"\2"
    assert unpack(packed) == [
        Entry("0a" * 16, "edr", "192.0.2.1", 10.5),
        Entry(IDS[1], "edr", "192.0.2.1", 10.5),
    ]


def test_events_that_came_alike_are_one_run():
    """What differs in intake, peer or time begins another one."""
    entries = [
        Entry(IDS[0], "a", "192.0.2.1", 1.0),
        Entry(IDS[1], "a", "192.0.2.1", 1.0),
        Entry(IDS[2], "a", "192.0.2.1", 2.0),
    ]
    packed = pack_entries(entries)
    assert packed.startswith(b'[[2,"a","192.0.2.1",1.0],[1,"a","192.0.2.1",2.0]]\n')
    assert unpack(packed) == entries


def test_the_first_intake_is_found_without_unpacking():
    """It is that of all where a request can hold one intake's events only."""
    entries = [Entry(IDS[0], "a", "", 1.0), Entry(IDS[1], "b", "", 1.0)]
    assert first_intake(pack_entries(entries)) == "a"


ENTRIES = st.builds(
    Entry,
    st.integers(0, (1 << 128) - 1).map(lambda number: f"{number:032x}"),
    st.sampled_from(["edr", "intake\n2", "é"]),
    st.sampled_from(["192.0.2.1", "2001:db8::1", ""]),
    st.floats(0, 4e9),
)


@given(entries=st.lists(ENTRIES, max_size=20))
def test_what_was_packed_is_unpacked(entries):
    """In order, and to the last digit."""
    assert unpack(pack_entries(entries)) == entries


@given(first=st.integers(0, (1 << 128) - 300), count=st.integers(0, 300))
def test_ids_that_count_up_are_kept_as_any_others(first, count):
    """Also where a digit carries."""
    ids = [f"{number:032x}" for number in range(first, first + count)]
    assert consecutive(first, count) == octets_of(ids)
