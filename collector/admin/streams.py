"""Server-sent events (HTML standard, section 9.2): one browser that is told things as they happen.

Streams are few, and each may take so long to read what it is sent: somebody who does not is let go.
Each ends when its reader may no longer see it, and all of them when the daemon begins to stop.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

MAX_STREAMS: Final = 16
WRITE_SECONDS: Final = 20.0
"""For a browser to take what it is sent, beyond what its connection holds."""

STREAM_SECONDS: Final = 3600.0
"""For one of them to go on; a browser opens another, if it still may."""

LOOK_SECONDS: Final = 1.0
"""Between two looks at whether a reader is still there, and may see what it is told."""


class Stream:
    """One of them.

    Args:
        response: what is written to.
    """

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def send(self, event: str, data: Any) -> None:
        """Send an event.

        Args:
            event: its name.
            data: what JSON can hold; octets are JSON already, without line feeds.

        Raises:
            ConnectionError or TimeoutError: nobody takes it.
        """
        encoded = data if isinstance(data, bytes) else orjson.dumps(data)
        async with asyncio.timeout(WRITE_SECONDS):
            await self._response.write(b"event: %b\ndata: %b\n\n" % (event.encode(), encoded))


class Streams:
    """All of them.

    Args:
        may_go_on: says whether who has asked for a stream may still see it.
    """

    def __init__(self, may_go_on: Callable[[web.Request], bool]) -> None:
        self._may_go_on = may_go_on
        self._open: dict[asyncio.Task[None], web.Request] = {}
        self._is_closed = False

    async def serve(
        self, request: web.Request, tell: Callable[[Stream], Coroutine[Any, Any, None]]
    ) -> web.StreamResponse:
        """Answer a request with a stream, until its reader is gone or is not to see more of it.

        Args:
            request: what is answered.
            tell: sends events; goes on until it is cancelled, or has told all there is.
        """
        if self._is_closed:
            return _refusal("the daemon is stopping\n")
        if len(self._open) >= MAX_STREAMS:
            return _refusal(f"{MAX_STREAMS} pages are being told already; close one\n")
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",  # nginx would gather what is to be seen at once
            }
        )
        loop = asyncio.get_running_loop()
        task = loop.create_task(_tell(tell, response, request), name="stream")
        self._open[task] = request
        ends = loop.time() + STREAM_SECONDS
        try:
            while not task.done() and loop.time() < ends and self._has_reader(request):
                await asyncio.wait([task], timeout=LOOK_SECONDS)
        finally:
            task.cancel()
            del self._open[task]
        if task.done() and not task.cancelled() and (mistake := task.exception()):
            raise mistake
        return response

    def look(self) -> None:
        """Let those readers go who may not see more, at once."""
        for task, request in self._open.items():
            if not self._may_go_on(request):
                task.cancel()

    def _has_reader(self, request: web.Request) -> bool:
        return not _is_gone(request) and self._may_go_on(request)

    def end(self) -> None:
        """Let all readers go."""
        for task in self._open:
            task.cancel()

    def close(self) -> None:
        """Let all readers go, and take no more."""
        self._is_closed = True
        self.end()


def _refusal(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: "10"})


def _is_gone(request: web.Request) -> bool:
    """Say whether the reader has left: a stream that has nothing to tell would not notice."""
    return request.transport is None or request.transport.is_closing()


async def _tell(
    tell: Callable[[Stream], Coroutine[Any, Any, None]],
    response: web.StreamResponse,
    request: web.Request,
) -> None:
    with suppress(ConnectionError):
        try:
            await response.prepare(request)
            await tell(Stream(response))
        except TimeoutError:  # nor would it take an end
            if request.transport is not None:
                request.transport.abort()
