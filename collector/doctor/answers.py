"""What the answer of a sink to a question of ours means, or that there is none; nobody is asked."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from collector.certificates import in_words
from collector.describe.terminal import cut
from collector.doctor.findings import Meaning
from collector.sinks.retry import RETRIED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config import SinkSettings

_SHOWN_LENGTH: Final = 200

# OpenSSL's numbers for what is wrong with a certificate (X509_V_ERR_…).
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_SELF_SIGNED: Final = frozenset({18, 19})
_NO_ISSUER: Final = frozenset({2, 20, 21})
_OTHER_NAME: Final = frozenset({62, 63, 64})

# What a server that speaks no TLS makes OpenSSL say.
_PLAIN: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})

_NOTHING_THERE: Final = "there is nothing at this path: look at url, and at what a proxy expects"
_OTHER_FORMAT: Final = "it wants another format: look at format"

_ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "it wants credentials: set auth",
        403: "it knows who we are and does not allow it: rights of the token, or an allow list",
        404: _NOTHING_THERE,
        405: "it takes no such request at this path: look at url",
        406: _OTHER_FORMAT,
        407: "the proxy wants credentials: http://USER:PASSWORD@HOST:PORT",
        410: _NOTHING_THERE,
        415: _OTHER_FORMAT,
    }
)


def named(status: int) -> str:
    """Return a status with its standard name; what the sink calls it could be anything."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def of_status(status: int, headers: Mapping[str, str], said: str, sink: SinkSettings) -> Meaning:
    """Say what a status means that is nothing of the format's own.

    Args:
        status: of HTTP.
        headers: of the answer.
        said: its body, without secrets.
        sink: the sink's settings.
    """
    found = f"{named(status)}: {_cut(said)}".removesuffix(": ")
    if 200 <= status < 300:
        return Meaning("ok", named(status))
    if 300 <= status < 400:
        return _redirect(status, headers.get("Location", ""))
    if status in RETRIED or status >= 500:
        advice = "it is up, but takes nothing now: events wait in the spool until it does"
        return Meaning("warning", found, advice)
    return Meaning("error", found, _advice(status, sink))


def _redirect(status: int, location: str) -> Meaning:
    """Name where a redirect leads, but not its path, which may hold a token."""
    parts = urlsplit(location)
    to = f" to {parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    advice = "the collector follows none, since it carries credentials: set url to where it leads"
    return Meaning("error", f"{named(status)}, a redirect{to}", advice)


def _advice(status: int, sink: SinkSettings) -> str:
    if status == 401 and sink.auth is not None:
        return f"it does not know these credentials: look at auth.{_way(sink)}, expired or misspelt"
    return _ADVICE.get(status, "look at url and format")


def _way(sink: SinkSettings) -> str:
    """Name how a sink is authenticated at."""
    auth = sink.auth
    return next((way for way in ("basic", "bearer", "header") if getattr(auth, way, None)), "")


def to_nothing(status: int, headers: Mapping[str, str], said: str, sink: SinkSettings) -> Meaning:
    """Say what an answer to HEAD means, where only POST need be known."""
    if status in {400, 404, 405, 406, 410, 411, 415, 422, 501}:
        found = f"reached; {named(status)} to HEAD, as what takes POST alone may say"
        return Meaning("note", found, "`--send-test` posts an empty batch, which tells more")
    meaning = of_status(status, headers, said, sink)
    return Meaning("ok", f"reached, {named(status)} to HEAD") if meaning.level == "ok" else meaning


def to_empty_batch(
    status: int, headers: Mapping[str, str], said: str, sink: SinkSettings
) -> Meaning:
    """Say what an answer to an empty batch means."""
    if status in {400, 411, 422}:
        found = (
            f"{named(status)} to an empty batch: reached, and nothing more is known: {_cut(said)}"
        )
        return Meaning(
            "note", found.removesuffix(": "), "`collector send` shows what a full one does"
        )
    return of_status(status, headers, said, sink)


