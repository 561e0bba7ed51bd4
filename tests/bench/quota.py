"""Holds processes to a share of a core, each its own: quotas of control groups, version 1 or 2.

Source: Linux, Documentation/scheduler/sched-bwc.rst and Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path("/sys/fs/cgroup")

# Short, so that a process that has used up its share is not stopped for long at a time.
PERIOD_MICROSECONDS: Final = 10_000


class QuotaError(Exception):
    """Processes cannot be held to a share here; the text says why."""


@contextmanager
def held_to(share: float, processes: Iterable[int], root: Path = ROOT) -> Iterator[None]:
    """Hold each of some processes to a share of a core, until they are let go or have ended.

    Args:
        share: more than 0; 1 is a whole core.
        processes: their ids.
        root: where control groups are.

    Raises:
        QuotaError: this user cannot do so on this machine.
    """
    quota = round(share * PERIOD_MICROSECONDS)
    with ExitStack() as stack:
        for process in processes:
            try:
                stack.enter_context(_group(root, process, quota))
            except OSError as error:
                raise QuotaError(
                    f"{error.filename}: {error.strerror}; this needs root and control groups "
                    f"that can be written to, or --share 0 to let each worker take what it gets"
                ) from error
        yield


@contextmanager
def _group(root: Path, process: int, quota: int) -> Iterator[None]:
    """Keep a process in a group of its own."""
    old = (root / "cpu" / "cgroup.procs").exists()  # version 1 has a tree for each resource
    parent = root / "cpu" if old else root
    group = parent / f"collector-bench-{os.getpid()}-{process}"
    group.mkdir()
    try:
        if old:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        (group / "cgroup.procs").write_text(str(process))
        yield
    finally:
        for remaining in (group / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(remaining)
        group.rmdir()
