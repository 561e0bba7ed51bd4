"""What the C library keeps of memory that is free: enough for the next batch, not for ever.

A batch is made in pieces of some hundred KiB, and let go of when it is delivered. Left to itself
glibc gives such pieces back to the system at once, and the next batch has every page of its own
cleared again: a quarter of what an event costs, parsing aside. So it is told to keep them.

It is told to have one heap, too. Left to itself it makes one for each thread, and what the thread
of the spool reads from the disk lies in that thread's, where nobody else has a use for it when it
is let go of. Python's lock mostly keeps threads from asking for memory at the same time anyway.

What connections leave is more than it should keep. A TLS connection takes a buffer of 256 KiB, of
which it touches little, and tens of KiB in pieces between which others' lie. glibc gives back by
itself only what is free at the end of its heap, so that where connections come and go, each buffer
comes to lie where others have touched it: a process that never had more than 500 of them at a time
grew by 120 MiB within 8,000. So it is told now and then to give back what is free.
"""

from __future__ import annotations

import ctypes
from typing import Final

GIVE_BACK_SECONDS: Final = 30.0
"""How often it is worth while.

It takes 0.1 ms where there is little to give back, 30 ms for 40 MiB, while whoever else asks for
memory waits.
"""

# mallopt(3): what is kept at the end of the heap, up to which size a piece lies in the heap, and
# how many heaps there are. Either of the first two has its default, which follows what was freed
# before, only while none of the two is set.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_OCTETS: Final = 16 * 1024 * 1024
_LARGEST_PIECE: Final = 4 * 1024 * 1024
_HEAPS: Final = 1

_LIBRARY: Final = ctypes.CDLL(None)  # what the process is linked with


def keep_for_batches() -> bool:
    """Have the C library keep what batches are made in, where it can be told: glibc.

    Returns:
        Whether it will.
    """
    try:
        tell = _LIBRARY.mallopt
    except AttributeError:
        return False
    return bool(
        tell(_M_TRIM_THRESHOLD, _KEPT_OCTETS)
        and tell(_M_MMAP_THRESHOLD, _LARGEST_PIECE)
        and tell(_M_ARENA_MAX, _HEAPS)
    )


def give_back() -> bool:
    """Give free memory back, where the C library can do so: glibc; others keep little.

    Returns:
        Whether there was any.
    """
    try:
        trim = _LIBRARY.malloc_trim
    except AttributeError:
        return False
    return bool(trim(ctypes.c_size_t(0)))
