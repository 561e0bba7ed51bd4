"""A terminal with a command in it, as a user has it."""

from __future__ import annotations

import asyncio
import codecs
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from functools import partial
from typing import Final, Self

SECONDS = 100.0
"""A command takes a second of a processor to start, and gets a twentieth among forty others."""

_MOVES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CUT_MOVE: Final = re.compile(r"\x1b(?:\[[0-9;?]*)?\Z")


def _take(terminal: int) -> None:
    """Make a terminal the one that sends signals, as a shell does for a command."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _environment(kind: str) -> dict[str, str]:
    """Return ours without a size: readline leaves one there, which comes before the terminal's."""
    sizes = ("COLUMNS", "LINES")
    return {name: v for name, v in os.environ.items() if name not in sizes} | {"TERM": kind}


class Terminal:
    """Runs a command in a terminal of its own while used as an asynchronous context manager.

    Args:
        arguments: of the command line.
        kind: what the terminal calls itself.

    Attributes:
        process: the command.
        text: what it has written, without what moves and colours.
    """

    def __init__(self, *arguments: object, kind: str = "xterm-256color") -> None:
        self.text = ""
        self._arguments = [str(argument) for argument in arguments]
        self._kind = kind
        self._changed = asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._cut = ""

    async def __aenter__(self) -> Self:
        ours, theirs = pty.openpty()
        self._ours = ours
        self.resize(40, 120)
        os.set_blocking(ours, False)
        self._before = termios.tcgetattr(theirs)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "collector", *self._arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=_environment(self._kind),
            preexec_fn=partial(_take, theirs),
        )
        self._theirs = theirs
        asyncio.get_running_loop().add_reader(ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def forget(self) -> None:
        """Look at what is written from now on."""
        self.text = ""

    async def shows(self, text: str) -> None:
        """Wait until it has shown a text."""
        async with asyncio.timeout(SECONDS):
            while text not in self.text:
                self._changed.clear()
                await self._changed.wait()

    async def ended(self) -> int:
        """Wait for the command to end and return its exit code."""
        async with asyncio.timeout(SECONDS):
            return await self.process.wait()

    def is_as_before(self) -> bool:
        """Say whether it takes keys as it did before the command."""
        return termios.tcgetattr(self._theirs)[3] == self._before[3]

    def _read(self) -> None:
        written = _MOVES.sub("", self._cut + self._decoder.decode(os.read(self._ours, 65536)))
        cut = _CUT_MOVE.search(written)  # what is read at once may end anywhere
        self._cut = cut[0] if cut else ""
        self.text += written.removesuffix(self._cut)
        self._changed.set()
