"""Sessions of browsers: a cookie that shows that somebody had the token, without holding it.

A cookie is the time it ends and a signature (HMAC, RFC 2104) of that and of the token, by a key
that the daemon draws when it starts: neither does a cookie help to guess the token, nor a guessed
token to make a cookie. It ends with the token, with the daemon, or where somebody signs out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

COOKIE: Final = "collector_session"
LIFETIME_SECONDS: Final = 12 * 3600

MAX_ENDED: Final = 1024
"""Sessions that are known to have ended before their time; beyond, all sessions end."""


class Sessions:
    """Issues them and knows them again.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = _drawn()
        self._ended: set[str] = set()

    def issue(self, token: str) -> str:
        """Return the value of a cookie for somebody who has shown the token."""
        ends = int(self._clock()) + LIFETIME_SECONDS
        value = f"{ends}.{secrets.token_hex(8)}"
        return f"{value}.{self._signature(token, value)}"

    def is_valid(self, value: str, token: str) -> bool:
        """Say whether a cookie was issued for this token and has not ended.

        Args:
            value: of the cookie, as a browser sent it: anything.
            token: that of the admin server.
        """
        signed, _, signature = value.rpartition(".")
        expected = self._signature(token, signed)
        is_ours = hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode())
        return is_ours and self._clock() < _end(signed) and value not in self._ended

    def end(self, value: str, token: str) -> bool:
        """Let a session end: its cookie is worth nothing any more, whoever has it.

        Returns:
            Whether there was one.
        """
        if not self.is_valid(value, token):
            return False
        now = self._clock()
        self._ended = {known for known in self._ended if _end(known) > now} | {value}
        if len(self._ended) > MAX_ENDED:
            self._key = _drawn()
            self._ended.clear()
        return True

    def _signature(self, token: str, signed: str) -> str:
        text = f"{signed} {token}".encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _drawn() -> bytes:
    """Return a key; as long as the hash, beyond which nothing is gained (RFC 2104 section 3)."""
    return secrets.token_bytes(hashlib.sha256().digest_size)


def _end(value: str) -> int:
    """Return when a cookie of ours ends, in seconds since 1970."""
    return int(value.partition(".")[0])
