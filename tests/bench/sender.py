"""Sends messages as fast as they are taken, or at a rate, as a process of its own.

    python -m tests.bench.sender MESSAGES HOST PORT COUNT (--connections N | --sockets N --rate R)

`MESSAGES` is a file as `write_messages` makes it. Prints a line when it is ready, begins when it
reads one, and prints as JSON when it began (`time.monotonic`) and what CPU time it took. Over TCP
the messages are octet-counted (RFC 6587, section 3.4.1) and written in large pieces, a thread for
each connection. Over UDP the sockets take turns and send in bursts.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Address = tuple[str, int]

WRITE_OCTETS: Final = 256 * 1024
BURST_SECONDS: Final = 0.002

_LENGTH: Final = struct.Struct("!I")


def write_messages(path: Path, messages: Sequence[bytes]) -> None:
    """Write messages to a file, each after its length."""
    path.write_bytes(b"".join(_LENGTH.pack(len(message)) + message for message in messages))


def read_messages(path: Path) -> list[bytes]:
    """Read what `write_messages` wrote."""
    data, position, messages = path.read_bytes(), 0, []
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        messages.append(data[position : position + length])
        position += length
    return messages


def pieces(messages: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Return messages as octets of a connection, in pieces of about `WRITE_OCTETS`, counted."""
    found, piece, octets = [], [], 0
    for message in messages:
        frame = b"%d %b" % (len(message), message)
        piece.append(frame)
        octets += len(frame)
        if octets >= WRITE_OCTETS:
            found.append((len(piece), b"".join(piece)))
            piece, octets = [], 0
    if piece:
        found.append((len(piece), b"".join(piece)))
    return found


def cycled(
    messages: Sequence[bytes], ready: Sequence[tuple[int, bytes]], count: int, first: int
) -> Iterator[bytes]:
    """Yield pieces that hold `count` messages in all.

    Args:
        messages: all of them, for the last piece, which may be smaller.
        ready: the same in pieces.
        count: how many messages.
        first: the piece to begin with.
    """
    position = first
    while count:
        held, octets = ready[position % len(ready)]
        if held > count:
            held, octets = pieces(messages[:count])[0]
        yield octets
        count -= held
        position += 1


def send_tcp(
    messages: Sequence[bytes], address: Address, count: int, connections: int
) -> list[threading.Thread]:
    """Return threads, not yet started, that send `count` messages in all and wait to be read."""
    ready = pieces(messages)
    threads = []
    for number in range(connections):
        share = count // connections + (number < count % connections)
        first = number * len(ready) // connections
        work = list(cycled(messages, ready, share, first))
        connection = socket.create_connection(address)
        threads.append(threading.Thread(target=_send_all, args=(connection, work)))
    return threads


def _send_all(connection: socket.socket, work: Sequence[bytes]) -> None:
    with connection:
        for octets in work:
            connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)


def send_udp(
    messages: Sequence[bytes], address: Address, count: int, sockets: int, rate: float
) -> None:
    """Send `count` datagrams at a rate, from so many source ports by turns."""
    with ExitStack() as stack:
        sources = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for _ in range(sockets)
        ]
        for source in sources:
            source.connect(address)
        began, sent = time.perf_counter(), 0
        while sent < count:
            due = min(count, int((time.perf_counter() - began) * rate))
            for number in range(sent, due):
                sources[number % sockets].send(messages[number % len(messages)])
            sent = due
            time.sleep(BURST_SECONDS)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("messages", type=Path)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--sockets", type=int, default=16)
    parser.add_argument("--rate", type=float, help="messages a second over UDP; TCP without")
    options = parser.parse_args()
    messages, address = read_messages(options.messages), (options.host, options.port)
    threads = []
    if options.rate is None:
        threads = send_tcp(messages, address, options.count, options.connections)
    print("ready", flush=True)
    sys.stdin.readline()
    began, before = time.monotonic(), time.process_time()
    if options.rate is not None:
        send_udp(messages, address, options.count, options.sockets, options.rate)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = {"began": began, "cpu_seconds": time.process_time() - before}
    print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()