def to_empty_bulk(
    status: int, headers: Mapping[str, str], said: str, sink: SinkSettings
) -> Meaning:
    """Say what Elasticsearch's answer to a bulk request without a body means.

    It refuses one with 400, after it has looked at the credentials.
    """
    document = _object(said)
    if status == 400 and "error" in document:
        return Meaning("ok", "the bulk API answers, credentials are known")
    if 200 <= status < 300 and "items" in document:
        return Meaning("ok", "the bulk API answers")
    if 200 <= status < 300 or status == 400:
        return _of_another(status, said, "no bulk API", "Elasticsearch")
    return of_status(status, headers, said, sink)


def _of_another(status: int, said: str, what: str, whose: str) -> Meaning:
    """Say that something else answers than what was asked.

    Args:
        status: of HTTP.
        said: the answer's body.
        what: it is, as `not HEC`.
        whose: product was to answer.
    """
    advice = f"a proxy in between, or a path that is not {whose}'s: look at url"
    return Meaning("error", f"{named(status)}, but that is {what}: {_cut(said)}", advice)


def to_privileges(
    status: int, headers: Mapping[str, str], said: str, sink: SinkSettings
) -> Meaning:
    """Say what Elasticsearch answers to whether we may create documents.

    `create_doc` is needed; `auto_configure` only where a data stream does not exist yet.
    """
    del headers, sink
    document = _object(said)
    indices = document.get("index")
    if status != 200 or not isinstance(indices, dict):
        found = f"{named(status)} to whether these credentials may write; not every cluster says"
        return Meaning("note", found, "`collector send` shows whether events arrive")
    denied = [name for name, rights in indices.items() if not _may(rights, "create_doc")]
    if denied:
        found = f"these credentials may not write (create_doc) to {', '.join(denied)}"
        advice = "give their role or API key create_doc and auto_configure on these names"
        return Meaning("error", found, advice)
    unmade = [name for name, rights in indices.items() if not _may(rights, "auto_configure")]
    if unmade:
        found = f"may write to {', '.join(indices)}, but not make what is not there yet"
        return Meaning("note", found, f"make {', '.join(unmade)} before, or give auto_configure")
    return Meaning("ok", f"may write to {', '.join(indices)}")


def _may(rights: object, privilege: str) -> bool:
    return isinstance(rights, dict) and rights.get(privilege) is True


def to_hec_health(
    status: int, headers: Mapping[str, str], said: str, sink: SinkSettings
) -> Meaning:
    """Say what Splunk's health endpoint answers: 503 where queues are full, 400 for the token."""
    if status == 503:
        return Meaning(
            "warning", f"HEC is not healthy: {_cut(said)}", "queues of the indexers are full"
        )
    if status == 400:
        return Meaning("error", f"{named(status)}: {_cut(said)}", _advice(401, sink))
    if status in {404, 405}:
        return Meaning(
            "note", f"no health endpoint ({named(status)})", "a proxy may not pass it on"
        )
    meaning = of_status(status, headers, said, sink)
    return Meaning("ok", "HEC is healthy") if meaning.level == "ok" else meaning


def to_empty_hec(status: int, headers: Mapping[str, str], said: str, sink: SinkSettings) -> Meaning:
    """Say what HEC's answer to a request without data means: code 5 once the token is known."""
    document = _object(said)
    code = document.get("code")
    if status == 400 and code == 5:
        return Meaning("ok", "the token is known")
    if status == 400 and code in {10, 11}:
        advice = (
            "switch indexer acknowledgement off for this token, or set X-Splunk-Request-Channel"
        )
        return Meaning("error", f"the token wants a channel: {_cut(said)}", advice)
    if status == 403 and code in {1, 4}:
        advice = "look at the token in auth.bearer, and whether it is enabled in Splunk"
        return Meaning("error", f"{named(status)}: {_cut(said)}", advice)
    if 200 <= status < 300 or status == 400:
        return _of_another(status, said, "not HEC", "Splunk")
    return of_status(status, headers, said, sink)


