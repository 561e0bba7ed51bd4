"""`collector dead-letters bury`: what waits for a sink that is gone becomes dead letters.

Where daemons share a stream, one of them takes out of it what it holds for the sink.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from collector.commands import access, stream
from collector.commands.access import (
    ConfigOption,
    DryRun,
    NoWait,
    Yes,
    fail,
)
from collector.dead_letters import buried_letters
from collector.sinks.encoders import DAMAGE
from collector.spool import files
from collector.spool.store import Group

if TYPE_CHECKING:
    from pathlib import Path

    from collector.commands.access import Stores
    from collector.config import Config
    from collector.spool import Batch, Letter

# Octets of batches that are buried in one transaction.
BURIED_AT_ONCE: Final = 1024 * 1024


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

    With spool.type jetstream that is also what the stream holds for it.

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
    waiting = _waiting(directory)
    remote = _waiting_in_stream(loaded)
    waiting += remote
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
        access.confirm(f"bury everything that waits for sinks that are gone ({told})")
    for name, events in sorted(chosen.items()):
        if name in remote:
            _ask(directory, name, events, is_remote=True, no_wait=no_wait)
        else:
            _bury_one(loaded, directory, name, events, no_wait=no_wait)


def _waiting(directory: Path) -> Counter[str]:
    """Return how many events the files hold for each sink."""
    found = Counter[str]()
    with access.opened(directory) as stores:
        for store in stores.values():
            found.update({entry.sink: entry.events for entry in store.waiting()})
    return found


def _waiting_in_stream(config: Config) -> Counter[str]:
    """Return how many events a stream holds for each sink, as far as the daemon here takes any.

    Who may publish there may have made a name up: one that no sink can have is none.
    """
    if stream.has_stream(config) and not access.role_of_environment().delivers:
        typer.echo(
            "a receiver takes nothing from the stream: bury what it holds where events are "
            "delivered",
            err=True,
        )
        return Counter()
    found = stream.waiting(config) or Counter[str]()
    return Counter({name: events for name, events in found.items() if name.isprintable()})


def _bury_one(config: Config, directory: Path, sink: str, events: int, *, no_wait: bool) -> None:
    try:
        with (
            access.owned(config, directory) as stores,
            access.audited("bury", arguments={"sink": sink}) as result,
        ):
            buried = _bury(stores, sink, events, result)
    except files.LockedError:
        _ask(directory, sink, events, is_remote=False, no_wait=no_wait)
    else:
        typer.echo(f"{buried} events of {sink} buried")


def _ask(directory: Path, sink: str, events: int, *, is_remote: bool, no_wait: bool) -> None:
    """Have what waits for a sink buried by the daemon, which alone takes from a stream."""
    asked = access.ask(directory, "bury", _concerned(directory, sink, is_remote=is_remote))
    if is_remote and not access.daemon_runs(directory):
        left = access.named(asked)
        typer.echo(f"no daemon runs: its next start buries {events} events of {sink} ({left})")
        return
    if no_wait:
        typer.echo(f"left to the daemon as {access.named(asked)}: {events} events of {sink}")
        return
    answered = access.answered(directory, asked, f"burying {sink}", events)
    access.fail_if_any_did(answered)
    buried = sum(request.answer["buried"] for request in answered)
    typer.echo(f"{buried} events of {sink} buried")


def _concerned(directory: Path, sink: str, *, is_remote: bool) -> dict[int, dict[str, object]]:
    """Return what to ask for by worker, in whose file something waits for a sink.

    Of several workers the first takes what a stream holds.
    """
    with access.opened(directory) as stores:
        return {
            worker: {"sink": sink}
            for worker, store in stores.items()
            if sink in {entry.sink for entry in store.waiting()}
            or (is_remote and worker == min(stores))
        }


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
