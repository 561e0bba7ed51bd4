r"""ArcSight Common Event Format, read leniently and in time linear in the text.

A message is seven header fields and an extension of ``key=value`` pairs::

    CEF:0|Vendor|Product|1.0|100|Name|5|src=10.0.0.1 msg=any text cs1=1 cs1Label=Count

What this module reads although the format forbids it, because it is on the wire every day:

- blanks after ``CEF:``, and no ``CEF:`` at all: a relay that finds no RFC 5424 header takes it for
  the syslog tag and hands on ``0|Vendor|...``;
- no ``|`` after the severity;
- a byte order mark before it, a line end or NULs after it;
- an unescaped ``=`` in a value: query strings, base64, command lines.

A key is letters, digits, ``_``, ``.``, ``-`` and bracketed indexes, directly followed by ``=``, at
the start or after a blank (space or tab); everything between two keys is the first one's value.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from collector.parsers.base import ParseError

MAX_KEYS: Final = 1 << 17
"""Pairs read from one extension; what follows stays in the value of the last.

Real messages have fewer than a hundred. The bound is for memory, where messages of many MiB are
let in, and on keys and not on ``=``: a value full of ``=`` hides nothing that comes after it.
"""

_FIELDS: Final = 7
_BLANKS: Final = " \t"
_LINE_END: Final = "\r\n\0"  # some senders count it into the frame
_BOM: Final = "\ufeff"

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_KEY = re.compile(r"[A-Za-z0-9_.-]+(?:\[[0-9]+\][A-Za-z0-9_.-]*)*")
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


def parse(text: str) -> Cef:
    """Take a message apart; the values of its extension are unescaped.

    Args:
        text: a message without its syslog header.

    Raises:
        ParseError: ``not_cef``, when there are fewer than seven header fields or the first of them
            is no CEF version.
    """
    cef = split(text)
    if "\\" not in text:
        return cef
    unescaped = {
        key: unescape(value) if "\\" in value else value for key, value in cef.extensions.items()
    }
    return cef._replace(extensions=unescaped)


def split(text: str) -> Cef:
    """Take a message apart as `parse` does, but leave extension values as they are on the wire.

    For a parser that needs a value in its escaped form, or only a few of the values.
    """
    text = text.rstrip(_LINE_END)
    fields = text.split("|", _FIELDS)
    if len(fields) == _FIELDS:
        fields.append("")
    header_length = len(text) - len(fields[-1])
    if text.find("\\", 0, header_length) >= 0:
        fields = _split_escaped_header(text)
    if len(fields) <= _FIELDS:
        raise ParseError(
            "not_cef", f"not CEF: {_FIELDS} header fields expected, {len(fields)} found"
        )
    prefix, vendor, product, device_version, class_id, name, severity, extension = fields
    return Cef(
        _version(prefix),
        vendor.strip(_BLANKS),
        product.strip(_BLANKS),
        device_version.strip(_BLANKS),
        class_id.strip(_BLANKS),
        name.strip(_BLANKS),
        severity.strip(_BLANKS),
        _split_extension(extension),
    )


def _version(prefix: str) -> str:
    prefix = prefix.removeprefix(_BOM).strip(_BLANKS)
    if prefix.startswith("CEF:"):
        return prefix[4:].lstrip(_BLANKS)
    if _VERSION.fullmatch(prefix):
        return prefix
    raise ParseError("not_cef", "not CEF: it begins neither with 'CEF:' nor with a CEF version")


def _split_escaped_header(text: str) -> list[str]:
    ends = []
    for match in _ESCAPE_OR_PIPE.finditer(text):
        if match[1]:
            ends.append(match.start())
            if len(ends) == _FIELDS:
                break
    if len(ends) < _FIELDS:
        ends.append(len(text))
    starts = [0, *(end + 1 for end in ends)]
    fields = [
        _ESCAPED_IN_HEADER.sub(r"\1", text[start:end])
        for start, end in zip(starts, ends, strict=False)
    ]
    if len(fields) == _FIELDS:
        fields.append(text[starts[-1] :])
    return fields


def _split_extension(text: str) -> dict[str, str]:
    # Between two `=` stands the end of one value and, after the last blank, the next key.
    chunks = text.split("=")
    evenly_spaced = "  " not in text and "\t" not in text and text[-1:] != " "
    if evenly_spaced and len(chunks) <= MAX_KEYS:
        extensions = _pair_up_plain(chunks)
        if extensions is not None:
            return extensions
    return _pair_up(chunks)


def _pair_up_plain(chunks: list[str]) -> dict[str, str] | None:
    """Pair keys with values, where every ``=`` follows a key and single spaces stand between.

    That is nearly every message, and takes half the time of `_pair_up`, which reads all of them
    and gives the same result. None: this one is for `_pair_up`.
    """
    extensions = {}
    key, *middle = chunks
    if not key or not middle:
        return None
    last = middle.pop()
    for chunk in middle:
        extensions[key], blank, key = chunk.rpartition(" ")
        if not blank or not key:
            return None
    extensions[key] = last
    return extensions if _PLAIN_KEYS.fullmatch("".join(extensions)) else None


def _pair_up(chunks: list[str]) -> dict[str, str]:
    # Where what stands before a `=` is no key, the `=` is part of the value: its pieces are kept
    # until the next key and joined once, which keeps the whole linear.
    extensions: dict[str, str] = {}
    key = ""
    pieces: list[str] = []
    for chunk in chunks[:-1]:
        value, candidate = _split_key(chunk, at_start=not extensions and not pieces)
        if candidate and len(extensions) < MAX_KEYS:
            extensions[key] = "=".join([*pieces, value]).rstrip(_BLANKS)
            pieces.clear()
            key = candidate
        else:
            pieces.append(chunk)
    extensions[key] = "=".join([*pieces, chunks[-1]]).rstrip(_BLANKS)
    del extensions[""]  # what stands before the first key
    return extensions


def _split_key(chunk: str, *, at_start: bool) -> tuple[str, str]:
    """Return the end of a value and the key that follows it; an empty key where there is none."""
    blank = max(chunk.rfind(" "), chunk.rfind("\t"))
    candidate = chunk[blank + 1 :]
    if (blank >= 0 or at_start) and _KEY.fullmatch(candidate):
        return chunk[: max(blank, 0)], candidate
    return chunk, ""


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


def resolve_labels(extensions: Mapping[str, str]) -> dict[str, str]:
    """Give each custom field the name its label says.

    ``cs1=42 cs1Label=MalopId`` becomes ``MalopId=42``; this holds for any key with a label
    (csN, cnN, cfpN, flexStringN, deviceCustomDateN ...), wherever the label stands. Labels
    themselves are left out: one without a value says nothing, and a value whose label is empty
    keeps its key. Where several values have one name the last label counts, as the last of
    several equal keys does.

    Args:
        extensions: key to value, as `parse` or `split` returns them; it is not changed.
    """
    resolved = dict(extensions)
    named = {}
    for label in [key for key in extensions if "Label" in key]:
        key = label.removesuffix("Label")
        if key and key != label:
            name = resolved.pop(label)
            if name and key in resolved:
                named[name] = resolved.pop(key)
    resolved.update(named)
    return resolved
