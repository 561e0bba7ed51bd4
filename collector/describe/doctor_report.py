"""How the findings of `collector doctor` are shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from collector.describe.terminal import printable
from collector.doctor.findings import tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from collector.doctor.findings import Finding, Level

_STYLES: Final[Mapping[Level, str]] = {
    "ok": "green",
    "note": "cyan",
    "warning": "bold yellow",
    "error": "bold red",
}
_WIDTH: Final = max(map(len, _STYLES))


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print findings in their order, each with what to do, and how many there are of each level.

    Elsewhere than on a terminal lines are as long as they need to be.
    """
    for finding in findings:
        _print(console, _line(finding))
        if finding.advice:
            _print(console, Text(f"{'':{_WIDTH}}  → {printable(finding.advice)}", style="dim"))
    _print(console, Text(tally(findings)))


def as_object(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON can hold it."""
    return asdict(finding)


def _line(finding: Finding) -> Text:
    where = f" ({printable(finding.where)})" if finding.where else ""
    line = Text(f"{finding.level:{_WIDTH}}  ", style=_STYLES[finding.level])
    line.append(f"{printable(finding.subject)}{where}: ", style="bold")
    line.append(printable(finding.found), style="not bold default")
    return line


def _print(console: Console, line: Text) -> None:
    if console.is_terminal:
        console.print(line)
    else:
        console.file.write(f"{line.plain}\n")
