"""What is kept takes no more memory than it is long."""

import tracemalloc

import orjson
import pytest
import zstandard

from collector.octets import fitted

OCTETS = 1000
TEXT = "x" * OCTETS


def memory_of(make):
    """Return how many octets of memory what is made takes."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        made = make()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made
    return after - before


@pytest.mark.parametrize(
    "make",
    [
        lambda: orjson.dumps(TEXT),
        lambda: zstandard.ZstdCompressor().compress(TEXT.encode() * 1000),
    ],
    ids=["orjson", "zstandard"],
)
def test_what_libraries_return_is_kept_in_its_own_length(make):
    """The copy equals the original, whatever buffer that stands in."""
    assert fitted(make()) == make()
    assert memory_of(lambda: fitted(make())) < 2 * OCTETS


@pytest.mark.parametrize("octets", [b"", b"%b", b"\x00\xff" * OCTETS])
def test_a_copy_equals_the_original(octets):
    """Signs that mean something in a format do not within it."""
    assert fitted(octets) == octets
