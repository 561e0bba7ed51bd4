"""What settings allow and probably nobody means: the warnings of `collector check`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collector.events.fields import may_have
from collector.roles import STREAM
from collector.settings import constant_fields
from collector.settings.problems import Problem, listed, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from collector.config import (
        Config,
        FilterSettings,
        IntakeSettings,
        ListenerSettings,
        SinkSettings,
    )


def on_listeners(config: Config) -> Iterator[Problem]:
    """Find networks of proxies that leave nobody out."""
    for index, listener in enumerate(config.listeners):
        for number, network in enumerate(listener.proxy_protocol):
            if network.prefixlen == 0:
                message = f"{network} is everybody, who may then say that they are somebody else"
                yield Problem(f"listeners[{index}].proxy_protocol[{number}]", message)


def on_buffers(config: Config) -> Iterator[Problem]:
    """Find listeners for a message of which there is never enough room."""
    for listener in config.listeners:
        has_connections = listener.transport not in {"udp", "unix-datagram"}
        if has_connections and listener.max_message_bytes > config.max_buffered_bytes:
            longest = f"max_message_bytes of listener {shown(listener.name)}"
            message = f"less than {longest}; a message that long ends its connection"
            yield Problem("max_buffered_bytes", message)


def on_intakes(config: Config) -> Iterator[Problem]:
    """Find intakes whose messages anybody may send, and fields that hide what went wrong."""
    if not config.intakes:
        yield Problem("intakes", "there is none, so no message is forwarded")
    for index, intake in enumerate(config.intakes):
        path = f"intakes[{index}]"
        if not intake.key and not intake.key_file:
            for problem in _open_listeners(config, intake):
                yield Problem(path, problem)
        for problem in _forgeable_sources(config, intake):
            yield Problem(f"{path}.sources", problem)
        if "event.kind" in constant_fields.types(intake.fields):
            message = (
                "replaces pipeline_error too, by which messages that no parser reads are known"
            )
            yield Problem(f"{path}.fields.event.kind", message)


def _open_listeners(config: Config, intake: IntakeSettings) -> Iterator[str]:
    """Say which listeners let anyone send to an intake without a key."""
    for listener in config.listeners:
        is_open = not listener.allowed_sources and not _asks_for_certificates(listener)
        if listener.intake == intake.name and is_open and _is_public(listener):
            where = f"listener {listener.name!r} ({listener.transport} {listener.host})"
            message = f"has no key, and {where} takes its messages from any address"
            yield f"{message}; allowed_sources there limits them"


def _forgeable_sources(config: Config, intake: IntakeSettings) -> Iterator[str]:
    """Say which listeners believe the address that a datagram gives as its sender."""
    names = [
        shown(listener.name)
        for listener in config.listeners
        if listener.transport == "udp" and _is_public(listener)
    ]
    if intake.sources and not intake.key and not intake.key_file and names:
        who = f"whoever reaches listener {listed(names)} (udp)"
        yield f"{who} can forge these addresses; a key keeps others out"


def _asks_for_certificates(listener: ListenerSettings) -> bool:
    return listener.tls is not None and listener.tls.asks_for_client_cert == "required"


def _is_public(listener: ListenerSettings) -> bool:
    """Tell whether other machines may reach a listener."""
    return listener.port is not None and not is_loopback(listener.host)


def on_filters(config: Config) -> Iterator[Problem]:
    """Find filters that look at a field which no event has, which is a misspelt name at best."""
    for index, intake in enumerate(config.intakes):
        yield from _blind(f"intakes[{index}].drop", intake.drop, [intake])
    for index, sink in enumerate(config.sinks):
        senders = [intake for intake in config.intakes if sink in config.sinks_of(intake)]
        yield from _blind(f"sinks[{index}].only", sink.only, senders)


def _blind(
    path: str, filters: Sequence[FilterSettings], intakes: Collection[IntakeSettings]
) -> Iterator[Problem]:
    fields: dict[str, str] = {}
    for intake in intakes:
        fields |= intake.known_fields() | constant_fields.types(intake.fields)
    for index, item in enumerate(filters):
        if intakes and not may_have(fields, item.field):
            message = f"no event that comes here has {shown(item.field)}, as far as is known"
            yield Problem(f"{path}[{index}].field", message)


def on_sinks(config: Config) -> Iterator[Problem]:
    """Find sinks that others can read along with or pose as, and shares that stop other sinks."""
    for index, sink in enumerate(config.sinks):
        url = urlsplit(sink.url)
        if sink.auth and url.scheme == "http" and not is_loopback(url.hostname or ""):
            message = "credentials are sent over plain http; use https"
            yield Problem(f"sinks[{index}].url", message)
        if sink.tls is not None and not sink.tls.verify:
            message = "whoever stands in between can pose as the sink; ca_file trusts its authority"
            yield Problem(f"sinks[{index}].tls.verify", message)
        if waiting := _held_up_by(config, sink):
            message = (
                f"while this share is full, senders of {waiting} wait, and their other sinks get "
                "nothing new either; when_full: drop keeps them going"
            )
            yield Problem(f"sinks[{index}].spool", message)


def _held_up_by(config: Config, sink: SinkSettings) -> str:
    """Name the intakes whose other sinks have to wait for the share of one sink; as a text."""
    if sink.spool.max_bytes is None or (sink.spool.when_full or config.spool.when_full) == "drop":
        return ""
    reached = ((intake, config.sinks_of(intake)) for intake in config.intakes)
    names = [shown(intake.name) for intake, sinks in reached if sink in sinks and len(sinks) > 1]
    return f"intake {' and '.join(names)}" if names else ""


def on_spool(config: Config) -> Iterator[Problem]:
    """Find streams that lose what they hold, and servers that are told a secret in the open."""
    spool = config.spool
    if spool.type != STREAM:
        return
    if spool.replicas == 1:
        message = "what a server holds is lost with it; with 3 servers and replicas, one may be"
        yield Problem("spool.replicas", message)
    elif spool.replicas % 2 == 0:
        message = f"of {spool.replicas} servers no more may be lost than of {spool.replicas - 1}"
        yield Problem("spool.replicas", message)
    if spool.max_age is not None:
        message = "the servers delete events that wait for longer, and no account knows of them"
        yield Problem("spool.max_age", message)
    secret = "the password" if spool.password_file else "the token" if spool.token_file else ""
    for index, url in enumerate(spool.servers):
        if secret and spool.tls is None and _is_open(url):
            message = f"{secret} is sent in plain text, and so are events; use tls:// or spool.tls"
            yield Problem(f"spool.servers[{index}]", message)


def _is_open(url: str) -> bool:
    """Say whether others can read along on the way to a server."""
    parts = urlsplit(url)
    return parts.scheme == "nats" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Say whether a host, a name or an address, is this machine for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
