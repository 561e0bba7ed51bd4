"""The command line: one small function per command.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 the work failed, 2 wrong
usage or configuration.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import orjson
import structlog
import typer
from rich.console import Console

from collector import __version__, embedded, loading, logs, streams
from collector import config as settings
from collector.commands import access, dead_letters
from collector.commands import spool as spool_commands
from collector.commands.access import ConfigOption, RoleOption, fail
from collector.commands.doctor import doctor
from collector.commands.drill import drill
from collector.commands.import_intakes import import_intakes
from collector.commands.send import send
from collector.commands.top import top
from collector.describe import reference, tables
from collector.describe.explanation import explain as explain_message
from collector.describe.fields import list_fields
from collector.doctor import backlog, certificates, credentials
from collector.frames import decode
from collector.parsers import (
    PARSERS,
    ParseError,
    Profile,
    add_tags,
    build,
    cef,
    pipeline_error,
)
from collector.parsers.convert import utc_text
from collector.roles import STREAM, Role
from collector.settings.problems import ConfigError
from collector.settings.secret_files import SecretFileError
from collector.streams import InputForm
from collector.syslog import message
from collector.syslog.framing import Framer, trim_datagram
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="collector",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PARSER_NAMES = ", ".join(PARSERS)
READ_BYTES = 64 * 1024
KEY_NAME = KeyName()


if TYPE_CHECKING:
    ParserName = str
else:
    ParserName = StrEnum("ParserName", {name: name for name in PARSERS})


class FieldsFormat(StrEnum):
    """How a list of fields is written."""

    table = "table"
    json = "json"
    markdown = "markdown"
    elasticsearch = "elasticsearch"


InputFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Input; stdin if not given.", exists=True, dir_okay=False),
]
ParserOption = Annotated[
    ParserName,
    typer.Option("--parser", metavar="PARSER", help=f"What reads the payloads: {_PARSER_NAMES}."),
]
ProfileOption = Annotated[
    Profile,
    typer.Option(
        "--profile",
        help="Shape of the events: as the integration documentation has it, or as current ECS.",
    ),
]
ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="COLLECTOR_CONFIG",
        help="Configuration file.",
    ),
]


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # Tables show what senders wrote, which a terminal that is not in UTF-8 may not be able to.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
            # The system takes all memory back at once; looking for garbage in it takes 0.2 s.
            gc.freeze()
    except BrokenPipeError:
        # Whoever reads our output has enough, as `head` does.
        _abandon_stdout()
        sys.exit(1)
    except OSError as error:
        _abandon_stdout()
        typer.echo(f"collector: {error}", err=True)
        sys.exit(1)


def _abandon_stdout() -> None:
    """Give up stdout with what is left in its buffer; Python would complain of that at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"collector {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Receive EDR events over syslog, normalize them to ECS, forward them over HTTP.

    Begin with `collector run`, and `collector send` from a second terminal. With settings of your
    own: `collector check -c FILE`, `collector doctor -c FILE`, `collector run -c FILE`.

    Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration.
    """


@app.command()
def run(config: ConfigOption = None, role: RoleOption = Role.ALL) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP has it read its configuration again.

    A mistake in it then changes nothing, and the log names it.

    SIGTERM delivers what is there within shutdown_grace; a second one ends at once.

    Where several share a stream, --role receive posts to no sink and needs none of their secrets,
    --role deliver opens no listener; all go by the same file.
    """
    # A reload that is asked for before there is a daemon waits for it and does not end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    from collector import daemon, process, refusals  # noqa: PLC0415 - others need not its libraries

    if config is None and role is not Role.ALL:
        fail(f"role {role} needs settings of your own (-c FILE) with spool.type: {STREAM}", 2)
    load = loading.load_embedded if config is None else loading.from_file(config, role)
    try:
        if config is None:
            _, first_start = embedded.load(embedded.DIRECTORY, os.environ)
            if first_start is not None:
                typer.echo(first_start.announcement(), err=True)
        loaded = load()
    except ConfigError as error:
        fail(str(error), 2)
    logs.configure(loaded.config.logging.level, loaded.config.logging.format)
    log = structlog.get_logger(__name__)
    for warning in settings.warnings(loaded.config):
        log.warning("configuration", path=warning.path, problem=warning.message)

    def started(running: daemon.Daemon[Any]) -> None:
        if config is None:
            typer.echo(embedded.what_next(running.admin_address, sys.argv[0]), err=True)

    try:
        code = process.run(process.serve(loaded, load, started))
    except refusals.StartError as error:
        fail(str(error), 1)
    raise typer.Exit(code)


@app.command()
def check(config: ConfigFile, role: RoleOption = Role.ALL) -> None:
    """Validate a configuration file and say everything that is wrong with it.

    The files it names are read, but for those that the role does not use. Nothing is changed: do it
    before a reload. Whether all that the settings need is there, `collector doctor` finds out.
    """
    try:
        loaded = settings.load(config, role=role)
    except ConfigError as error:
        typer.echo(str(error))
        raise typer.Exit(2) from None
    if problems := certificates.problems(loaded):
        typer.echo(str(ConfigError(str(config), problems)))
        raise typer.Exit(2)
    for warning in (
        *settings.warnings(loaded),
        *certificates.warnings(loaded, time.time()),
        *credentials.warnings(loaded, time.time()),
        *backlog.warnings(loaded),
    ):
        typer.echo(f"{config}: {warning} (warning)")
    typer.echo(f"{config}: valid")


