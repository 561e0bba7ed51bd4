"""A sink that counts events and does little else, as a process of its own.

    python -m tests.bench.sink

Prints its port, takes HTTP/1.1 POST requests of any kind on loopback, answers 200 and counts the
lines that it is sent: one is an event, or two where the path is Elasticsearch's `_bulk`. `GET`
gives what has come so far (`Received`). Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final, cast

import uvloop

from collector.sinks.encoders import DECOMPRESS

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CODEC: Final = re.compile(rb"\r\ncontent-encoding: *(\w+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_MAX_HEADER: Final = 64 * 1024
_MAX_PLAIN: Final = 1 << 30
_BULK_ANSWER: Final = b'{"took":0,"errors":false,"items":[]}'


@dataclass
class Received:
    """What a sink has received.

    Attributes:
        events: how many events.
        octets: of their bodies, as sent.
        requests: how many requests.
        last: when the last of them was complete, by `time.monotonic`.
        sample: the first event.
    """

    events: int = 0
    octets: int = 0
    requests: int = 0
    last: float = 0.0
    sample: str = ""


def count_lines(body: bytes) -> int:
    """Return how many lines there are; the last may lack its line feed."""
    return body.count(b"\n") + (body[-1:] not in (b"", b"\n"))


class Connection(asyncio.Protocol):
    """One client's requests, one after the other.

    Args:
        received: where they are counted.
    """

    def __init__(self, received: Received) -> None:
        self._received = received
        self._pieces: list[bytes] = []
        self._missing = 0  # octets until it is worth looking again

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Gather octets until a request is complete."""
        self._pieces.append(data)
        self._missing -= len(data)
        while self._missing <= 0 and self._pieces:
            buffered = b"".join(self._pieces)
            taken = self._take(buffered)
            rest = buffered[taken:]
            self._pieces = [rest] if rest else []
            if not taken:
                return

    def _take(self, buffered: bytes) -> int:
        """Take a request; return its length, or 0 if more is needed."""
        end = buffered.find(b"\r\n\r\n", 0, _MAX_HEADER)
        if end < 0:
            return 0
        head, begin = buffered[: end + 2], end + 4
        if _EXPECTS.search(head) and len(buffered) == begin:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return 0
        if _CHUNKED.search(head):
            found = unchunk(buffered, begin)
            if found is None:
                return 0
            body, begin = found
        else:
            length = _LENGTH.search(head)
            stop = begin + (int(length[1]) if length else 0)
            if len(buffered) < stop:
                self._missing = stop - len(buffered)
                return 0
            body, begin = buffered[begin:stop], stop
        self._answer(head, body)
        return begin

    def _answer(self, head: bytes, body: bytes) -> None:
        received = self._received
        answer = b"{}"
        if head.startswith(b"GET"):
            answer = json.dumps(asdict(received)).encode()
        else:
            received.octets += len(body)
            codec = _CODEC.search(head)
            if codec:
                body = DECOMPRESS[codec[1].decode()](body, _MAX_PLAIN)
            lines = count_lines(body)
            if b"_bulk" in head[: head.find(b"\r\n")]:
                lines //= 2
                answer = _BULK_ANSWER
            received.events += lines
            received.requests += 1
            received.last = time.monotonic()
            received.sample = received.sample or _first_event(body)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(answer), answer)
        )


def unchunk(buffered: bytes, begin: int) -> tuple[bytes, int] | None:
    """Read a body in chunks (RFC 9112, section 7.1), without trailers.

    Args:
        buffered: what has come.
        begin: where in it the body begins.

    Returns:
        The body and where it ends; None if it is not complete.
    """
    chunks: list[bytes] = []
    while (line := buffered.find(b"\r\n", begin)) >= 0:
        size = int(buffered[begin:line].partition(b";")[0], 16)
        begin, end = line + 2, line + 2 + size
        if len(buffered) < end + 2:
            return None
        if size == 0:
            return b"".join(chunks), end + 2
        chunks.append(buffered[begin:end])
        begin = end + 2
    return None


def _first_event(body: bytes) -> str:
    lines = body.split(b"\n", 2)
    is_action = lines[0].startswith(b'{"index"')
    return lines[1 if is_action else 0].decode("utf-8", "replace")


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    received = Received()
    server = await loop.create_server(lambda: Connection(received), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
