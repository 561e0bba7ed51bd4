"""The admin server: metrics and health for everyone, the rest behind a token off loopback."""

from __future__ import annotations

import logging
import secrets
import socket
from typing import TYPE_CHECKING, Any, Protocol, cast

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client.exposition import choose_encoder

from collector.listeners.sockets import bind
from collector.logs import LOOPBACK, TOKEN, Reports
from collector.settings.advice import is_loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from collector.admin.inbox import Inbox
    from collector.loading import Reloaded

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# For Prometheus and container health checks, which carry no token.
OPEN_PATHS = frozenset({"/metrics", "/healthz", "/readyz"})
READING_METHODS = frozenset({"GET", "HEAD"})
# `/inbox` knows the daemon's own sink by its own secret.
OWN_SECRET_PATHS = frozenset({"/inbox"})
# For requests under way when the daemon stops.
SHUTDOWN_SECONDS = 1.0
MAX_BODY_BYTES = 64 * 1024 * 1024


def _without_request(record: logging.LogRecord) -> bool:
    """Take out of a log record what a request that is no HTTP held: a token may be in it."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg = f"{record.msg}: no valid HTTP, {type(error).__name__}"
        record.exc_info = record.exc_text = None
    return True


log = structlog.get_logger(__name__)

logging.getLogger("aiohttp.server").addFilter(_without_request)


class Daemon(Protocol):
    """What the admin server asks the daemon."""

    def ready(self) -> bool:
        """Say whether it listens and accepts messages."""

    async def degraded(self) -> list[dict[str, str]]:
        """Name what works only in part, each with its reason."""

    async def status(self) -> dict[str, Any]:
        """Return the body of `/api/status`."""

    async def metrics(self) -> Collector:
        """Return what yields all metrics, as they are now."""

    async def reload(self, actor: str) -> Reloaded:
        """Read the settings again and go by them."""


class AdminServer:
    """Serves HTTP on one address.

    Args:
        host: address to bind.
        port: port to bind; 0 lets the kernel choose.
        token: what callers must show for anything but metrics and health; None if there is none,
            then those are open on loopback and closed elsewhere.
        daemon: what is asked.

    Attributes:
        token: as above.
        inbox: the daemon's own sink; None while it is not used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str | None,
        daemon: Daemon,
    ) -> None:
        self._host = host
        self._port = port
        self.token = token
        self.inbox: Inbox | None = None
        self._reports = Reports(log)
        self._daemon = daemon
        self._runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
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

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/status", self._status),
                web.post("/api/reload", self._reload),
                web.post("/inbox", self._post_to_inbox),
                web.get("/api/inbox", self._show_inbox),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or answer 401 or 403."""
        if request.path in OPEN_PATHS or request.path in OWN_SECRET_PATHS:
            return await handler(request)
        if self.token is None:
            if is_loopback(self._address[0]):
                return await self._on_loopback(request, handler)
            return web.Response(
                status=403,
                text="closed: set admin.token_file, or admin.host to a loopback address\n",
            )
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode()
        if secrets.compare_digest(given, b"Bearer " + self.token.encode()):
            return await handler(request)
        self._reports.warning(
            "unauthorized",
            "admin request without the token",
            path=request.path,
            peer=request.remote,
        )
        return web.Response(
            status=401,
            text="send the token of admin.token_file as `Authorization: Bearer TOKEN`\n",
            headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
        )

    async def _on_loopback(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass that no token guards, unless a page of another site has sent it.

        A browser on this machine would send it for any site. It says in `Origin` for which, and in
        `Host` under which name it reached us: a site can have its own name mean this machine.
        """
        origin = request.headers.get(hdrs.ORIGIN)
        is_own = request.method in READING_METHODS or origin in {None, f"http://{request.host}"}
        if is_own and is_loopback(request.url.host or ""):
            return await handler(request)
        return web.Response(status=403, text="closed for pages of other sites\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        # The encoders ask for nothing but `collect`, which every collector has.
        registry = cast("CollectorRegistry", await self._daemon.metrics())
        return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._daemon.ready()
        body = {"ready": ready, "degraded": await self._daemon.degraded()}
        return _json(body, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(await self._daemon.status())

    async def _reload(self, _request: web.Request) -> web.Response:
        actor = LOOPBACK if self.token is None else TOKEN
        reloaded = await self._daemon.reload(actor)
        body = {
            "reloaded": not reloaded.problem,
            "problem": reloaded.problem,
            "changes": reloaded.changes,
            "needs_restart": reloaded.needs_restart,
        }
        return _json(body, status=422 if reloaded.problem else 200)

    async def _post_to_inbox(self, request: web.Request) -> web.Response:
        return await (self.inbox.post if self.inbox else _no_inbox)(request)

    async def _show_inbox(self, request: web.Request) -> web.Response:
        return await (self.inbox.get if self.inbox else _no_inbox)(request)


async def _no_inbox(_request: web.Request) -> web.Response:
    return web.Response(status=404, text="no sink has `inbox:` as its url\n")


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        status=status,
        content_type="application/json",
    )
