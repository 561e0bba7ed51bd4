"""Lengths with which a stream that is full refuses what is new, and deletes nothing.

nats-server 2.9 refuses a message by its headers and body, but counts what it writes around them,
too. Where the one fits below the bound of the stream and the other does not, it takes the message,
and makes room by deleting the oldest, which it had acknowledged (`storeRawMsg` and
`enforceBytesLimit` in its server/filestore.go).

So all that we publish takes a multiple of some octets there, and the bounds of streams are such
multiples, too: then a message fits as a whole or not even without what is around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.stream.wire import size

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIGNMENT: Final = 256
"""More octets than are written around a message: names are at most 64 octets long."""

# Length of the record, sequence, time, lengths of subject and headers, checksum.
_AROUND: Final = 4 + 8 + 8 + 2 + 4 + 8

_PADDING: Final = "Padding"
_LEAST: Final = size({_PADDING: ""}, b"") - size({}, b"") + 1

MOST_ADDED: Final = ALIGNMENT + _LEAST
"""More octets than `align` adds to a message."""


def bound(octets: int) -> int:
    """Return the bound of a stream, in octets, that is no more than what settings allow."""
    return octets - octets % ALIGNMENT


def align(subject: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return headers with which a message takes a multiple of octets in a stream."""
    lacking = -(_AROUND + len(subject.encode()) + size(headers, body)) % ALIGNMENT
    if not lacking:
        return dict(headers)
    if lacking < _LEAST:
        lacking += ALIGNMENT
    return {**headers, _PADDING: "." * (lacking - _LEAST + 1)}
