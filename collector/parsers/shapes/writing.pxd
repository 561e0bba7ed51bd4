# cython: language_level=3, wraparound=False, cdivision=True
"""How values are written as JSON.

Every write is within the output, whose room is asked for before. A function that cannot write a
value, because it is not as usual, says so; what it has written by then is for nobody.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcmp, memcpy

from collector.parsers.shapes.dates cimport (
    DATE_OCTETS,
    Moment,
    is_whole,
    read_date,
    read_epoch,
    write_date,
)
from collector.parsers.shapes.scanning cimport CONTROL, MAX_INTEGER_DIGITS, Value, octet

cdef extern from *:
    """
    /* 1 where JSON wants an escape (RFC 8259 section 7): a look at it is quicker than to compare. */
    static const unsigned char IS_SPECIAL[256] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['"'] = 1, ['\\\\'] = 1
    };
    """
    const octet *IS_SPECIAL

cdef struct Output:
    char *at
    Py_ssize_t used
    Py_ssize_t room

cdef enum:
    ESCAPED_OCTETS = 6  # that one octet becomes, at most
    FIRST_ROOM = 4096
    KEPT_ROOM = 1048576  # octets that are kept for the next event


# Octets.

cdef inline int ask(Output *out, Py_ssize_t size) except -1:
    """See to it that there is room for more octets."""
    cdef char *at
    cdef Py_ssize_t room
    if out.room - out.used >= size:
        return 0
    room = max(2 * out.room, out.used + size, FIRST_ROOM)
    at = <char *>PyMem_Realloc(out.at, room)
    if at == NULL:
        raise MemoryError
    out.at = at
    out.room = room
    return 0


cdef inline void give_back(Output *out) noexcept:
    """Give room back that few events need."""
    if out.room > KEPT_ROOM:
        PyMem_Free(out.at)
        out.at = NULL
        out.room = 0


cdef inline int put(Output *out, const char *at, Py_ssize_t size) except -1:
    if out.room - out.used < size:
        ask(out, size)
    memcpy(out.at + out.used, at, size)
    out.used += size
    return 0


cdef inline int put_bytes(Output *out, octets) except -1:
    if not PyBytes_CheckExact(octets):
        raise TypeError("octets are needed")
    return put(out, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))


cdef inline int put_value(Output *out, const Value *value) except -1:
    """Write a value as it is."""
    return put(out, <const char *>value.at, value.size)


# The insides of texts.

cdef inline octet short_escape(octet c) noexcept:
    """Return the letter of the short escape of what wants one; 0 where there is none."""
    if c == c'"' or c == c'\\':
        return c
    if c == c'\n':
        return c'n'
    if c == c'\r':
        return c'r'
    if c == c'\t':
        return c't'
    if c == c'\b':
        return c'b'
    return c'f' if c == c'\f' else 0


cdef inline void put_octet(Output *out, octet c) noexcept:
    """Write an octet as JSON has it, for which there is room: `ESCAPED_OCTETS`."""
    cdef char *at = out.at + out.used
    cdef const char *digits = b"0123456789abcdef"
    cdef octet letter
    if not IS_SPECIAL[c]:
        at[0] = c
        out.used += 1
        return
    at[0] = c'\\'
    letter = short_escape(c)
    if letter:
        at[1] = letter
        out.used += 2
        return
    memcpy(at + 1, b"u00", 3)
    at[4] = digits[c >> 4]
    at[5] = digits[c & 15]
    out.used += 6


cdef inline int put_escaped(Output *out, const Value *value) except -1:
    """Write octets as the inside of a JSON string."""
    # In variables of their own: for all that C knows, what is written may lie over the value.
    cdef const octet *source = value.at
    cdef Py_ssize_t position, size = value.size
    cdef octet *at
    cdef octet c
    ask(out, ESCAPED_OCTETS * size)
    if value.flags & CONTROL:
        for position in range(size):
            put_octet(out, source[position])
        return 0
    at = <octet *>out.at + out.used
    for position in range(size):  # quotes and backslashes alone, without a jump
        c = source[position]
        at[0] = c'\\'
        at += IS_SPECIAL[c]
        at[0] = c
        at += 1
    out.used = at - <octet *>out.at
    return 0


cdef inline int put_unescaped(Output *out, const Value *value, bint without_quotes) except -1:
    r"""Write a CEF value without its escapes: `\\`, `\=`, `\|`, `\n` and `\r`."""
    cdef Py_ssize_t position = 0, size = value.size
    cdef const octet *at = value.at
    cdef octet c
    ask(out, ESCAPED_OCTETS * size)
    while position < size:
        c = at[position]
        position += 1
        if c == c'\\' and position < size:
            if at[position] == c'\\' or at[position] == c'=' or at[position] == c'|':
                c = at[position]
                position += 1
            elif at[position] == c'n':
                c = c'\n'
                position += 1
            elif at[position] == c'r':
                c = c'\r'
                position += 1
        if not (without_quotes and c == c'"'):
            put_octet(out, c)
    return 0


# Whole values.

cdef inline bint put_unquoted(Output *out, const Value *value) except -1:
    """Write a CEF value without its escapes and double quotes; not if nothing is left."""
    cdef Py_ssize_t before
    put(out, b'"', 1)
    before = out.used
    put_unescaped(out, value, True)
    if out.used == before:
        return False
    put(out, b'"', 1)
    return True


cdef inline bint put_whole(Output *out, const Value *value) except -1:
    """Write a text of digits as a number."""
    if value.size > MAX_INTEGER_DIGITS or not is_whole(value.at, value.size):
        return False
    put_value(out, value)
    return True


cdef inline bint put_flag(Output *out, const Value *value) except -1:
    """Write the text of a boolean as a boolean."""
    cdef const octet *at = value.at
    cdef Py_ssize_t size = value.size
    if (size == 1 and at[0] == c'1') or (
        size == 4 and (memcmp(at, b"true", 4) == 0 or memcmp(at, b"True", 4) == 0)
    ):
        put(out, b"true", 4)
        return True
    if (size == 1 and at[0] == c'0') or (
        size == 5 and (memcmp(at, b"false", 5) == 0 or memcmp(at, b"False", 5) == 0)
    ):
        put(out, b"false", 5)
        return True
    return False


cdef inline bint put_epoch(Output *out, const Value *value) except -1:
    """Write milliseconds since 1970 as a date."""
    cdef Moment moment
    return read_epoch(value.at, value.size, &moment) and put_moment(out, &moment)


cdef inline bint put_date(Output *out, const Value *value) except -1:
    """Write a date in the one form that events have."""
    cdef Moment moment
    return read_date(value.at, value.size, &moment) and put_moment(out, &moment)


cdef inline bint put_moment(Output *out, const Moment *moment) except -1:
    ask(out, DATE_OCTETS)
    write_date(out.at + out.used, moment)
    out.used += DATE_OCTETS
    return True


cdef inline bint put_address(Output *out, const Value *value) except -1:
    """Write an IPv4 address."""
    if value.flags or not is_ipv4(value.at, value.size):
        return False
    put(out, b'"', 1)
    put_value(out, value)
    put(out, b'"', 1)
    return True


cdef inline bint is_ipv4(const octet *at, Py_ssize_t size) noexcept:
    """Say whether octets are an IPv4 address: four numbers up to 255 without zeros before them."""
    cdef Py_ssize_t position = 0, first
    cdef int part, number
    for part in range(4):
        if part:
            if position >= size or at[position] != c'.':
                return False
            position += 1
        first = position
        number = 0
        while position < size and position - first < 4 and c'0' <= at[position] <= c'9':
            number = 10 * number + (at[position] - c'0')
            position += 1
        if position == first or number > 255 or (at[first] == c'0' and position - first > 1):
            return False
    return position == size


# Lists.

cdef inline bint put_list(
    Output *out, const Value **values, int count, bint is_sorted
) except -1:
    """Write texts as a list; sorted by code points, as their octets are, each once.

    Args:
        out: where to.
        values: the texts; they come to be in another order.
        count: of them.
        is_sorted: whether they are to be sorted.
    """
    cdef int at
    for at in range(count):
        if values[at].flags:
            return False
    if is_sorted:
        count = sort(values, count)
    put(out, b"[", 1)
    for at in range(count):
        put(out, b',"', 2) if at else put(out, b'"', 1)
        put_value(out, values[at])
        put(out, b'"', 1)
    put(out, b"]", 1)
    return True


cdef inline int sort(const Value **values, int count) noexcept:
    """Sort a few values; return how many there are without repetition, which come first."""
    cdef int kept = 0, number, at, compared
    cdef const Value *value
    for number in range(count):
        value = values[number]
        at = kept
        compared = 1
        while at > 0:
            compared = compare(values[at - 1], value)
            if compared <= 0:
                break
            at -= 1
        if at > 0 and compared == 0:
            continue
        for compared in range(kept, at, -1):
            values[compared] = values[compared - 1]
        values[at] = value
        kept += 1
    return kept


cdef inline int compare(const Value *one, const Value *other) noexcept:
    cdef int found = memcmp(one.at, other.at, min(one.size, other.size))
    if found == 0:
        return (one.size > other.size) - (one.size < other.size)
    return found
