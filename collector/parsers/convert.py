r"""Conversions: what is done to a source value before it becomes a field.

A conversion takes whatever the sender wrote, of any type and size, and returns a value of its
field's type, or None: then the rule yields nothing. It never raises. Conversions of one vendor
stand in that vendor's module.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import orjson

from collector.parsers.shapes.codes import Way

_LONG_MIN: Final = -(2**63)
_LONG_MAX: Final = 2**63 - 1
_SAFE_DIGITS: Final = 18  # any number of so many digits fits in 64 bits
# In ASCII, `\s` is what int() and float() pass over; otherwise U+001C to U+001F are among it.
_WHOLE_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)
_DECIMAL_NUMBER: Final = re.compile(
    r"\s*[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?\s*",
    re.ASCII,
)
_KEYWORD_BITS: Final = 64  # integers beyond are no identifier, and slow to write in decimal
_DATE_CHARACTERS: Final = 40  # YYYY-MM-DDTHH:MM:SS.fffffffff+HH:MM:SS and room
_DATE_OPTIONS: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_ADDRESS_CHARACTERS: Final = 45  # the longest IPv6 address
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: all is UTC here
_BOOLEANS: Final = {
    True: True, "True": True, "true": True, "1": True,
    False: False, "False": False, "false": False, "0": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A function with the ECS type of what it returns.

    Attributes:
        function: takes a value and returns the converted one, or None.
        field_type: the ECS type, as ``collector fields`` shows it.
        joint: the function takes all the sources of its rule at once, each of them None where it
            is absent. Otherwise it is tried on one source after the other.
        yields: of a function that returns several fields as a dict: their types by dotted name,
            ``*`` for names that the input decides. None for a function that returns one value.
        prepare: loads what the function needs, so that no message waits for it; called when a
            table with the conversion is compiled. None where there is nothing to load.
        way: how the kernel of shapes writes the same of a text; None if it does not.
        by_name: of a function that takes an object and returns several fields: which field becomes
            of an entry that is a text or a number follows from the names alone, and the field is
            the text of the entry.
    """

    function: Callable[..., Any]
    field_type: str
    joint: bool = False
    yields: Mapping[str, str] | None = None
    prepare: Callable[[], object] | None = None
    way: Way | None = None
    by_name: bool = False

    def __call__(self, *values: Any) -> Any:
        """Convert; the generated mappers call `function` directly."""
        return self.function(*values)


def conversion(
    field_type: str, *, joint: bool = False, way: Way | None = None
) -> Callable[[Callable[..., Any]], Conversion]:
    """Make a `Conversion` of the decorated function."""
    return lambda function: Conversion(function, field_type, joint, way=way)


def fields_of(
    types: Mapping[str, str],
    *,
    joint: bool = False,
    prepare: Callable[[], object] | None = None,
    by_name: bool = False,
) -> Callable[[Callable[..., Any]], Conversion]:
    """Make a `Conversion` that returns several fields of the decorated function.

    The function returns a dict that is nested as the event is to be, a new one at each call, or
    None. Its rule has a target that ends in ``.*``.

    Args:
        types: the ECS type of each field by its dotted name below the target; ``*`` for names that
            the input decides.
        joint: the function takes all the sources of its rule at once.
        prepare: loads what the function needs.
        by_name: whether names alone decide, see `Conversion`.
    """
    yields = MappingProxyType({**types})
    return lambda function: Conversion(function, "object", joint, yields, prepare, by_name=by_name)


