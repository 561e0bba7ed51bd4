"""Damaged inputs by the million: valid ones, mutated by a seeded generator of random numbers.

Hypothesis, which the unit tests use, looks for small examples and takes its time over each; this
makes some hundred thousand a second, the same ones each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

MAX_OCTETS = 2000
RANDOM_OCTETS = 60
LONGEST_SLICE = 40

# What decides something in more than one protocol.
TOKENS = (
    *(b"", b" ", b"  ", b"\n", b"\r\n", b"\r", b"\0", b"\t", b"\\", b'"', b"=", b"|", b":", b"-"),
    *(b"<", b">", b"[", b"]", b"{", b"0", b"1", b"9", b"00", b"999999999", b"1234567890", b"-1"),
    *(b"\xff", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\x16\x03\x01", b"a" * 40, b" " * 40),
)


def inputs(seeds: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """Make inputs: one in ten of random octets, the others damaged seeds.

    Args:
        seeds: valid inputs.
        random: where chance comes from.
        count: how many.
    """
    for _ in range(count):
        if random.random() < 0.1:
            yield random.randbytes(random.randrange(RANDOM_OCTETS))
        else:
            yield mutated(random.choice(seeds), seeds, random)


def mutated(octets: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    """Damage an input in one place or a few."""
    while True:
        octets = random.choice(KINDS)(octets, seeds, random)[:MAX_OCTETS]
        if random.random() < 0.6:
            return octets


def cuttings(octets: bytes, random: Random) -> list[bytes]:
    """Cut octets into pieces: into single ones, or in up to five places."""
    if random.random() < 0.1:
        return [octet.to_bytes() for octet in octets]
    places = sorted(random.randrange(len(octets) + 1) for _ in range(random.randrange(6)))
    ends = [*places, len(octets)]
    return [octets[start:end] for start, end in zip([0, *places], ends, strict=True)]


def _place(octets: bytes, random: Random) -> tuple[int, int]:
    """Return where a slice begins and ends."""
    start = random.randrange(len(octets) + 1)
    return start, start + random.randrange(LONGEST_SLICE)


def _flip(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    if not octets:
        return octets
    place = random.randrange(len(octets))
    flipped = octets[place] ^ 1 << random.randrange(8)
    return octets[:place] + flipped.to_bytes() + octets[place + 1 :]


def _replace(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(octets, random)
    return octets[:start] + random.choice(TOKENS) + octets[end:]


def _insert(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, _end = _place(octets, random)
    return octets[:start] + random.choice(TOKENS) + octets[start:]


def _repeat(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(octets, random)
    return octets[:end] + octets[start:end] * random.randrange(1, 5) + octets[end:]


def _move(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start, end = _place(octets, random)
    rest = octets[:start] + octets[end:]
    place = random.randrange(len(rest) + 1)
    return rest[:place] + octets[start:end] + rest[place:]


def _splice(octets: bytes, seeds: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(seeds)
    start = random.randrange(len(octets) + 1)
    return octets[:start] + other[random.choice((0, random.randrange(len(other) + 1))) :]


def _cut(octets: bytes, _: Sequence[bytes], random: Random) -> bytes:
    return octets[: random.randrange(len(octets) + 1)]


KINDS = (_flip, _replace, _insert, _repeat, _move, _splice, _cut)
