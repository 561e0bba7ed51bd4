"""Headers of a sink's requests, credentials included, and keeping those out of the log."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from collector import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.config import AuthSettings, SinkSettings
    from collector.sinks.formats import Format

# Shorter values than this stand in ordinary text by chance; masking them would only blur it.
SHORTEST_MASKED = 6


def request_headers(sink: SinkSettings, form: Format) -> dict[str, str]:
    """Return the headers of every request to a sink; secret files are read anew.

    Args:
        sink: the sink's settings.
        form: the form of its events, which has its own way to say who we are.

    Raises:
        SecretFileError: a secret file cannot be read or holds no usable secret.
    """
    headers = {
        # Answers are read as they come: compressed, a short one could be a very long text.
        "Accept-Encoding": "identity",
        "Content-Type": form.content_type,
        "User-Agent": f"collector/{__version__}",
    }
    headers.update((name, value.get_secret_value()) for name, value in sink.headers.items())
    if sink.auth is not None:
        name, value = _credentials(sink.auth, form.bearer_scheme)
        headers[name] = value
    return headers


def secrets_of(url: str, headers: Mapping[str, str]) -> list[str]:
    """Return the texts of a request that a log must not show: words of headers and of the query."""
    words = [word for value in headers.values() for word in value.split()]
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        words += [name, value]
    return sorted({word for word in words if len(word) >= SHORTEST_MASKED}, key=len, reverse=True)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text`, which a sink or a library wrote, without what it may repeat of a request."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _credentials(auth: AuthSettings, bearer_scheme: str) -> tuple[str, str]:
    """Return the name and value of the header that proves who we are."""
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.read_password()}"
        return "Authorization", "Basic " + b64encode(pair.encode()).decode()
    if auth.bearer is not None:
        return "Authorization", f"{bearer_scheme} {auth.bearer.read_token()}"
    assert auth.header is not None  # noqa: S101 - the settings hold exactly one of the three
    return auth.header.name, auth.header.read_value()
