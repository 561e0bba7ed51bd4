"""Syslog frames out of a byte stream (RFC 6587), whatever pieces the stream arrives in.

A frame is an octet count, a space and that many octets (section 3.4.1), or text up to a delimiter
(section 3.4.2). Which of the two is decided for each frame at its first octets, as rsyslog does,
and never by where a read happens to begin, so the frames do not depend on how the octets were cut.

A frame that arrives whole within one read is sliced out of it. Only a frame that does not, or that
is too long, becomes an object of its own (`_Line`, `_Counted`), which holds no more than is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Framing = Literal["auto", "octet-counted", "lf", "nul"]
WhenOversize = Literal["truncate", "reject"]

# RFC 5425 section 4.3.1 asks for 8 KiB; rsyslog takes 8 KiB unless told otherwise, syslog-ng
# 64 KiB. An EDR alert in JSON with its process tree and command lines goes beyond that. A thousand
# connections that each hold a frame of this length stay within 256 MiB.
DEFAULT_MAX_MESSAGE_BYTES: Final = 256 * 1024

# MSG-LEN = NONZERO-DIGIT *DIGIT (RFC 6587 section 3.4.1); nine digits bound the conversion.
_MAX_COUNT_DIGITS: Final = 9
MSG_LEN: Final = "[1-9][0-9]{0,8}"
"""The pattern of an octet count."""

MESSAGE_BEGINS: Final = r"<[0-9]{1,3}>|CEF:|\{"
"""The pattern of what follows a count that was left in a text: a message or a payload.

