"""A RELP sender for tests: keeps what it was not told is safe, and says how much that was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from collector.syslog.relp_client import Client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

SECONDS = 30.0
READ_OCTETS = 65_536


class RelpSender:
    """One connection, while used as an asynchronous context manager.

    Args:
        address: host and port of the server.
        context: for TLS; None for none.

    Attributes:
        client: the state of the protocol: what was accepted and refused.
    """

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._context = context
        self.client = Client(software="test,1")

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            *self._address, ssl=self._context
        )
        self._writer.write(self.client.open())
        await self.answered(lambda: self.client.is_open)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, messages: Iterable[bytes]) -> None:
        """Send messages and wait until all that was sent is answered."""
        self._writer.write(b"".join(map(self.client.message, messages)))
        await self.answered(lambda: not self.client.unanswered)

    async def answered(self, condition: Callable[[], bool]) -> None:
        """Read answers until a condition holds.

        Raises:
            ConnectionError: the server ended the connection, or spoke no RELP.
        """
        async with asyncio.timeout(SECONDS):
            while not condition():
                data = await self._reader.read(READ_OCTETS)
                if not data:
                    raise ConnectionError("the server has ended the connection")
                self.client.feed(data)
                if self.client.broken or self.client.ended:
                    raise ConnectionError(self.client.broken or "the server closes")
