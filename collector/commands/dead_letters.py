"""`collector dead-letters`: what could not be processed or delivered, and what becomes of it.

Looking reads the files beside the daemon. What changes something is left to it, as a request in
each file that is concerned; where none runs, deleting and burying are done here, and replaying at
its next start.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console

from collector import streams
from collector.commands import access, completion
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
from collector.settings.secret_files import SecretFileError
from collector.settings.units import parse_duration
from collector.spool import files, letters
from collector.spool.letters import Choice
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.commands.access import Stores
    from collector.config import Config
    from collector.describe.letter_report import Mask
    from collector.spool import Letter
    from collector.spool.store import Store

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, replay, purge and bury what could not be processed or delivered.",
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
    """List dead letters by reason, intake and sink."""
    directory = access.directory_of(access.load(config))
    choice = Choice(reason, intake, sink, since)
    with access.opened(directory) as stores:
        kinds = letters.together(
            letters.summary(store.connection, choice) for store in stores.values()
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
    with access.opened(access.directory_of(loaded)) as stores:
        total = sum(letters.count(store.connection, choice).total() for store in stores.values())
        shown = _show(stores, choice, most, _mask(loaded), form)
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
    directory = access.directory_of(access.load(config))
    choices, found = _chosen(directory, _choice(numbers, reason, intake, sink, since))
    if dry_run or not found:
        typer.echo(f"{_told(found)} to be replayed")
        return
    asked = access.ask(directory, "replay", choices)
    left = access.named(asked)
    if not access.daemon_runs(directory):
        typer.echo(f"no daemon runs: its next start replays {_told(found)} ({left})")
        return
    if no_wait:
        typer.echo(f"left to the daemon as {left}: {_told(found)} to be replayed")
        return
    answered = access.answered(directory, asked, "replaying", found.total())
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
    """Delete dead letters for good; the ledger counts them as dropped."""
    loaded = access.load(config)
    directory = access.directory_of(loaded)
    choice = _choice(numbers, reason, intake, sink, since)
    choices, found = _chosen(directory, choice)
    if dry_run or not found:
        typer.echo(f"{_told(found)} to be purged")
        return
    if choice.is_all and not yes:
        access.confirm(f"purge every dead letter, {_told(found)}")
    try:
        with (
            access.owned(loaded, directory) as stores,
            access.audited("purge", arguments=choice.as_dict()) as result,
        ):
            purged = _purge(stores, choice, found.total(), result)
    except files.LockedError:
        asked = access.ask(directory, "purge", choices)
        if no_wait:
            left = access.named(asked)
            typer.echo(f"left to the daemon as {left}: {_told(found)} to be purged")
            return
        answered = access.answered(directory, asked, "purging", found.total())
        access.fail_if_any_did(answered)
        purged = sum(sum(request.answer["purged"].values()) for request in answered)
    typer.echo(f"{purged} dead letters purged")


app.command()(bury)


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


def _chosen(directory: Path, choice: Choice) -> tuple[dict[int, dict[str, object]], Counter[str]]:
    """Return choices that later letters do not fall under, and how many it is, by reason.

    Returns:
        The arguments of a request by the worker in whose file there are some, and their number.
    """
    choices, total = dict[int, dict[str, object]](), Counter[str]()
    with access.opened(directory) as stores:
        for worker, store in stores.items():
            bounded = replace(choice, last=letters.last_number(store.connection))
            if found := letters.count(store.connection, bounded):
                choices[worker] = bounded.as_dict()
                total += found
    return choices, total


def _show(stores: Stores, choice: Choice, most: int, mask: Mask, form: Form) -> set[int]:
    """Print dead letters, the oldest first; return the numbers of those there were."""
    shown: set[int] = set()
    found = (_each(store, choice, most) for store in stores.values())
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
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(found.items()))
    return f"{found.total()} dead letters" + (f" ({reasons})" if reasons else "")
