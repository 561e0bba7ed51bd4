"""What `collector spool` shows: what waits and for whom, the accounts, and the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.describe import rows
from collector.describe.letter_report import moment
from collector.describe.terminal import printable
from collector.settings.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from collector.spool.requests import Request
    from collector.spool.store import Waiting
    from collector.spool.verification import Findings

WAITING: Final = ("sink", "state", "batches", "events", "octets", "oldest")
REQUESTS: Final = ("request", "command", "actor", "asked", "state")
ACCOUNTS: Final = ("account", "reason", "messages")

_NUMBERS: Final = frozenset({"batches", "events", "octets", "messages"})


def show_status(status: Mapping[str, Any], console: Console) -> None:
    """Print the state of a spool, made by `collector.commands.spool`."""
    write = console.file.write
    use = "used by a daemon" if status["in_use"] else "not in use"
    for path in status["files"]:
        write(f"{printable(path)}, {use}\n")
    bound, octets = format_size(status["max_bytes"]), status["octets"]
    write(f"{octets} octets of {bound} on disk, dead letters included\n\n")
    if status["stream"]:
        write(f"the stream {status['stream']} is not in these files: `collector top` shows it\n\n")
    if status["waiting"]:
        waiting = [[entry[column] for column in WAITING] for entry in status["waiting"]]
        rows.show(WAITING, waiting, console, numbers=_NUMBERS)
    else:
        write("nothing waits for a sink\n")
    write("\n")
    if status["requests"]:
        requests = [[entry[column] for column in REQUESTS] for entry in status["requests"]]
        rows.show(REQUESTS, requests, console)
        write("\n")
    rows.show(ACCOUNTS, _accounts(status["ledger"]), console, numbers=_NUMBERS)
    for path in status["damaged"]:
        write(f"damaged, moved aside: {printable(path)} (`collector spool verify` reads it)\n")


def show_findings(findings: Findings, console: Console) -> None:
    """Print what was found in one file."""
    write = console.file.write
    state = "sound" if findings.is_sound else "DAMAGED"
    if findings.is_newer:
        state = "not read, a newer version wrote it"
    write(f"{printable(str(findings.path))}: {state}\n")
    write(
        f"  can be read: {findings.batches} batches with {findings.events} events, "
        f"{findings.letters} dead letters\n"
    )
    if findings.unreadable:
        write(f"  cannot be read: {findings.unreadable} rows, or stretches of rows\n")
    for problem in findings.problems:
        write(f"  {printable(problem)}\n")


def waiting_object(waiting: Waiting, *, is_gone: bool) -> dict[str, Any]:
    """Return what waits for a sink as JSON can hold it."""
    return {
        **waiting._asdict(),
        "state": "gone" if is_gone else "configured",
        "oldest": moment(waiting.oldest),
    }


def request_object(request: Request) -> dict[str, Any]:
    """Return a request that nobody has answered as JSON can hold it."""
    return {
        "request": request.number,
        "command": request.command,
        "arguments": request.arguments,
        "actor": request.actor,
        "asked": moment(request.asked),
        "state": request.state,
        "answer": request.answer,
    }


def findings_object(findings: Findings) -> dict[str, Any]:
    """Return what was found in a file as JSON can hold it."""
    return {
        "file": str(findings.path),
        "sound": findings.is_sound,
        "batches": findings.batches,
        "events": findings.events,
        "dead_letters": findings.letters,
        "unreadable": findings.unreadable,
        "problems": findings.problems,
    }


def _accounts(ledger: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """List accounts, a row for each reason where an account has them."""
    found: list[tuple[str, str, int]] = []
    for account, value in ledger.items():
        if isinstance(value, dict):
            found += [(account, reason, number) for reason, number in sorted(value.items())]
        else:
            found.append((account, "", value))
    return found
