"""Asks the servers of a stream: whether they let us in, and whether the stream is as settings want.

Nothing is made or changed, and no message is published or taken. All servers are asked at the same
time, and each step has its time.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

import nats.errors

from collector.describe.quantities import count, octets
from collector.doctor.findings import Finding
from collector.roles import STREAM
from collector.settings.files import FileError
from collector.stream import StreamError, topology
from collector.stream.asking import ApiError, Asker
from collector.stream.link import GuardedClient, connect, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config import Config, SpoolSettings
    from collector.doctor.findings import Level

_SUBJECT: Final = "stream"

# What an attempt to connect ends with; TlsError is a FileError, nats.errors.TimeoutError a
# TimeoutError.
_FAILURES: Final = (OSError, nats.errors.Error, TimeoutError, FileError, ValueError)

_NOBODY: Final = "a server that runs there, and a way to it: names, routes, firewalls"
_CREDENTIALS: Final = (
    "credentials that the servers know: spool.credentials_file, spool.user or spool.token_file"
)
_ALLOWED: Final = (
    "servers with JetStream that have elected who leads, and permission for $JS.API.STREAM.INFO"
)
_AS_WANTED: Final = "change the settings, or the stream: `nats stream edit`"


async def ask_stream(config: Config, seconds: float) -> list[Finding]:
    """Find out whether the stream of settings can be used; nothing where they have none.

    Args:
        config: the settings.
        seconds: that each step may take.
    """
    spool = config.spool
    if spool.type != STREAM:
        return []
    attempts = await asyncio.gather(*(_try(spool, server, seconds) for server in spool.servers))
    clients = [found for found in attempts if isinstance(found, GuardedClient)]
    # One server is enough.
    level: Level = "warning" if clients else "error"
    findings = []
    for index, found in enumerate(attempts):
        where, server = f"spool.servers[{index}]", spool.servers[index]
        if isinstance(found, GuardedClient):
            findings.append(Finding("ok", _SUBJECT, where, f"{server} lets us in"))
        else:
            advice = _advice(found)
            text = f"{server}: {describe(found)}"
            findings.append(Finding(level, _SUBJECT, where, text, advice))
    try:
        if clients:
            findings += await _ask_streams(config, clients[0])
    finally:
        for client in clients:
            client.abandon()
    return findings


async def _try(spool: SpoolSettings, server: str, seconds: float) -> GuardedClient | BaseException:
    """Return a client that a server has let in, or why it has not."""
    client = GuardedClient()

    async def on_error(error: Exception) -> None:
        client.refusal = describe(error)

    try:
        async with asyncio.timeout(seconds):
            await connect(
                client,
                spool,
                server,
                name="collector doctor",
                on_error=on_error,
                seconds=max(1, round(seconds)),
            )
    except _FAILURES as error:
        client.abandon()
        # Where nobody lets us in, nats-py says no more than that.
        return nats.errors.Error(client.refusal) if client.refusal else error
    return client


def _advice(error: BaseException) -> str:
    """Say what to do about an attempt to connect that failed."""
    match error:
        case nats.errors.SecureConnWantedError():
            return "TLS in the settings of the servers, or nats:// and no spool.tls"
        case ssl.SSLError() | FileError():
            return "spool.tls.ca_file: the authority of the servers; PEM files that belong together"
        case nats.errors.Error() if "uthoriz" in str(error):
            return _CREDENTIALS
        case _:
            return _NOBODY


async def _ask_streams(config: Config, client: GuardedClient) -> list[Finding]:
    """Look at both streams with the help of a server that has let us in."""
    spool = config.spool
    asker = Asker()
    try:
        await asker.bind(client)
        return [
            await _look(asker, topology.batch_stream(spool), topology.BATCH_SETTINGS),
            await _look(
                asker,
                topology.letter_stream(spool, config.dead_letters.max_bytes),
                topology.LETTER_SETTINGS,
            ),
        ]
    except nats.errors.Error as error:
        return [Finding("error", _SUBJECT, "spool.servers", describe(error), _NOBODY)]


async def _look(asker: Asker, wanted: Mapping[str, Any], settings: Mapping[str, str]) -> Finding:
    """Hold a stream against what settings want."""
    name = f"stream {wanted['name']}"
    try:
        info = await asker.api(f"STREAM.INFO.{wanted['name']}", seconds=topology.SURVEY_SECONDS)
    except ApiError as error:
        if error.number == topology.NO_STREAM:
            found = f"{name} is not there: the first daemon makes it"
            return Finding("note", _SUBJECT, "spool.stream", found)
        return Finding("error", _SUBJECT, "spool.stream", f"{name}: {error}", _ALLOWED)
    except StreamError as error:
        return Finding("error", _SUBJECT, "spool.stream", f"{name}: {error}", _ALLOWED)
    said = topology.mismatches(wanted, info["config"], settings)
    if said:
        found = f"{name}: {'; '.join(said)}"
        return Finding("error", _SUBJECT, "spool.stream", found, _AS_WANTED)
    return Finding(
        "ok", _SUBJECT, "spool.stream", f"{name} is as settings have it, {_held(info, wanted)}"
    )


def _held(info: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say how much a stream holds."""
    state = info.get("state") or {}
    messages, taken = state.get("messages", 0), state.get("bytes", 0)
    return f"{count(messages)} messages in {octets(taken)} of {octets(wanted['max_bytes'])}"
