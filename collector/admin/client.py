"""Asks a running daemon: the other side of the admin server, for the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp import hdrs

from collector.listeners.sockets import authority, reachable

if TYPE_CHECKING:
    from collector.config import AdminSettings

TIMEOUT_SECONDS = 10.0

MOST_OCTETS = 64 * 1024 * 1024
"""Of an answer: more than a status of all intakes and senders that there may be."""

_PART_OCTETS = 64 * 1024

# What the admin server answers to who may not see what it knows (`access`).
_REFUSALS = {
    401: "HTTP 401, the daemon was started with another token: see admin.token_file",
    403: "HTTP 403, the daemon listens off loopback without a token: "
    "set admin.token_file and start it again",
    429: "HTTP 429, the daemon was started with another token: see admin.token_file; "
    "too many wrong tokens came from this address",
}


class AdminError(Exception):
    """The daemon gave no answer that can be used; the text says why, and names the setting."""


class RefusedError(AdminError):
    """Something answers, but tells nothing to who has not its token."""


async def get(admin: AdminSettings, path: str) -> Any:
    """Get JSON from the daemon that runs with these settings.

    The token, where there is one, goes to the configured address alone: no proxy of the
    environment is used and no redirect is followed.

    Args:
        admin: where it listens, and its token.
        path: such as ``/api/status``.

    Raises:
        RefusedError: it wants a token, or another one (HTTP 401, 403, 429).
        AdminError: it does not answer, or answers something else than JSON.
        SecretFileError: the file of the token can no longer be read.
    """
    if admin.port == 0:
        raise AdminError("admin.port is 0, so that nobody knows the daemon's port; set one")
    url = f"http://{authority(reachable(admin.host), admin.port)}"
    token = admin.read_token()
    headers = {} if token is None else {hdrs.AUTHORIZATION: f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}{path}", headers=headers, allow_redirects=False) as response,
        ):
            status, body = response.status, await _body(response)
    except TimeoutError as error:
        problem = f"no answer from {url} (admin.host, admin.port) in {TIMEOUT_SECONDS:g} seconds"
        raise AdminError(problem) from error
    except (aiohttp.ClientError, OSError) as error:
        problem = f"no answer from {url} (admin.host, admin.port): {_reason(error)}"
        raise AdminError(f"{problem}; is the daemon running?") from error
    if len(body) > MOST_OCTETS:
        raise AdminError(f"{url}{path}: the answer is too long; is it a collector?")
    if status in _REFUSALS:
        raise RefusedError(f"{url}{path}: {_REFUSALS[status]}")
    if status != 200:
        raise AdminError(f"{url}{path}: HTTP {status}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AdminError(f"{url}{path}: the answer is no JSON; is it a collector?") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of an answer; of one that is too long a little too much."""
    body = bytearray()
    while len(body) <= MOST_OCTETS and (part := await response.content.read(_PART_OCTETS)):
        body += part
    return bytes(body)


def _reason(error: Exception) -> str:
    """Say what went wrong; for what the system says aiohttp has many words around it."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)
