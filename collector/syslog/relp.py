"""RELP, the syslog transport whose every message is answered (librelp's specification 0.0.1).

    frame = TXNR SP COMMAND SP DATALEN [SP DATA] LF

The client numbers its commands (TXNR); the server answers each with `rsp` and the same number, in
the order of the commands. `open` begins, `syslog` carries one message, `close` ends. A 200 to
`syslog` hands the responsibility over: the client forgets the message. It forgets one answered 500
too. After a lost connection it sends again what was not answered.

`Session` is the server's side; `relp_client` has the client's. Both read by `FrameReader`, which
slices a frame that arrives whole within one read out of it, and holds of any other frame no more
than its bound.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

from collector.syslog.framing import DEFAULT_MAX_MESSAGE_BYTES, CutFrame, WhenOversize

MAX_TXNR: Final = 999_999_999
"""The largest number of a command; the next one is 1."""

MAX_DATA_OCTETS: Final = 4096
"""Longest data of a command that is no message. librelp's offers take about a hundred octets."""

_SYSLOG: Final = b"syslog"
_LF: Final = 10

# TXNR and DATALEN have nine digits at most, COMMAND 32 letters. What ends a header is part of the
# match, so that digits are never taken for a whole number while more of them may come.
_HEADER: Final = re.compile(rb"([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})([ \n])")
_HEADER_BEGINS: Final = re.compile(rb"[0-9]{1,9}(?: (?:[A-Za-z]{1,32}(?: (?:[0-9]{1,9})?)?)?)?")

# What stands where a header should, by its first octet: the mistakes that people make.
_TLS_RECORD_TYPES: Final = b"\x15\x16"  # alert, handshake (RFC 8446 section 5.1)
_NO_HEADER: Final = "not RELP: no frame header where one was due"
_NO_HEADER_BUT_TLS: Final = "not RELP: a TLS record where plain RELP was expected"
_NO_HEADER_BUT_SYSLOG: Final = "not RELP: a syslog message without a frame header"
_NO_DATA: Final = "framing error: a header announces data and ends without"
_NO_LF: Final = "framing error: no line feed after the data"
_TOO_MUCH_DATA: Final = f"a command other than syslog with more than {MAX_DATA_OCTETS} octets"

_NOT_OPEN: Final = "protocol error: syslog or close before open"
_UNANSWERABLE: Final = "protocol error: syslog with transaction number 0, which is not answered"
_UNKNOWN_VERSION: Final = "open offers no relp_version that is known, 0 or 1"

_OK: Final = b"200 OK"
_REFUSED: Final = b"500 message rejected by the settings"
_TOO_LONG: Final = b"500 message too long"
_ALREADY_OPEN: Final = b"500 already open"
_NOT_SUPPORTED: Final = b"500 command not supported"
_VERSION_NOT_SUPPORTED: Final = b"500 relp_version not supported"


class Frame(NamedTuple):
    """A command, an answer or a hint.

    Attributes:
        number: TXNR, 0 of a hint.
        command: COMMAND, as `syslog` or `rsp`.
        data: DATA; a `CutFrame` where it was longer than allowed.
    """

    number: int
    command: bytes
    data: bytes


def frame(number: int, command: bytes, data: bytes = b"") -> bytes:
    """Return the octets of a frame; without data there is no space after DATALEN."""
    if data:
        return b"%d %b %d %b\n" % (number, command, len(data), data)
    return b"%d %b 0\n" % (number, command)


SERVER_CLOSE: Final = frame(0, b"serverclose")
"""The hint that the server closes the connection; it is not answered."""


def offers_known_version(offers: bytes) -> bool:
    """Say whether the offers of one side hold a `relp_version` that we speak.

    Args:
        offers: lines of `NAME=VALUE[,VALUE…]`. What is not of that form is passed over.
    """
    for line in offers.split(b"\n"):
        name, _, values = line.partition(b"=")
        if name.strip() == b"relp_version":
            return any(value.strip() in {b"0", b"1"} for value in values.split(b","))
    return False