Other texts may begin with a number too.
"""

_COUNT: Final = re.compile(f"({MSG_LEN}) ".encode())
_COUNT_THEN_PRI: Final = re.compile(f"{MSG_LEN} <".encode())
_LEFT_COUNT: Final = re.compile(f"{MSG_LEN} (?={MESSAGE_BEGINS})".encode())

_SHOWN_OCTETS: Final = 16  # of a frame in a description: enough to know it by
_SHOWN_OF_ANY: Final = 4  # of one that does not begin as a message does


class CutFrame(bytes):
    """The first `max_message_bytes` octets of a longer frame."""

    __slots__ = ()


class Framer:
    """Cuts the octets of one connection into frames.

    Every octet is looked at a bounded number of times and nothing beyond the bound is held, in
    whatever pieces the octets come. No input raises.

    Args:
        framing: `auto` decides for each frame: a digit 1-9, further digits (nine at most in all)
            and a space are an octet count, anything else is text up to a line feed.
            `octet-counted` reads the same, but text is a mismatch. `lf` knows no counts. `nul`
            ends frames at a NUL, and line feeds are data.
        max_message_bytes: longest content of a frame, in octets, without count, line ending and
            trailing NULs.
        when_oversize: `truncate` gives the first `max_message_bytes` of a longer frame as a
            `CutFrame`, `reject` drops it. Either way it is read to its end, and reading goes on.

    Attributes:
        oversize: frames dropped as too long so far. The reader may reset it.
        incomplete: after `close`, the octets held of a counted frame that was unfinished (at most
            `max_message_bytes`, none of a frame that was to be dropped), else None.
        mismatch: the first frame that was not in the framing expected, for the operator; else None.
    """

    __slots__ = (
        "_counts",
        "_delimiter",
        "_digits",
        "_limit",
        "_open",
        "_reject",
        "_trim",
        "_wary",
        "incomplete",
        "mismatch",
        "oversize",
    )

    def __init__(
        self,
        framing: Framing = "auto",
        *,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        when_oversize: WhenOversize = "truncate",
    ) -> None:
        self._limit = max_message_bytes
        self._reject = when_oversize == "reject"
        self._counts = framing in {"auto", "octet-counted"}
        self._delimiter = b"\0" if framing == "nul" else b"\n"
        self._trim: Callable[[bytes], bytes] = bytes if framing == "nul" else _trim_line
        self._digits = b""  # of what may become a count
        self._open: _Line | _Counted | None = None
        self._wary = framing in {"octet-counted", "lf"}  # a text frame may be a mismatch
        self.oversize = 0
        self.incomplete: bytes | None = None
        self.mismatch: str | None = None

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._open is not None or bool(self._digits)

    @property
    def held(self) -> int:
        """Octets that are held of a frame that has begun and not ended."""
        return len(self._digits) if self._open is None else len(self._open.held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next octets of the stream.

        Args:
            data: what was read, of any length.

        Returns:
            The frames complete by now, in order, without count and delimiter; a `CutFrame` where a
            frame was longer than `max_message_bytes`. Empty lines are no frames.
        """
        frames: list[bytes] = []
        if self._digits:
            data = self._digits + data
            self._digits = b""
        start = 0 if self._open is None else self._read_on(self._open, data, 0, frames)
        self._split(data, start, frames)
        return frames

    def close(self) -> list[bytes]:
        """End the stream.

        Returns:
            The text that was still waiting for its delimiter, as a frame. An unfinished counted
            frame is none: its octets are in `incomplete`.
        """
        frames: list[bytes] = []
        if self._digits:
            self._read_on(self._new_line(), self._digits, 0, frames)
            self._digits = b""
        last, self._open = self._open, None
        if isinstance(last, _Counted):
            self.incomplete = bytes(last.held)
        elif last is not None:
            self._finish(last, frames)
        return frames

    def _split(self, data: bytes, start: int, frames: list[bytes]) -> None:
        """Take all of `data` from `start`, where a frame begins.

        This is the loop that every message passes, so what is common is done here without a call.
        """
        find, delimiter, limit, end = data.find, self._delimiter, self._limit, len(data)
        counts, match_count, add = self._counts, _COUNT.match, frames.append
        while start < end:
            if counts and 49 <= data[start] <= 57:  # 1-9
                if count := match_count(data, start):
                    if not self._wary:
                        self._wary = self.mismatch is None
                    first = count.end()
                    length = int(count[1])
                    start = first + length
                    if start <= end and length <= limit:
                        add(data[first:start])
                    else:
                        start = self._read_on(self._new_counted(length), data, first, frames)
                    continue
                if end - start <= _MAX_COUNT_DIGITS and data[start:].isdigit():
                    self._digits = data[start:]
                    return
            stop = find(delimiter, start)
            if not start <= stop <= start + limit:
                start = self._read_on(self._new_line(), data, start, frames)
                continue
            if stop > start:
                line = data[start:stop]
                # CR and NUL are all that is trimmed, and few lines end in a control character.
                self._add_text(line if line[-1] > 13 else self._trim(line), frames)
            start = stop + 1

    def _new_counted(self, length: int) -> _Counted:
        too_long = length > self._limit
        kept = 0 if too_long and self._reject else self._limit
        return _Counted(length, kept, too_long=too_long)

    def _new_line(self) -> _Line:
        kept = _SHOWN_OCTETS if self._reject else self._limit
        return _Line(self._delimiter, self._trim, self._limit, kept)

    def _read_on(
        self, frame: _Line | _Counted, data: bytes, start: int, frames: list[bytes]
    ) -> int:
        """Give an unfinished frame its octets and return where the next frame begins."""
        stop = frame.take(data, start)
        if stop is None:
            self._open = frame
            return len(data)
        self._open = None
        self._finish(frame, frames)
        return stop

    def _finish(self, frame: _Line | _Counted, frames: list[bytes]) -> None:
        """Add a frame that did not come whole, cut or dropped where it is too long."""
        content = frame.content()
        if not frame.too_long:
            if isinstance(frame, _Line):
                self._add_text(content, frames)
            else:
                frames.append(content)
            return
        if self._wary and isinstance(frame, _Line):
            self._note_mismatch(content)
        if self._reject:
            self.oversize += 1
        else:
            frames.append(CutFrame(content))

    def _add_text(self, content: bytes, frames: list[bytes]) -> None:
        if content:
            if self._wary:
                self._note_mismatch(content)
            frames.append(content)

    def _note_mismatch(self, text: bytes) -> None:
        """Describe a text frame where a count was due, or a count where text was due."""
        if self._counts:
            problem = "octet count expected, got"
        elif _COUNT_THEN_PRI.match(text):
            problem = "LF-delimited text expected, got an octet count:"
        else:
            return
        # After a wrong count a frame begins anywhere, perhaps within an intake key.
        shown = _SHOWN_OCTETS if text.startswith(b"<") or not self._counts else _SHOWN_OF_ANY
        self.mismatch = f"{problem} {text[:shown]!r}"
        self._wary = False


