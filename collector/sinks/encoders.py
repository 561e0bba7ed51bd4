"""Batches made of documents, taken apart, and compressed."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import zstandard
from isal import isal_zlib

from collector.octets import fitted
from collector.sinks.formats import stored
from collector.spool import Batch
from collector.spool.entries import Entry, pack_entries, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from collector.sinks.formats import Format

# ISA-L's level 1 takes about a tenth of zlib's time for nearly the same size.
GZIP_LEVEL = 1
GZIP_WBITS = 31
ZSTD_LEVEL = 1

# For what is compressed for the disk alone: half of the time of level 1 for twice the size. Writing
# and deleting what is not compressed at all takes more time than either.
ZSTD_DISK_LEVEL = -5

MAX_PLAIN: Final = 4 * 1024 * 1024
"""Octets of bodies that are kept as they were before."""

MAX_WINDOW: Final = 8 * 1024 * 1024
"""Octets that a Zstandard frame may have its reader look back on: RFC 8878, section 3.1.1.1.2."""

ON_DISK: Final = "zstd"
"""The codec in which batches are kept on disk whose sink wants none."""


def _gzip(body: bytes) -> bytes:
    compressed: bytes = isal_zlib.compress(body, GZIP_LEVEL, GZIP_WBITS)
    return compressed


def _gunzip(body: bytes, most: int) -> bytes:
    reader = isal_zlib.decompressobj(GZIP_WBITS)
    plain: bytes = reader.decompress(body, most + 1)  # it ends what is as long as it may be, too
    if len(plain) > most:
        raise ValueError("longer than it may be")
    if not reader.eof:
        raise ValueError("no end")
    return plain


class _Compressors(threading.local):
    """What compresses in one thread, and reads it: for one body at a time, and long to make."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdCompressor(ZSTD_LEVEL)
        self.zstd_disk = zstandard.ZstdCompressor(ZSTD_DISK_LEVEL)
        self.unzstd = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)


_COMPRESSORS: Final = _Compressors()


def _zstd(body: bytes) -> bytes:
    return fitted(_COMPRESSORS.zstd.compress(body))


def _unzstd(body: bytes, most: int) -> bytes:
    # It takes as much memory as the frame says at once; all of ours say it.
    if not 0 <= zstandard.frame_content_size(body) <= most:
        raise ValueError("longer than it may be, or of unknown length")
    return _COMPRESSORS.unzstd.decompress(body)


def _as_it_is(body: bytes) -> bytes:
    return body


def _as_it_was(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise ValueError("longer than it may be")
    return body


COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "none": _as_it_is,
    "gzip": _gzip,
    "zstd": _zstd,
}
DECOMPRESS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "none": _as_it_was,
    "gzip": _gunzip,
    "zstd": _unzstd,
}
"""Take a body, and how many octets it may have without compression: no more memory is taken."""

DAMAGE: Final[tuple[type[Exception], ...]] = (
    ValueError,
    LookupError,
    MemoryError,
    cast("type[Exception]", isal_zlib.error),  # its stub has it as an instance
    zstandard.ZstdError,
)
"""What reading a stored batch raises where its form or codec is unknown or its octets are not those
that were written."""


def encode(
    documents: Sequence[bytes],
    entries: bytes,
    *,
    sink: str,
    form: Format,
    codec: str,
    received: float,
    on_disk: bool = False,
    plain_bodies: PlainBodies | None = None,
) -> Batch:
    """Return a batch of documents.

    Args:
        documents: made by `form`.
        entries: what is known of their events, packed.
        sink: name of the sink.
        form: joins the documents.
        codec: the compression that the sink wants, a key of `COMPRESS`.
        received: when the oldest event was received, in seconds since 1970.
        on_disk: whether it is to wait on disk: then it is compressed in any case.
        plain_bodies: keeps for a moment what is compressed for the disk alone.
    """
    plain = form.join(documents)
    for_disk = on_disk and codec == "none"
    if for_disk:
        codec, body = ON_DISK, fitted(_COMPRESSORS.zstd_disk.compress(plain))
    else:
        body = COMPRESS[codec](plain)
    batch = Batch(sink, form.form, codec, body, len(documents), len(plain), received, entries)
    if for_disk and plain_bodies is not None:
        plain_bodies.keep(batch, plain)
    return batch


class PlainBodies:
    """The bodies of the newest batches as they were before they were compressed for the disk.

    A sink that keeps up posts a batch as soon as it is on the disk: what was compressed a moment
    ago need not be decompressed.

    Args:
        max_octets: of the bodies that are kept.
        max_batches: whose bodies are kept.
    """

    def __init__(self, max_octets: int = MAX_PLAIN, max_batches: int = 64) -> None:
        self._max_octets = max_octets
        self._max_batches = max_batches
        self._batches: deque[Batch] = deque()
        self._octets = 0

    def keep(self, batch: Batch, plain: bytes) -> None:
        """Keep the plain body of a batch until it is taken, or there are newer ones."""
        batch.plain = plain
        self._batches.append(batch)
        self._octets += batch.octets
        while self._octets > self._max_octets or len(self._batches) > self._max_batches:
            oldest = self._batches.popleft()
            oldest.plain = None
            self._octets -= oldest.octets


def take_plain(batch: Batch) -> bytes:
    """Return the body of a batch without compression; what was kept of it is let go.

    Raises:
        One of `DAMAGE`: the body cannot be read.
    """
    plain, batch.plain = batch.plain, None
    return plain_of(batch) if plain is None else plain


def plain_of(batch: Batch) -> bytes:
    """Return the body of a batch without compression: as long as the batch says.

    Raises:
        One of `DAMAGE`: the body cannot be read.
    """
    plain = DECOMPRESS[batch.codec](batch.body, batch.octets)
    if len(plain) != batch.octets:
        raise ValueError("shorter than it was")
    return plain


def posted_codec(stored: str, wanted: str) -> str:
    """Return the compression in which a batch is posted as it is.

    Args:
        stored: the codec of the batch.
        wanted: the compression that its sink wants: another than what is returned takes another
            batch.
    """
    return wanted if (stored, wanted) == (ON_DISK, "none") else stored


def documents_of(batch: Batch) -> list[bytes]:
    """Return the documents of a batch, whatever its sink wants today."""
    kind, _ = stored(batch.form)
    return kind.split(plain_of(batch))


def part(batch: Batch, documents: Sequence[bytes], entries: Iterable[Entry]) -> Batch:
    """Return a batch that holds some of the documents of another."""
    kind, _ = stored(batch.form)
    body = kind.join(documents)
    return Batch(
        batch.sink,
        batch.form,
        batch.codec,
        COMPRESS[batch.codec](body),
        len(documents),
        len(body),
        batch.received,
        pack_entries(entries),
    )


def join(batches: Sequence[Batch]) -> Batch:
    """Return a batch that holds the documents of several of one form and codec, in order."""
    documents = [document for batch in batches for document in documents_of(batch)]
    entries = [entry for batch in batches for entry in unpack(batch.entries)]
    whole = part(batches[0], documents, entries)
    whole.received = min(batch.received for batch in batches)
    return whole


def select(batch: Batch, chosen: Iterable[Sequence[int]]) -> list[Batch]:
    """Return a part of a batch for each choice of positions."""
    documents, entries = documents_of(batch), unpack(batch.entries)
    return [
        part(batch, [documents[at] for at in some], [entries[at] for at in some]) for some in chosen
    ]


def halve(batch: Batch) -> list[Batch]:
    """Return the two halves of a batch of two events or more, in order."""
    middle = batch.events // 2
    return select(batch, [range(middle), range(middle, batch.events)])
