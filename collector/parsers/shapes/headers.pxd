# cython: language_level=3, wraparound=False, cdivision=True
"""Headers that end as one that was read before."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from collector.parsers.shapes.dates cimport has_form, has_stamp_form, number_of
from collector.parsers.shapes.scanning cimport octet

cdef enum:
    MAX_WORD = 1024  # octets of a word of a header


cdef inline Py_ssize_t behind_tail(bytes frame, bytes tail) noexcept:
    """Return where the message begins in a frame, see `kernel.after_tail`."""
    cdef const octet *text = <const octet *>PyBytes_AS_STRING(frame)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(frame), position = 1
    cdef int pri, word
    if size < 8 or text[0] != c'<':
        return -1
    while position < 5 and c'0' <= text[position] <= c'9':
        position += 1
    pri = number_of(text + 1, position - 1)
    if position == 1 or position == 5 or pri > 191 or (text[1] == c'0' and position > 2):
        return -1
    if size - position < 4 or memcmp(text + position, b">1 ", 3) != 0:
        return -1
    position = behind_stamp(text, position + 3, size)
    for word in range(4):
        position = behind_word(text, position, size)
    if position < 0 or position >= size or text[position] != c' ':
        return -1
    position += 1
    if size - position < PyBytes_GET_SIZE(tail):
        return -1
    if memcmp(text + position, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail)) != 0:
        return -1
    position += PyBytes_GET_SIZE(tail)
    return -1 if position == size or may_begin_header(text[position]) else position


cdef inline bint may_begin_header(octet c) noexcept:
    """Say whether a header may begin so, also one behind blanks, a count or a byte order mark."""
    return memchr(b"[<0123456789 \0\xef\xbb\xbf", c, 17) != NULL


cdef inline Py_ssize_t behind_word(const octet *text, Py_ssize_t start, Py_ssize_t size) noexcept:
    """Return the end of the word behind the blank that stands at a position; -1 if none does."""
    cdef Py_ssize_t position
    if start < 0 or start >= size or text[start] != c' ':
        return -1
    start += 1
    position = start
    while position < size and text[position] > 0x20 and text[position] != 0x7F:
        position += 1
    return position if 0 < position - start <= MAX_WORD else -1


cdef inline Py_ssize_t behind_stamp(const octet *text, Py_ssize_t start, Py_ssize_t size) noexcept:
    """Return the end of a timestamp as RFC 5424 section 6.2.3 writes it; -1 for any other."""
    cdef Py_ssize_t position = start + 19, first
    if start < size and text[start] == c'-':
        return start + 1
    if size - start < 20 or not has_stamp_form(text + start):
        return -1
    if text[position] == c'.':
        first = position + 1
        position = first
        while position < size and position - first < 9 and c'0' <= text[position] <= c'9':
            position += 1
        if position == first:
            return -1
    if position < size and text[position] == c'Z':
        return position + 1
    if size - position >= 6 and (text[position] == c'+' or text[position] == c'-'):
        if has_form(text + position + 1, b"00:00"):
            return position + 6
    return -1