class _Line:
    """Text whose delimiter has not come yet, or has come too late.

    Args:
        delimiter: the octet that ends it.
        trim: takes away what stands between content and delimiter.
        limit: longest content, in octets.
        kept_of_longer: how much is kept of longer content.
    """

    __slots__ = ("_delimiter", "_kept_of_longer", "_limit", "_spill", "_trim", "held", "too_long")

    def __init__(
        self, delimiter: bytes, trim: Callable[[bytes], bytes], limit: int, kept_of_longer: int
    ) -> None:
        self._delimiter = delimiter
        self._trim = trim
        self._limit = limit
        self._kept_of_longer = kept_of_longer
        self._spill = b""  # last octet beyond the limit, while all of them can be trimmed
        self.held = bytearray()
        self.too_long = False

    def take(self, data: bytes, start: int) -> int | None:
        """Take octets up to the delimiter; return where the next frame begins, if it came."""
        stop = data.find(self._delimiter, start)
        if not self.too_long:
            self._hold(data[start:] if stop < 0 else data[start:stop])
        return None if stop < 0 else stop + 1

    def content(self) -> bytes:
        """The text, or what is kept of it if it is too long."""
        return bytes(self.held) if self.too_long else self._trim(bytes(self.held) + self._spill)

    def _hold(self, piece: bytes) -> None:
        room = self._limit - len(self.held)
        self.held += piece[:room]
        if len(piece) <= room:
            return
        # Whether a CR or NUL here is content is known only at the delimiter. They need not be
        # held for that: NULs end as NULs, and anything after a CR makes it content.
        self._spill += piece[room:]
        if self._trim(self._spill):
            self.too_long = True
            del self.held[self._kept_of_longer :]
        self._spill = self._spill[-1:]


class _Counted:
    """A counted frame whose octets have not all come, or are too many.

    Args:
        length: octets in the frame.
        kept: how many of them are held.
        too_long: whether the frame is longer than allowed.
    """

    __slots__ = ("_kept", "_missing", "held", "too_long")

    def __init__(self, length: int, kept: int, *, too_long: bool) -> None:
        self._missing = length
        self._kept = kept
        self.held = bytearray()
        self.too_long = too_long

    def take(self, data: bytes, start: int) -> int | None:
        """Take the octets that belong to it; return where the next frame begins, if it ended."""
        taken = min(self._missing, len(data) - start)
        self._missing -= taken
        self.held += data[start : start + min(taken, self._kept - len(self.held))]
        return None if self._missing else start + taken

    def content(self) -> bytes:
        """The octets held."""
        return bytes(self.held)


def trim_datagram(data: bytes) -> bytes:
    """Take away the LF, CR and NUL octets at the end of a UDP message; blanks are kept."""
    return data.rstrip(b"\n\r\0")


def strip_octet_count(frame: bytes) -> bytes:
    """Take away the octet count that was left before a message.

    A sender counts octets where none are expected: over UDP, or to a listener whose framing is `lf`
    or `nul`. Then the count (RFC 6587 section 3.4.1) is text before the header, which hides it.

    Args:
        frame: one syslog message, or a `CutFrame`.

    Returns:
        What follows the count, if that is `<PRI>`, `CEF:` or `{`; of a `CutFrame` a `CutFrame`.
        Otherwise `frame` itself, the same object.
    """
    if not frame[:1].isdigit():  # nearly all
        return frame
    count = _LEFT_COUNT.match(frame)
    return frame if count is None else type(frame)(frame[count.end() :])


def _trim_line(line: bytes) -> bytes:
    """Take away one CR that stood before the LF, then NULs, which some senders end text with."""
    return line.removesuffix(b"\r").rstrip(b"\0")
