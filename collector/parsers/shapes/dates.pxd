# cython: language_level=3, wraparound=False, cdivision=True
"""Numbers and dates as octets, and how dates are written: `"2026-01-02T03:04:05.678901Z"`."""

from libc.string cimport memcmp, memcpy

from collector.parsers.shapes.scanning cimport octet

cdef enum:
    DATE_OCTETS = 29  # with its quotes
    MAX_MILLISECONDS_DIGITS = 15

cdef struct Moment:  # in UTC
    int year
    int month
    int day
    int hour
    int minute
    int second
    int microsecond


cdef inline bint has_form(const octet *at, const char *form) noexcept:
    """Say whether octets are as in a form, in which zeros stand for any digits."""
    while form[0]:
        if form[0] == c'0':
            if not c'0' <= at[0] <= c'9':
                return False
        elif at[0] != <octet>form[0]:
            return False
        form += 1
        at += 1
    return True


cdef inline bint has_stamp_form(const octet *at) noexcept:
    """Say whether so many octets are as a date and a time to the second."""
    return has_form(at, b"0000-00-00T00:00:00")


cdef inline int number_of(const octet *at, int count) noexcept:
    """Return the number of so many digits."""
    cdef int found = 0, position
    for position in range(count):
        found = 10 * found + (at[position] - c'0')
    return found


cdef inline bint is_whole(const octet *at, Py_ssize_t size) noexcept:
    """Say whether octets are a number of digits without a zero before them."""
    cdef Py_ssize_t position
    if size == 0 or (at[0] == c'0' and size > 1):
        return False
    for position in range(size):
        if not c'0' <= at[position] <= c'9':
            return False
    return True


cdef inline int days_of(int year, int month) noexcept:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline bint read_epoch(const octet *at, Py_ssize_t size, Moment *moment) noexcept:
    """Read milliseconds since 1970; not beyond the year 9999."""
    cdef long long milliseconds = 0, days
    cdef Py_ssize_t position
    if size > MAX_MILLISECONDS_DIGITS or not is_whole(at, size):
        return False
    for position in range(size):
        milliseconds = 10 * milliseconds + (at[position] - c'0')
    if milliseconds > 253402300799999:
        return False
    # Days to year, month and day as in Howard Hinnant, "chrono-Compatible Low-Level Date
    # Algorithms": years begin in March, eras have 400 of them.
    days = milliseconds // 86_400_000 + 719_468
    milliseconds = milliseconds % 86_400_000
    cdef long long era = days // 146_097
    cdef long long of_era = days - era * 146_097
    cdef long long year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    cdef long long of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef long long month = (5 * of_year + 2) // 153
    moment.day = of_year - (153 * month + 2) // 5 + 1
    moment.month = month + 3 if month < 10 else month - 9
    moment.year = year + era * 400 + (moment.month <= 2)
    moment.hour = milliseconds // 3_600_000
    moment.minute = milliseconds // 60_000 % 60
    moment.second = milliseconds // 1000 % 60
    moment.microsecond = milliseconds % 1000 * 1000
    return True


cdef inline bint read_date(const octet *at, Py_ssize_t size, Moment *moment) noexcept:
    """Read a date in UTC of the usual form: `2026-01-02T03:04:05.678Z`; no other is known."""
    cdef int fraction = 0, digits = 0
    cdef Py_ssize_t position = 19
    if size < 20 or not has_stamp_form(at):
        return False
    moment.year = number_of(at, 4)
    moment.month = number_of(at + 5, 2)
    moment.day = number_of(at + 8, 2)
    moment.hour = number_of(at + 11, 2)
    moment.minute = number_of(at + 14, 2)
    moment.second = number_of(at + 17, 2)
    if moment.year < 1 or not 1 <= moment.month <= 12:
        return False
    if not 1 <= moment.day <= days_of(moment.year, moment.month):
        return False
    if moment.hour > 23 or moment.minute > 59 or moment.second > 59:
        return False
    if at[position] == c'.':
        position += 1
        while position < size and digits < 6 and c'0' <= at[position] <= c'9':
            fraction = 10 * fraction + (at[position] - c'0')
            digits += 1
            position += 1
        if digits != 3 and digits != 6:
            return False
        if digits == 3:
            fraction *= 1000
    moment.microsecond = fraction
    return (size - position == 1 and at[position] == c'Z') or (
        size - position == 6 and memcmp(at + position, b"+00:00", 6) == 0
    )


cdef inline void write_date(char *out, const Moment *moment) noexcept:
    """Write `DATE_OCTETS`."""
    memcpy(out, b'"0000-00-00T00:00:00.000000Z"', DATE_OCTETS)
    write_digits(out + 1, 4, moment.year)
    write_digits(out + 6, 2, moment.month)
    write_digits(out + 9, 2, moment.day)
    write_digits(out + 12, 2, moment.hour)
    write_digits(out + 15, 2, moment.minute)
    write_digits(out + 18, 2, moment.second)
    write_digits(out + 21, 6, moment.microsecond)


cdef inline void write_digits(char *out, int count, int number) noexcept:
    while count:
        count -= 1
        out[count] = c'0' + number % 10
        number //= 10
