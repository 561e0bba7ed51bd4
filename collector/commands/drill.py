"""`collector drill`: what an outage of the sink costs, tried out on a private daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from collector import streams
from collector.commands import access
from collector.commands.access import ConfigOption, fail
from collector.drill.settings import Transport
from collector.settings.problems import ConfigError
from collector.settings.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.progress import Progress

    from collector.drill.course import Glance, Plan
    from collector.drill.verdict import Verdict

TransportOption = Annotated[Transport, typer.Option(help="How they are sent.")]

MAX_SECONDS = 86_400.0


def drill(
    *,
    config: ConfigOption = None,
    sink_status: Annotated[
        str,
        typer.Option(
            metavar="FAULT",
            help="How the sink fails: an HTTP status of 300 to 599, timeout (never answers), reset "
            "(closes connections), slow (2 s an answer) or refuse (nothing listens).",
        ),
    ] = "503",
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="How long it fails.")
    ] = "60s",
    rate: Annotated[float, typer.Option(min=0.1, help="Messages per second.")] = 200.0,
    transport: TransportOption = "tcp",
    kill: Annotated[
        bool,
        typer.Option("--kill", help="Kill the daemon (SIGKILL) amid the fault and start it again."),
    ] = False,
    patience: Annotated[
        str, typer.Option(metavar="DURATION", help="How long everything may take to arrive.")
    ] = "5m",
    form: Annotated[
        Literal["table", "json"],
        typer.Option("--format", help="How the verdict is written to stdout."),
    ] = "table",
) -> None:
    """Try out an outage: a private daemon with your settings, a private sink that fails.

    Neither the running daemon nor the real sink is touched. Exit code 0 if nothing is lost; with
    --kill, if everything arrived that the daemon had committed.
    """
    from collector.drill.course import Plan  # noqa: PLC0415 - the other commands do without aiohttp
    from collector.drill.sink import read_fault  # noqa: PLC0415 - as is the course

    try:
        fault = read_fault(sink_status)
    except ValueError as error:
        fail(f"--sink-status {error}", 2)
    plan = Plan(
        fault=fault,
        fault_seconds=_seconds("--for", lasting),
        rate=rate,
        transport=transport,
        kill=kill,
        patience_seconds=_seconds("--patience", patience),
    )
    verdict = _run(config, plan)
    if form == "json":
        streams.write(orjson.dumps(verdict.as_dict(), option=orjson.OPT_INDENT_2))
    else:
        show(verdict, Console(highlight=False))
    raise typer.Exit(int(not verdict.passed))


def _run(config: Path | None, plan: Plan) -> Verdict:
    """Carry a drill out with a progress bar; ends the command where that is not possible."""
    from collector.drill import course  # noqa: PLC0415 - the other commands do without aiohttp
    from collector.drill.daemon import DrillError  # noqa: PLC0415 - as is the course

    try:
        with _progress() as progress:
            return course.run(
                config,
                plan,
                watch=_watcher(progress, plan.load_seconds),
                note=lambda text: progress.console.print(Text(text)),
            )
    except ConfigError as error:
        fail(str(error), 2)
    except (DrillError, OSError) as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        fail("interrupted; the private daemon and its files are gone", access.INTERRUPTED)


def show(verdict: Verdict, console: Console) -> None:
    """Print a verdict as a table, with what its numbers mean below it."""
    from collector.drill.verdict import explanations  # noqa: PLC0415 - as is the course

    facts = verdict.facts
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    rows: list[tuple[str, Any, str]] = [
        ("sent", facts.sent, "messages"),
        ("received", verdict.received, "messages in the ledger"),
        ("delivered", facts.delivered, f"of {facts.copies:,} copies, one for each sink"),
        ("duplicated", facts.duplicated, "copies"),
        *((name, count, "") for name, count in sorted(verdict.taken_out.items())),
        ("waiting", verdict.waiting, f"copies; at most {facts.most_waiting:,} during the drill"),
        ("lost", verdict.lost, ""),
        ("first acceptance", *_time(facts.first_acceptance_seconds)),
        ("backlog gone", *_time(facts.backlog_gone_seconds)),
    ]
    for name, value, remark in rows:
        table.add_row(Text(name), f"{value:,}" if isinstance(value, int) else value, Text(remark))
    console.print(table)
    for sentence in explanations(verdict):
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    console.print(Text(_conclusion(verdict), style="bold green" if verdict.passed else "bold red"))


def _time(seconds: float | None) -> tuple[str, str]:
    if seconds is None:
        return "-", ""
    return f"{seconds:.1f} s", "after the end of the fault"


def _conclusion(verdict: Verdict) -> str:
    if not verdict.passed:
        return "  failed"
    if verdict.lost:
        return "  passed: everything that was committed arrived"
    return "  passed: nothing is lost"


def _seconds(option: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:
        fail(f"{option} {text!r}: not a duration of 1ms to 1d, as in 250ms, 60s or 5m", 2)
    return seconds


def _progress() -> Progress:
    return access.progress(
        TimeElapsedColumn(),
        TextColumn("sent {task.fields[sent]}"),
        TextColumn("delivered {task.fields[delivered]}"),
        TextColumn("waiting {task.fields[waiting]}"),
    )


def _watcher(progress: Progress, total: float) -> Callable[[Glance], None]:
    """Return what shows how a drill is going; its load takes `total` seconds."""
    task = progress.add_task("starting", total=total, sent=0, delivered=0, waiting=0)

    def watch(glance: Glance) -> None:
        progress.update(
            task,
            description=glance.phase,
            completed=min(glance.seconds, total),
            sent=glance.sent,
            delivered=glance.delivered,
            waiting="?" if glance.waiting is None else glance.waiting,
        )

    return watch
