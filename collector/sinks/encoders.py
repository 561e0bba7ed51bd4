"""Request bodies: how encoded events are joined, compressed and taken apart again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal import isal_zlib

from collector.spool import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NDJSON_CONTENT_TYPE = "application/x-ndjson"

# ISA-L's level 1 takes about a tenth of zlib's time for nearly the same size.
GZIP_LEVEL = 1
GZIP_WBITS = 31


def _gzip(body: bytes) -> bytes:
    compressed: bytes = isal_zlib.compress(body, GZIP_LEVEL, GZIP_WBITS)
    return compressed


def _gunzip(body: bytes) -> bytes:
    plain: bytes = isal_zlib.decompress(body, GZIP_WBITS)
    return plain


def _as_it_is(body: bytes) -> bytes:
    return body


COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"none": _as_it_is, "gzip": _gzip}
DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {"none": _as_it_is, "gzip": _gunzip}


def encode(events: Sequence[bytes], *, sink: str, codec: str, received: float) -> Batch:
    """Return a batch whose body is NDJSON: each event followed by a line feed.

    Args:
        events: JSON texts, which hold no line feed.
        sink: name of the sink.
        codec: a key of `COMPRESS`.
        received: when the oldest event was received, in seconds since 1970.
    """
    body = b"\n".join(events) + b"\n"
    return Batch(sink, COMPRESS[codec](body), codec, len(events), len(body), received)


def halve(batch: Batch) -> tuple[Batch, Batch]:
    """Return the two halves of a batch of two events or more, in order."""
    events = DECOMPRESS[batch.codec](batch.body).split(b"\n")[:-1]
    middle = len(events) // 2
    first, second = (
        encode(half, sink=batch.sink, codec=batch.codec, received=batch.received)
        for half in (events[:middle], events[middle:])
    )
    return first, second