@app.command()
def parse(
    parser: ParserOption,
    file: InputFile = None,
    profile: ProfileOption = "documented",
    form: Annotated[
        InputForm,
        typer.Option(
            "--input",
            help="lines: a payload a line; json: each line a JSON string; "
            "wire: each line a JSON string with a whole syslog message.",
        ),
    ] = InputForm.lines,
) -> None:
    """Turn raw payloads into ECS events, one per line on stdout.

    For example `collector parse --parser cybereason payloads.txt`. What cannot be parsed comes out
    as an event that says so; exit code 1 if there was any.
    """
    read = build(parser, profile)
    failures = 0
    for line in streams.lines(file):
        text, repaired = decode(line)
        try:
            text, repaired = streams.payload(line, form, KEY_NAME)
            event = read(text)
        except ParseError as error:
            event = pipeline_error(text, error)
            failures += 1
        if repaired:
            add_tags(event, repaired)
        streams.write(orjson.dumps(event))
    raise typer.Exit(int(failures > 0))


@app.command()
def explain(
    parser: ParserOption, file: InputFile = None, profile: ProfileOption = "documented"
) -> None:
    """Show what becomes of one payload: where each field of its event comes from.

    The whole input is one payload. What of it is in no field of the event stands at the end.
    """
    with streams.opened(file) as stream:
        raw, repaired = decode(stream.read().removesuffix(b"\n").removesuffix(b"\r"))
    try:
        explanation = explain_message(PARSERS[parser], profile, raw, repaired)
    except ParseError as error:
        fail(error.problem, 1)
    tables.print_explanation(explanation)


@app.command("fields")
def fields_(
    parser: ParserOption,
    profile: ProfileOption = "documented",
    form: Annotated[
        FieldsFormat,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, json, markdown, or elasticsearch: the body of a component template.",
        ),
    ] = FieldsFormat.table,
) -> None:
    """List every field a parser can produce: name, type, source and condition."""
    vendor = PARSERS[parser]
    if form is FieldsFormat.table:
        tables.print_fields(list_fields(vendor, profile))
    elif form is FieldsFormat.markdown:
        streams.write(reference.markdown(vendor, profile).encode())
    else:
        found: Any = (
            reference.component_template(vendor, profile)
            if form is FieldsFormat.elasticsearch
            else reference.as_objects(list_fields(vendor, profile))
        )
        streams.write(orjson.dumps(found, option=orjson.OPT_INDENT_2))


@app.command()
def frames(file: InputFile = None) -> None:
    """Cut the bytes of one TCP connection into frames, each a JSON string on stdout."""
    framer = Framer("auto")
    with streams.opened(file) as stream:
        while data := stream.read(READ_BYTES):
            streams.write_frames(framer.feed(data))
    streams.write_frames(framer.close())
    if framer.incomplete is not None:
        typer.echo("the last frame is incomplete and left out", err=True)


@app.command()
def header(file: InputFile = None) -> None:
    """Read syslog messages, each line a JSON string, into their header fields and message.

    Line ends and NULs at the end of a message are left out, as they are of a datagram.
    """
    now = datetime.now(UTC)
    _read_lines(
        file,
        lambda octets: _header_fields(message.parse(trim_datagram(octets), now=now)),
    )


@app.command("cef")
def cef_(file: InputFile = None) -> None:
    """Read CEF payloads, each line a JSON string, into header fields and extensions."""
    _read_lines(file, lambda octets: cef.parse(octets.decode("utf-8", "replace"))._asdict())


@app.command()
def drift(config: ConfigOption = None) -> None:
    """List what the running daemon has seen of its senders that their parsers do not know."""
    from collector.admin import client  # noqa: PLC0415 - the other commands do without aiohttp
    from collector.describe import drift_report  # noqa: PLC0415 - as is the client

    try:
        admin = embedded.ADMIN if config is None else access.load(config).admin
        found = asyncio.run(client.get(admin, "/api/status"))["drift"]
        drift_report.show(found, Console())
    except (ConfigError, SecretFileError) as error:
        fail(str(error), 2)
    except client.AdminError as error:
        fail(str(error), 1)
    except (KeyError, TypeError) as error:
        fail(f"what answers there is no collector of this version ({error!r})", 1)


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration."""
    streams.write(orjson.dumps(settings.schema(), option=orjson.OPT_INDENT_2))


app.command()(send)
app.command()(drill)
app.command()(doctor)
app.command()(top)
app.command()(import_intakes)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(spool_commands.app, name="spool")


def _read_lines(file: Path | None, read: Callable[[bytes], dict[str, Any]]) -> NoReturn:
    """Write what `read` makes of each line's JSON string, or the error; then end the command."""
    failures = 0
    for line in streams.lines(file):
        try:
            found = read(streams.octets(line))
        except ParseError as error:
            found = {"error": str(error)}
            failures += 1
        streams.write(orjson.dumps(found))
    raise typer.Exit(int(failures > 0))


def _header_fields(found: message.Message) -> dict[str, Any]:
    stamp = found.timestamp
    return {
        "pri": found.pri,
        "facility": found.facility,
        "severity": found.severity,
        "timestamp": stamp and utc_text(stamp),
        "hostname": found.hostname,
        "app_name": found.app_name,
        "procid": found.procid,
        "msgid": found.msgid,
        "structured_data": found.structured_data,
        "message": found.message,
    }
