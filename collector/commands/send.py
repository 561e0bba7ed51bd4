"""`collector send`: sample or given events, sent as a relay sends them."""

from __future__ import annotations

import itertools
import os
import socket
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector import embedded, samples, sending, streams
from collector.commands import access
from collector.commands.access import fail
from collector.config import RoutingSettings, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTING = RoutingSettings()


class Vendor(StrEnum):
    """Whose sample events are sent."""

    cybereason = "cybereason"
    harfanglab = "harfanglab"
    all = "all"


Payloads = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="Payloads, one a line; samples if not given.",
        exists=True,
        dir_okay=False,
    ),
]


def send(
    *,
    to: Annotated[str, typer.Option(metavar="HOST:PORT", help="The collector.")] = "127.0.0.1:5514",
    transport: Annotated[Transport, typer.Option(help="tcp is octet-counted.")] = "tcp",
    vendor: Annotated[Vendor, typer.Option(help="Whose events are sent.")] = Vendor.all,
    count: Annotated[
        int | None, typer.Option(min=1, help="Messages in all; each sample once if not given.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Messages per second.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Intake key; if not given, the one of the vendor in CYBEREASON_INTAKE_KEY, "
            "HARFANGLAB_INTAKE_KEY or ./collector-data/keys.yaml, else none is sent."
        ),
    ] = None,
    file: Payloads = None,
) -> None:
    """Send sample events, or the payloads of FILE (one a line), with a progress bar."""
    host, port = _host_and_port(to)
    outgoing = _outgoing(vendor, key, file)
    if not outgoing:
        fail("nothing to send: the input is empty", 1)
    total = count or len(outgoing)
    octets = 0
    with access.progress() as progress:
        task = progress.add_task("sending", total=total)

        def sent(size: int) -> None:
            nonlocal octets
            octets += size
            progress.advance(task)

        try:
            sending.send(
                itertools.islice(_messages(outgoing), total),
                host=host,
                port=port,
                transport=transport,
                rate=rate,
                sent=sent,
            )
        except OSError as error:
            progress.stop()
            fail(f"cannot send to {to}: {error.strerror or error}", 1)
        except UnicodeError:
            progress.stop()
            fail(f"--to {to!r}: {host!r} is no host name", 2)
    keyless = "" if all(item.key for item in outgoing) else ", without an intake key"
    typer.echo(f"sent {total} messages, {octets} octets, to {to} over {transport}{keyless}")


def _host_and_port(to: str) -> tuple[str, int]:
    host, _, port = to.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail(f"--to {to!r}: not HOST:PORT, as in 127.0.0.1:5514 or [::1]:5514", 2)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _outgoing(vendor: Vendor, key: str | None, file: Path | None) -> list[sending.Outgoing]:
    """Return what is to be sent: the payloads of the file, else the samples of the vendor."""
    vendors = [Vendor.cybereason, Vendor.harfanglab] if vendor is Vendor.all else [vendor]
    keys = {name: key or embedded.known_key(name, os.environ) for name in vendors}
    if file is not None:
        name = vendors[0]
        if len(vendors) > 1 and key is None:
            fail("with FILE, say whose events they are: --vendor, or the --key itself", 2)
        return [
            sending.Outgoing(name, line.decode("utf-8", "replace"), keys[name])
            for line in streams.lines(file)
        ]
    return [
        sending.Outgoing(name, sample.raw, keys[name])
        for name in vendors
        for sample in samples.load(name)
    ]


def _messages(outgoing: list[sending.Outgoing]) -> Iterator[bytes]:
    """Yield messages without end, each with the time at which it is asked for."""
    hostname = socket.gethostname() or "-"
    for item in itertools.cycle(outgoing):
        yield sending.message(
            item,
            now=datetime.now(UTC),
            hostname=hostname,
            sd_id=ROUTING.structured_data_id,
            parameter=ROUTING.parameter,
        )
