"""`collector spool`: what waits and for whom, and whether the files are sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import typer
from rich.console import Console

from collector import logs, streams
from collector.commands import access
from collector.commands.access import ConfigOption, FormOption, fail
from collector.describe import spool_report
from collector.ledger import Ledger
from collector.roles import STREAM
from collector.spool import files, letters
from collector.spool.store import Waiting
from collector.spool.verification import verify as verify_file

if TYPE_CHECKING:
    from pathlib import Path

    from collector.commands.access import Stores
    from collector.config import Config
    from collector.spool.requests import Request

app = typer.Typer(no_args_is_help=True, help="Look at what waits and at its files; deliver it.")


@app.command()
def status(config: ConfigOption = None, form: FormOption = "text") -> None:
    """Say what waits, for whom and since when; beside a running daemon or without one.

    The accounts are those of the file: what a daemon has in memory alone is not among them. Nor is
    what a stream holds that several share: `collector top` shows it.
    """
    loaded = access.load(config)
    directory = access.directory_of(loaded)
    with access.opened(directory) as stores:
        found = _status(loaded, directory, stores)
    if form == "json":
        streams.write(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        spool_report.show_status(found, Console())


@app.command()
def verify(config: ConfigOption = None, form: FormOption = "text") -> None:
    """Read every file of the spool through, damaged ones too, and say what can be read.

    Exit code 1 if anything cannot.
    """
    directory = access.directory_of(access.load(config))
    paths = files.databases(directory)
    if not paths:
        fail(
            f"there is no spool file in {directory}: no daemon has run with this spool.path yet", 1
        )
    is_sound = True
    console = Console()
    for path in paths:
        with access.named_errors(path), Console(stderr=True).status(f"reading {path}"):
            findings = verify_file(path)
        is_sound &= findings.is_sound
        if form == "json":
            streams.write(orjson.dumps(spool_report.findings_object(findings)))
        else:
            spool_report.show_findings(findings, console)
    raise typer.Exit(int(not is_sound))


@app.command()
def drain(config: ConfigOption = None) -> None:
    """Deliver what waits without listening, until nothing does; Ctrl-C ends it early.

    For the last events of a machine that is to go. The daemon must not run. Exit code 1 if events
    still wait in the end. Where machines share a stream, what waits here goes to it; unless
    COLLECTOR_ROLE is receive, this machine also delivers what the stream holds.
    """
    from collector import process, refusals  # noqa: PLC0415 - others need not its libraries

    loaded = access.load(config)
    directory = access.directory_of(loaded)
    logs.configure(loaded.logging.level, loaded.logging.format)
    with (
        access.audited("drain", spool=str(directory)) as result,
        access.progress() as shown,
    ):
        task = shown.add_task("delivering", total=None)
        total = 0

        def tell(waiting: int) -> None:
            nonlocal total
            total = max(total, waiting)
            result.update(waited=total, waiting=waiting)
            shown.update(task, total=total, completed=total - waiting)

        try:
            code = process.run(process.drain(loaded, tell, access.role_of_environment()))
        except refusals.StartError as error:
            shown.stop()
            fail(str(error), 1)
        if code:
            raise typer.Exit(code)


def _status(config: Config, directory: Path, stores: Stores) -> dict[str, Any]:
    """Return the state of a spool as JSON can hold it, that of each file of one moment."""
    configured = {sink.name for sink in config.sinks}
    ledger, waiting = Ledger(), dict[str, Waiting]()
    requests: list[Request] = []
    for store in stores.values():
        store.connection.execute("BEGIN")
        ledger.restore(store.accounts())
        for entry in store.waiting():
            ledger.spooled += entry.events
            waiting[entry.sink] = _together(entry, waiting.get(entry.sink))
        ledger.dead_lettered += letters.count(store.connection)
        requests += store.waiting_requests()
        store.connection.execute("COMMIT")
    paths = [store.path for store in stores.values()]
    return {
        "file": str(paths[0]),
        "files": [str(path) for path in paths],
        "in_use": access.daemon_runs(directory),
        "octets": sum(map(_octets, paths)),
        "max_bytes": config.spool.bound,
        "stream": config.spool.stream if config.spool.type == STREAM else None,
        "waiting": [
            spool_report.waiting_object(entry, is_gone=entry.sink not in configured)
            for _, entry in sorted(waiting.items())
        ],
        "requests": [spool_report.request_object(request) for request in requests],
        "ledger": ledger.as_dict(),
        "damaged": [str(path) for path in files.databases(directory) if path not in paths],
    }


def _together(entry: Waiting, other: Waiting | None) -> Waiting:
    """Return what waits for one sink in two files."""
    if other is None:
        return entry
    return Waiting(
        entry.sink,
        entry.batches + other.batches,
        entry.events + other.events,
        entry.octets + other.octets,
        min(entry.oldest, other.oldest),
    )


def _octets(database: Path) -> int:
    """Return how long a database and its write-ahead log are."""
    log = database.with_name(f"{database.name}-wal")
    return sum(path.stat().st_size for path in (database, log) if path.exists())
