"""Keeping memory, and giving it back."""

import os
import subprocess
import sys

from collector import memory
from tests.crowds import resident_bytes

MIB = 1024 * 1024
SIZE = 50_000  # larger than a page, and below what the C library takes from the system by itself


# In a process of its own: what the C library was told cannot be taken back.
FAULTS = """
import resource
from collector import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pieces = [b"x" * 1_000_000 for _ in range(3)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
is_kept = memory.keep_for_batches()
faults()  # the pages that are kept
print(before, is_kept, faults())
"""


# What a thread of its own asks for, while another does.
HEAPS = """
import ctypes, re, sys, threading
from collector import memory

if "keep" in sys.argv:
    memory.keep_for_batches()
threads = [threading.Thread(target=lambda: [b"x" * 10_000 for _ in range(100)]) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library = ctypes.CDLL(None)
library.open_memstream.restype = ctypes.c_void_p
text, length = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(library.open_memstream(ctypes.byref(text), ctypes.byref(length)))
library.malloc_info(0, stream)
library.fclose(stream)
print(len(re.findall(b"<heap ", text.value)))
"""


def test_what_is_free_between_what_is_not_is_given_back():
    """Most of it: every other piece goes, so that none is free at the end of the heap."""
    pieces = [b"x" * SIZE for _ in range(2000)]
    before = resident_bytes(os.getpid())
    kept = pieces[1::2]
    del pieces
    assert memory.give_back()
    assert resident_bytes(os.getpid()) < before - 30 * MIB
    assert len(kept) == 1000


def test_what_batches_are_made_in_is_kept():
    """No page is taken from the system, cleared and given back for each: as faults are counted."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True
    )
    before, is_kept, after = done.stdout.split()
    assert is_kept == "True"
    assert int(after) < int(before) / 4


def test_threads_share_one_heap():
    """What one of them lets go of, any of them can have."""
    heaps = [
        int(
            subprocess.run(
                [sys.executable, "-c", HEAPS, *given], capture_output=True, check=True
            ).stdout
        )
        for given in ([], ["keep"])
    ]
    assert heaps[0] > 1
    assert heaps[1] == 1


def test_other_c_libraries_are_left_alone(monkeypatch):
    """musl has nothing of the kind."""
    monkeypatch.setattr(memory, "_LIBRARY", object())
    assert not memory.give_back()
    assert not memory.keep_for_batches()
