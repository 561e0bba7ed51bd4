"""What commands share: options, settings, the spool's files beside the daemon that may use them.

A command that cannot go on ends here, with a message and the exit code.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from collector import config as settings
from collector import embedded, logs, roles
from collector.roles import Role
from collector.settings.problems import ConfigError
from collector.spool import files, requests
from collector.spool.adoption import settle
from collector.spool.bounds import Bounds
from collector.spool.store import (
    NUMBERS_PER_WORKER,
    DamagedError,
    NewerVersionError,
    Store,
    is_damage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collector.config import Config
    from collector.spool.requests import Command, Request

POLL_SECONDS = 0.2

INTERRUPTED = 130
"""The exit code of a command that SIGINT ended, as a shell has it."""

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


RoleOption = Annotated[
    Role,
    typer.Option(
        "--role",
        envvar=roles.VARIABLE,
        help="What of the work this machine does, where several share a stream "
        "(spool.type: jetstream): receive, deliver, or all of it.",
    ),
]

Form = Literal["text", "json"]
FormOption = Annotated[
    Form, typer.Option("--format", help="text for people; json, an object per line, for programs.")
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Leave it to the daemon and go.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, whatever it concerns.")]


def fail(text: str, code: int) -> NoReturn:
    """End the command with a message."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def load(file: Path | None, role: Role | None = None) -> Config:
    """Return the settings of the daemon; ends the command where they cannot be used.

    Args:
        file: their file; None for the embedded default.
        role: of the daemon; None for what the environment says.
    """
    try:
        if file is not None:
            return settings.load(file, role=role_of_environment() if role is None else role)
        if not (embedded.DIRECTORY / embedded.KEYS_FILE).exists():
            fail(f"no configuration: give -c FILE; there is no ./{embedded.DIRECTORY} either", 2)
        return embedded.load(embedded.DIRECTORY, os.environ)[0]
    except ConfigError as error:
        fail(str(error), 2)


def role_of_environment() -> Role:
    """Return the role of the daemon beside which a command runs, which has no option for it."""
    name = os.environ.get(roles.VARIABLE) or Role.ALL
    try:
        return Role(name)
    except ValueError:
        fail(f"{roles.VARIABLE}: no role is named {name!r}; accepted: {', '.join(Role)}", 2)


def directory_of(config: Config) -> Path:
    """Return where the spool's file is; ends the command if there can be none."""
    if config.spool.type == "memory":
        fail(
            "spool.type is memory: what waits and dead letters are in the daemon's memory alone "
            "and end with it; with spool.type: sqlite they would be kept",
            1,
        )
    return Path(config.spool.path)


Stores = dict[int, Store]
"""The open files of a spool, by the number of their worker."""


@contextmanager
def opened(directory: Path, *, to_write: bool = False) -> Iterator[Stores]:
    """Open the spool's files beside the daemon that may use them; ends the command if it cannot.

    Args:
        directory: where the files are.
        to_write: whether a request is to be left; else nothing can be changed by mistake.
    """
    workers = files.workers(directory)
    if not workers:
        path = directory / files.DATABASE
        fail(f"{path} does not exist: no daemon has run with this spool.path yet", 1)
    with _all_opened(directory, workers, partial(Store, directory)) as stores:
        if not to_write:
            for store in stores.values():
                store.connection.execute("PRAGMA query_only = 1")
        yield stores


@contextmanager
def owned(config: Config, directory: Path) -> Iterator[Stores]:
    """Open the spool's files in place of a daemon, and keep one from starting meanwhile.

    Args:
        config: the settings of the daemon.
        directory: where the files are.

    Raises:
        files.LockedError: a daemon uses one of them.
    """
    workers = files.workers(directory)
    kept = config.dead_letters
    open_one = partial(
        Store,
        directory,
        synchronous=config.spool.synchronous,
        bounds=Bounds(kept.max_bytes, kept.unknown_intake_max_bytes),
    )
    with (
        files.locked(directory, {0, *workers}),
        _all_opened(directory, workers, open_one) as stores,
    ):
        for store in stores.values():
            settle(stores[workers[0]], store)
        yield stores


