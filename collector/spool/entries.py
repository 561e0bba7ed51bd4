"""What a batch knows of each of its events besides the document, packed.

Most events of a batch came in runs: of one intake, from one peer, in one read. So the packed form
is a JSON array of runs `[count, intake, peer, received]`, a line feed, and 16 octets of each id.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import orjson

from collector.identity import ID_OCTETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ID_BITS = 8 * ID_OCTETS
_AT_ONCE = 256  # ids; the time for one number grows with the square of its length


class Entry(NamedTuple):
    """One event of a batch.

    Attributes:
        identifier: its id, 32 hexadecimal digits.
        intake: name of its intake.
        peer: the sender's address as text.
        received: seconds since 1970.
    """

    identifier: str
    intake: str
    peer: str
    received: float


Run = tuple[int, str, str, float]
"""How many events in a row have this intake, peer and time of receipt."""


def pack(identifiers: bytes, runs: Sequence[Run]) -> bytes:
    """Return entries as they are kept.

    Args:
        identifiers: 16 octets for each event.
        runs: together as long as there are events.
    """
    return orjson.dumps(runs) + b"\n" + identifiers


def octets_of(identifiers: Iterable[str]) -> bytes:
    """Return ids, each given as 32 hexadecimal digits, as they are kept."""
    return bytes.fromhex("".join(identifiers))


def consecutive(first: int, count: int) -> bytes:
    """Return `count` ids that count up from `first`, as they are kept.

    Of some hundreds at a time one long number is made, which is faster than one for each.
    """
    if count <= _AT_ONCE:
        return _consecutive(first, count)
    starts = range(0, count, _AT_ONCE)
    return b"".join(_consecutive(first + at, min(_AT_ONCE, count - at)) for at in starts)


def _consecutive(first: int, count: int) -> bytes:
    ones, steps = _progression(count)
    return (first * ones + steps).to_bytes(ID_OCTETS * count)


@lru_cache(maxsize=_AT_ONCE)
def _progression(count: int) -> tuple[int, int]:
    """Return the numbers made of `count` times 1 and of 0, 1, 2 …, each as wide as an id."""
    ones = steps = 0
    for step in range(count):
        ones = ones << _ID_BITS | 1
        steps = steps << _ID_BITS | step
    return ones, steps


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Return entries as they are kept."""
    listed = list(entries)
    runs = [(len(list(group)), *key) for key, group in groupby(listed, lambda entry: entry[1:])]
    return pack(octets_of(entry.identifier for entry in listed), runs)


def first_intake(packed: bytes) -> str:
    """Return the intake of the first event of a batch."""
    runs: list[Run] = orjson.loads(packed.partition(b"\n")[0])
    return runs[0][1]


def unpack(packed: bytes) -> list[Entry]:
    """Return the entries of a batch, in the order of its documents."""
    head, _, octets = packed.partition(b"\n")
    identifiers = octets.hex()
    entries, position = [], 0
    for count, intake, peer, received in orjson.loads(head):
        for _ in range(count):
            identifier = identifiers[position : position + 2 * ID_OCTETS]
            entries.append(Entry(identifier, intake, peer, received))
            position += 2 * ID_OCTETS
    return entries
