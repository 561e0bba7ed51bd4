"""The files of the status page: read once from the package and served as they are."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import PurePath
from typing import Final

from aiohttp import hdrs, web

INDEX: Final = "index.html"
LOGIN: Final = "login.html"

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.SERVER: "collector",  # and not what it is made with, and of which version
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: nothing that is shown can load or run anything, be framed or be kept. Files of
the page are kept, as they say themselves."""


class PageFiles:
    """Files by name."""

    def __init__(self) -> None:
        self._files = {
            file.name: file.read_bytes()
            for file in resources.files("collector.admin").joinpath("page").iterdir()
            if PurePath(file.name).suffix in _TYPES
        }
        self._tags = {
            name: f'"{hashlib.sha256(body).hexdigest()[:32]}"' for name, body in self._files.items()
        }

    def answer(self, name: str, request: web.Request, *, status: int = 200) -> web.Response:
        """Answer with a file; 304 if the browser has it, 404 if there is none of the name."""
        body = self._files.get(name)
        if body is None:
            return web.Response(status=404, text="no such file\n")
        headers = {hdrs.ETAG: self._tags[name], hdrs.CACHE_CONTROL: "no-cache"}
        if status == 200 and request.headers.get(hdrs.IF_NONE_MATCH) == self._tags[name]:
            return web.Response(status=304, headers=headers)
        return web.Response(
            status=status,
            body=body,
            content_type=_TYPES[PurePath(name).suffix],
            charset="utf-8",
            headers=headers,
        )
