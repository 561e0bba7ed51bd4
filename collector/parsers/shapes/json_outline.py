"""The outlines of messages that are one JSON object.

What no rule reads is any value: messages that differ there alone are of one shape. What a rule
reads has its kind. An empty string and `null` belong to the shape, since rules treat both unlike
texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.parsers.paths import FIRST
from collector.parsers.shapes.codes import Argument, Kind
from collector.parsers.shapes.outline import Outline, Source, UnfitError

if TYPE_CHECKING:
    from collections.abc import Collection

    from collector.parsers.shapes.outline import Path

_MAX_DEPTH: Final = 16  # of objects that rules read

_TOKEN: Final = re.compile(
    rb"[ \t\r\n]*(?P<token>"
    rb'[{}\[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|true|false|null)',
    re.DOTALL,
)
_INTEGER: Final = re.compile(rb"(?!-0)-?(?:0|[1-9][0-9]{0,17})")
_CLOSING: Final = {b"{": b"}", b"[": b"]"}


def outline_of(text: bytes, read: Collection[Path]) -> Outline:
    """Take a message apart.

    Args:
        text: a JSON object that can be decoded.
        read: what rules read, each as the names on the way to it.

    Raises:
        UnfitError: no shape is made of it.
    """
    return _Reader(text, read).outline()


class _Reader:
    def __init__(self, text: bytes, read: Collection[Path]) -> None:
        self._text = text
        self._read = frozenset(read)
        self._on_the_way = {path[:end] for path in self._read for end in range(len(path))}
        self._outline = Outline()
        self._position = 0
        self._written = 0  # where the literal of the next step begins

    def outline(self) -> Outline:
        self._object((), whole=False)
        self._outline.add(self._text[self._written :], Kind.END)
        return self._outline

    # Tokens.

    def _next(self) -> bytes:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            raise UnfitError("not JSON")
        self._position = found.end()
        return found["token"]

    def _peek(self) -> bytes:
        """Return the next token, and go to its beginning."""
        token = self._next()
        self._position -= len(token)
        return token

    def _skip(self) -> None:
        """Go behind the value that comes next."""
        open_ones: list[bytes] = []
        while True:
            token = self._next()
            if token in _CLOSING:
                open_ones.append(_CLOSING[token])
            elif open_ones and token == open_ones[-1]:
                open_ones.pop()
            if not open_ones:
                return

    # Values.

    def _literal(self, start: int, end: int) -> bytes:
        """Return what stands before the value from `start` to `end`, up to the value before."""
        literal = self._text[self._written : start]
        self._written = end
        return literal

    def _mark(self) -> int:
        """Mark where the reading is; return the number of the step."""
        return self._outline.add(self._literal(self._position, self._position), Kind.MARK)

    def _slot(self, path: Path, kind: Kind, start: int, end: int, value: Any) -> None:
        literal, octets = self._literal(start, end), self._text[start:end]
        self._outline.add_value(path, value, literal, kind, octets)

    def _value(self, path: Path, *, whole: bool) -> None:
        """Read the value at a path; `whole` says that a rule reads all that is in an object."""
        token = self._peek()
        start = self._position
        is_read = whole or path in self._read
        if token == b"{" and (is_read or path in self._on_the_way):
            self._object(path, whole=is_read)
            return
        self._skip()
        end = self._position
        octets = self._text[start:end]
        if token == b"[" or not (is_read or path in self._on_the_way):
            # Of a list, its entries too may be read.
            self._slot(path, Kind.VALUE, start, end, orjson.loads(octets))
        elif octets in {b"null", b'""'}:
            self._outline.sources[path] = Source(orjson.loads(octets))
        elif token.startswith(b'"'):
            self._slot(path, Kind.TEXT, start + 1, end - 1, orjson.loads(octets))
        elif octets in {b"true", b"false"}:
            self._slot(path, Kind.BOOLEAN, start, end, octets == b"true")
        elif _INTEGER.fullmatch(octets):
            self._slot(path, Kind.INTEGER, start, end, int(octets))
        else:
            self._slot(path, Kind.VALUE, start, end, orjson.loads(octets))

    def _object(self, path: Path, *, whole: bool) -> None:
        if len(path) > _MAX_DEPTH:
            raise UnfitError("nested too deep")
        self._peek()
        begin = self._position
        first = self._mark() if whole else -1
        self._members(path, whole=whole)
        if whole:
            last = self._mark()
            value = orjson.loads(self._text[begin : self._position])
            slots = tuple(range(first + 1, last))
            self._outline.sources[path] = Source(value, slots, (Argument.SPAN, first, last))

    def _members(self, path: Path, *, whole: bool) -> None:
        names: set[str] = set()
        if self._next() != b"{":
            raise UnfitError("not an object")
        if self._peek() == b"}":
            self._next()
            return
        while True:
            name = orjson.loads(self._next())
            if name in names or name == FIRST:
                raise UnfitError("a name that comes twice")
            names.add(name)
            self._next()  # the colon
            # A name with a dot or a bracket cannot be in a path.
            inner = (*path, name)
            self._value(inner, whole=whole)
            if self._next() == b"}":
                return
