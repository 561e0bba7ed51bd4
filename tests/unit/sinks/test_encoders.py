"""Batches made of documents, taken apart, and compressed."""

import gzip
import tracemalloc
from dataclasses import replace

import pytest
import zstandard

from collector.sinks.encoders import (
    COMPRESS,
    DAMAGE,
    DECOMPRESS,
    PlainBodies,
    documents_of,
    encode,
    halve,
    join,
    part,
    posted_codec,
    select,
    take_plain,
)
from collector.sinks.formats import FORMATS
from collector.spool.entries import pack_entries, unpack
from tests.making import batch_of, entry_of, form_of

TEXTS = ["zero", "one", "two", "three", "four"]
ENTRIES = [entry_of(number) for number in range(5)]


def test_a_batch_holds_its_documents_and_what_is_known_of_them():
    """In the form and with the compression that its sink wants."""
    batch = encode(
        [b'{"n":0}', b'{"n":1}'],
        pack_entries(ENTRIES[:2]),
        sink="s",
        form=form_of(),
        codec="none",
        received=1.5,
    )
    assert (batch.body, batch.codec, batch.events) == (b'{"n":0}\n{"n":1}\n', "none", 2)
    assert (batch.sink, batch.form, batch.received) == ("s", "ndjson:event", 1.5)
    assert (batch.octets, batch.refused_at) == (16, None)
    assert unpack(batch.entries) == ENTRIES[:2]


def test_gzip_and_zstd_are_what_any_reader_reads():
    """A gzip member (RFC 1952), a Zstandard frame (RFC 8878)."""
    plain = batch_of(form_of(), TEXTS, ENTRIES)
    zipped = batch_of(form_of(), TEXTS, ENTRIES, codec="gzip")
    assert gzip.decompress(zipped.body) == plain.body
    packed = batch_of(form_of(), TEXTS, ENTRIES, codec="zstd")
    assert zstandard.ZstdDecompressor().stream_reader(packed.body).read() == plain.body
    assert zipped.octets == packed.octets == len(plain.body)


@pytest.mark.parametrize("codec", COMPRESS)
def test_a_batch_that_waits_takes_no_more_memory_than_it_is_long(codec):
    """Not what it took before it was compressed: hundreds of them may wait."""
    documents, form = [b"one" * 1000] * 300, form_of()
    entries = pack_entries(ENTRIES[:1])

    def encoded():
        return encode(
            documents, entries, sink="s", form=form, codec=codec, received=1.5, on_disk=True
        )

    encoded()  # which makes the compressor
    tracemalloc.start()
    try:
        batch = encoded()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < batch.size + 10_000 < batch.octets / 10


@pytest.mark.parametrize("codec", COMPRESS)
def test_what_waits_on_disk_is_compressed(codec):
    """As its sink wants it; where that wants none, so that there is less to write."""
    documents = [b"one" * 100, b"two"]
    batch = encode(
        documents,
        pack_entries(ENTRIES[:2]),
        sink="s",
        form=form_of(),
        codec=codec,
        received=1.5,
        on_disk=True,
    )
    assert batch.codec == ("zstd" if codec == "none" else codec)
    assert len(batch.body) < 60
    assert (batch.octets, documents_of(batch)) == (305, documents)
    assert posted_codec(batch.codec, codec) == codec


def kept(bodies, text, codec="none", **where):
    """Return a batch of one document whose plain body may be kept."""
    return encode(
        [text],
        pack_entries(ENTRIES[:1]),
        sink="s",
        form=form_of(),
        codec=codec,
        received=1.5,
        plain_bodies=bodies,
        **{"on_disk": True, **where},
    )


def test_what_was_compressed_a_moment_ago_need_not_be_decompressed():
    """It is let go once it is taken; a second attempt reads the batch."""
    batch = kept(PlainBodies(), b"text")
    assert batch.plain == b"text\n"
    whole, batch.body = batch.body, b"not read"
    assert (take_plain(batch), batch.plain) == (b"text\n", None)
    batch.body = whole
    assert take_plain(batch) == b"text\n"


def test_only_the_newest_bodies_are_kept():
    """Within a bound of octets, and one of batches."""
    bodies = PlainBodies(max_octets=100)
    batches = [kept(bodies, b"x" * 39) for _ in range(4)]
    assert [batch.plain is not None for batch in batches] == [False, False, True, True]
    assert kept(bodies, b"x" * 200).plain is None
    assert [batch.plain for batch in batches] == [None] * 4
    assert {take_plain(batch) for batch in batches} == {b"x" * 39 + b"\n"}
    bodies = PlainBodies(max_batches=2)
    batches = [kept(bodies, b"x") for _ in range(3)]
    assert [batch.plain is not None for batch in batches] == [False, True, True]


