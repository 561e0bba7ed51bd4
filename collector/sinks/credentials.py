"""Headers of a sink's requests, credentials included, and keeping those out of the log."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from yarl import URL

from collector import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from collector.config import AuthSettings, SinkSettings
    from collector.sinks.formats import Format

# Shorter values than this stand in ordinary text by chance; masking them would only blur it.
SHORTEST_MASKED = 6

# Of a path: webhooks have their token in it, as `/services/T024BE7LD/B0123ABCD/pXq8…`. What helps
# an operator stays: words in small letters, such as `services` or `collector`, and what is short.
_SHORTEST_SEGMENT: Final = 8
_LONGEST_WORD: Final = 19
_WORD: Final = re.compile(r"[a-z_.-]+")

_BASIC: Final = "Basic "


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


def secrets_of(url: str, headers: Mapping[str, str], proxy: str = "") -> list[str]:
    """Return the texts of a request that a log must not show, the longest first.

    Args:
        url: where it goes; words of its query are secrets, and what may be one in its path.
        headers: of the request; their words are secrets.
        proxy: the URL of the proxy it goes through; empty without one.
    """
    words = {word for value in headers.values() for word in _words_of_header(value)}
    words.update(_words_of_query(url), _tokens_of_path(url), _proxy_credentials(proxy))
    long_enough = {word for word in words if len(word) >= SHORTEST_MASKED}
    # An answer in JSON repeats them as JSON has them.
    escaped = {orjson.dumps(word)[1:-1].decode() for word in long_enough}
    return sorted(long_enough | escaped, key=len, reverse=True)


def _words_of_header(value: str) -> Iterator[str]:
    """Yield the words of a header; of basic authentication what is encoded in it as well."""
    yield from value.split()
    if value.startswith(_BASIC):
        with suppress(ValueError):  # a header of the settings may hold anything
            plain = b64decode(value.removeprefix(_BASIC)).decode()
            yield from (plain, *plain.split(":", 1))


def _words_of_query(url: str) -> Iterator[str]:
    """Yield the names and values of a query: what they stand for, as written and as they go out."""
    for pair in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        yield from pair
    for query in (urlsplit(url).query, URL(url).raw_query_string):
        for part in query.split("&"):
            yield from part.split("=", 1)


def _tokens_of_path(url: str) -> Iterator[str]:
    """Yield the segments of a path that may be a token: as written, decoded, and as they go out."""
    for path in (urlsplit(url).path, URL(url).raw_path):
        for segment in path.split("/"):
            plain = unquote(segment)
            is_word = len(plain) <= _LONGEST_WORD and _WORD.fullmatch(plain)
            if len(plain) >= _SHORTEST_SEGMENT and not is_word:
                yield from (segment, plain)


def _proxy_credentials(proxy: str) -> list[str]:
    """Return the forms in which a library or the proxy may repeat the credentials of its URL."""
    written, _, _ = urlsplit(proxy).netloc.rpartition("@")
    user, _, password = written.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}"
    encoded = b64encode(plain.encode()).decode()
    return [proxy, written, plain, encoded, user, password, *plain.split(":", 1)]


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text`, which a sink or a library wrote, without what it may repeat of a request."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _credentials(auth: AuthSettings, bearer_scheme: str) -> tuple[str, str]:
    """Return the name and value of the header that proves who we are."""
    if auth.basic is not None:
        pair = f"{auth.basic.username}:{auth.basic.read_password()}"
        return "Authorization", _BASIC + b64encode(pair.encode()).decode()
    if auth.bearer is not None:
        return "Authorization", f"{bearer_scheme} {auth.bearer.read_token()}"
    assert auth.header is not None  # noqa: S101 - the settings hold exactly one of the three
    return auth.header.name, auth.header.read_value()
