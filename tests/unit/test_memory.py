"""Giving memory back."""

import os

from collector import memory
from tests.crowds import resident_bytes

MIB = 1024 * 1024
SIZE = 50_000  # larger than a page, and below what the C library takes from the system by itself


def test_what_is_free_between_what_is_not_is_given_back():
    """Most of it: every other piece goes, so that none is free at the end of the heap."""
    pieces = [b"x" * SIZE for _ in range(2000)]
    before = resident_bytes(os.getpid())
    kept = pieces[1::2]
    del pieces
    assert memory.give_back()
    assert resident_bytes(os.getpid()) < before - 30 * MIB
    assert len(kept) == 1000


def test_other_c_libraries_are_left_alone(monkeypatch):
    """musl has nothing of the kind."""
    monkeypatch.setattr(memory, "_LIBRARY", object())
    assert not memory.give_back()
