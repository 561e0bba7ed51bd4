"""The outlines of CEF messages.

The header belongs to the shape, and so do keys and labels: what a field means follows from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.parsers import cef
from collector.parsers.labels import UNKNOWN, is_label, names_of
from collector.parsers.shapes.codes import Kind
from collector.parsers.shapes.outline import Outline, Source, UnfitError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_LINE_END: Final = "\r\n"


def outline_of(text: str, header: Mapping[str, str], as_they_are: Collection[str]) -> Outline:
    """Take a message apart.

    Args:
        text: a CEF message that needs no repair.
        header: the fields of its header by name, of which extensions do not replace any; empty
            where they say nothing.
        as_they_are: the names of values whose escapes belong to them.

    Raises:
        UnfitError: no shape is made of it.
    """
    parts = cef.split(text)
    names = names_of(parts.keys, parts.values)
    if names is None or parts.tags or parts.header.tags:
        raise UnfitError("read with repairs, or keys that come twice")
    outline = Outline()
    literal = _header(text, parts)
    for key, name, value in zip(parts.keys, names, parts.values, strict=True):
        before, octets = f"{literal}{key}=".encode(), value.encode()
        literal = " "
        kind = Kind.FIELD_AS_IS if name in as_they_are else Kind.FIELD
        if is_label(key) or value in UNKNOWN:
            outline.add(before, kind, octets, fixed=True)
        elif name in header:
            outline.add(before, kind, octets)
        else:
            read = value if kind is Kind.FIELD_AS_IS else cef.unescape(value)
            outline.add_value((name,), read, before, kind, octets)
    for name, value in header.items():
        if value not in UNKNOWN:
            outline.sources[name,] = Source(value)
    outline.add(b"" if parts.keys else literal.encode(), Kind.END)
    return outline


def _header(text: str, parts: cef.Parts) -> str:
    """Return what stands before the first key."""
    pairs = [f"{key}={value}" for key, value in zip(parts.keys, parts.values, strict=True)]
    extension = " ".join(pairs)
    header = text.removesuffix(extension)
    if text != header + extension or not header.endswith("|") or "\t" in text or "\0" in text:
        raise UnfitError("more than a blank between two fields, or behind them")
    return header