@conversion("keyword")
def keyword(value: Any) -> str | None:
    """Text as it is; a number as decimal text; a boolean as ``true`` or ``false``."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _KEYWORD_BITS else None
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    return None


@conversion("array of keyword")
def keywords(value: Any) -> list[str] | None:
    """Convert each entry of a list as `keyword` does; a single value is a list of one."""
    entries = value if isinstance(value, list) else [value]
    return [text for entry in entries if (text := keyword(entry)) is not None] or None


@conversion("array of keyword", joint=True, way=Way.LISTED)
def collected(*values: Any) -> list[str] | None:
    """List the sources that are there, in the order of the rule."""
    return [text for value in values if (text := keyword(value)) is not None] or None


@conversion("long", way=Way.WHOLE)
def long(value: Any) -> int | None:
    """Convert whole numbers and their decimal text, within 64 bits."""
    if isinstance(value, str):
        # int() by itself would also read "1_000", the digits of other scripts, and thousands
        # of them.
        if value.isdigit() and len(value) <= _SAFE_DIGITS and value.isascii():
            return int(value)
        if not _WHOLE_NUMBER.fullmatch(value):
            return None
        value = int(value)
    elif isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    elif not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if _LONG_MIN <= value <= _LONG_MAX else None


@conversion("float", way=Way.WHOLE)
def number(value: Any) -> int | float | None:
    """Convert numbers and their decimal text; a whole number stays an integer."""
    whole: int | None = long.function(value)
    if whole is not None:
        return whole
    if isinstance(value, str) and _DECIMAL_NUMBER.fullmatch(value):
        value = float(value)
    return value if isinstance(value, float) and math.isfinite(value) else None


@conversion("boolean", way=Way.FLAG)
def boolean(value: Any) -> bool | None:
    """Convert ``True`` and ``1``, ``False`` and ``0``, as JSON values or as text."""
    return _BOOLEANS.get(value) if isinstance(value, (str, int)) else None


@conversion("ip", way=Way.ADDRESS)
def ip(value: Any) -> str | None:
    """Keep an IPv4 or IPv6 address as it is written, and nothing else."""
    return value if isinstance(value, str) and is_ip(value) else None


@conversion("array of ip")
def ips(value: Any) -> list[str] | None:
    """Make a list of one of an address that `ip` keeps."""
    return [value] if isinstance(value, str) and is_ip(value) else None


def is_ip(text: str) -> bool:
    """Tell whether a text is an IP address; one with a zone (``fe80::1%eth0``) is not."""
    return len(text) <= _ADDRESS_CHARACTERS and "%" not in text and _is_ip(text)


@lru_cache(maxsize=8192)  # the addresses of a site come again and again; a miss costs 30 hits
def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@conversion("date", way=Way.EPOCH)
def epoch_ms(value: Any) -> str | None:
    """Convert milliseconds since 1970, a number or its text."""
    milliseconds = long.function(value)
    if milliseconds is None:
        return None
    try:
        return utc_text(_EPOCH + timedelta(0, 0, milliseconds * 1000))
    except OverflowError:
        return None  # outside the years 1 to 9999


@conversion("date", way=Way.DATE)
def iso_date(value: Any) -> str | None:
    """Convert an ISO 8601 date and time; without an offset it is UTC."""
    if not isinstance(value, str) or len(value) > _DATE_CHARACTERS:
        return None
    try:
        moment = datetime.fromisoformat(value.upper())  # RFC 3339 allows `t` and `z` as well
        if moment.tzinfo is not None and moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # no date, or outside the years 1 to 9999 once it is in UTC
    return utc_text(moment)


def utc_text(moment: datetime) -> str:
    """Write an instant in UTC as events have it: ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, six digits.

    Args:
        moment: in UTC, aware or naive.
    """
    # orjson writes a date in a fifth of the time isoformat() takes, but leaves out a zero fraction.
    text = orjson.dumps(moment, None, _DATE_OPTIONS)[1:-1].decode()
    return text if moment.microsecond else f"{text[:-1]}.000000Z"


@conversion("keyword")
def after_backslash(value: Any) -> str | None:
    r"""Take ``user`` of ``DOMAIN\user``; a text without a backslash stays whole."""
    text = keyword.function(value)
    if text is None:
        return None
    head, backslash, tail = text.partition("\\")
    return (tail if backslash else head) or None


@conversion("keyword")
def before_backslash(value: Any) -> str | None:
    r"""Take ``DOMAIN`` of ``DOMAIN\user``; nothing without a backslash."""
    if not isinstance(value, str):
        return None
    head, backslash, _ = value.partition("\\")
    return head if head and backslash else None


@conversion("keyword")
def file_name(value: Any) -> str | None:
    """Take what follows the last path separator, of either kind."""
    if not isinstance(value, str):
        return None
    return value[_last_separator(value) + 1 :] or None


@conversion("keyword")
def file_directory(value: Any) -> str | None:
    """Take what stands before the last path separator, of either kind."""
    if not isinstance(value, str):
        return None
    return value[: max(_last_separator(value), 0)] or None


def _last_separator(path: str) -> int:
    return max(path.rfind("\\"), path.rfind("/"))


@conversion("array of keyword", joint=True, way=Way.SORTED)
def distinct(*values: Any) -> list[str] | None:
    """Collect fields and lists of them into one sorted list without repetition."""
    if len(values) == 1 and isinstance(values[0], str):
        return [values[0]]
    if not any(values):
        return None
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, list):
            found.update(entry for entry in value if isinstance(entry, str))
    return sorted(found) or None
