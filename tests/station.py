"""A collector with a spool on disk and its sink, for tests in which one or the other is away.

Messages are numbers, so that what is missing, repeated or out of order can be told.
"""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any

import yaml

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

if TYPE_CHECKING:
    from pathlib import Path

KEY = "the-key-of-the-test"
HEADER = f'<134>1 - - - - - [SEKOIA@53288 intake_key="{KEY}"] '


class Station(FakeSink):
    """A sink, and what is needed to start daemons that deliver to it.

    Args:
        directory: holds settings and spool.
        settings: sections that differ; those of the sink and the spool by `sink` and `spool`.
    """

    def __init__(self, directory: Path, **settings: Any) -> None:
        super().__init__()
        self.directory = directory
        self.settings = settings
        self.spool = directory / "spool"

    def daemon(self, **settings: Any) -> Daemon:
        """Return a daemon; it is started and stopped as an asynchronous context manager."""
        return Daemon(self.directory, self.config(**settings))

    async def refused(self) -> tuple[int | None, str]:
        """Run a daemon that does not start; return its exit code and what it says."""
        file = self.directory / "refused.yaml"
        file.write_text(yaml.safe_dump({**self.config(), "admin": {"port": 0}}))
        command = (sys.executable, "-m", "collector", "run", "-c", str(file))
        process = await Daemon.execute(*command, stderr=asyncio.subprocess.PIPE)
        _, text = await process.communicate()
        return process.returncode, text.decode()

    def config(self, **settings: Any) -> dict[str, Any]:
        """Return the settings of a daemon."""
        given = {**self.settings, **settings}
        sink = {
            "name": "siem",
            "url": self.url,
            "compression": "none",
            "concurrency": 1,
            "batch": {"max_wait": "10ms"},
            "retry": {"initial": "20ms", "max": "100ms"},
            **given.pop("sink", {}),
        }
        return {
            "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
            "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
            "sinks": [sink],
            "spool": {"type": "sqlite", "path": str(self.spool), **given.pop("spool", {})},
            "shutdown_grace": "200ms",
            **given,
        }

    @property
    def numbers(self) -> list[int]:
        """The messages delivered so far, in order."""
        return [number_of(event) for event in self.events]

    @property
    def repeated(self) -> Counter[int]:
        """How often messages were delivered, those that were more than once."""
        return Counter({n: times for n, times in Counter(self.numbers).items() if times > 1})

    def go_away(self) -> None:
        """Accept nothing more."""
        self.answer = lambda _: 503

    def come_back(self) -> None:
        """Accept everything."""
        self.answer = lambda _: 200


def number_of(event: dict[str, Any]) -> int:
    """Return the number that an event's message is."""
    return int(event["message"].partition(" ")[0])


def frames(numbers: range, padding: int = 0) -> bytes:
    """Return messages as a connection carries them (RFC 6587, octet counting)."""
    lines = (f"{HEADER}{number} {noise(number, padding)}".encode() for number in numbers)
    return b"".join(b"%d %b" % (len(line), line) for line in lines)


def noise(number: int, length: int) -> str:
    """Return letters that take as much room on a disk, whatever compresses them."""
    return b64encode(Random(number).randbytes(length)).decode()[:length]


async def send(daemon: Daemon, numbers: range, padding: int = 0) -> None:
    """Send messages over one connection, a few at a time, until all are taken or it breaks."""
    with suppress(ConnectionError):
        _, writer = await asyncio.open_connection(*daemon.address("tcp"))
        try:
            for first in range(numbers.start, numbers.stop, 50):
                some = range(first, min(first + 50, numbers.stop))
                writer.write(frames(some, padding))
                await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()
