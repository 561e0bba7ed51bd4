"""An HTTP sink for tests: keeps what it is sent and answers as it is told."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Answer = web.Response | int


class FakeSink(HttpServer):
    """Takes lines of JSON, or an array, and answers as it is told.

    Attributes:
        answer: gives the answer to a request from its events: a status or a response, or what is
            awaited for it; what is answered with 2xx is kept.
        events: what was accepted, decoded, in order of arrival.
        requests: the events of every request, accepted or not.
        headers: the headers of every request.
    """

    path = "/ingest"

    def __init__(
        self, answer: Callable[[list[Any]], Answer | Awaitable[Answer]] = lambda _: 200
    ) -> None:
        super().__init__()
        self.answer = answer
        self.events: list[Any] = []
        self.requests: list[list[Any]] = []
        self.headers: list[Any] = []

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        is_array = body.startswith(b"[")
        events = json.loads(body) if is_array else [json.loads(line) for line in body.splitlines()]
        self.requests.append(events)
        self.headers.append(request.headers)
        self._tell()
        answer = self.answer(events)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, int):
            answer = web.Response(status=answer)
        if 200 <= answer.status < 300:
            self.events += events
        self._tell()
        return answer
