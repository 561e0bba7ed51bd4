"""The numbers in which the kernel is told what a value is, where it stands and how it is written.

The kernel has them too, since what is compiled cannot be looked up here; a test compares both.
"""

from enum import IntEnum
from typing import Final

MAX_STEPS: Final = 400
"""Steps of an outline; messages with more are read the general way."""

MAX_ENTRIES: Final = 16
"""Texts of a list that the kernel writes by itself."""


class Kind(IntEnum):
    """What the octets of a value may be."""

    TEXT = 0
    """The inside of a JSON string, not empty."""
    INTEGER = 1
    """A JSON number of at most 18 digits, written as everybody writes it."""
    BOOLEAN = 2
    VALUE = 3
    """Any JSON value."""
    FIELD = 4
    """The value of a CEF extension that says something."""
    MARK = 5
    """No octets: a place."""
    END = 6
    """The end of the message."""
    FIELD_AS_IS = 7
    """A `FIELD` whose escapes belong to it."""
    REST = 8
    """All that is left of a message, if there is anything."""


class Argument(IntEnum):
    """Where an operation finds what it takes."""

    SLOT = 0
    SPAN = 1
    """From one `MARK` to another."""
    RESULT = 2
    """Of an operation before."""


class Way(IntEnum):
    """How a value is written."""

    CONSTANT = 0
    """Not at all: there is nothing but the octets before it."""
    RAW = 1
    """The octets of the message, as the inside of a JSON string."""
    QUOTED = 2
    """A `TEXT`, an `INTEGER` or a `BOOLEAN`, as the inside of a JSON string."""
    UNESCAPED = 3
    """A `FIELD` without its CEF escapes, as the inside of a JSON string."""
    BARE = 4
    """An `INTEGER` or a `BOOLEAN` as it is."""
    WHOLE = 5
    """A text of digits as a number."""
    FLAG = 6
    """The text of a boolean as a boolean."""
    EPOCH = 7
    """Milliseconds since 1970 as a date, with its quotes."""
    DATE = 8
    """An ISO 8601 date as a date, with its quotes."""
    LEAF = 9
    """What an operation has made."""
    ENVELOPE = 10
    """What the caller gives."""
    ADDRESS = 11
    """An IP address, with its quotes."""
    UNQUOTED = 12
    """A `FIELD` without its CEF escapes and double quotes, with quotes around it."""
    LISTED = 13
    """A JSON list of texts."""
    SORTED = 14
    """A JSON list of texts, sorted, each once."""
