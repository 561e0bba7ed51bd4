# cython: language_level=3, wraparound=False, cdivision=True
"""Where the values of a message end, and what of their octets keeps them from being copied.

No octet is trusted: every read is within `[text, text + end)`. A function that finds the end of a
value returns its position, or -1 where there is no such value; all take time in proportion to what
they look at.
"""

from libc.string cimport memchr, memcmp

cdef extern from "string.h" nogil:
    void *memrchr(const void *, int, size_t)

ctypedef unsigned char octet

cdef struct Message:
    const octet *text
    Py_ssize_t end
    bint has_controls  # octets below the blank, anywhere
    bint has_escapes  # these, or others that are not written as they are within a JSON string

cdef struct Value:
    const octet *at
    Py_ssize_t size
    octet flags

# What is known of the octets of a value.
cdef enum:
    PLAIN = 0
    ESCAPES = 1  # some are not written as they are within a JSON string
    UNUSUAL = 2  # escapes that are written in another way than JSON is written here
    CONTROL = 4  # not quotes and backslashes alone

cdef enum:
    MAX_DEPTH = 64  # of any JSON value
    MAX_DIGITS = 300  # before the decimal point: no such number is infinite
    MAX_INTEGER_DIGITS = 18  # any such number fits in 64 bits


cdef inline void look_over(Message *message) noexcept:
    """Find out what is nowhere in a message, and so need not be looked for in each value."""
    cdef const octet *text = message.text
    cdef Py_ssize_t position
    cdef octet c, controls = 0, escapes = 0
    for position in range(message.end):  # without a way out, so that it becomes vector code
        c = text[position]
        controls |= c < 0x20
        escapes |= (c == c'\\') | (c == c'"')
    message.has_controls = controls
    message.has_escapes = controls | escapes


# CEF.

cdef inline Py_ssize_t end_of_field(
    const Message *message, Py_ssize_t start, octet *flags
) noexcept:
    """Find where the value of a CEF extension ends: before the blank before the next key."""
    cdef const octet *text = message.text
    cdef Py_ssize_t position = start, end = message.end, before
    cdef const octet *equals
    cdef const octet *blank
    cdef octet c, found = 0, refused = 0, control = 0
    while True:
        equals = <const octet *>memchr(text + position, c'=', message.end - position)
        if equals == NULL:
            break
        before = equals - text - 1
        while before >= start and text[before] == c'\\':
            before -= 1
        if (equals - text - 1 - before) & 1:  # escaped
            position = equals - text + 1
            continue
        blank = <const octet *>memrchr(text + start, c' ', equals - text - start)
        if blank == NULL:
            return -1
        end = blank - text
        break
    if end > start and text[end - 1] == c' ':
        return -1
    if not message.has_escapes:
        return end
    for position in range(start, end):  # becomes vector code
        c = text[position]
        found |= (c == c'\\') | (c == c'"')
        control |= c < 0x20
        refused |= (c == c'\t') | (c == 0)  # a blank to CEF; and what is left out
    if refused:
        return -1
    if found:
        flags[0] = ESCAPES
    if control:
        if end == message.end and (text[end - 1] == c'\n' or text[end - 1] == c'\r'):
            return -1  # a line end behind the message
        flags[0] = ESCAPES | CONTROL
    return end


cdef inline bint says_nothing(const Value *value) noexcept:
    """Say whether a CEF value stands for none."""
    if value.size == 4:
        return memcmp(value.at, b"None", 4) == 0
    return value.size == 0 or (value.size == 1 and value.at[0] == c'-')


# Any text.

cdef inline Py_ssize_t end_of_rest(
    const Message *message, Py_ssize_t start, octet *flags
) noexcept:
    """Take all that is left, if there is anything."""
    cdef Py_ssize_t position
    cdef octet c, found = 0, control = 0
    for position in range(start, message.end):
        c = message.text[position]
        found |= (c == c'\\') | (c == c'"')
        control |= c < 0x20
    flags[0] = ESCAPES | CONTROL if control else ESCAPES if found else PLAIN
    return message.end if message.end > start else -1


# JSON (RFC 8259).

cdef inline Py_ssize_t end_of_text(
    const Message *message, Py_ssize_t start, octet *flags
) noexcept:
    """Find the quote that ends a string (section 7), from behind the one that begins it."""
    cdef const octet *text = message.text
    cdef Py_ssize_t position = start, end = -1
    cdef octet c, found = 0
    cdef const octet *next_one
    while True:
        if end < position:
            next_one = <const octet *>memchr(text + position, c'"', message.end - position)
            if next_one == NULL:
                return -1
            end = next_one - text
        next_one = <const octet *>memchr(text + position, c'\\', end - position)
        if next_one == NULL:
            break
        flags[0] |= ESCAPES
        position = next_one - text + 1  # within the message: a quote stands somewhere behind it
        c = text[position]
        if c == c'/':
            flags[0] |= UNUSUAL
        elif c == c'u':
            flags[0] |= UNUSUAL
            position = end_of_code(message, position)
            if position < 0:
                return -1
        elif c not in (c'"', c'\\', c'b', c'f', c'n', c'r', c't'):
            return -1
        position += 1
    if message.has_controls:
        for position in range(start, end):  # becomes vector code
            found |= text[position] < 0x20
    return -1 if found else end