@contextmanager
def _all_opened(
    directory: Path, workers: Sequence[int], open_one: Callable[..., Store]
) -> Iterator[Stores]:
    """Open files; ends the command where one of them cannot be used."""
    paths = {worker: files.place(directory, files.DATABASE, worker) for worker in workers}
    stores: Stores = {}
    with ExitStack() as held:
        for worker, path in paths.items():
            with named_errors(path):
                stores[worker] = held.enter_context(closing(open_one(worker=worker)))
        with named_errors(paths[workers[0]] if len(workers) == 1 else directory):
            yield stores


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
    return files.is_locked(directory)


def ask(directory: Path, command: Command, asked: Mapping[int, Mapping[str, object]]) -> list[int]:
    """Leave a request for the daemon, or for its next start, in each file that it concerns.

    Args:
        directory: where the files are.
        command: what is asked for.
        asked: the arguments by the number of the worker whose file it is.

    Returns:
        The numbers of the requests.
    """
    with opened(directory, to_write=True) as stores:
        return [
            requests.ask(
                stores[worker].connection, command, arguments, actor=logs.user(), now=time.time()
            )
            for worker, arguments in asked.items()
        ]


def answered(directory: Path, numbers: Sequence[int], what: str, total: int) -> list[Request]:
    """Wait until the daemon has answered requests, with a progress bar.

    Ends the command if the daemon ends before, or the user does not want to wait.

    Args:
        directory: where the spool's files are.
        numbers: of the requests.
        what: is being done, as `replaying`.
        total: how many are to be done.
    """
    them, stay = ("it", "stays") if len(numbers) == 1 else ("them", "stay")
    later = f"{named(numbers)} {stay} in the spool, and the daemon carries {them} out"
    try:
        with opened(directory) as stores, progress() as bar:
            task = bar.add_task(what, total=total)
            while True:
                is_served = daemon_runs(directory)
                found = [_request(stores, number) for number in numbers]
                open_ones = [request for request in found if not request.is_answered]
                described = _description(what, open_ones)
                bar.update(task, completed=sum(map(_done, found)), description=described)
                if not open_ones:
                    return found
                if not is_served:
                    fail(f"the daemon has ended; {later} at its next start", 1)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        fail(later, 1)


def fail_if_any_did(requests: Sequence[Request]) -> None:
    """End the command with the problem of a request that failed."""
    for request in requests:
        if request.state == "failed":
            fail(request.answer["problem"], 1)


def named(numbers: Sequence[int]) -> str:
    """Name requests by their numbers."""
    return f"request{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _request(stores: Stores, number: int) -> Request:
    """Read a request from the file that it was left in."""
    store = stores.get(number // NUMBERS_PER_WORKER)
    request = None if store is None else requests.read(store.connection, number)
    if request is None:
        fail(f"request {number} is gone", 1)
    return request


def confirm(what: str) -> None:
    """Ask whether that is meant; where nobody can be asked, end the command."""
    if not _is_interactive():
        fail(f"to {what}, say --yes", 2)
    typer.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)


def _is_interactive() -> bool:
    return sys.stdin.isatty()


def progress(*columns: ProgressColumn) -> Progress:
    """Return a progress bar on stderr; nothing of it is written where that is no terminal.

    Args:
        columns: what it shows beside a description; by default how many of how many.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeElapsedColumn())),
        console=console,
        disable=not console.is_interactive,
    )


def _done(request: Request) -> int:
    """Return how many a request has done, whatever it does with them."""
    answer = request.answer
    counts = [answer.get(name, 0) for name in ("replayed", "kept", "buried")]
    return sum([*counts, *answer.get("purged", {}).values()])


def _description(what: str, found: Sequence[Request]) -> str:
    """Say what is done, and what that waits for, if all of it does."""
    if found and all(request.state == "waiting" for request in found):
        return f"{what}: the daemon has not begun"
    if found and all(request.answer.get("away") for request in found):
        return f"{what}: until the servers of the stream answer"
    if found and all(request.answer.get("waits") for request in found):
        return f"{what}: until the spool has room"
    return what
