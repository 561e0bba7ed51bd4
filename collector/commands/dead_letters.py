"""`collector dead-letters`: what could not be processed or delivered, and what becomes of it.

Looking reads the files beside the daemon, and the stream of dead letters where daemons share one.
What changes something is left to the daemon, as a request in each file that is concerned; where
none runs, deleting and burying are done here, and replaying at its next start. What is in a stream
is changed by a daemon alone, which keeps accounts of it.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import orjson
import typer
from rich.console import Console

from collector import streams
from collector.commands import access, completion, stream
from collector.commands.access import (
    ConfigOption,
    DryRun,
    Form,
    FormOption,
    NoWait,
    Yes,
    fail,
)
from collector.commands.burying import bury
from collector.describe import letter_report
from collector.describe.terminal import printable
from collector.settings.secret_files import SecretFileError
from collector.settings.units import parse_duration
from collector.spool import files, letters
from collector.spool.letters import Choice, Kind
from collector.spool.looking import FIRST_NUMBER
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from collector.commands.access import Stores
    from collector.config import Config
    from collector.describe.letter_report import Mask
    from collector.spool import Letter
    from collector.spool.requests import Command, Request
    from collector.spool.store import Store


class Deed(NamedTuple):
    """What the daemon does with dead letters: the command, and what people are told of it."""

    command: Command
    present: str
    past: str
    progressive: str


REPLAY: Final = Deed("replay", "replays", "replayed", "replaying")
PURGE: Final = Deed("purge", "purges", "purged", "purging")

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, replay, purge and bury what could not be processed or delivered, here and, "
    "with spool.type jetstream, in the stream that daemons share.",
)


def moment(text: str) -> float:
    """Read a time, given as such or as how long ago it was.

    Args:
        text: a duration, as `2h`, or a time in the form of ISO 8601, in UTC if it names no zone.

    Returns:
        Seconds since 1970.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        return time.time() - parse_duration(text)
    except ValueError:
        pass  # no duration: a time
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{text!r} is neither a duration, as 2h, nor a time, as 2026-01-31T08:00"
        raise typer.BadParameter(problem) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER", help="Their numbers, as `show` tells them."),
]
Reason = Annotated[str | None, typer.Option(help="Only those set aside for this reason.")]
Intake = Annotated[
    str | None,
    typer.Option(help="Only those of this intake.", autocompletion=completion.intakes),
]
Sink = Annotated[
    str | None,
    typer.Option(help="Only those that this sink did not get.", autocompletion=completion.sinks),
]
Since = Annotated[
    float | None,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="Only those set aside since: 2h ago, or a time (UTC if it names no zone).",
    ),
]


@app.command("list")
def list_(
    *,
    config: ConfigOption = None,
    reason: Reason = None,
    intake: Intake = None,
    sink: Sink = None,
    since: Since = None,
    form: FormOption = "text",
) -> None:
    """List dead letters by reason, intake and sink.

    With spool.type jetstream all that the stream holds of them is read, which may take a while.
    """
    loaded = access.load(config)
    choice = Choice(reason, intake, sink, since)
    with access.opened(access.directory_of(loaded)) as stores:
        kinds = letters.together(
            [
                *(letters.summary(store.connection, choice) for store in stores.values()),
                _kinds_of_stream(loaded, choice),
            ]
        )
    if form == "json":
        for kind in kinds:
            streams.write(orjson.dumps(letter_report.kind_object(kind)))
    elif kinds:
        letter_report.show_kinds(kinds, Console())
    else:
        typer.echo("no dead letters", err=True)


