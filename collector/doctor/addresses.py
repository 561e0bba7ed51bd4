"""Whether the addresses that senders seem to have are theirs: containers and NAT."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from collector.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config
    from collector.doctor.machine import Machine

_ADVICE = (
    "`network_mode: host` with Docker, `externalTrafficPolicy: Local` with Kubernetes, or a proxy "
    "that speaks the PROXY protocol; or keys, which need no address"
)


def on_addresses(
    config: Config, machine: Machine, status: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Say whether NAT may hide senders, and what of the settings goes by their addresses.

    Args:
        config: the settings.
        machine: where we are.
        status: what a running daemon says (`/api/status`); None without one.
    """
    if machine.gateway is not None and (hidden := _seen_alone(status, machine.gateway)):
        found = (
            f"all messages of intake {', '.join(hidden)} seem to come from {machine.gateway}, the "
            "gateway: NAT hides who sends"
        )
        yield Finding("warning", "senders", "intakes", found, _ADVICE)
    if not machine.is_bridged:
        return
    uses = list(_uses(config))
    for where, what in uses:
        found = (
            f"goes by the sender's address{what}, but in this container ({machine.container}, "
            "with a network of its own) NAT may give all senders one"
        )
        yield Finding("warning", "senders", where, found, _ADVICE)
    if not uses:
        found = f"in a container ({machine.container}) with a network of its own: NAT may give "
        found += "all senders one address, in log.source.address and in what was last seen"
        yield Finding("note", "senders", "", found, _ADVICE)
    yield from _on_gateway(config, machine.gateway)


def _seen_alone(status: Mapping[str, Any] | None, gateway: str) -> list[str]:
    """Return the intakes of which the gateway is the only source that was seen."""
    intakes = status.get("intakes", []) if status else []
    return [
        intake["name"]
        for intake in intakes
        if [entry["source"] for entry in intake["last_seen"]] == [gateway]
    ]


def _uses(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each setting that goes by the address of a sender, and what it does with it."""
    for index, listener in enumerate(config.listeners):
        if listener.path is None and listener.allowed_sources:
            yield f"listeners[{index}].allowed_sources", " (others are refused)"
    for index, intake in enumerate(config.intakes):
        if intake.sources:
            yield f"intakes[{index}].sources", " (messages belong to the intake by it)"
        if intake.expect_every is not None:
            yield f"intakes[{index}].expect_every", " (each is a sender that may fall silent)"
        if "source" in intake.envelope:
            yield f"intakes[{index}].envelope", " (log.source.address)"


def _on_gateway(config: Config, gateway: str | None) -> Iterator[Finding]:
    """Find networks that are meant for some, and hold whoever comes through the gateway."""
    if gateway is None:
        return
    listeners = list(enumerate(config.listeners))
    lists = [
        *((f"listeners[{n}].allowed_sources", x.allowed_sources) for n, x in listeners),
        *((f"listeners[{n}].proxy_protocol", x.proxy_protocol) for n, x in listeners),
        *((f"intakes[{n}].sources", x.sources) for n, x in enumerate(config.intakes)),
    ]
    address = ip_address(gateway)
    for where, networks in lists:
        if any(address in network for network in networks):
            found = f"the gateway {gateway} is among them, and with NAT everybody may come from it"
            yield Finding("warning", "senders", where, found, _ADVICE)
