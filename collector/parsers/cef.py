r"""ArcSight Common Event Format, read leniently and in time linear in the text.

A message is seven header fields and an extension of ``key=value`` pairs::

    CEF:0|Vendor|Product|1.0|100|Name|5|src=10.0.0.1 msg=any text cs1=1 cs1Label=Count

What this module reads although the format forbids it, because it is on the wire every day:

- blanks after ``CEF:``, and no ``CEF:`` at all: a relay that finds no RFC 5424 header takes it for
  the syslog tag and hands on ``0|Vendor|...``;
- no ``|`` after the severity;
- a byte order mark before it, a line end after it, NULs anywhere, an octet count or a second syslog
  header before it;
- an unescaped ``=`` in a value: query strings, base64, command lines.

Most of it is damage done on the way, and is named: see `repairs`.

A key is letters, digits, ``_``, ``.``, ``-`` and bracketed indexes, directly followed by ``=``, at
the start or after a blank (space or tab); everything between two keys is the first one's value.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from collector.parsers import repairs
from collector.parsers.base import ParseError
from collector.parsers.wrapping import unwrap

MAX_KEYS: Final = 1 << 17
"""Pairs read from one extension; what follows stays in the value of the last.

Real messages have fewer than a hundred. The bound is for memory, where messages of many MiB are
let in, and on keys and not on ``=``: a value full of ``=`` hides nothing that comes after it.
"""

_FIELDS: Final = 7
_BLANKS: Final = " \t"
_LINE_END: Final = "\r\n"  # some senders count it into the frame
_CACHED_HEADER: Final = 512  # characters

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# A key with the blank before it and the `=` behind it.
_KEY = re.compile(r"[ \t]([A-Za-z0-9_.-]++(?:\[[0-9]++\][A-Za-z0-9_.-]*+)*)=")
_UNESCAPED_EQUALS = re.compile(r"(?<!\\)(?:\\\\)*=")
_PLAIN_KEYS = re.compile(r"[A-Za-z0-9_.-]+")
_ESCAPE_OR_PIPE = re.compile(r"\\.|(\|)", re.DOTALL)
_ESCAPED_IN_HEADER = re.compile(r"\\([\\|])")


class Cef(NamedTuple):
    """A message taken apart.

    Header fields are unescaped and trimmed; any may be empty. `version` is the text after
    ``CEF:``. `severity` is text: the format allows ``High`` as well as ``8``.
    """

    version: str
    device_vendor: str
    device_product: str
    device_version: str
    device_event_class_id: str
    name: str
    severity: str
    extensions: dict[str, str]


class Header(NamedTuple):
    """The header of a message: its seven fields, trimmed and unescaped, and what was repaired."""

    fields: tuple[str, str, str, str, str, str, str]
    tags: tuple[str, ...]


class Parts(NamedTuple):
    """A message taken apart, as it is on the wire but for the header.

    `keys` and `values` belong together by position; a key may come more than once.
    """

    header: Header
    keys: Sequence[str]
    values: Sequence[str]
    tags: tuple[str, ...]


def parse(text: str) -> Cef:
    """Take a message apart; the values of its extension are unescaped.

    Args:
        text: a message without its syslog header.

    Raises:
        ParseError: ``not_cef``, when there are fewer than seven header fields or the first of them
            is no CEF version.
    """
    parts = split(text)
    values = [unescape(value) for value in parts.values]
    return Cef(*parts.header.fields, extensions=dict(zip(parts.keys, values, strict=True)))


def split(text: str) -> Parts:
    """Take a message apart as `parse` does, but leave extension values as they are on the wire.

    For a parser that needs a value in its escaped form, or keys and values by themselves.
    """
    tags: tuple[str, ...] = ()
    if "\0" in text:
        text = text.replace("\0", "")
        tags = (repairs.NUL,)
    text = text.rstrip(_LINE_END)
    try:
        header, extension = _split_header(text)
    except ParseError:
        payload, found = unwrap(text)
        if payload == text:
            raise
        header, extension = _split_header(payload)
        tags += found
    keys, values, unescaped = _split_extension(extension)
    if unescaped:
        tags += (repairs.UNESCAPED_EQUALS,)
    return Parts(header, keys, values, tags)


def _split_header(text: str) -> tuple[Header, str]:
    fields = text.split("|", _FIELDS)
    extension = fields[_FIELDS] if len(fields) > _FIELDS else ""
    end = len(text) - len(extension)
    if len(fields) < _FIELDS or text.find("\\", 0, end) >= 0:
        end = _end_of_escaped_header(text)
        extension = text[end:]
    written = text[:end]
    if len(written) > _CACHED_HEADER:
        return _read_header(written), extension
    return _read_cached_header(written), extension


def _end_of_escaped_header(text: str) -> int:
    """Return where the extension begins, in a header where ``|`` may be escaped.

    Raises:
        ParseError: there are too few fields.
    """
    found = 1
    for match in _ESCAPE_OR_PIPE.finditer(text):
        if match[1]:
            if found == _FIELDS:
                return match.end()
            found += 1
    if found < _FIELDS:
        raise ParseError("not_cef", f"not CEF: {_FIELDS} header fields expected, {found} found")
    return len(text)


def _read_header(written: str) -> Header:
    """Read seven fields, with or without a ``|`` behind them."""
    if "\\" in written:
        ends = [match.start() for match in _ESCAPE_OR_PIPE.finditer(written) if match[1]]
        ends = [*ends, len(written)][:_FIELDS]
        starts = [0, *(end + 1 for end in ends)]
        fields = [
            _ESCAPED_IN_HEADER.sub(r"\1", written[start:end])
            for start, end in zip(starts, ends, strict=False)
        ]
    else:
        fields = written.split("|", _FIELDS)
    prefix, vendor, product, version, class_id, name, severity = (
        field.strip(_BLANKS) for field in fields[:_FIELDS]
    )
    cef_version, tags = _read_prefix(prefix)
    return Header((cef_version, vendor, product, version, class_id, name, severity), tags)


# The header of a kind of event is always the same.
_read_cached_header = lru_cache(maxsize=512)(_read_header)


def _read_prefix(prefix: str) -> tuple[str, tuple[str, ...]]:
    """Return the CEF version, and the tags of what had to be repaired to find it."""
    if prefix.startswith("CEF:"):
        version = prefix[4:].lstrip(_BLANKS)
        return version, () if prefix[4:] == version else (repairs.CEF_PREFIX,)
    if _VERSION.fullmatch(prefix):
        return prefix, (repairs.CEF_PREFIX,)
    raise ParseError("not_cef", "not CEF: it begins neither with 'CEF:' nor with a CEF version")


def _split_extension(text: str) -> tuple[Sequence[str], Sequence[str], bool]:
    """Return keys, values, and whether there was an ``=`` that should have been escaped."""
    if "  " not in text and "\t" not in text and text[-1:] != " ":
        # Between two `=` stands the end of one value and, after the last blank, the next key.
        chunks = text.split("=")
        if 2 < len(chunks) <= MAX_KEYS:
            pairs = _pair_up_plain(chunks)
            if pairs is not None:
                return *pairs, False
    return _pair_up(f" {text}")


def _pair_up_plain(chunks: list[str]) -> tuple[Sequence[str], Sequence[str]] | None:
    """Pair keys with values, where every ``=`` follows a key and single spaces stand between.

    That is nearly every message, and takes a fraction of the time of `_pair_up`, which reads all of
    them and gives the same result. None: this one is for `_pair_up`.
    """
    values, blanks, keys = zip(*[chunk.rpartition(" ") for chunk in chunks[1:-1]], strict=True)
    keys = (chunks[0], *keys)
    if "" in blanks or "" in keys or not _PLAIN_KEYS.fullmatch("".join(keys)):
        return None
    return keys, (*values, chunks[-1])


def _pair_up(text: str) -> tuple[Sequence[str], Sequence[str], bool]:
    """Pair keys with values, whatever the text is; it begins with a blank."""
    found = [*islice(_KEY.finditer(text), MAX_KEYS)]
    ends = [*(key.start() for key in found), len(text)]
    values = [
        text[key.end() : end].rstrip(_BLANKS) for key, end in zip(found, ends[1:], strict=True)
    ]
    loose = (text[: ends[0]], *values)  # the text before the first key is in no value
    unescaped = any("=" in part and _UNESCAPED_EQUALS.search(part) for part in loose)
    return [key[1] for key in found], values, unescaped


def unescape(value: str) -> str:
    r"""Undo the escapes of an extension value: ``\\``, ``\=``, ``\|``, ``\n`` and ``\r``.

    Any other backslash stays as it is.
    """
    if "\\" not in value:
        return value
    # Backslashes in a row pair up from the left, which is how `split` finds them. Between pairs no
    # two stand together, so that the other escapes cannot be mistaken for one another.
    return "\\".join(
        [_unescape_single(part) if "\\" in part else part for part in value.split("\\\\")]
    )


def _unescape_single(part: str) -> str:
    return part.replace("\\=", "=").replace("\\|", "|").replace("\\n", "\n").replace("\\r", "\r")
