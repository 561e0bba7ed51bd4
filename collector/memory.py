"""Memory that is free, but that the C library keeps: given back to the system.

A TLS connection takes a buffer of 256 KiB, of which it touches little, and tens of KiB in pieces
between which others' lie. glibc gives back by itself only what is free at the end of its heap, so
that where connections come and go, each buffer comes to lie where others have touched it: a process
that never had more than 500 of them at a time grew by 120 MiB within 8,000.
"""

from __future__ import annotations

import ctypes
from typing import Final

GIVE_BACK_SECONDS: Final = 30.0
"""How often it is worth while.

It takes 0.1 ms where there is little to give back, 30 ms for 40 MiB, while whoever else asks for
memory waits.
"""

_LIBRARY: Final = ctypes.CDLL(None)  # what the process is linked with


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
