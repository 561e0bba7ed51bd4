"""Connections to the admin server: how many there are, and how long each may take.

Anybody who reaches the port can open one, and a daemon has only so many files. Beyond a bound, the
one goes that has been quiet for longest: a request is answered in a moment, so that what is quiet
is kept open for later, or by somebody who sends a request octet by octet.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from aiohttp import hdrs, web

from collector.admin.files import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CONNECTIONS: Final = 128
QUIET_SECONDS: Final = 75.0
"""Until a request has come, the first or another; Prometheus asks every minute at the least."""

WRITE_SECONDS: Final = 20.0
"""For more of an answer to be taken, while it is more than what a connection holds."""

NO_HTTP: Final = "this is no valid HTTP\n"

LINGER_SECONDS: Final = 2.0
"""For the rest of a body that nobody reads."""


class Connections:
    """All of them; called by the event loop for each.

    Args:
        server: answers requests.
    """

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._open: set[Connection] = set()
        self._quiet: dict[Connection, None] = {}  # longest first

    def __call__(self) -> Connection:
        """Return what takes a new one."""
        return Connection(self._server, self)

    def come(self, connection: Connection) -> None:
        """Take one in; the one that has been quiet for longest makes room, this at the worst."""
        self._open.add(connection)
        self._quiet[connection] = None
        if len(self._open) > MAX_CONNECTIONS:
            eldest = next(iter(self._quiet))
            del self._quiet[eldest]
            eldest.cut()

    def go(self, connection: Connection) -> None:
        """Forget one that is closed."""
        self._open.discard(connection)
        self._quiet.pop(connection, None)

    @contextmanager
    def busy(self, connection: asyncio.BaseProtocol | None) -> Iterator[None]:
        """Answer a request: its connection is not quiet meanwhile."""
        if not isinstance(connection, Connection):
            yield
            return
        self._quiet.pop(connection, None)
        try:
            yield
        finally:
            if connection in self._open:
                self._quiet[connection] = None


class Connection(web.RequestHandler):
    """One of them.

    Args:
        server: answers requests.
        connections: count it.
    """

    __slots__ = ("_connections", "_giving_up", "_wire")

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=QUIET_SECONDS,
            lingering_time=LINGER_SECONDS,
            # Before anybody knows who sends it; a little becomes much.
            auto_decompress=False,
        )
        self._connections = connections
        self._giving_up: asyncio.TimerHandle | None = None

    def cut(self) -> None:
        """Close it at once, whatever is under way."""
        self._wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        # aiohttp forgets its own when it closes, and there may be something left to be taken.
        self._wire = cast("asyncio.Transport", transport)
        self._connections.come(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._keep()
        self._connections.go(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the other side to take what it is sent, and not for ever."""
        super().pause_writing()
        self._wait()

    def _wait(self) -> None:
        left = self._wire.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(WRITE_SECONDS, self._look, left)

    def _look(self, left: int) -> None:
        """Give up if no more has been taken since the last look.

        Args:
            left: octets that were left then.
        """
        if self._wire.get_write_buffer_size() < left:
            self._wait()
        else:
            self.cut()

    def resume_writing(self) -> None:
        """Go on."""
        self._keep()
        super().resume_writing()

    def _keep(self) -> None:
        """Do not look any more."""
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, or ended in a mistake, with the headers of all answers.

        What was sent is not said again, and nothing is said in the log of who has left.
        """
        if isinstance(exc, ConnectionError):
            gone = web.Response(status=status)
            gone.force_close()
            return gone
        # aiohttp repeats what is expected (RFC 9110 section 10.1.1), which may be no text.
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            return web.Response(status=HTTPStatus.EXPECTATION_FAILED, headers=HEADERS)
        said = NO_HTTP if status == HTTPStatus.BAD_REQUEST else message
        response = super().handle_error(request, status, exc, said)
        response.headers.update(HEADERS)
        return response
