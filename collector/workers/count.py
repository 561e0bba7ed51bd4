"""How many processors a process may use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Literal

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")
QUOTA: Final = "cpu.max"


def worker_count(wanted: int | Literal["auto"]) -> int:
    """Return how many workers a setting asks for; `auto` is one for each processor."""
    return processors() if wanted == "auto" else wanted


def processors(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Return how many processors this process may use, at least 1.

    That is how many it is bound to (sched_setaffinity(2)), or as many as fit in the time that a
    container is given (cgroups version 2, cpu.max): a part of one does not count.

    Args:
        cgroups: where the hierarchy of control groups is mounted.
        own: where the system says in which of them this process is.
    """
    bound_to = len(os.sched_getaffinity(0))
    quotas = [quota for group in _groups(cgroups, own) if (quota := _quota(group / QUOTA))]
    return max(1, min([bound_to, *map(int, quotas)]))


def _groups(cgroups: Path, own: Path) -> list[Path]:
    """Return the control group of this process and those above it: each has a quota of its own."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    # Version 2 has one line, `0::/path`; in a container the path is that of the container's root.
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    group = cgroups / path.lstrip("/")
    return [group, *(above for above in group.parents if above.is_relative_to(cgroups))]


def _quota(file: Path) -> float | None:
    """Return how many processors a quota allows; None where there is none."""
    try:
        time, _, period = file.read_text().strip().partition(" ")
        return None if time == "max" else int(time) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