@app.command()
def show(
    numbers: Numbers = None,
    *,
    config: ConfigOption = None,
    reason: Reason = None,
    intake: Intake = None,
    sink: Sink = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the oldest first.")] = 20,
    form: FormOption = "text",
) -> None:
    """Show dead letters whole, with what is known of them; intake keys are masked."""
    loaded = access.load(config)
    choice = _choice(numbers, reason, intake, sink, since)
    most = len(numbers) if numbers else limit
    remote, total = stream.first_letters(loaded, choice, most)
    with access.opened(access.directory_of(loaded)) as stores:
        total += sum(letters.count(store.connection, choice).total() for store in stores.values())
        found = [*(_each(store, choice, most) for store in stores.values()), remote]
        shown = _show(found, most, _mask(loaded), form)
    if numbers and (missing := sorted(set(numbers) - shown)):
        fail(f"no dead letter {', '.join(map(str, missing))}", 1)
    if total > len(shown):
        typer.echo(f"{len(shown)} of {total} dead letters; --limit shows more", err=True)
    elif not total:
        typer.echo("no dead letters", err=True)


@app.command()
def replay(
    numbers: Numbers = None,
    *,
    config: ConfigOption = None,
    reason: Reason = None,
    intake: Intake = None,
    sink: Sink = None,
    since: Since = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
) -> None:
    """Send dead letters through today's parser, routing and settings.

    For example `collector dead-letters replay -c FILE --reason unknown_intake --since 2h`.

    What a sink refused goes to that sink alone. What cannot go stays a dead letter.
    """
    loaded = access.load(config)
    directory = access.directory_of(loaded)
    choices, found = _chosen(loaded, directory, _choice(numbers, reason, intake, sink, since))
    if dry_run or not found:
        typer.echo(f"{_told(found)} to be replayed")
        return
    answered = _left_to_daemon(directory, REPLAY, choices, found, no_wait=no_wait)
    if not answered:
        return
    replayed = sum(request.answer.get("replayed", 0) for request in answered)
    kept = sum(request.answer.get("kept", 0) for request in answered)
    typer.echo(f"{replayed} dead letters replayed")
    access.fail_if_any_did(answered)
    if kept:
        fail(
            f"{kept} stay: today's settings have no intake or sink for them, "
            "or they still cannot be parsed",
            1,
        )


