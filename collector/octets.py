"""Octets that take no more memory than they are long.

orjson and zstandard return what they wrote in the buffer that they wrote it to, which they made for
the longest that it could have become: of a compressed batch that takes 150 KiB they keep 1 MiB, of
an event of 500 octets 4 KiB, as long as it is referred to.
"""

from __future__ import annotations


def fitted(octets: bytes) -> bytes:
    """Return a copy that is as long as it must be: for what is kept."""
    return b"%b" % octets
