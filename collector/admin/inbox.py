"""The daemon's own sink: keeps the newest events in memory, for a first look without a SIEM."""

from __future__ import annotations

import secrets
from collections import deque

from aiohttp import web

MAX_EVENTS = 1000
MAX_OCTETS = 16 * 1024 * 1024
SECRET_HEADER = "X-Collector-Inbox"  # noqa: S105 - a header's name


class Inbox:
    """Keeps the newest events within two bounds.

    Only this daemon may post: its sink carries `secret`, which lives as long as the process.

    Args:
        max_events: how many events are kept.
        max_octets: how many octets of JSON are kept.
    """

    def __init__(self, *, max_events: int = MAX_EVENTS, max_octets: int = MAX_OCTETS) -> None:
        self.secret = secrets.token_urlsafe()
        self._max_events = max_events
        self._max_octets = max_octets
        self._events: deque[bytes] = deque()
        self._octets = 0

    def add(self, body: bytes) -> None:
        """Keep the events of an NDJSON body, and let the oldest go."""
        for event in body.splitlines():
            self._events.append(event)
            self._octets += len(event)
        while len(self._events) > self._max_events or self._octets > self._max_octets:
            self._octets -= len(self._events.popleft())

    def as_json(self) -> bytes:
        """Return the events as one JSON array, the oldest first."""
        return b"[" + b",\n".join(self._events) + b"]\n"

    async def post(self, request: web.Request) -> web.Response:
        """Answer `POST /inbox`."""
        given = request.headers.get(SECRET_HEADER, "")
        if not secrets.compare_digest(given.encode(), self.secret.encode()):
            return web.Response(status=403, text="only this daemon posts to its inbox\n")
        self.add(await request.read())
        return web.Response(status=204)

    async def get(self, _request: web.Request) -> web.Response:
        """Answer `GET /api/inbox`."""
        return web.Response(body=self.as_json(), content_type="application/json")
