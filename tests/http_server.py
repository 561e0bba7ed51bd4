"""What the HTTP servers of tests and measurements have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

MAX_REQUEST_BYTES = 64 * 1024 * 1024


class HttpServer:
    """Serves on a port of its own while used as an asynchronous context manager.

    Attributes:
        auto_decompress: whether requests come decompressed.
        path: where events are to be posted; it takes them anywhere.
        tls: what it speaks TLS with; None for plain HTTP.
        port: where it listens.
        url: the same as a URL.
    """

    auto_decompress = True
    path = ""
    tls: ssl.SSLContext | None = None

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.add_routes([web.post("/{path:.*}", self._post)])
        self._runner = web.AppRunner(
            application, access_log=None, auto_decompress=self.auto_decompress
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        self.port: int = self._runner.addresses[0][1]
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}{self.path}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for a condition that can change with a request."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _tell(self) -> None:
        """Have `wait_until` look again."""
        self._changed.set()

    async def _post(self, request: web.Request) -> web.Response:
        """Answer a request."""
        raise NotImplementedError