class FrameReader:
    """Cuts the octets of one direction of a connection into frames.

    Every octet is looked at a bounded number of times, and nothing beyond the bounds is held, in
    whatever pieces the octets come. No input raises.

    Args:
        max_message_bytes: longest data of `syslog`, in octets. Longer data is read through to its
            end. Data of any other command has a bound of its own, `MAX_DATA_OCTETS`.
        kept_of_longer: how much of longer data the `CutFrame` in its place holds, in octets.

    Attributes:
        broken: why the stream cannot be read on, one of a few fixed texts; else None.
    """

    __slots__ = ("_body", "_header", "_kept_of_longer", "_max_message_bytes", "broken")

    def __init__(self, *, max_message_bytes: int = 0, kept_of_longer: int = 0) -> None:
        self.change_bounds(max_message_bytes, kept_of_longer)
        self._header = b""  # what has come of one
        self._body: _Body | None = None
        self.broken: str | None = None

    def change_bounds(self, max_message_bytes: int, kept_of_longer: int) -> None:
        """Go by other bounds, in octets, from the next header on."""
        self._max_message_bytes = max_message_bytes
        self._kept_of_longer = kept_of_longer

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._body is not None or bool(self._header)

    @property
    def held(self) -> int:
        """How many octets are held of a frame that has not ended."""
        return len(self._header) if self._body is None else len(self._body.held)

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next octets; return the frames complete by now, none once `broken` is set."""
        frames: list[Frame] = []
        if self.broken is not None:
            return frames
        if self._header:
            data = self._header + data
            self._header = b""
        start = 0 if self._body is None else self._read_on(self._body, data, 0, frames)
        self._split(data, start, frames)
        return frames

    def _split(self, data: bytes, start: int, frames: list[Frame]) -> None:
        """Take all of `data` from `start`, where a frame begins."""
        end = len(data)
        while start < end and self.broken is None:
            header = _HEADER.match(data, start)
            if header is None:
                self._begin_header(data, start)
                return
            number, command, octets, last = header.groups()
            first, length = header.end(), int(octets)
            limit = self._max_message_bytes if command == _SYSLOG else MAX_DATA_OCTETS
            stop = first + length
            if length <= limit and stop < end and data[stop] == _LF and last == b" ":
                frames.append(Frame(int(number), command, data[first:stop]))
                start = stop + 1
            elif last == b"\n" and length == 0:
                frames.append(Frame(int(number), command, b""))
                start = first
            elif last == b"\n":
                self.broken = _NO_DATA
            elif length > limit and command != _SYSLOG:
                self.broken = _TOO_MUCH_DATA
            else:
                kept = length if length <= limit else self._kept_of_longer
                body = _Body(int(number), command, length, kept)
                start = self._read_on(body, data, first, frames)

    def _begin_header(self, data: bytes, start: int) -> None:
        """Hold what may become a header; anything else ends the stream."""
        if _HEADER_BEGINS.fullmatch(data, start):
            self._header = data[start:]
        elif data[start] in _TLS_RECORD_TYPES:
            self.broken = _NO_HEADER_BUT_TLS
        elif data[start] == ord("<"):
            self.broken = _NO_HEADER_BUT_SYSLOG
        else:
            self.broken = _NO_HEADER

    def _read_on(self, body: _Body, data: bytes, start: int, frames: list[Frame]) -> int:
        """Give an unfinished frame its octets and return where the next frame begins."""
        stop = body.take(data, start)
        if stop == len(data):  # its line feed, at least, is still to come
            self._body = body
            return stop
        self._body = None
        if data[stop] == _LF:
            frames.append(body.frame())
        else:
            self.broken = _NO_LF
        return stop + 1


class _Body:
    """The data of a frame whose octets have not all come, or are too many.

    Args:
        number: TXNR of the frame.
        command: its COMMAND.
        length: its DATALEN.
        kept: how many of its octets are held.
    """

    __slots__ = ("_command", "_is_cut", "_kept", "_missing", "_number", "held")

    def __init__(self, number: int, command: bytes, length: int, kept: int) -> None:
        self._number = number
        self._command = command
        self._missing = length
        self._kept = kept
        self._is_cut = kept < length
        self.held = bytearray()

    def take(self, data: bytes, start: int) -> int:
        """Take the octets that belong to it; return the place of the first that does not."""
        taken = min(self._missing, len(data) - start)
        self._missing -= taken
        self.held += data[start : start + min(taken, self._kept - len(self.held))]
        return start + taken

    def frame(self) -> Frame:
        """The frame, once all octets have come."""
        data = CutFrame(self.held) if self._is_cut else bytes(self.held)
        return Frame(self._number, self._command, data)


class Session:
    """The server's side of one RELP connection.

    It gives out messages, and gets to know when they are safe by their ordinals: 0 is the first
    message that `feed` gave out, 1 the second. Other commands are dealt with inside. No input
    raises.

    Args:
        max_message_bytes: longest message, in octets.
        when_oversize: `truncate` gives the first `max_message_bytes` of a longer one as a
            `CutFrame`, `reject` drops it and answers 500. Either way it is read to its end:
            closing the connection would make the client send it again for ever.
        software: what `open` is told, as `NAME,VERSION,URL`.

    Attributes:
        messages: how many messages were given out so far.
        oversize: messages dropped as too long so far. The reader may reset it.
        broken: why the connection must be closed, one of a few fixed texts; else None. Nothing is
            read after that, but what came before is given out and answered.
        ended: whether the client has said `close`. Nothing is read after that; once all is answered
            the connection can be closed.
    """

    __slots__ = (
        "_answered",
        "_greeting",
        "_has_parted",
        "_is_open",
        "_reader",
        "_refused",
        "_safe",
        "_waiting",
        "broken",
        "ended",
        "messages",
        "oversize",
    )

    def __init__(
        self,
        *,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        when_oversize: WhenOversize = "truncate",
        software: str,
    ) -> None:
        self._reader = FrameReader()
        self.change_bounds(max_message_bytes, when_oversize)
        offers = f"relp_version=0\nrelp_software={software}\ncommands=syslog"
        self._greeting = _OK + b"\n" + offers.encode()
        self._is_open = False
        self._has_parted = False
        # Commands to be answered, in order: TXNR, and the answer unless it depends on the fate of
        # a message. Messages are given out in the same order, so their ordinals need no place here.
        self._waiting: deque[tuple[int, bytes | None]] = deque()
        self._answered = 0  # messages; those from here on wait
        self._safe = 0  # messages before this ordinal are
        self._refused: set[int] = set()
        self.messages = 0
        self.oversize = 0
        self.broken: str | None = None
        self.ended = False

    def change_bounds(self, max_message_bytes: int, when_oversize: WhenOversize) -> None:
        """Go by other bounds from the next message on."""
        kept_of_longer = 0 if when_oversize == "reject" else max_message_bytes
        self._reader.change_bounds(max_message_bytes, kept_of_longer)

    @property
    def unanswered(self) -> int:
        """How many commands wait for an answer."""
        return len(self._waiting)

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._is_read and self._reader.partial

    @property
    def held(self) -> int:
        """How many octets are held of a frame that has not ended."""
        return self._reader.held if self._is_read else 0

    @property
    def _is_read(self) -> bool:
        return self.broken is None and not self.ended

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next octets of the client.

        Args:
            data: what was read, of any length.

        Returns:
            The messages complete by now, in order; a `CutFrame` where one was longer than
            `max_message_bytes`. An empty message is none: it is answered 200 in its turn.
        """
        messages: list[bytes] = []
        if self.ended or self.broken is not None:
            return messages
        for command in self._reader.feed(data):
            self._take(command, messages)
            if not self._is_read:
                break
        else:
            self.broken = self._reader.broken
        self.messages += len(messages)
        return messages

    def refuse(self, ordinal: int) -> None:
        """Note that settings reject a message: its answer will be 500, once `accept` is past it."""
        self._refused.add(ordinal)

    def accept(self, before: int) -> None:
        """Note that all messages with smaller ordinals are safe or refused: they can be answered.

        Args:
            before: the first ordinal that still waits, at most `messages`.
        """
        self._safe = max(self._safe, before)

    def answers(self) -> bytes:
        """Return the answers that can be sent now and were not returned before.

        They are in the order of the commands: one that waits holds back those after it. The last
        one, to `close`, is followed by the hint that the connection will be closed.
        """
        answers: list[bytes] = []
        waiting = self._waiting
        while waiting:
            number, answer = waiting[0]
            if answer is None:
                if self._answered == self._safe:
                    break
                answer = self._answer_to_next_message()
            waiting.popleft()
            answers.append(frame(number, b"rsp", answer))
        if self.ended and not waiting and not self._has_parted:
            answers.append(SERVER_CLOSE)
            self._has_parted = True
        return b"".join(answers)

    def _answer_to_next_message(self) -> bytes:
        ordinal = self._answered
        self._answered += 1
        if ordinal not in self._refused:
            return _OK
        self._refused.remove(ordinal)
        return _REFUSED

    def _take(self, command: Frame, messages: list[bytes]) -> None:
        """Note a command for its answer, and add the message that it may carry."""
        number, name, data = command
        if number == 0:
            # Hints are not answered, and we know none. A message without an answer could be lost.
            if name == _SYSLOG:
                self.broken = _UNANSWERABLE
        elif name == _SYSLOG and self._is_open:
            self._take_message(number, data, messages)
        elif name == b"close" and self._is_open:
            self._waiting.append((number, _OK))
            self.ended = True
        elif name in {_SYSLOG, b"close"}:
            # An answer of 500 would make rsyslog forget the message.
            self.broken = _NOT_OPEN
        elif name == b"open":
            self._open(number, data)
        else:  # `starttls` too: TLS begins with the first octet or not at all
            self._waiting.append((number, _NOT_SUPPORTED))

    def _take_message(self, number: int, data: bytes, messages: list[bytes]) -> None:
        if isinstance(data, CutFrame) and not data:  # it was to be dropped when it began
            self.oversize += 1
            self._waiting.append((number, _TOO_LONG))
        elif data:
            self._waiting.append((number, None))
            messages.append(data)
        else:
            self._waiting.append((number, _OK))

    def _open(self, number: int, offers: bytes) -> None:
        if self._is_open:
            self._waiting.append((number, _ALREADY_OPEN))
        elif offers_known_version(offers):
            self._is_open = True
            self._waiting.append((number, self._greeting))
        else:
            self._waiting.append((number, _VERSION_NOT_SUPPORTED))
            self.broken = _UNKNOWN_VERSION
