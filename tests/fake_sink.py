"""An HTTP sink for tests: keeps what it is sent and answers as it is told."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Answer = web.Response | int


class FakeSink:
    """Serves on a port of its own while used as an asynchronous context manager.

    Attributes:
        answer: gives the answer to a request from its events: a status or a response, or what is
            awaited for it; what is answered with 2xx is kept.
        events: what was accepted, decoded, in order of arrival.
        requests: the events of every request, accepted or not.
        headers: the headers of every request.
    """

    def __init__(
        self, answer: Callable[[list[Any]], Answer | Awaitable[Answer]] = lambda _: 200
    ) -> None:
        self.answer = answer
        self.events: list[Any] = []
        self.requests: list[list[Any]] = []
        self.headers: list[Any] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.add_routes([web.post("/{path:.*}", self._post)])
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/ingest"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for a condition that can change with a request."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _post(self, request: web.Request) -> web.Response:
        events = [json.loads(line) for line in (await request.read()).splitlines()]
        self.requests.append(events)
        self.headers.append(request.headers)
        self._changed.set()
        answer = self.answer(events)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, int):
            answer = web.Response(status=answer)
        if 200 <= answer.status < 300:
            self.events += events
        self._changed.set()
        return answer
