"""The client's side of RELP: commands out, and what their answers mean. See `relp`."""

from __future__ import annotations

import re
from typing import Final

from collector.syslog.relp import MAX_TXNR, Frame, FrameReader, frame, offers_known_version

# DATA of an answer = CODE SP TEXT [LF DATA]
_ANSWER: Final = re.compile(rb"([0-9]{3})(?: ([^\n]*))?(?:\n|$)")
_ACCEPTED: Final = b"200"

_SHOWN_CHARACTERS: Final = 200  # of what the server says


class Client:
    """Numbers what is sent over one connection, and counts what is answered. No input raises.

    Each method that returns octets expects them to be sent, in the order of the calls.

    Args:
        software: what `open` tells the server, as `NAME,VERSION,URL`.

    Attributes:
        is_open: whether the server has accepted `open`. No message may be sent before.
        accepted: messages answered 200: the server is responsible for them.
        refused: messages answered otherwise: the server will not take them.
        refusal: what the server said to the first of these, printable; else None.
        ended: whether `close` was answered or the server has said that it closes.
        broken: why the connection is of no use, printable; else None. Nothing is read after that.
    """

    def __init__(self, *, software: str) -> None:
        self._offers = f"relp_version=0\nrelp_software={software}\ncommands=syslog".encode()
        self._reader = FrameReader()
        self._waiting: dict[int, bytes] = {}  # commands without an answer
        self._number = 0
        self._sent = 0
        self.is_open = False
        self.accepted = 0
        self.refused = 0
        self.refusal: str | None = None
        self.ended = False
        self.broken: str | None = None

    @property
    def unanswered(self) -> int:
        """How many messages wait for an answer."""
        return self._sent - self.accepted - self.refused

    def open(self) -> bytes:
        """Return the command that begins, the first on a connection."""
        return self._command(b"open", self._offers)

    def message(self, message: bytes) -> bytes:
        """Return the command that carries a message."""
        self._sent += 1
        return self._command(b"syslog", message)

    def close(self) -> bytes:
        """Return the command that ends, the last on a connection."""
        return self._command(b"close")

    def feed(self, data: bytes) -> None:
        """Take the next octets of the server; the attributes say what they came to."""
        for answer in self._reader.feed(data):
            if self.broken is None:
                self._take(answer)
        self.broken = self.broken or self._reader.broken

    def _command(self, name: bytes, data: bytes = b"") -> bytes:
        self._number = self._number % MAX_TXNR + 1
        self._waiting[self._number] = name
        return frame(self._number, name, data)

    def _take(self, answer: Frame) -> None:
        if answer.number == 0:
            self.ended = self.ended or answer.command == b"serverclose"
            return
        name = self._waiting.pop(answer.number, None)
        if name is None or answer.command != b"rsp":
            self.broken = "protocol error: an answer to a command that was not sent"
        elif name == b"close":  # librelp answers without a code
            self.ended = True
        elif said := _ANSWER.match(answer.data):
            text = _printable(said[0])
            if name == b"open":
                self._take_greeting(said[1], text, answer.data[said.end() :])
            else:
                self._count(said[1], text)
        else:
            self.broken = "protocol error: an answer without a code"

    def _take_greeting(self, code: bytes, text: str, offers: bytes) -> None:
        if code != _ACCEPTED:
            self.broken = f"open was refused: {text}"
        elif not offers_known_version(offers):
            self.broken = "the server offers no relp_version that is known, 0 or 1"
        else:
            self.is_open = True

    def _count(self, code: bytes, text: str) -> None:
        if code == _ACCEPTED:
            self.accepted += 1
            return
        self.refused += 1
        if self.refusal is None:
            self.refusal = text


def _printable(said: bytes) -> str:
    """Return what the server said as text that a terminal can be given."""
    text = said.decode("utf-8", "replace").rstrip()[:_SHOWN_CHARACTERS]
    return "".join(char if char.isprintable() else "?" for char in text)
