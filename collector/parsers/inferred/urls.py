"""URLs: the parts of ``url.original``."""

from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from collector.parsers.convert import fields_of

# What servers and browsers take. urlsplit() keeps the last 128 it has split, whatever their size.
_MAX_CHARACTERS: Final = 8192
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@fields_of(
    {
        "full": "keyword",
        "scheme": "keyword",
        "domain": "keyword",
        "port": "long",
        "path": "keyword",
        "query": "keyword",
        "fragment": "keyword",
        "username": "keyword",
        "password": "keyword",
    }
)
def url_parts(value: Any) -> dict[str, Any] | None:
    """Split a URL: path, query and fragment; and with a scheme and a host, the rest.

    A URL that cannot be split (``http://[::1``), or longer than 8192 characters, has no parts.
    """
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS:
        return None
    try:
        url = urlsplit(value)
    except ValueError:
        return None
    parts: dict[str, Any] = {"path": url.path, "query": url.query, "fragment": url.fragment}
    domain = _domain(url)
    if url.scheme and domain:
        parts |= {
            "full": value,
            "scheme": url.scheme,
            "domain": domain,
            "port": _port(url),
            "username": url.username,
            "password": url.password,
        }
    return {name: part for name, part in parts.items() if part not in (None, "")} or None


def _domain(url: SplitResult) -> str | None:
    r"""Return the host in lower case, an IPv6 address in its brackets as ECS wants it.

    Browsers read a backslash as a slash: in ``http://a\@b`` they see the host ``a``, others see
    ``b``. No host is better than the wrong one.
    """
    if "\\" in url.netloc or not url.hostname:
        return None
    return f"[{url.hostname}]" if ":" in url.hostname else url.hostname


def _port(url: SplitResult) -> int | None:
    """Return the port in the URL, else that of the scheme; None if it is no port (``:99999``)."""
    try:
        port = url.port
    except ValueError:
        return None
    return _DEFAULT_PORTS.get(url.scheme) if port is None else port
