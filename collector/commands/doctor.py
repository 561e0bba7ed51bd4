"""`collector doctor`: looks at everything that can go wrong, before the first event."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
import typer
from rich.console import Console

from collector import streams
from collector.commands import access
from collector.commands.access import (  # noqa: TC001 - typer reads them
    ConfigOption,
    FormOption,
    RoleOption,
)
from collector.describe import doctor_report
from collector.doctor.findings import worst
from collector.roles import Role


def doctor(
    *,
    config: ConfigOption = None,
    role: RoleOption = Role.ALL,
    form: FormOption = "text",
    send_test: Annotated[
        bool,
        typer.Option(
            "--send-test",
            help="Post an empty batch to ndjson and json sinks, which are only asked with HEAD "
            "otherwise.",
        ),
    ] = False,
    seconds: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, max=60, help="Seconds that each step on the network may take."
        ),
    ] = 5.0,
) -> None:
    """Look at all that a configuration needs: machine, disk, ports, certificates, keys, servers.

    For example `collector doctor -c FILE`, run as the daemon's user.

    Each finding says what to do. No event is sent, and nothing is changed; beside a running daemon
    it works too. With --role only what that role needs is looked at.

    Exit code 1 if something is an error, 2 if the settings cannot be used.
    """
    from collector.doctor.examination import examine  # noqa: PLC0415 - others need not aiohttp

    loaded = access.load(config, role)
    with Console(stderr=True).status("looking"):
        findings = asyncio.run(examine(loaded, role, send_test=send_test, seconds=seconds))
    if form == "json":
        for finding in findings:
            streams.write(orjson.dumps(doctor_report.as_object(finding)))
    else:
        doctor_report.show(findings, Console())
    raise typer.Exit(int(worst(findings) == "error"))