def test_what_is_posted_as_it_is_kept_is_not_kept_twice():
    """Compressed for the sink, or not compressed at all."""
    assert kept(PlainBodies(), b"x", codec="gzip").plain is None
    assert kept(PlainBodies(), b"x", on_disk=False).plain is None


def test_a_batch_that_is_compressed_for_another_sink_is_not_posted_as_it_is():
    """It is to be made anew."""
    assert posted_codec("gzip", "none") == "gzip"
    assert posted_codec("zstd", "gzip") == "zstd"
    assert posted_codec("none", "zstd") == "none"


def test_every_codec_of_a_format_is_there_both_ways():
    """And is told by the name that HTTP has for it."""
    assert {codec for kind in FORMATS.values() for codec in kind.codecs} == set(COMPRESS)
    for codec, compress in COMPRESS.items():
        assert DECOMPRESS[codec](compress(b"body"), 4) == b"body"
        assert DECOMPRESS[codec](compress(b""), 0) == b""


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", [lambda body: body[:-3], lambda _: b"", lambda _: b"text"])
def test_damaged_bodies_raise_what_they_are_said_to(codec, damage):
    """So that whoever reads stored ones can catch it."""
    with pytest.raises(DAMAGE):
        DECOMPRESS[codec](damage(COMPRESS[codec](b"body" * 100)), 400)


@pytest.mark.parametrize("codec", COMPRESS)
@pytest.mark.parametrize("octets", [15, 17])
def test_a_body_that_is_not_as_long_as_its_batch_says_is_damaged(codec, octets):
    """Whatever is to be done with it."""
    batch = encode(
        [b'{"n":0}', b'{"n":1}'],
        pack_entries(ENTRIES[:2]),
        sink="s",
        form=form_of(),
        codec=codec,
        received=1.5,
    )
    other = replace(batch, octets=octets)
    for read in (documents_of, take_plain, halve, lambda it: join([batch, it])):
        assert read(batch)
        with pytest.raises(DAMAGE):
            read(other)


@pytest.mark.parametrize(
    "body",
    [
        COMPRESS["gzip"](bytes(100_000_000)),
        COMPRESS["zstd"](bytes(100_000_000)),
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100_000_000)),
        # RFC 8878, section 3.1.1: one segment, its length in eight octets, an empty last block.
        b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\1\0\0",
    ],
    ids=["gzip", "zstd", "zstd of unknown length", "zstd that claims a TiB"],
)
def test_a_body_takes_no_more_memory_than_its_batch_says(body):
    """Whoever may publish to a stream can have compressed anything."""
    codec = "gzip" if body.startswith(b"\x1f\x8b") else "zstd"
    tracemalloc.start()
    try:
        with pytest.raises(DAMAGE):
            DECOMPRESS[codec](body, 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize("codec", COMPRESS)
@pytest.mark.parametrize("kind", FORMATS)
def test_halves_hold_all_events_in_order(kind, codec):
    """Halving five gives two and three, made like the whole."""
    form = form_of(kind)
    batch = batch_of(form, TEXTS, ENTRIES, codec=codec)
    first, second = halve(batch)
    for half, cut in ((first, slice(2)), (second, slice(2, 5))):
        expected = batch_of(form, TEXTS[cut], ENTRIES[cut], codec=codec)
        assert (half.body, half.codec, half.form) == (expected.body, codec, form.form)
        assert (half.events, half.octets) == (expected.events, expected.octets)
        assert unpack(half.entries) == ENTRIES[cut]
        assert half.received == batch.received


def test_some_of_the_events_are_chosen_by_their_positions():
    """A batch for each choice."""
    batch = batch_of(form_of(), TEXTS, ENTRIES)
    outer, inner = select(batch, [(0, 4), (2,)])
    assert documents_of(outer) == [documents_of(batch)[0], documents_of(batch)[4]]
    assert documents_of(inner) == [documents_of(batch)[2]]
    assert unpack(outer.entries) == [ENTRIES[0], ENTRIES[4]]


def test_a_part_knows_its_own_events():
    """Whatever its sink wants today: it is made like the batch it comes from."""
    batch = batch_of(form_of("json"), TEXTS, ENTRIES, codec="gzip")
    one = part(batch, documents_of(batch)[:1], ENTRIES[:1])
    assert (one.events, documents_of(one)) == (1, documents_of(batch)[:1])
