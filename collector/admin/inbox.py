"""The daemon's own sink: keeps the newest events in memory, for a first look without a SIEM."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final

import orjson
from aiohttp import web

from collector.admin.access import is_same
from collector.masking import Masker
from collector.syslog.message import KeyName

MAX_EVENTS = 1000
MAX_OCTETS = 16 * 1024 * 1024
SECRET_HEADER = "X-Collector-Inbox"  # noqa: S105 - a header's name
COUNT_HEADER: Final = "X-Collector-Events"
"""Of what is shown: how many events had come by then, those included that were let go."""


class Inbox:
    """Keeps the newest events within two bounds.

    Only this daemon may post: its sink carries `secret`, which lives as long as the process.

    Args:
        max_events: how many events are kept.
        max_octets: how many octets of JSON are kept.

    Attributes:
        masker: replaces intake keys in what is shown.
    """

    def __init__(self, *, max_events: int = MAX_EVENTS, max_octets: int = MAX_OCTETS) -> None:
        self.masker = Masker(KeyName())
        self.secret = secrets.token_urlsafe()
        self._max_events = max_events
        self._max_octets = max_octets
        self._events: deque[bytes] = deque()
        self._octets = 0
        self._came = 0

    def add(self, body: bytes) -> None:
        """Keep the events of an NDJSON body, and let the oldest go."""
        for event in body.splitlines():
            self._events.append(event)
            self._octets += len(event)
            self._came += 1
        while len(self._events) > self._max_events or self._octets > self._max_octets:
            self._octets -= len(self._events.popleft())

    def status(self) -> dict[str, int]:
        """Return how many events have come so far, and how many of them are kept."""
        return {"events": self._came, "kept": len(self._events)}

    async def as_json(self) -> bytes:
        """Return the events as one JSON array, the oldest first, without intake keys."""
        shown = []
        for event in tuple(self._events):
            shown.append(self._shown(event))
            await asyncio.sleep(0)  # there are up to 16 MiB of them: others go on meanwhile
        return b"[" + b",\n".join(shown) + b"]\n"

    def _shown(self, event: bytes) -> bytes:
        try:
            return orjson.dumps(self.masker.read_event(event))
        except ValueError as error:
            return orjson.dumps({"message": f"the event is not shown: {error}"})

    async def post(self, request: web.Request) -> web.Response:
        """Answer `POST /inbox`."""
        given = request.headers.get(SECRET_HEADER, "")
        if not is_same(given, self.secret):
            return web.Response(status=403, text="only this daemon posts to its inbox\n")
        self.add(await request.read())
        return web.Response(status=204)

    async def get(self, _request: web.Request) -> web.Response:
        """Answer `GET /api/inbox`."""
        headers = {COUNT_HEADER: str(self._came)}
        body = await self.as_json()
        return web.Response(body=body, headers=headers, content_type="application/json")