cdef inline Py_ssize_t end_of_code(const Message *message, Py_ssize_t position) noexcept:
    """Return the last octet of a character written as `uXXXX`; -1 if it is none."""
    cdef int unit = code_unit(message, position)
    if 0xD800 <= unit <= 0xDBFF:
        position += 6
        if position >= message.end or message.text[position - 1] != c'\\':
            return -1
        unit = code_unit(message, position)
        if not 0xDC00 <= unit <= 0xDFFF:
            return -1
    elif unit < 0 or 0xDC00 <= unit <= 0xDFFF:
        return -1
    return position + 4


cdef inline int code_unit(const Message *message, Py_ssize_t position) noexcept:
    """Return the number in `uXXXX`; -1 if there is none."""
    cdef int unit = 0
    cdef octet c
    cdef Py_ssize_t digit
    if message.end - position < 5 or message.text[position] != c'u':
        return -1
    for digit in range(position + 1, position + 5):
        c = message.text[digit]
        unit *= 16
        if c'0' <= c <= c'9':
            unit += c - c'0'
        elif c'a' <= (c | 0x20) <= c'f':
            unit += (c | 0x20) - (c'a' - 10)
        else:
            return -1
    return unit


cdef inline Py_ssize_t end_of_integer(const Message *message, Py_ssize_t start) noexcept:
    cdef Py_ssize_t position = start, first
    cdef const octet *text = message.text
    if position < message.end and text[position] == c'-':
        position += 1
    first = position
    position = end_of_digits(message, first)
    if position == first or position - first > MAX_INTEGER_DIGITS:
        return -1
    if text[first] == c'0' and (position - first > 1 or first > start):
        return -1
    if position < message.end and memchr(b".eE", text[position], 3) != NULL:
        return -1
    return position


cdef inline Py_ssize_t end_of_boolean(const Message *message, Py_ssize_t start) noexcept:
    cdef Py_ssize_t left = message.end - start
    if left >= 4 and memcmp(message.text + start, b"true", 4) == 0:
        return start + 4
    if left >= 5 and memcmp(message.text + start, b"false", 5) == 0:
        return start + 5
    return -1


cdef inline Py_ssize_t end_of_value(const Message *message, Py_ssize_t start) noexcept:
    """Find the end of any value, all of which is checked."""
    cdef octet[MAX_DEPTH] closing
    cdef int depth = 0
    cdef Py_ssize_t position = start
    cdef octet c
    cdef bint wants_value = True, may_close = False
    while True:
        position = end_of_blanks(message, position)
        if position >= message.end:
            return -1
        c = message.text[position]
        if wants_value:
            if may_close and c == closing[depth - 1]:
                position += 1
                depth -= 1
                wants_value = False
            else:
                if depth and closing[depth - 1] == c'}':
                    position = end_of_key(message, position)
                    if position < 0:
                        return -1
                    c = message.text[position]
                if c == c'{' or c == c'[':
                    if depth == MAX_DEPTH:
                        return -1
                    closing[depth] = c + 2  # ASCII has them so: `[` and `]`, `{` and `}`
                    depth += 1
                    position += 1
                    may_close = True
                    continue
                position = end_of_scalar(message, position)
                if position < 0:
                    return -1
                wants_value = False
        elif c == c',':
            position += 1
            wants_value = True
        elif c == closing[depth - 1]:
            position += 1
            depth -= 1
        else:
            return -1
        may_close = False
        if depth == 0 and not wants_value:
            return position


cdef inline Py_ssize_t end_of_blanks(const Message *message, Py_ssize_t position) noexcept:
    cdef octet c
    while position < message.end:
        c = message.text[position]
        if not (c == c' ' or c == c'\n' or c == c'\r' or c == c'\t'):
            break
        position += 1
    return position


cdef inline Py_ssize_t end_of_key(const Message *message, Py_ssize_t position) noexcept:
    """Return where the value of a member begins, with an octet to look at; -1 if none does."""
    cdef octet ignored = PLAIN
    if message.text[position] != c'"':
        return -1
    position = end_of_text(message, position + 1, &ignored)
    if position < 0:
        return -1
    position = end_of_blanks(message, position + 1)
    if position >= message.end or message.text[position] != c':':
        return -1
    position = end_of_blanks(message, position + 1)
    return position if position < message.end else -1


cdef inline Py_ssize_t end_of_scalar(const Message *message, Py_ssize_t position) noexcept:
    cdef octet ignored = PLAIN
    cdef const octet *at = message.text + position
    cdef Py_ssize_t end
    if at[0] == c'"':
        position = end_of_text(message, position + 1, &ignored)
        return position + 1 if position >= 0 else -1
    if message.end - position >= 4 and memcmp(at, b"null", 4) == 0:
        return position + 4
    end = end_of_boolean(message, position)
    return end if end >= 0 else end_of_number(message, position)


cdef inline Py_ssize_t end_of_number(const Message *message, Py_ssize_t position) noexcept:
    """Return the end of a number that is small enough to be read."""
    cdef Py_ssize_t first
    cdef const octet *text = message.text
    if text[position] == c'-':
        position += 1
    first = position
    position = end_of_digits(message, position)
    if position == first or (text[first] == c'0' and position > first + 1):
        return -1
    if position - first > MAX_DIGITS:
        return -1
    if position < message.end and text[position] == c'.':
        first = position + 1
        position = end_of_digits(message, first)
        if position == first:
            return -1
    if position < message.end and (text[position] == c'e' or text[position] == c'E'):
        return -1  # rare, and may be infinite: orjson decides
    return position


cdef inline Py_ssize_t end_of_digits(const Message *message, Py_ssize_t position) noexcept:
    while position < message.end and c'0' <= message.text[position] <= c'9':
        position += 1
    return position
