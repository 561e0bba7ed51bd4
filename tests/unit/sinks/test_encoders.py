"""Bodies of requests."""

import zlib

import pytest

from collector.sinks.encoders import encode, halve

EVENTS = [b'{"n":%d}' % number for number in range(5)]


def test_a_body_is_ndjson():
    """Each event is followed by a line feed."""
    batch = encode(EVENTS[:2], sink="s", codec="none", received=1.5)
    assert (batch.body, batch.codec, batch.events) == (b'{"n":0}\n{"n":1}\n', "none", 2)
    assert (batch.sink, batch.received, batch.refused_at) == ("s", 1.5, None)


def test_gzip_is_what_any_reader_reads():
    """A compressed body is a gzip member (RFC 1952)."""
    batch = encode(EVENTS, sink="s", codec="gzip", received=0.0)
    assert zlib.decompress(batch.body, wbits=31) == b"\n".join(EVENTS) + b"\n"


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_halves_hold_all_events_in_order(codec):
    """Halving five gives two and three, compressed like the whole."""
    batch = encode(EVENTS, sink="s", codec=codec, received=2.0)
    first, second = halve(batch)
    for half, events in ((first, EVENTS[:2]), (second, EVENTS[2:])):
        expected = encode(events, sink="s", codec=codec, received=2.0)
        assert (half.body, half.codec, half.events, half.received) == (
            expected.body,
            codec,
            len(events),
            2.0,
        )