def to_empty_intake(
    status: int, headers: Mapping[str, str], said: str, sink: SinkSettings
) -> Meaning:
    """Say what Sekoia.io answers to no messages under the key of an intake."""
    if status in {401, 403}:
        advice = "look at the intake's key, and whether the intake is still there in Sekoia.io"
        return Meaning("error", f"{named(status)}: the key is not taken: {_cut(said)}", advice)
    if status in {400, 422}:
        found = (
            f"{named(status)} to no messages: reached, the key may be known or not: {_cut(said)}"
        )
        return Meaning("note", found, "`collector send` shows whether events arrive")
    meaning = of_status(status, headers, said, sink)
    return Meaning("ok", "the key is taken") if meaning.level == "ok" else meaning


def of_proxy(status: int) -> Meaning:
    """Say what it means that a proxy did not let us through to a sink (CONNECT)."""
    advice = _ADVICE[407] if status == 407 else "look at what the proxy lets through, and to where"
    return Meaning("error", f"the proxy answers {named(status)}", advice)


def of_name(host: str) -> Meaning:
    """Say what it means that a name has no address."""
    advice = "look at the name, and at /etc/resolv.conf; in a container, at its network"
    return Meaning("error", f"the name {host} is not known here", advice)


def of_connection(error: OSError, place: str) -> Meaning:
    """Say what it means that nobody can be connected with.

    Args:
        error: what the system says.
        place: host and port.
    """
    if isinstance(error, ConnectionRefusedError):
        found = f"{place} refuses connections"
        return Meaning("error", found, "nothing listens there: look at the port, and at the sink")
    if isinstance(error, TimeoutError):
        found = f"{place} does not answer"
        return Meaning("error", found, "a firewall on the way, or a proxy that is to be set: proxy")
    words = error.strerror or str(error) or type(error).__name__
    advice = "look at routes and firewalls on the way, and at what listens there"
    return Meaning("error", f"{place} cannot be reached: {words}", advice)


def of_tls(error: OSError, host: str) -> Meaning:
    """Say what it means that a handshake failed.

    Args:
        error: what OpenSSL, or the system, says.
        host: the name that was called.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, host)
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if reason in _PLAIN:
        return Meaning("error", f"{host} speaks no TLS there", "http:// in url, or another port")
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        found = f"{host} refuses us: {in_words(error)}"
        return Meaning(
            "error", found, "it may want a certificate of ours: tls.cert_file, tls.key_file"
        )
    if isinstance(error, (TimeoutError, ConnectionError)):
        does = "does not answer" if isinstance(error, TimeoutError) else "breaks off"
        found = f"{host} {does} in the TLS handshake"
        return Meaning("error", found, "it may speak no TLS on this port, or want our certificate")
    return Meaning("error", f"no TLS with {host}: {in_words(error)}", "TLS 1.2 or newer is spoken")


def _of_certificate(error: ssl.SSLCertVerificationError, host: str) -> Meaning:
    code, found = error.verify_code, f"the certificate of {host} is refused"
    words = f"{found}: {error.verify_message}".removesuffix(": ")
    if code in _SELF_SIGNED | _NO_ISSUER:
        advice = "tls.ca_file: the authority that signed it; the sink has to show its whole chain"
    elif code in _OTHER_NAME:
        advice = "call it by a name that is in its certificate, or have one issued for this name"
    elif code == _EXPIRED:
        advice = "the sink's certificate has to be renewed; look at the clock of this machine too"
    elif code == _NOT_YET_VALID:
        advice = "look at the clock of this machine, and of that which issued it"
    else:
        advice = "tls.ca_file names the authorities that are trusted"
    return Meaning("error", words, advice)


def _cut(said: str) -> str:
    """Return what a sink said, on one line and not too long."""
    return cut(" ".join(said.split()), _SHOWN_LENGTH)


def _object(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
