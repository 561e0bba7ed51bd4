"""A worker for tests of its supervisor: does what it is told, and no work.

Run as a program it answers questions: with what they hold as `answer`, or not at all. It ends as it
is told, or when the channel ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any

from collector.workers.channel import Channel


class FakeWorker:
    """Answers over a channel until it is to end."""

    def __init__(self, connected: socket.socket) -> None:
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._channel = Channel(connected, self._receive, lambda: self._end(7))

    def _receive(self, message: dict[str, Any], descriptor: int) -> None:
        if message["kind"] == "exit":
            self._end(message["code"])
        elif message["kind"] == "read":
            self._channel.send({"kind": "heard", "text": os.pread(descriptor, 100, 0).decode()})
        elif message["kind"] == "say":
            self._channel.send(message["said"])
        elif message["kind"] == "close":
            self._channel.close()
        elif "answer" in message:
            answer = {"kind": "answer", "question": message["question"]}
            self._channel.send({**answer, **message["answer"]})
        if descriptor >= 0:
            os.close(descriptor)

    def _end(self, code: int) -> None:
        if not self.code.done():
            self.code.set_result(code)


async def main() -> int:
    """Run until it is to end; return the exit code."""
    return await FakeWorker(socket.socket(fileno=int(sys.argv[1]))).code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