@app.command()
def purge(
    numbers: Numbers = None,
    *,
    config: ConfigOption = None,
    reason: Reason = None,
    intake: Intake = None,
    sink: Sink = None,
    since: Since = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Delete dead letters for good; the ledger counts them as dropped.

    With spool.type jetstream it is a daemon that deletes them, the next one if none runs.
    """
    loaded = access.load(config)
    directory = access.directory_of(loaded)
    choice = _choice(numbers, reason, intake, sink, since)
    choices, found = _chosen(loaded, directory, choice)
    if dry_run or not found:
        typer.echo(f"{_told(found)} to be purged")
        return
    if choice.is_all and not yes:
        access.confirm(f"purge every dead letter, {_told(found)}")
    if not stream.has_stream(loaded):
        with suppress(files.LockedError):
            purged = _purge_here(loaded, directory, choice, found.total())
            typer.echo(f"{purged} dead letters purged")
            return
    answered = _left_to_daemon(directory, PURGE, choices, found, no_wait=no_wait)
    if not answered:
        return
    access.fail_if_any_did(answered)
    purged = sum(sum(request.answer["purged"].values()) for request in answered)
    typer.echo(f"{purged} dead letters purged")


app.command()(bury)


def _left_to_daemon(
    directory: Path,
    deed: Deed,
    choices: dict[int, dict[str, object]],
    found: Counter[str],
    *,
    no_wait: bool,
) -> list[Request]:
    """Have the daemon, or its next start, act on dead letters.

    Args:
        directory: where the spool's files are.
        deed: what it is to do.
        choices: which, by the worker in whose file they are.
        found: how many it is, by reason.
        no_wait: whether the user goes at once.

    Returns:
        The requests once they are answered; none where nobody waits for that, which is told.
    """
    asked = access.ask(directory, deed.command, choices)
    left = access.named(asked)
    if not access.daemon_runs(directory):
        typer.echo(f"no daemon runs: its next start {deed.present} {_told(found)} ({left})")
        return []
    if no_wait:
        typer.echo(f"left to the daemon as {left}: {_told(found)} to be {deed.past}")
        return []
    return access.answered(directory, asked, deed.progressive, found.total())


def _purge_here(config: Config, directory: Path, choice: Choice, total: int) -> int:
    """Delete what is chosen in place of a daemon; raises LockedError if one runs."""
    with (
        access.owned(config, directory) as stores,
        access.audited("purge", arguments=choice.as_dict()) as result,
    ):
        return _purge(stores, choice, total, result)


def _purge(stores: Stores, choice: Choice, total: int, result: dict[str, Any]) -> int:
    """Delete what is chosen, with a progress bar; `result` tells the audit how many, by reason."""
    purged = Counter[str]()
    with access.progress() as bar:
        task = bar.add_task("purging", total=total)
        for store in stores.values():
            while deleted := store.purge(choice):
                purged += deleted
                result["purged"] = dict(purged)
                bar.advance(task, deleted.total())
    return purged.total()


def _choice(
    numbers: list[int] | None,
    reason: str | None,
    intake: str | None,
    sink: str | None,
    since: float | None,
) -> Choice:
    return Choice(reason, intake, sink, since, tuple(numbers) if numbers else None)


def _chosen(
    config: Config, directory: Path, choice: Choice
) -> tuple[dict[int, dict[str, object]], Counter[str]]:
    """Return choices that later letters do not fall under, and how many it is, by reason.

    Letters move from files into a stream, where they have other numbers: so the time at which they
    were set aside says which are later, unless they are there already. The first worker acts on
    those of the stream.

    Returns:
        The arguments of a request by the worker in whose file there are some, and their number.
    """
    choices, total = dict[int, dict[str, object]](), Counter[str]()
    is_shared = stream.has_stream(config)
    if is_shared:
        choice = replace(choice, until=time.time())
    remote = stream.count_letters(config, choice) if is_shared else None
    with access.opened(directory) as stores:
        for worker, store in stores.items():
            bounded = replace(choice, last=_last_number(store, is_shared=is_shared))
            if found := letters.count(store.connection, bounded):
                choices[worker] = bounded.as_dict()
                total += found
        if remote is not None and (remote.by_reason or choices):
            choices[min(stores)] = replace(choice, standing=remote.standing).as_dict()
            total += remote.by_reason
    return choices, total


def _last_number(store: Store, *, is_shared: bool) -> int:
    """Return the highest number that a dead letter of a file may have to be meant."""
    return FIRST_NUMBER if is_shared else letters.last_number(store.connection)


def _kinds_of_stream(config: Config, choice: Choice) -> list[Kind]:
    """Return the kinds of dead letters that there are in the stream."""
    kinds = dict[tuple[str, str, str], Kind]()

    def see(letter: Letter) -> None:
        kind = letters.kind_of(letter)
        known = [kinds[kind[:3]]] if kind[:3] in kinds else []
        (kinds[kind[:3]],) = letters.together([known, [kind]])

    stream.each_letter(config, choice, see)
    return list(kinds.values())


def _show(found: Sequence[Iterable[Letter]], most: int, mask: Mask, form: Form) -> set[int]:
    """Print dead letters, the oldest first; return the numbers of those there were."""
    shown: set[int] = set()
    for letter in islice(merge(*found, key=attrgetter("kept")), most):
        if form == "json":
            streams.write(orjson.dumps(letter_report.as_object(letter, mask)))
        else:
            typer.echo("\n".join(letter_report.lines(letter, mask)))
        shown.add(letter.number)
    return shown


def _each(store: Store, choice: Choice, most: int) -> Iterator[Letter]:
    """Yield dead letters of a file, in order of their numbers."""
    after = 0
    while found := store.choose_letters(choice, after, most):
        yield from found
        after = found[-1].number


def _mask(config: Config) -> Mask:
    try:
        keys = [key for intake in config.intakes for key in intake.read_keys()]
    except SecretFileError as error:
        fail(str(error), 2)
    routing = config.routing
    return letter_report.masking(KeyName(routing.structured_data_id, routing.parameter), keys)


def _told(found: Counter[str]) -> str:
    """Say how many dead letters there are, by reason."""
    reasons = ", ".join(f"{number} {printable(reason)}" for reason, number in sorted(found.items()))
    return f"{found.total()} dead letters" + (f" ({reasons})" if reasons else "")
