"""Asks whether sinks can be reached: name, connection, TLS, and a request that stores nothing.

Each step has its time; sinks are asked at the same time, and nothing that is asked can hold up the
end of the command.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from collector import certificates
from collector.certificates import TlsError
from collector.describe.terminal import cut
from collector.doctor import answers
from collector.doctor.findings import Finding, Meaning
from collector.doctor.questions import questions
from collector.doctor.times import day
from collector.doctor.waiting import beside
from collector.listeners.sockets import authority
from collector.settings.secret_files import SecretFileError
from collector.sinks.credentials import mask, request_headers, secrets_of
from collector.sinks.formats import format_of
from collector.sinks.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import IntakeSettings, SinkSettings
    from collector.doctor.questions import Question

# Of a name with several addresses so many are tried.
MOST_ADDRESSES: Final = 4

_ANSWER_OCTETS: Final = 64 * 1024
_SHOWN_LENGTH: Final = 200

# The setting that a status is about.
_BEHIND: Final = MappingProxyType({401: "auth", 403: "auth", 407: "proxy"})

# What a connection that the other side has given up ends with.
_CUT_OFF: Final = frozenset({errno.ECONNRESET, errno.EPIPE})

_Step = tuple[str, Meaning]
"""The setting behind what a step found, below the sink, and what that means."""


class Target(NamedTuple):
    """Whom we connect with: the sink, or the proxy before it."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        """Return whom a URL names."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.hostname or "", port)

    def __str__(self) -> str:
        return authority(self.host, self.port)


async def ask_sink(
    index: int,
    sink: SinkSettings,
    intakes: Sequence[IntakeSettings],
    *,
    send_test: bool,
    seconds: float,
) -> list[Finding]:
    """Find out whether a sink can be reached and takes events; after an error that is all.

    Args:
        index: its position among the sinks.
        sink: its settings.
        intakes: those whose events go there.
        send_test: whether an empty batch may be posted where that might count for an event.
        seconds: that each step may take.
    """
    path, subject = f"sinks[{index}]", f"sink {sink.name}"
    if sink.is_inbox:
        kept = "events are kept in memory, the newest of them, to be looked at"
        return [Finding("note", subject, f"{path}.url", kept, "the url of a SIEM forwards them")]
    steps = await _steps(sink, intakes, send_test=send_test, seconds=seconds)
    return [meaning.at(subject, f"{path}.{where}") for where, meaning in steps]


async def _steps(
    sink: SinkSettings, intakes: Sequence[IntakeSettings], *, send_test: bool, seconds: float
) -> list[_Step]:
    """Return what each step found, and the setting behind it."""
    proxy = None if sink.proxy is None else sink.proxy.get_secret_value()
    setting, target = ("url", Target.of(sink.url)) if proxy is None else ("proxy", Target.of(proxy))
    addresses, problem = await _resolve(target, seconds)
    if problem is not None:
        return [(setting, problem)]
    found = [(setting, await _connect(target, addresses, seconds))]
    if not _has_ended(found) and proxy is None and urlsplit(sink.url).scheme == "https":
        found.append(("tls", await _shake_hands(sink, target, seconds)))
    if not _has_ended(found):
        found += await _asked(sink, questions(sink, intakes, send_test=send_test), proxy, seconds)
    return found


def _has_ended(found: Sequence[_Step]) -> bool:
    return found[-1][1].level == "error"


async def _asked(
    sink: SinkSettings, asked: Sequence[Question], proxy: str | None, seconds: float
) -> list[_Step]:
    """Return what the answers to questions mean; after an error no more are asked.

    That a key of an intake is not taken says nothing of the others.
    """
    try:
        headers = request_headers(sink, format_of(sink))
        context = client_context(sink.tls)
    except SecretFileError as error:
        advice = "a file that the daemon's user may read"
        return [("auth", Meaning("error", str(error), advice))]
    except TlsError as error:
        return [(f"tls.{error.setting}", _unusable(error))]
    found: list[_Step] = []
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=seconds),
        connector=aiohttp.TCPConnector(ssl=context),
        proxy=proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:
        for question in asked:
            found.append(await _ask(session, sink, question, headers))
            if _has_ended(found) and not (question.secret and found[-1][0] == "auth"):
                break
    return found


def _unusable(error: TlsError) -> Meaning:
    return Meaning("error", f"{error.path} {error.reason}", "PEM files that belong together")


async def _resolve(target: Target, seconds: float) -> tuple[list[str], Meaning | None]:
    """Return the addresses of a name, or what it means that there is none."""
    try:
        found = await beside(
            lambda: socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM), seconds
        )
    except TimeoutError:
        advice = "look at /etc/resolv.conf, and whether its servers can be reached"
        return [], Meaning("error", f"no answer to the name {target.host} in {seconds:g} s", advice)
    except (OSError, UnicodeError):
        return [], answers.of_name(target.host)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found)), None


