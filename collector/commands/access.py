"""What commands share: options, settings, and the spool's file beside the daemon that may use it.

A command that cannot go on ends here, with a message and the exit code.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from collector import config as settings
from collector import embedded, logs
from collector.settings.problems import ConfigError
from collector.spool import files, requests
from collector.spool.store import Bounds, DamagedError, NewerVersionError, Store, is_damage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.config import Config
    from collector.spool.requests import Command, Request

POLL_SECONDS = 0.2

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="COLLECTOR_CONFIG",
        help="Configuration file; without one it is the embedded default.",
    ),
]


Form = Literal["text", "json"]
FormOption = Annotated[
    Form, typer.Option("--format", help="text for people; json, an object per line, for programs.")
]


def fail(text: str, code: int) -> NoReturn:
    """End the command with a message."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def load(file: Path | None) -> Config:
    """Return the settings of the daemon; ends the command where they cannot be used."""
    try:
        if file is not None:
            return settings.load(file)
        if not (embedded.DIRECTORY / embedded.KEYS_FILE).exists():
            fail(f"no configuration: give -c FILE; there is no ./{embedded.DIRECTORY} either", 2)
        return embedded.load(embedded.DIRECTORY, os.environ)[0]
    except ConfigError as error:
        fail(str(error), 2)


def directory_of(config: Config) -> Path:
    """Return where the spool's file is; ends the command if there can be none."""
    if config.spool.type == "memory":
        fail(
            "spool.type is memory: what waits and dead letters are in the daemon's memory alone "
            "and end with it; with spool.type: sqlite they would be kept",
            1,
        )
    return Path(config.spool.path)


@contextmanager
def opened(directory: Path, *, to_write: bool = False) -> Iterator[Store]:
    """Open the spool's file beside the daemon that may use it; ends the command if it cannot be.

    Args:
        directory: where the file is.
        to_write: whether a request is to be left; else nothing can be changed by mistake.
    """
    path = directory / files.DATABASE
    if not path.exists():
        fail(f"{path} does not exist: no daemon has run with this spool.path yet", 1)
    with named_errors(path), closing(Store(directory)) as store:
        if not to_write:
            store.connection.execute("PRAGMA query_only = 1")
        yield store


@contextmanager
def owned(config: Config, directory: Path) -> Iterator[Store]:
    """Open the spool's file in place of a daemon, and keep one from starting meanwhile.

    Args:
        config: the settings of the daemon.
        directory: where the file is.

    Raises:
        files.LockedError: a daemon uses it.
    """
    lock = files.Lock(directory)
    kept = config.dead_letters
    try:
        with (
            named_errors(directory / files.DATABASE),
            closing(
                Store(
                    directory,
                    synchronous=config.spool.synchronous,
                    bounds=Bounds(kept.max_bytes, kept.unknown_intake_max_bytes),
                )
            ) as store,
        ):
            yield store
    finally:
        lock.release()


@contextmanager
def audited(action: str, **details: Any) -> Iterator[dict[str, Any]]:
    """Log for the audit that the user of this command begins something, and how it ended.

    It has failed where an exception ends it, the end of the command included.

    Args:
        action: what is done, as `purge`.
        details: of what; no secrets.

    Yields:
        What came of it: to be filled in, counts above all.
    """
    result: dict[str, Any] = {}
    state = "failed"
    logs.audit(action, logs.user(), state="begun", **details)
    try:
        yield result
        state = "done"
    finally:
        logs.audit(action, logs.user(), state=state, result=result)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """End the command with the file's name where it cannot be used."""
    damaged = "; `collector spool verify` says what can be read"
    try:
        yield
    except NewerVersionError as error:
        fail(str(error), 1)
    except DamagedError as error:
        fail(f"{path}: {error}{damaged}", 1)
    except sqlite3.Error as error:
        fail(f"{path}: {error}{damaged if is_damage(error) else ''}", 1)


def daemon_runs(directory: Path) -> bool:
    """Say whether a process uses the spool."""
    try:
        lock = os.open(directory / files.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def ask(directory: Path, command: Command, arguments: Mapping[str, object]) -> int:
    """Leave a request for the daemon, or for its next start; return its number."""
    with opened(directory, to_write=True) as store:
        return requests.ask(
            store.connection, command, arguments, actor=logs.user(), now=time.time()
        )


def answered(directory: Path, number: int, what: str, total: int) -> Request:
    """Wait until the daemon has answered a request, with a progress bar.

    Ends the command if the daemon ends before, or the user does not want to wait.

    Args:
        directory: where the spool's file is.
        number: of the request.
        what: is being done, as `replaying`.
        total: how many are to be done.
    """
    later = f"request {number} stays in the spool, and the daemon carries it out"
    try:
        with opened(directory) as store, progress() as bar:
            task = bar.add_task(what, total=total)
            while True:
                is_served = daemon_runs(directory)
                request = requests.read(store.connection, number)
                if request is None:
                    fail(f"request {number} is gone", 1)
                bar.update(task, completed=_done(request), description=_description(what, request))
                if request.is_answered:
                    return request
                if not is_served:
                    fail(f"the daemon has ended; {later} at its next start", 1)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        fail(later, 1)


def progress() -> Progress:
    """Return a progress bar on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _done(request: Request) -> int:
    """Return how many a request has done, whatever it does with them."""
    answer = request.answer
    counts = [answer.get(name, 0) for name in ("replayed", "kept", "buried")]
    return sum([*counts, *answer.get("purged", {}).values()])


def _description(what: str, request: Request) -> str:
    if request.state == "waiting":
        return f"{what}: the daemon has not begun"
    if request.answer.get("waits"):
        return f"{what}: until the spool has room"
    return what
