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


class AdminError(Exception):
    """The daemon gave no answer that can be used; the text says why, and names the setting."""


async def get(admin: AdminSettings, path: str) -> Any:
    """Get JSON from the daemon that runs with these settings.

    The token, where there is one, goes to the configured address alone: no proxy of the
    environment is used and no redirect is followed.

    Args:
        admin: where it listens, and its token.
        path: such as ``/api/status``.

    Raises:
        AdminError: it does not answer, refuses, or answers something else than JSON.
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
            status, body = response.status, await response.read()
    except TimeoutError as error:
        problem = f"no answer from {url} (admin.host, admin.port) in {TIMEOUT_SECONDS:g} seconds"
        raise AdminError(problem) from error
    except (aiohttp.ClientError, OSError) as error:
        problem = f"no answer from {url} (admin.host, admin.port): {_reason(error)}"
        raise AdminError(f"{problem}; is the daemon running?") from error
    if status != 200:
        raise AdminError(f"{url}{path}: {_refusal(status)}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AdminError(f"{url}{path}: the answer is no JSON; is it a collector?") from error


def _reason(error: Exception) -> str:
    """Say what went wrong; for what the system says aiohttp has many words around it."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else str(error)


def _refusal(status: int) -> str:
    if status == 401:
        return "HTTP 401, the daemon was started with another token: see admin.token_file"
    if status == 403:
        return (
            "HTTP 403, the daemon listens off loopback without a token: "
            "set admin.token_file and start it again"
        )
    return f"HTTP {status}"
