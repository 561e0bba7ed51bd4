"""Intake keys in what people are shown of messages: replaced wherever they stand.

Whoever sends a message decides what is looked through, so that the time for it has to be bounded,
and it must hardly depend on how many keys there are: see `_Finder`.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote, quote_plus

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from collector.syslog.message import KeyName

MASKED: Final = b"***"

SHORTEST_BEGINNING: Final = 4
"""Octets of a key that are one where a message was cut; fewer say nothing of it."""

MAX_VALUES: Final = 4096
"""Of an event that keys seem to be in; with its names there may be twice as many texts."""

MAX_WORK: Final = 32 * 1024 * 1024
"""Octets to look through, times the forms to look for in them: some 15 ms."""

# Shorter parts of a key in base64 stand in ordinary text by chance.
_SHORTEST_PART: Final = 8

# Between the texts of an event: in no text and no key, since UTF-8 has no such octet.
_BETWEEN: Final = b"\xff"

# What is left of a character whose octets were cut.
_BROKEN: Final = "\N{REPLACEMENT CHARACTER}"

# Programs that write JSON to stand within HTML escape these, too.
_IN_HTML: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'"}


_Key = TypeVar("_Key", int, bytes)


class Masker:
    """Replaces intake keys.

    A known key is found wherever it stands, in upper or lower case: as it is, as the structured
    data of RFC 5424, JSON (with `/`, characters beyond ASCII and those of HTML escaped or not) and
    URLs (with `/` and marks escaped or not) have it, each in a text within JSON as well, and in
    base64, plain or of URLs, also behind and before something else, as `user:key`. There up to two
    characters at its ends are shared with what is beside it, and stay.

    Args:
        key_name: by which an unknown key is found as well.
        keys: every known one.
    """

    def __init__(self, key_name: KeyName, keys: Collection[str] = ()) -> None:
        self._key_name = key_name
        self._needle = f"{key_name.parameter}="
        self._needle_in_json = _in_json(self._needle.encode())
        forms = {form.lower() for key in keys for form in _written(key)}
        self._finder = _Finder(forms | {_in_json(form) for form in forms})

    def mask(self, octets: bytes, *, is_cut: bool = False) -> bytes:
        """Return octets, which may be anything, without the keys in them.

        Args:
            octets: a message, or a part of one.
            is_cut: whether it went on; then the beginning of a key at its end is one as well.

        Returns:
            The octets; `MASKED` alone where so much of so many keys seems to be in them that
            looking for each would take too long.
        """
        octets = self._mask_known(self._key_name.mask(octets))
        return self._mask_end(octets) if is_cut else octets

    def mask_text(self, text: str, *, is_cut: bool = False) -> str:
        """Do the same with a text."""
        masked = self.mask(text.encode("utf-8", "surrogatepass"), is_cut=is_cut)
        return masked.decode("utf-8", "replace")

    def read_event(self, event: bytes, *, is_cut: bool = False) -> Any:
        """Return what JSON stands for, without the keys in its texts, names included.

        Args:
            event: JSON, valid.
            is_cut: whether the message went on of which it was made; then the beginning of a key
                at the end of a text is one as well.

        Raises:
            ValueError: it is nested so deep that it cannot be told within something else, or
                looking for keys in it would take too long.
        """
        value = orjson.loads(event)
        try:
            plain = orjson.dumps([[[[value]]]])  # no character is escaped that need not be
        except orjson.JSONEncodeError as error:
            raise ValueError(str(error)) from error
        if is_cut or self._needle_in_json in plain or self._finder.find(plain.lower()):
            return self._masked(value, is_cut=is_cut)
        return value

    def _masked(self, value: Any, *, is_cut: bool) -> Any:
        """Mask all texts of a value, which orjson has bounded in depth, at once."""
        texts: list[str] = []
        _collect(value, texts)
        named = (
            self._key_name.mask(text.encode()) if self._needle in text else text.encode()
            for text in texts
        )
        masked = self._mask_known(_BETWEEN.join(named)).split(_BETWEEN)
        if len(masked) != len(texts):
            raise ValueError("too much of it looks like keys")
        if is_cut:
            masked = [self._mask_end(text) for text in masked]
        return _with_texts(value, (text.decode() for text in masked))

    def _mask_known(self, octets: bytes) -> bytes:
        lowered = octets.lower()
        forms = self._finder.find(lowered)
        if len(forms) * len(octets) > MAX_WORK:
            return MASKED
        for form in forms:
            if form in lowered:
                octets = MASKED.join(_around(octets, lowered, form))
                lowered = octets.lower()
        return octets

    def _mask_end(self, octets: bytes) -> bytes:
        whole = octets.removesuffix(_BROKEN.encode())
        length = self._finder.begun(whole[-self._finder.longest :].lower())
        return whole[:-length] + MASKED if length else octets


def _around(octets: bytes, lowered: bytes, form: bytes) -> Iterator[bytes]:
    """Yield what stands around the places where a form is in octets."""
    end = 0
    while (start := lowered.find(form, end)) >= 0:
        yield octets[end:start]
        end = start + len(form)
    yield octets[end:]


class _Finder:
    """Says which of many texts are in octets.

    Most octets hold none, and a look at each of their blocks tells: wherever a text of at least
    twice the size of a block less one stands, it holds a whole one, which begins at one of its
    first octets; and all of those are known. How many texts there are is no matter for that.

    Args:
        texts: what is looked for; none is empty.

    Attributes:
        longest: octets of the longest, 1 without any.
    """

    def __init__(self, texts: Collection[bytes]) -> None:
        self.longest = max(map(len, texts), default=1)
        self._blocks = (
            _Blocks("Q", 8, [text for text in texts if len(text) >= 15]),
            _Blocks("I", 4, [text for text in texts if 7 <= len(text) < 15]),
        )
        self._short = [text for text in texts if len(text) < 7]
        self._heads = _grouped((text[:SHORTEST_BEGINNING], text) for text in texts)

    def find(self, octets: bytes) -> list[bytes]:
        """Return the texts that may be in octets, the longest first."""
        found = {text for text in self._short if text in octets}
        for blocks in self._blocks:
            found.update(blocks.find(octets))
        return sorted(found, key=len, reverse=True)

    def begun(self, octets: bytes) -> int:
        """Return the length of the longest beginning of a text that octets end in; 0 if none."""
        for start in range(len(octets) - SHORTEST_BEGINNING + 1):
            texts = self._heads.get(octets[start : start + SHORTEST_BEGINNING])
            if texts and any(text.startswith(octets[start:]) for text in texts):
                return len(octets) - start
        return 0


class _Blocks:
    """The blocks by which texts are known.

    Args:
        code: of an unsigned number as long as a block, as `memoryview.cast` takes it.
        size: octets of a block.
        texts: each has `2 * size - 1` octets or more.
    """

    def __init__(self, code: Literal["I", "Q"], size: int, texts: Iterable[bytes]) -> None:
        self._code = code
        self._size = size
        self._texts = _grouped(
            (int.from_bytes(text[start : start + size], sys.byteorder), text)
            for text in texts
            for start in range(size)
        )
        self._known = frozenset(self._texts)

    def find(self, octets: bytes) -> Iterator[bytes]:
        """Yield the texts of which a block is in octets, some of them more than once."""
        if self._known and len(octets) >= self._size:
            whole = len(octets) // self._size * self._size
            for block in self._known.intersection(memoryview(octets)[:whole].cast(self._code)):
                yield from self._texts[block]


def _grouped(pairs: Iterable[tuple[_Key, bytes]]) -> dict[_Key, list[bytes]]:
    groups = defaultdict(list)
    for key, text in pairs:
        groups[key].append(text)
    return dict(groups)


def _collect(value: Any, texts: list[str]) -> None:
    """Add each value within one that was JSON, in order: a text as it is, names too, or as none.

    Raises:
        ValueError: there are more than `MAX_VALUES`.
    """
    if len(texts) >= MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    texts.append(value if isinstance(value, str) else "")
    if isinstance(value, list):
        for item in value:
            _collect(item, texts)
    elif isinstance(value, dict):
        for name, item in value.items():
            texts.append(name)
            _collect(item, texts)


def _with_texts(value: Any, texts: Iterator[str]) -> Any:
    """Return a value with other texts, in the order of `_collect`."""
    text = next(texts)
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [_with_texts(item, texts) for item in value]
    if isinstance(value, dict):
        return {next(texts): _with_texts(item, texts) for item in value.values()}
    return value


def _written(key: str) -> Iterator[bytes]:
    """Yield the forms that a key can have; in lower case where that is no matter of ASCII."""
    for text in (key, key.lower(), key.upper()):
        yield from (form.encode() for form in _escaped(text))
    octets = key.encode()
    for part in (b64encode(octets), *_parts(octets)):
        yield part
        yield part.translate(bytes.maketrans(b"+/", b"-_"))


def _escaped(text: str) -> Iterator[str]:
    yield text
    yield re.sub(r'(["\\\]])', r"\\\1", text)  # structured data
    for written in (orjson.dumps(text).decode()[1:-1], json.dumps(text)[1:-1]):
        for form in (written, written.translate(_IN_HTML)):
            yield form
            yield form.replace("/", "\\/")
    for kept in ("", "/", "!'()*", ";,/?:@&=+$!'()*#"):
        yield quote(text, safe=kept)
    yield quote_plus(text)


def _parts(octets: bytes) -> Iterator[bytes]:
    """Yield what is always the same of octets in base64, behind none, one or two of others.

    A character stands for six bits (RFC 4648 section 4), so that those at the ends may be shared.
    """
    for before in range(3):
        start, end = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        part = b64encode(bytes(before) + octets)[start:end]
        if len(part) >= _SHORTEST_PART:
            yield part


def _in_json(octets: bytes) -> bytes:
    """Return a text as it stands in JSON."""
    return orjson.dumps(octets.decode())[1:-1]