async def _connect(target: Target, addresses: Sequence[str], seconds: float) -> Meaning:
    """Connect with each address of a target."""
    tried = addresses[:MOST_ADDRESSES]
    began = time.monotonic()
    errors = await asyncio.gather(
        *(_connection_error(address, target.port, seconds) for address in tried)
    )
    failed = {address: error for address, error in zip(tried, errors, strict=True) if error}
    if len(failed) == len(tried):
        return answers.of_connection(next(iter(failed.values())), str(target))
    if failed:
        found = f"{target} answers, but not at {', '.join(failed)}"
        advice = "some requests may take longer, or fail: look at that address, or at its DNS name"
        return Meaning("warning", found, advice)
    taken = (time.monotonic() - began) * 1000
    return Meaning("ok", f"{target} can be connected with, in {taken:.0f} ms")


async def _connection_error(address: str, port: int, seconds: float) -> OSError | None:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return error
    writer.close()
    return None


async def _shake_hands(sink: SinkSettings, target: Target, seconds: float) -> Meaning:
    """Speak TLS with a sink."""
    try:
        context = client_context(sink.tls)
    except TlsError as error:
        return _unusable(error)
    if context is True:
        context = certificates.client_context(
            ca_file=None, cert_file=None, key_file=None, verify=True
        )
    assert isinstance(context, ssl.SSLContext)  # noqa: S101 - it is never False
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    except OSError as error:
        return answers.of_tls(error, target.host)
    version = writer.get_extra_info("ssl_object").version()
    peer = writer.get_extra_info("peercert") or {}
    writer.close()
    return _of_session(version, peer, time.time())


def _of_session(version: str, peer: dict[str, Any], now: float) -> Meaning:
    """Say what a handshake has shown; of a certificate that is not verified nothing is known."""
    if not peer:
        found = f"{version}, but whoever answers is believed (tls.verify: false)"
        return Meaning("warning", found, "tls.ca_file trusts its authority, and nobody else")
    end = ssl.cert_time_to_seconds(peer["notAfter"])
    if end < now + certificates.SOON_SECONDS:
        found = f"{version}; the sink's certificate ends on {day(end)}"
        return Meaning("warning", found, "tell whoever runs the sink")
    return Meaning("ok", f"{version}, the certificate is valid until {day(end)}")


async def _ask(
    session: aiohttp.ClientSession,
    sink: SinkSettings,
    question: Question,
    headers: dict[str, str],
) -> tuple[str, Meaning]:
    """Ask a sink and say what its answer means, and which setting is behind that."""
    proxy = "" if sink.proxy is None else sink.proxy.get_secret_value()
    secrets = secrets_of(sink.url, headers, proxy)
    if question.secret:
        secrets.append(question.secret)
    if question.url.endswith("_has_privileges"):
        headers = {**headers, "Content-Type": "application/json"}
    try:
        async with session.request(
            question.method,
            question.url,
            data=question.body,
            headers=headers,
            allow_redirects=False,
        ) as response:
            said = await _body(response)
            masked = {name: mask(value, secrets) for name, value in response.headers.items()}
            meaning = question.read(response.status, masked, mask(said, secrets), sink)
    except (aiohttp.ClientError, OSError) as error:
        setting, meaning = _no_answer(error, sink, secrets)
        return setting, _about(question, meaning)
    setting = _BEHIND.get(response.status, "url") if meaning.level == "error" else "url"
    return setting, _about(question, meaning)


def _about(question: Question, meaning: Meaning) -> Meaning:
    return Meaning(meaning.level, f"{question.about}: {meaning.found}", meaning.advice)


async def _body(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of an answer's body as far as it comes."""
    parts, room = [], _ANSWER_OCTETS
    with suppress(aiohttp.ClientError, OSError):
        while room and not response.content.at_eof():
            parts.append(await response.content.read(room))
            room -= len(parts[-1])
    return b"".join(parts).decode("utf-8", "replace")


def _no_answer(error: Exception, sink: SinkSettings, secrets: Sequence[str]) -> tuple[str, Meaning]:
    """Say what it means that a request was not answered, and which setting is behind it."""
    host = urlsplit(sink.url).hostname or ""
    match error:
        case aiohttp.ClientHttpProxyError():
            return "proxy", answers.of_proxy(error.status)
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            return "tls", answers.of_tls(cause if isinstance(cause, OSError) else error, host)
        case aiohttp.ClientConnectorSSLError():
            return "tls", answers.of_tls(error.os_error, host)
        case ssl.SSLError():
            return "tls", answers.of_tls(error, host)
        # With TLS 1.3 a certificate of ours that is missing shows only now, as this or as a reset.
        case aiohttp.ClientOSError(__cause__=ssl.SSLError() as cause):
            return "tls", answers.of_tls(cause, host)
    return "url", _no_http(error, secrets)


def _no_http(error: Exception, secrets: Sequence[str]) -> Meaning:
    """Say what it means that what was connected with did not answer in HTTP."""
    if isinstance(error, TimeoutError):
        found = "connected, but not answered in time"
        return Meaning("error", found, "look at the sink, and at proxies on the way")
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, aiohttp.ServerDisconnectedError) or number in _CUT_OFF:
        found = "connected, and cut off without an answer"
        return Meaning("error", found, "it may speak TLS (https://), or want our certificate")
    words = getattr(error, "message", "") or str(error) or type(error).__name__
    found = f"no HTTP answer: {cut(' '.join(mask(words, secrets).split()), _SHOWN_LENGTH)}"
    return Meaning("error", found, "what listens there may be no HTTP server")
