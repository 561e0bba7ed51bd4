"""Who may ask the admin server for what.

Metrics and health are for everybody, unless settings say otherwise. The rest is open on loopback
where there is no token, closed elsewhere; with one it is for those who show it, in a header or, as
a browser does, in the cookie of a session. What changes something or starts something is refused to
the pages of other sites, whose requests a browser sends along with what it knows of us.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs

from collector.admin.guesses import Guesses
from collector.admin.sessions import COOKIE, Sessions
from collector.settings.advice import is_loopback

if TYPE_CHECKING:
    from aiohttp import web

CLOSED: Final = "closed: set admin.token_file, or admin.host to a loopback address\n"
FOREIGN: Final = "closed for pages of other sites\n"
OTHER_NAME: Final = (
    "without a token this is open under the names of this machine alone: ask for localhost or "
    "127.0.0.1, or set admin.token_file\n"
)
TOO_MANY: Final = (
    "this is another token, as were too many before it from this address: see admin.token_file, "
    "and wait a minute\n"
)
UNAUTHORIZED: Final = "send the token of admin.token_file as `Authorization: Bearer TOKEN`\n"

READING_METHODS: Final = frozenset({"GET", "HEAD"})
PAGE: Final = "/"

# As browsers send it (RFC 9110 section 7.2): an address of IPv6 in brackets, or another host.
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]*)?")

# RFC 7235 section 2.1: the name of a scheme is in upper or lower case.
_SCHEME: Final = "bearer"


class Access:
    """Says who may do what.

    Args:
        token: what is to be shown; None if there is none.
        sessions: of browsers.
        guesses: count wrong tokens.

    Attributes:
        token: as above; it may change.
        is_local: whether the server can be reached from this machine alone.
    """

    def __init__(
        self,
        token: str | None,
        *,
        sessions: Sessions | None = None,
        guesses: Guesses | None = None,
    ) -> None:
        self.token = token
        self.is_local = False
        self._sessions = sessions or Sessions()
        self._guesses = guesses or Guesses()

    def refusal(self, request: web.Request) -> str | None:
        """Return why somebody may not have what is not for everybody, what to do about it included.

        Returns:
            One of the texts above; None if they may.
        """
        token = self.token
        if token is None:
            return self._refusal_without_token(request)
        shown = _shown(request)
        if shown is not None:
            return self._doubt(request, shown, token)
        if not self._sessions.is_valid(request.cookies.get(COOKIE, ""), token):
            return UNAUTHORIZED
        return FOREIGN if is_foreign(request) else None

    def may_go_on(self, request: web.Request) -> bool:
        """Say whether what was begun for a request may go on: its session may have ended since.

        Who has shown the token itself is not asked again, since it is the token that would change.
        """
        if self.token is None or _shown(request) is not None:
            return True
        return self._sessions.is_valid(request.cookies.get(COOKIE, ""), self.token)

    def _refusal_without_token(self, request: web.Request) -> str | None:
        if not self.is_local:
            return CLOSED
        # A site can have its own name mean this machine: the browser says under which it asks.
        if not is_loopback(_name(request.host)):
            return OTHER_NAME
        return FOREIGN if is_foreign(request) else None

    def log_in(self, request: web.Request, shown: str) -> str:
        """Begin a session for who shows the token.

        Returns:
            The value of its cookie; empty if it is another.
        """
        token = self.token
        if token is None or self._doubt(request, shown, token) is not None:
            return ""
        return self._sessions.issue(token)

    def log_out(self, request: web.Request) -> bool:
        """End the session of a browser; say whether there was one."""
        token = self.token
        return token is not None and self._sessions.end(request.cookies.get(COOKIE, ""), token)

    def seconds_left(self, request: web.Request) -> int:
        """Return for how long wrong tokens are too many that come from where a request does."""
        return self._guesses.seconds_left(request.remote or "")

    def _doubt(self, request: web.Request, shown: str, token: str) -> str | None:
        """Return why a token that somebody shows does not do; None if it does.

        The right one does always: an address may be that of a proxy, and whoever guesses behind it
        shall not lock out the others.
        """
        if is_same(shown, token):
            return None
        if self.seconds_left(request):
            return TOO_MANY
        if shown:
            self._guesses.note(request.remote or "", shown)
        return UNAUTHORIZED


def is_foreign(request: web.Request) -> bool:
    """Say whether the page of another site has sent a request that does something, or reads.

    A browser says in `Origin` (RFC 6454) for whom it sends what does something, and of everything
    in `Sec-Fetch-Site` (Fetch Metadata) where it comes from, on https and on loopback; other
    programs have no reason to. Following a link to the page is no matter.
    """
    site = request.headers.get("Sec-Fetch-Site")
    is_asked_elsewhere = site in ("cross-site", "same-site")
    if request.method in READING_METHODS:
        is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path == PAGE
        return is_asked_elsewhere and not is_link
    origin = request.headers.get(hdrs.ORIGIN)
    is_of_another = origin not in (None, f"http://{request.host}") and site != "same-origin"
    return is_asked_elsewhere or is_of_another


def _shown(request: web.Request) -> str | None:
    """Return the token that a request shows; None if it shows none.

    Credentials of other schemes are not for us: a browser goes on sending those for which a proxy
    before us has asked.
    """
    scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return shown if scheme.lower() == _SCHEME else None


def _name(host: str) -> str:
    """Return the name or address that `Host` holds, without its port; empty if it holds none."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def is_same(given: str, secret: str) -> bool:
    """Compare in a time that says nothing of where they differ.

    Args:
        given: what a header holds, which may be any octets.
        secret: what it is to hold.
    """
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
