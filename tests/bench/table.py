"""The results as a table for people, and what they were measured on."""

from __future__ import annotations

import os
import platform
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.switches import uses_kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.bench.measuring import Summary

MIB: Final = 1024 * 1024

_HEADINGS: Final = (
    *("load", "sent over", "program", "events/s", "CPU µs/event", "best", "MiB"),
    *("written", "lost", "× rate", "× CPU", "other"),
)
_TEXT_COLUMNS: Final = 3


def render(summaries: Sequence[Summary]) -> str:
    """Return a table in Markdown: each row a program with a load sent in a way.

    `best` is the least CPU time of all rounds; `written` is octets per event that were written to
    disks; `× rate` and `× CPU` are the program's events a second and CPU time per event in units of
    the reference's, in the same rounds; `other` is how many cores were busy with something else.
    """
    rows = [_HEADINGS, *map(_cells, summaries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [
        "-" * width if position < _TEXT_COLUMNS else "-" * (width - 1) + ":"
        for position, width in enumerate(widths)
    ]
    return "\n".join(_line(row, widths) for row in (rows[0], rule, *rows[1:]))


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.load,
        summary.way,
        summary.program,
        f"{summary.rate:,.0f}",
        f"{summary.cpu_microseconds:.1f}",
        f"{summary.best_cpu_microseconds:.1f}",
        f"{summary.peak_octets / MIB:.0f}",
        f"{summary.written_octets:,.0f}",
        f"{summary.lost:,} ({summary.lost / summary.sent:.1%})" if summary.lost else "0",
        _ratio(summary.rate_ratio),
        _ratio(summary.cpu_ratio),
        f"{summary.other_cores:.1f}",
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if position < _TEXT_COLUMNS else cell.rjust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |"


def _is_optimized() -> bool:
    """Return whether Python was built with profile-guided optimization."""
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def machine() -> dict[str, str | int]:
    """Return what the results were measured on."""
    cpu = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in cpu.splitlines() if "model name" in line]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": f"{platform.python_version()}, {'with' if _is_optimized() else 'without'} PGO",
        "compiled kernel": "in use" if uses_kernel(os.environ) else "not in use",
        **{name: metadata.version(name) for name in ("uvloop", "aiohttp", "orjson")},
    }
