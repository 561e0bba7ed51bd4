"""What a process and its children have taken: processor time and memory (proc(5))."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")

# Fields of /proc/PID/stat after the name in parentheses, counted from 0: state is the first.
_PARENT, _USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM = 1, 11, 12, 13, 14


@dataclass(frozen=True, slots=True)
class Stat:
    """A line of /proc/PID/stat.

    Attributes:
        parent: process id of the parent.
        own_cpu_seconds: user and system.
        cpu_seconds: the same with those of children that have ended.
    """

    parent: int
    own_cpu_seconds: float
    cpu_seconds: float


def read_stat(line: str) -> Stat:
    """Read a line of /proc/PID/stat; the name of the program in it may hold anything."""
    fields = line.rpartition(")")[2].split()
    own = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
    ended = (int(fields[_ENDED_USER]) + int(fields[_ENDED_SYSTEM])) / _TICKS
    return Stat(int(fields[_PARENT]), own, own + ended)


def tree(root: int, proc: Path = Path("/proc")) -> dict[int, Stat]:
    """Return a process and all its descendants, by process id."""
    stats = {}
    for directory in proc.iterdir():
        if directory.name.isdigit():
            try:
                stats[int(directory.name)] = read_stat((directory / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
    found = {root: stats[root]} if root in stats else {}
    while True:
        more = {p: s for p, s in stats.items() if s.parent in found and p not in found}
        if not more:
            return found
        found |= more


def cpu_seconds(root: int) -> float:
    """Return the processor time, user and system, that a process and its descendants have taken."""
    return sum(stat.cpu_seconds for stat in tree(root).values())


def run_seconds(root: int) -> float:
    """Return the processor time of a process and its descendants that run, to the nanosecond.

    The scheduler counts it for each thread (Linux, `Documentation/scheduler/sched-stats.rst`);
    those that have ended are left out.
    """
    nanoseconds = 0
    for process in tree(root):
        for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                nanoseconds += int(thread.read_text().split()[0])
    return nanoseconds / 1e9


def first_thread_seconds(process: int) -> float:
    """Return the CPU seconds of the thread that a process began with."""
    return read_stat(Path(f"/proc/{process}/task/{process}/stat").read_text()).own_cpu_seconds


def peak_octets(root: int) -> int:
    """Return the most memory that each of them has had resident, summed."""
    return sum(1024 * _value(process, "status", "VmHWM") for process in tree(root))


def resident_octets(root: int) -> dict[int, int]:
    """Return what a process and its descendants have resident now, by process id."""
    found = {process: 1024 * _value(process, "status", "VmRSS") for process in tree(root)}
    return {process: octets for process, octets in found.items() if octets}


def written_octets(root: int) -> int:
    """Return what a process and its descendants had written to disks (`write_bytes`)."""
    return sum(_value(process, "io", "write_bytes") for process in tree(root))


def _value(process: int, file: str, name: str) -> int:
    """Return a number that stands after its name in a file of a process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def busy_seconds() -> float:
    """Return how long all cores together have not been idle since the machine started."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, _, _, interrupts, soft, stolen, *_ = map(int, line.split()[1:])
    return (user + nice + system + interrupts + soft + stolen) / _TICKS
