"""`collector dead-letters`: what could not be processed or delivered, and what becomes of it.

Looking reads the files beside the daemon. What changes something is left to it, as a request in
each file that is concerned; where none runs, deleting and burying are done here, and replaying at
its next start.
"""

from __future__ import annotations

import sys
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
from collector.commands import access
from collector.commands.access import ConfigOption, Form, FormOption, fail
from collector.dead_letters import buried_letters
from collector.describe import letter_report
from collector.settings.secret_files import SecretFileError
from collector.settings.units import parse_duration
from collector.sinks.encoders import DAMAGE
from collector.spool import files, letters
from collector.spool.letters import Choice
from collector.spool.store import Group
from collector.syslog.message import KeyName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from collector.commands.access import Stores
    from collector.config import Config
    from collector.describe.letter_report import Mask
    from collector.spool import Batch, Letter
    from collector.spool.requests import Request
    from collector.spool.store import Store

# Octets of batches that are buried in one transaction.
BURIED_AT_ONCE = 1024 * 1024

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
Intake = Annotated[str | None, typer.Option(help="Only those of this intake.")]
Sink = Annotated[str | None, typer.Option(help="Only those that this sink did not get.")]
Since = Annotated[
    float | None,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="Only those set aside since: 2h ago, or a time (UTC if it names no zone).",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Leave it to the daemon and go.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, whatever it concerns.")]


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
    _fail_if_any_did(answered)
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
        _confirm(f"purge every dead letter, {_told(found)}")
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
        _fail_if_any_did(answered)
        purged = sum(sum(request.answer["purged"].values()) for request in answered)
    typer.echo(f"{purged} dead letters purged")


@app.command()
def bury(
    config: ConfigOption = None,
    sink: Annotated[
        str | None, typer.Option(help="Name of the sink that is gone; each one if not given.")
    ] = None,
    *,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Make dead letters of what waits in the spool for a sink that is gone.

    From there it can be replayed, once the sink is back, or purged.
    """
    loaded = access.load(config)
    directory = access.directory_of(loaded)
    configured = {item.name for item in loaded.sinks}
    if sink in configured:
        fail(
            f"sink {sink!r} is configured, so that its events are delivered; to bury them, take it "
            "out of the configuration and restart the daemon first",
            2,
        )
    waiting = Counter[str]()
    with access.opened(directory) as stores:
        for store in stores.values():
            waiting.update({entry.sink: entry.events for entry in store.waiting()})
    gone = {name: events for name, events in waiting.items() if name not in configured}
    if sink is not None and sink not in gone:
        others = f"; gone are {', '.join(sorted(gone))}" if gone else ""
        fail(f"nothing waits for a sink {sink!r}{others}", 1)
    chosen = gone if sink is None else {sink: gone[sink]}
    told = ", ".join(f"{events} for {name}" for name, events in sorted(chosen.items()))
    if dry_run or not chosen:
        typer.echo(f"events to be buried: {told or 'none, no sink that events wait for is gone'}")
        return
    if sink is None and not yes:
        _confirm(f"bury everything that waits for sinks that are gone ({told})")
    for name, events in sorted(chosen.items()):
        _bury_one(loaded, directory, name, events, no_wait=no_wait)


def _bury_one(config: Config, directory: Path, sink: str, events: int, *, no_wait: bool) -> None:
    try:
        with (
            access.owned(config, directory) as stores,
            access.audited("bury", arguments={"sink": sink}) as result,
        ):
            buried = _bury(stores, sink, events, result)
    except files.LockedError:
        asked = access.ask(directory, "bury", _concerned(directory, sink))
        if no_wait:
            typer.echo(f"left to the daemon as {access.named(asked)}: {events} events of {sink}")
            return
        answered = access.answered(directory, asked, f"burying {sink}", events)
        _fail_if_any_did(answered)
        buried = sum(request.answer["buried"] for request in answered)
    typer.echo(f"{buried} events of {sink} buried")


def _concerned(directory: Path, sink: str) -> dict[int, dict[str, object]]:
    """Return what to ask for by worker, in whose file something waits for a sink."""
    with access.opened(directory) as stores:
        return {
            worker: {"sink": sink}
            for worker, store in stores.items()
            if sink in {entry.sink for entry in store.waiting()}
        }


def _fail_if_any_did(requests: Sequence[Request]) -> None:
    """End the command with the problem of a request that failed."""
    for request in requests:
        if request.state == "failed":
            fail(request.answer["problem"], 1)


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


def _bury(stores: Stores, sink: str, total: int, result: dict[str, Any]) -> int:
    """Bury what waits for a sink, with a progress bar; `result` tells the audit how many."""
    buried = 0
    with access.progress() as bar:
        task = bar.add_task(f"burying {sink}", total=total)
        for store in stores.values():
            while batches := store.fetch(sink, 0, BURIED_AT_ONCE):
                made = [letter for batch in batches for letter in _letters(batch)]
                numbers = [batch.number for batch in batches]
                store.commit(Group(removed=numbers, letters=made, accounts=store.accounts()))
                buried += len(made)
                result["buried"] = buried
                bar.advance(task, len(made))
    return buried


def _letters(batch: Batch) -> list[Letter]:
    try:
        return buried_letters(batch)
    except DAMAGE as error:
        problem = f"batch {batch.number}, for {batch.sink}, cannot be read: {error!r}"
        fail(f"{problem}; `collector spool verify` says what can be", 1)


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


def _confirm(what: str) -> None:
    """Ask whether that is meant; where nobody can be asked, end the command."""
    if not _is_interactive():
        fail(f"to {what}, say --yes", 2)
    typer.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)


def _is_interactive() -> bool:
    return sys.stdin.isatty()
