"""`collector send`: sample or given events, sent as a relay sends them."""

from __future__ import annotations

import itertools
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from collector import embedded, samples, sending, streams
from collector.certificates import TlsError
from collector.commands import access
from collector.commands.access import fail
from collector.config import RoutingSettings
from collector.sending.connections import TlsFiles, explanation
from collector.sending.transports import LostError, Tally
from collector.sending.transports import send as send_messages

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from typer.models import OptionInfo

Transport = Literal["udp", "tcp", "tls", "relp"]

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


def _pem(help_text: str) -> OptionInfo:
    """Return an option that takes a PEM file."""
    option: OptionInfo = typer.Option(metavar="FILE", exists=True, dir_okay=False, help=help_text)
    return option


def send(
    *,
    to: Annotated[str, typer.Option(metavar="HOST:PORT", help="The collector.")] = "127.0.0.1:5514",
    transport: Annotated[
        Transport,
        typer.Option(
            help="tcp is octet-counted, tls is tcp over TLS, relp waits until every message is "
            "answered."
        ),
    ] = "tcp",
    tls: Annotated[bool, typer.Option("--tls", help="TLS with --transport relp, or tcp.")] = False,
    ca_file: Annotated[
        Path | None,
        _pem("Authorities trusted to sign the collector's certificate, instead of the system's."),
    ] = None,
    cert_file: Annotated[
        Path | None, _pem("Certificate to show to the collector, with its chain.")
    ] = None,
    key_file: Annotated[Path | None, _pem("Its private key, unless --cert-file holds it.")] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Send over TLS to whoever answers: the certificate and the name in it are not "
            "verified.",
        ),
    ] = False,
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
    """Send sample events, or the payloads of FILE (one a line), with a progress bar.

    For example `collector send --vendor cybereason --count 1000 --rate 50`, or
    `collector send --to siem.example:6514 --transport tls --key KEY`.

    The collector's certificate must be for the host in --to.

    Over RELP the bar counts what is answered; a message that is refused is a failure.
    """
    files = TlsFiles(ca_file, cert_file, key_file, verify=not insecure)
    host, port = _host_and_port(to)
    target = _Target(
        to, host, port, transport, files, _tls_context(transport, tls=tls, files=files)
    )
    outgoing = _outgoing(vendor, key, file)
    if not outgoing:
        fail("nothing to send: the input is empty", 1)
    tally = _sent(_messages(outgoing), count or len(outgoing), target, rate)
    if tally.refused:
        where = f"{to} over {target.over}"
        fail(f"{_counts(tally)}, to {where}; the collector says: {tally.refusal}", 1)
    accepted = f", accepted {tally.accepted}" if transport == "relp" else ""
    typer.echo(
        f"sent {tally.messages} messages{accepted}, {tally.octets} octets, "
        f"to {to} over {target.over}{_about_keys(outgoing, key)}"
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """The collector that messages are sent to.

    Attributes:
        to: where it is, as it was given.
        host: of that.
        port: of that.
        transport: how they are sent.
        files: what TLS is spoken with.
        context: made of them; None without TLS.
    """

    to: str
    host: str
    port: int
    transport: Transport
    files: TlsFiles
    context: ssl.SSLContext | None

    @property
    def over(self) -> str:
        """Name the transport, and TLS where it does not say so itself."""
        is_told = self.context is None or self.transport == "tls"
        return self.transport if is_told else f"{self.transport} with TLS"

    def why(self, error: OSError) -> str:
        """Return why nothing more can be sent, and what may help."""
        why = explanation(error, self.host)
        is_unknown = self.context is not None and self.files.cert_file is None
        if is_unknown and isinstance(error, ConnectionError):
            # Some collectors refuse a sender without a certificate and do not say so.
            why += "; if it wants a client certificate, give --cert-file and --key-file"
        return why


def _sent(messages: Iterator[bytes], total: int, target: _Target, rate: float | None) -> Tally:
    """Send messages with a progress bar; ends the command where not all can be sent.

    Args:
        messages: at least as many as are to be sent.
        total: how many those are.
        target: where they are sent.
        rate: messages per second; None for as many as the collector takes.
    """
    to = target.to
    with access.progress() as progress:
        task = progress.add_task("sending", total=total)
        try:
            return send_messages(
                itertools.islice(messages, total),
                host=target.host,
                port=target.port,
                transport="tcp" if target.transport == "tls" else target.transport,
                context=target.context,
                rate=rate,
                progressed=lambda number: progress.advance(task, number),
            )
        except OSError as error:
            progress.stop()
            fail(f"cannot send to {to}: {target.why(error)}", 1)
        except LostError as error:
            progress.stop()
            counts = f"; {_counts(error.tally)}" if error.tally.messages else ""
            fail(f"cannot send to {to}: {target.why(error.cause)}{counts}", 1)
        except UnicodeError:
            progress.stop()
            fail(f"--to {to!r}: {target.host!r} is no host name", 2)
        except KeyboardInterrupt:
            progress.stop()
            done = f"{progress.tasks[task].completed:.0f} of {total} messages"
            state = "accepted" if target.transport == "relp" else "sent"
            fail(f"interrupted; {state} {done}, to {to}", access.INTERRUPTED)


def _about_keys(outgoing: list[sending.Outgoing], given: str | None) -> str:
    """Say which intake keys were sent where nobody gave one: those of another collector, maybe."""
    if not all(item.key for item in outgoing):
        return ", without an intake key"
    if given is None and any(embedded.known_key(item.vendor, {}) == item.key for item in outgoing):
        return f", with the intake keys of {embedded.DIRECTORY / embedded.KEYS_FILE}"
    return ""


def _counts(tally: Tally) -> str:
    """Return what became of messages over RELP, where not all is well."""
    counts = f"sent {tally.messages} messages, accepted {tally.accepted}"
    if tally.refused:
        counts += f", refused {tally.refused}"
    if tally.unanswered:
        counts += f", not answered {tally.unanswered}"
    return counts


def _tls_context(transport: Transport, *, tls: bool, files: TlsFiles) -> ssl.SSLContext | None:
    """Return what TLS is to be spoken with, if it is; ends the command where options disagree."""
    if transport == "udp" and tls:
        fail("--tls: not over udp; --transport tls or relp", 2)
    if transport != "tls" and not tls:
        if files != TlsFiles():
            fail("--ca-file, --cert-file, --key-file, --insecure: with --transport tls or --tls", 2)
        return None
    if files.ca_file is not None and not files.verify:
        fail("--insecure verifies nothing, so that --ca-file has no effect: give one of them", 2)
    if files.key_file is not None and files.cert_file is None:
        fail("--key-file: give the certificate too, as --cert-file", 2)
    try:
        return files.context()
    except TlsError as error:
        fail(str(error), 2)


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
