"""Lengths with which a stream that is full refuses what is new, and deletes nothing."""

from random import Random

import pytest

from collector.stream import FullError, wire
from collector.stream.aligning import ALIGNMENT, MOST_ADDED, align, bound
from tests.unit.stream.conftest import Member, batch_of, settings_of

# What nats-server writes around subject, headers and body (`fileStoreMsgSize`).
AROUND = 22 + 4 + 8


def test_whatever_is_published_takes_a_multiple():
    """No matter how long it is, and not much more than without."""
    for length in range(2 * ALIGNMENT):
        headers = {"A": "ä", "B": ""}
        aligned = align("s.ü", headers, bytes(length))
        assert aligned.items() >= headers.items()
        taken = wire.size(aligned, bytes(length))
        assert (AROUND + len("s.ü".encode()) + taken) % ALIGNMENT == 0
        assert 0 <= taken - wire.size(headers, bytes(length)) < MOST_ADDED


def test_what_is_around_a_message_is_less_than_that():
    """With the longest names."""
    longest = "x" * 64
    stream = settings_of(stream=longest).stream
    for subject in (wire.subject(stream, longest, 10**9), f"{stream}-dead-letters.{longest}"):
        assert AROUND + len(subject) <= ALIGNMENT


@pytest.mark.parametrize(("octets", "expected"), [(1 << 20, 1 << 20), (10_000_000, 9_999_872)])
def test_a_bound_is_a_multiple(octets, expected):
    """No more than it was to be."""
    assert bound(octets) == expected
    assert expected % ALIGNMENT == 0


async def fill(member, numbers, length_of):
    """Publish batches of these lengths until the stream is full; return how many it took."""
    for count, number in enumerate(numbers):
        batch = batch_of(number, octets=length_of())
        message = wire.batch_message("collector", batch, f"{number}")
        try:
            await member.publish(*message)
        except FullError:
            return count
    raise AssertionError("it is never full")


async def test_a_stream_that_is_full_keeps_what_it_has_acknowledged(nats):
    """However often it comes to be full: nothing is missing but what somebody deletes."""
    random = Random(7)
    numbers = iter(range(100_000))
    async with Member(nats, max_bytes="1MiB") as member, nats.client() as somebody:
        stream = somebody.jetstream()
        stored = await fill(member, numbers, lambda: 60_000)
        for deleted in range(50):
            stored += await fill(member, numbers, lambda: random.randrange(300))
            state = (await stream.stream_info("collector")).state
            assert (state.messages, state.first_seq) == (stored - deleted, deleted + 1)
            await stream.delete_msg("collector", state.first_seq)
