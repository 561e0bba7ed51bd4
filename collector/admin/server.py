"""The admin server: metrics and health, the status page and its API."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qs

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client.exposition import choose_encoder

from collector import logs
from collector.admin import trial
from collector.admin.access import FOREIGN, PAGE, TOO_MANY, UNAUTHORIZED, Access, is_foreign
from collector.admin.bodies import read_body
from collector.admin.connections import Connections
from collector.admin.files import HEADERS, INDEX, LOGIN, PageFiles
from collector.admin.live import Live
from collector.admin.sessions import COOKIE, LIFETIME_SECONDS
from collector.admin.streams import Streams
from collector.listeners.sockets import bind
from collector.logs import LOOPBACK, TOKEN, Reports
from collector.settings.advice import is_loopback
from collector.tail import MAX_TEXT, OUTCOMES, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from collector.admin.history import History
    from collector.admin.inbox import Inbox
    from collector.admin.streams import Stream
    from collector.loading import Reloaded
    from collector.tail import Tailed

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS: Final[dict[str, frozenset[str]]] = {
    "metrics": frozenset({"/metrics"}),
    "health": frozenset({"/healthz", "/readyz"}),
}
"""For Prometheus and for health checks of containers, which carry no token by themselves."""
# `/inbox` knows the daemon's own sink by its own secret; `/login` is where the token is shown, and
# `/logout` leads there, whether or not a session has ended by itself.
OWN_PATHS: Final = frozenset({"/inbox", "/login", "/logout"})
# Holds nothing that is not in the package.
PAGE_FILES: Final = "/page/"

# For requests under way when the daemon stops.
SHUTDOWN_SECONDS = 1.0
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_FORM_BYTES: Final = 8 * 1024

# Of what somebody asked for, in a line of the log.
_MAX_LOGGED: Final = 200


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

    def tail(self, wanted: Wanted) -> AsyncGenerator[Tailed]:
        """Yield messages as they are dealt with, until it is closed."""


class AdminServer:
    """Serves HTTP on one address.

    Args:
        host: address to bind.
        port: port to bind; 0 lets the kernel choose.
        token: what callers must show for all but what is open; None if there is none, then
            everything is open on loopback and closed elsewhere.
        daemon: what is asked.
        history: of the last minutes.
        open_to_all: what needs no token: `metrics`, `health`, both or none.

    Attributes:
        inbox: the daemon's own sink; None while it is not used.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        token: str | None,
        daemon: Daemon,
        history: History,
        open_to_all: Iterable[str] = OPEN_PATHS,
    ) -> None:
        self._host = host
        self._port = port
        self._access = Access(token)
        self._streams = Streams(self._access.may_go_on)
        self.go_by(token, open_to_all)
        self.inbox: Inbox | None = None
        self._reports = Reports(log)
        self._daemon = daemon
        self._files = PageFiles()
        self._live = Live(daemon.status, history)
        self._trying = asyncio.Lock()  # one message at a time
        self._runner = web.AppRunner(self._application(), shutdown_timeout=SHUTDOWN_SECONDS)
        self._connections: Connections | None = None
        self._listening: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The address and port that are bound."""
        return self._address

    @property
    def access(self) -> str:
        """What is needed for all but what is for everybody: a `token`, or nothing (`open`)."""
        return "open" if self._access.token is None else "token"

    def go_by(self, token: str | None, open_to_all: Iterable[str]) -> None:
        """Ask for another token from now on, for other things; sessions end with their token."""
        if token != self._access.token:
            self._access.token = token
            self._streams.end()
        self._open = frozenset().union(*(OPEN_PATHS[name] for name in open_to_all))

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            OSError: the address cannot be bound.
        """
        bound = await bind(self._host, self._port, socket.SOCK_STREAM)
        name = bound.getsockname()
        self._address = name[0], name[1]
        self._access.is_local = is_loopback(name[0])
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - it was set up
        self._connections = Connections(self._runner.server)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connections, sock=bound)

    def end_streams(self) -> None:
        """Tell nobody how things go on, from now on; metrics and health are answered as before."""
        self._streams.close()

    async def stop(self) -> None:
        """Stop serving."""
        if self._listening is not None:
            self._listening.close()
        self.end_streams()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get(PAGE, self._page),
                web.get(PAGE_FILES + "{name}", self._page_file),
                web.post("/login", self._login),
                web.post("/logout", self._logout),
                web.get("/api/status", self._status),
                web.get("/api/live", self._tell_live, allow_head=False),
                web.get("/api/tail", self._tell_tail, allow_head=False),
                web.post("/api/parse", self._parse),
                web.post("/api/reload", self._reload),
                web.post("/inbox", self._post_to_inbox),
                web.get("/api/inbox", self._show_inbox),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        return application

    # Who may.

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or answer 401, 403 or 429."""
        if request.path in OWN_PATHS:
            return await handler(request)
        if not self._is_for_all(request.path):
            refusal = self._access.refusal(request)
            if refusal is not None:
                return self._refuse(request, refusal)
        assert self._connections is not None  # noqa: S101 - it has started
        with self._connections.busy(request.protocol):
            return await handler(request)

    def _refuse(self, request: web.Request, refusal: str) -> web.Response:
        if refusal not in (TOO_MANY, UNAUTHORIZED):
            return web.Response(status=403, text=refusal)
        if refusal is UNAUTHORIZED and request.path == PAGE:
            return self._files.answer(LOGIN, request, status=401)
        self._report_unauthorized(request)
        if refusal is UNAUTHORIZED:
            headers = {hdrs.WWW_AUTHENTICATE: "Bearer"}
            return web.Response(status=401, text=refusal, headers=headers)
        headers = {hdrs.RETRY_AFTER: str(self._access.seconds_left(request))}
        return web.Response(status=429, text=refusal, headers=headers)

    def _is_for_all(self, path: str) -> bool:
        return path in self._open or path.startswith(PAGE_FILES)

    def _report_unauthorized(self, request: web.Request) -> None:
        self._reports.warning(
            "unauthorized",
            "admin request without the token",
            path=request.rel_url.raw_path[:_MAX_LOGGED],  # whose control characters are encoded
            peer=request.remote,
        )

    @property
    def _actor(self) -> str:
        return LOOPBACK if self._access.token is None else TOKEN

    async def _login(self, request: web.Request) -> web.Response:
        """Answer a form with the token by a session, or by the form again."""
        if is_foreign(request):
            return web.Response(status=403, text=FOREIGN)
        form = parse_qs((await read_body(request, MAX_FORM_BYTES)).decode("utf-8", "replace"))
        session = self._access.log_in(request, form.get("token", [""])[0].strip())
        if not session:
            self._report_unauthorized(request)
            why = "wait" if self._access.seconds_left(request) else "refused"
            return web.Response(status=303, headers={hdrs.LOCATION: f"{PAGE}?{why}"})
        logs.audit("login", TOKEN, peer=request.remote)
        answer = web.Response(status=303, headers={hdrs.LOCATION: PAGE})
        answer.set_cookie(
            COOKIE,
            session,
            max_age=LIFETIME_SECONDS,
            httponly=True,
            samesite="Strict",
            # Behind a proxy that speaks TLS with the browser, which says so.
            secure=request.headers.get(hdrs.X_FORWARDED_PROTO) == "https",
        )
        return answer

    async def _logout(self, request: web.Request) -> web.Response:
        """End a session, and what it is told; whoever has none is led to the form as well."""
        if is_foreign(request):
            return web.Response(status=403, text=FOREIGN)
        if self._access.log_out(request):
            logs.audit("logout", TOKEN, peer=request.remote)
        self._streams.look()
        answer = web.Response(status=303, headers={hdrs.LOCATION: PAGE})
        answer.del_cookie(COOKIE, httponly=True, samesite="Strict")
        return answer

    # What programs ask.

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
        reloaded = await self._daemon.reload(self._actor)
        body = {
            "reloaded": not reloaded.problem,
            "problem": reloaded.problem,
            "changes": reloaded.changes,
            "needs_restart": reloaded.needs_restart,
        }
        return _json(body, status=422 if reloaded.problem else 200)

    # What people look at.

    async def _page(self, request: web.Request) -> web.Response:
        return self._files.answer(INDEX, request)

    async def _page_file(self, request: web.Request) -> web.Response:
        return self._files.answer(request.match_info["name"], request)

    async def _tell_live(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.serve(request, self._live.tell)

    async def _tell_tail(self, request: web.Request) -> web.StreamResponse:
        given = {name: request.query.get(name, "") for name in ("intake", "outcome", "text")}
        if problem := _unwatchable(given):
            return web.Response(status=422, text=f"{problem}\n")
        wanted = Wanted(**given)
        watched: dict[str, Any] = {name: given[name] for name in ("intake", "outcome")}
        watched = {name: value for name, value in watched.items() if value}
        if given["text"]:  # of which nothing is logged: it may be a key, or a part of one
            watched["text_characters"] = len(given["text"])
        actor, peer = self._actor, request.remote

        async def tell(stream: Stream) -> None:
            logs.audit("messages watched", actor, peer=peer, **watched)
            try:
                async with aclosing(self._daemon.tail(wanted)) as following:
                    async for messages, skipped in following:
                        for message in messages:
                            await stream.send("message", message)
                        if skipped:
                            await stream.send("skipped", {"count": skipped})
            finally:
                logs.audit("messages no longer watched", actor, peer=peer)

        return await self._streams.serve(request, tell)

    async def _parse(self, request: web.Request) -> web.Response:
        """Answer with what a message would become; nothing is shown of what others have sent."""
        body = await read_body(request, trial.MAX_OCTETS)
        try:
            # On a thread: a large message takes up to a second, and others go on meanwhile.
            async with self._trying:
                found = await asyncio.to_thread(trial.answer, body)
        except trial.TrialError as error:
            return web.Response(status=422, text=f"{error}\n")
        return web.Response(body=found, content_type="application/json")

    async def _post_to_inbox(self, request: web.Request) -> web.Response:
        return await (self.inbox.post if self.inbox else _no_inbox)(request)

    async def _show_inbox(self, request: web.Request) -> web.Response:
        if self.inbox is None:
            return await _no_inbox(request)
        logs.audit("inbox shown", self._actor, peer=request.remote)
        return await self.inbox.get(request)


def _unwatchable(given: Mapping[str, str]) -> str:
    """Say why what is to be watched cannot be; empty if it can."""
    for name, value in given.items():
        if len(value) > MAX_TEXT:
            return f"{name}: at most {MAX_TEXT} characters"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return f"{name}: no text in UTF-8"
    if given["outcome"] not in ("", *OUTCOMES):
        return f"outcome: one of {', '.join(OUTCOMES)}"
    return ""


async def _no_inbox(_request: web.Request) -> web.Response:
    return web.Response(status=404, text="no sink has `inbox:` as its url\n")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    said = response.headers.get(hdrs.CACHE_CONTROL, HEADERS[hdrs.CACHE_CONTROL])
    response.headers.update({**HEADERS, hdrs.CACHE_CONTROL: said})


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        status=status,
        content_type="application/json",
    )
