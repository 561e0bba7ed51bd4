"""The private sink of a drill: takes every format, remembers what arrived, fails as it is told."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

from aiohttp import hdrs, web

from collector.drill.load import MARKER
from collector.drill.settings import HOST
from collector.sinks.encoders import DECOMPRESS
from collector.sinks.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.config import Config, FormatName

Word = Literal["timeout", "reset", "slow", "refuse"]
Fault = int | Word
"""How the sink fails: an HTTP status, or

timeout, it takes requests and never answers; reset, it closes the connection instead of answering;
slow, it accepts after `SLOW_SECONDS`; refuse, nothing listens on its port.
"""

SLOW_SECONDS = 2.0

# A batch has at most 64 MiB before compression, to which formats add a little.
MAX_REQUEST_BYTES = 256 * 1024 * 1024

# What waits for an answer is not waited for when the sink stops listening.
SHUTDOWN_SECONDS = 0.1

# Stands before what a sealed body holds; a key before it would have its quotes escaped.
_SEALED: Final = b'"jsons":'

_FAILURES: Final = range(300, 600)
_MARKED = re.compile(re.escape(MARKER.encode()) + rb"([0-9]+)")


def read_fault(text: str) -> Fault:
    """Read a fault as it is given on the command line.

    Raises:
        ValueError: It is neither a word for a fault nor an HTTP status that means failure.
    """
    words: tuple[Word, ...] = get_args(Word)
    for word in words:
        if text == word:
            return word
    if text.isascii() and text.isdigit() and int(text) in _FAILURES:
        return int(text)
    accepted = ", ".join(words)
    raise ValueError(f"{text!r} is no failure; accepted: a status of 300 to 599, {accepted}")


class Arrivals:
    """Which messages arrived, by the number they were sent with.

    Attributes:
        duplicated: how many copies arrived beyond the first for the same sink.
        recovered_at: time of the first acceptance since the fault ended; None if there was none.
        caught_up_at: time at which the newest message arrived that had been sent before the fault
            ended; None if none has arrived since.
    """

    def __init__(self) -> None:
        self._seen: defaultdict[str, set[int]] = defaultdict(set)
        self._backlog = 0
        self._fault_over = False
        self.duplicated = 0
        self.recovered_at: float | None = None
        self.caught_up_at: float | None = None

    def note(self, sink: str, numbers: Iterable[int], now: float) -> None:
        """Note what one request to a sink held."""
        seen = self._seen[sink]
        if self._fault_over and self.recovered_at is None:
            self.recovered_at = now
        for number in numbers:
            if number in seen:
                self.duplicated += 1
                continue
            seen.add(number)
            if self._fault_over and number < self._backlog:
                self.caught_up_at = now

    def fault_ends(self, sent: int) -> None:
        """Note that the fault is over, before which so many messages had been sent."""
        self._fault_over, self._backlog = True, sent

    @property
    def delivered(self) -> int:
        """How many copies arrived, each counted once."""
        return sum(map(len, self._seen.values()))

    def of(self, sink: str) -> int:
        """How many messages arrived at one sink, each counted once."""
        return len(self._seen[sink])


class PrivateSink:
    """Stands in for all sinks of the settings while used as an asynchronous context manager.

    Attributes:
        arrivals: what it has accepted.
        hanging: how many requests wait for an answer in vain.
        url: where it is; below it each sink has its path, by its position in the settings.
    """

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.hanging = 0
        self._fault: Fault | None = None
        self._sinks: dict[str, tuple[str, FormatName]] = {}

    async def __aenter__(self) -> Self:
        self._socket = _bind(0)
        self._port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self._port}"
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        self._socket.close()

    def stand_in(self, config: Config) -> None:
        """Stand in for the sinks of the private daemon's settings."""
        self._sinks = {
            sink.url.removeprefix(f"{self.url}/"): (sink.name, sink.format) for sink in config.sinks
        }

    async def fail(self, fault: Fault) -> None:
        """Begin to fail."""
        self._fault = fault
        if fault == "refuse":
            await self._runner.cleanup()
            # Bound and not listening: connections are refused, and nobody else gets the port.
            self._socket = _bind(self._port)

    async def recover(self) -> None:
        """Accept again; requests that wait for an answer in vain go on waiting."""
        if self._fault == "refuse":
            await self._listen()
        self._fault = None

    async def _listen(self) -> None:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.add_routes([web.post("/{sink}{rest:.*}", self._post)])
        self._runner = web.AppRunner(
            application,
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        match self._fault:
            case int() as status:
                return web.Response(status=status, text="outage drill")
            case "timeout":
                await self._hang()
            case "reset" if request.transport is not None:
                request.transport.abort()
                return web.Response()
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
        return self._accept(request, body)

    async def _hang(self) -> None:
        """Wait until the client leaves, which cancels this."""
        self.hanging += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.hanging -= 1

    def _accept(self, request: web.Request, body: bytes) -> web.Response:
        name, form = self._sinks[request.match_info["sink"]]
        codec = request.headers.get(hdrs.CONTENT_ENCODING, "none")
        documents = _documents(form, DECOMPRESS[codec](body, MAX_REQUEST_BYTES))
        numbers = [
            int(found[1])
            for document in documents
            if (found := _MARKED.search(document)) is not None
        ]
        self.arrivals.note(name, numbers, asyncio.get_running_loop().time())
        answer = _acceptance(form, documents)
        return web.Response() if answer is None else web.json_response(answer)


def _documents(form: FormatName, body: bytes) -> list[bytes]:
    """Return the documents of a request body."""
    kind = FORMATS[form]
    if kind.is_sealed:
        body = body[body.index(_SEALED) + len(_SEALED) : -1]
    return kind.split(body)


def _acceptance(form: FormatName, documents: Sequence[bytes]) -> dict[str, Any] | None:
    """Return what a sink of this format answers when it has taken everything; None for nothing."""
    match form:
        case "elasticsearch":
            items = [{"create": {"status": 201}} for _ in documents]
            return {"took": 0, "errors": False, "items": items}
        case "splunk_hec":
            return {"text": "Success", "code": 0}
        case "sekoia":
            return {"event_ids": [str(number) for number in range(len(documents))]}
        case _:
            return None


def _bind(port: int) -> socket.socket:
    """Return a socket that is bound on loopback; port 0 lets the system choose one."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((HOST, port))
    return bound
