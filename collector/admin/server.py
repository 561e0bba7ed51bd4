"""The admin server: metrics and health for everyone, the rest behind a token off loopback."""

from __future__ import annotations

import secrets
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from collector.listeners.sockets import bind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import CollectorRegistry

    from collector.admin.inbox import Inbox

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# For Prometheus and container health checks, which carry no token.
OPEN_PATHS = frozenset({"/metrics", "/healthz", "/readyz"})
# `/inbox` knows the daemon's own sink by its own secret.
OWN_SECRET_PATHS = frozenset({"/inbox"})
# For requests under way when the daemon stops.
SHUTDOWN_SECONDS = 1.0
MAX_BODY_BYTES = 64 * 1024 * 1024


class Daemon(Protocol):
    """What the admin server asks the daemon."""

    def ready(self) -> bool:
        """Say whether it listens and accepts messages."""

    def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with its reason."""

    def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""


class AdminServer:
    """Serves HTTP on one address.

    Args:
        host: address to bind.
        port: port to bind; 0 lets the kernel choose.
        token: what callers must show for anything but metrics and health; None if there is none,
            then those are open on loopback and closed elsewhere.
        daemon: what is asked.
        registry: metrics.
        inbox: the daemon's own sink, if it is used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str | None,
        daemon: Daemon,
        registry: CollectorRegistry,
        inbox: Inbox | None,
    ) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._daemon = daemon
        self._registry = registry
        self._runner = web.AppRunner(
            self._application(inbox), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )

    @property
    def address(self) -> tuple[str, int]:
        """The address and port that are bound."""
        return self._address

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            OSError: the address cannot be bound.
        """
        bound = await bind(self._host, self._port, socket.SOCK_STREAM)
        name = bound.getsockname()
        self._address = name[0], name[1]
        await self._runner.setup()
        await web.SockSite(self._runner, bound).start()

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()

    def _application(self, inbox: Inbox | None) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/status", self._status),
            ]
        )
        if inbox is not None:
            application.add_routes(
                [web.post("/inbox", inbox.post), web.get("/api/inbox", inbox.get)]
            )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or answer 401 or 403."""
        if request.path in OPEN_PATHS or request.path in OWN_SECRET_PATHS:
            return await handler(request)
        if self._token is None:
            if ip_address(self._address[0]).is_loopback:
                return await handler(request)
            return web.Response(
                status=403,
                text="closed: set admin.token_file, or admin.host to a loopback address\n",
            )
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode()
        if secrets.compare_digest(given, b"Bearer " + self._token.encode()):
            return await handler(request)
        return web.Response(
            status=401,
            text="send the token of admin.token_file as `Authorization: Bearer TOKEN`\n",
            headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=encode(self._registry), headers={hdrs.CONTENT_TYPE: content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._daemon.ready()
        body = {"ready": ready, "degraded": self._daemon.degraded()}
        return _json(body, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._daemon.status())


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        status=status,
        content_type="application/json",
    )
