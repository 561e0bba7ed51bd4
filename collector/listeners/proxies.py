"""Reads from a socket the header that a proxy puts before a connection, and not an octet more."""

from __future__ import annotations

import asyncio
import socket

from collector.listeners.proxy_protocol import MAX_HEADER_BYTES, ProxyHeaderError, parse


async def read_header(connected: socket.socket) -> str | None:
    """Return the address of the sender that a proxy names.

    What follows the header stays in the socket, for TLS or for messages.

    Args:
        connected: a non-blocking socket that nothing else reads from.

    Returns:
        The address as text; None where the proxy speaks for itself.

    Raises:
        ProxyHeaderError: there is something else, or nothing.
        OSError: the connection broke.
    """
    held = b""
    while True:
        await _readable(connected)
        seen = connected.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
        if not seen:
            raise ProxyHeaderError("the connection ended before the header did")
        header = parse(held + seen)
        if header is not None:
            connected.recv(header.length - len(held))
            return header.source
        held += connected.recv(len(seen))


async def _readable(connected: socket.socket) -> None:
    """Wait until there is something to read, or the connection has ended."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connected, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connected)
