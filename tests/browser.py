"""A browser that looks at the status page, and notes what no page may do."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from playwright.async_api import async_playwright, expect

from tests.peers import require

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from playwright.async_api import Browser, Dialog, Page, Request

WAIT_MS = 45_000.0
"""For what a page is to show; a machine may have much else to do."""

expect.set_options(timeout=WAIT_MS)

# What a browser says of a request that the page itself gave up, as it does with streams.
_GIVEN_UP = "net::ERR_ABORTED"


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """Run Chromium; skip where it is not installed, as `peers.require` does."""
    program = require("chromium")
    # Its sandbox needs a user of its own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One look at a page by a person whom nobody else is, as an asynchronous context manager.

    At its end it fails if the page has written to the console, has broken the content security
    policy, has opened a dialog, has asked anybody but its daemon, or got no answer.

    Args:
        browser: shows the page.
        url: of the daemon's admin server.
        expected: parts of complaints that are no surprise.
        options: of the browser's context, such as `color_scheme`.

    Attributes:
        page: what is seen.
        requests: every request, as method and path.
        complaints: what the page may not do and did.
    """

    def __init__(
        self, browser: Browser, url: str, *, expected: Iterable[str] = (), **options: Any
    ) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._browser = browser
        self._url = url
        self._expected = tuple(expected)
        self._options = {"viewport": {"width": 1440, "height": 900}, **options}
        self.page: Page

    async def __aenter__(self) -> Self:
        self._context = await self._browser.new_context(**self._options)
        self._context.set_default_timeout(WAIT_MS)
        self.page = await self._context.new_page()
        self._watch(self.page)
        await self.page.goto(f"{self._url}/")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        complaints = list(self.complaints)  # before the end of the page ends its streams
        await self._context.close()
        found = [it for it in complaints if not self._is_expected(it)]
        assert kind is not None or not found, found

    def _is_expected(self, complaint: str) -> bool:
        return any(part in complaint for part in self._expected)

    def _watch(self, page: Page) -> None:
        complain = self.complaints.append
        page.set_default_navigation_timeout(WAIT_MS)
        page.on("console", lambda said: complain(f"console: {said.text}"))
        page.on("pageerror", lambda error: complain(f"error: {error}"))
        page.on("dialog", self._refuse)
        page.on("request", self._note)
        page.on("requestfailed", self._note_failure)

    def _note(self, request: Request) -> None:
        parts = urlsplit(request.url)
        self.requests.append(f"{request.method} {parts.path}")
        if parts.scheme != "data" and not request.url.startswith(f"{self._url}/"):
            self.complaints.append(f"request to somebody else: {request.url}")

    async def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _note_failure(self, request: Request) -> None:
        if request.failure != _GIVEN_UP:
            self.complaints.append(f"no answer: {request.url}, {request.failure}")
