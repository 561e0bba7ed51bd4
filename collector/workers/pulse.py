"""Whether a worker lives: it says so by a number on the board, some times a second.

Only its event loop counts the beats, so that one that does not come round is silent: it gets no
connections and nobody waits for its answers. It may be held up, or hang for ever. What it does
tells: the system knows whether a process waits for a disk, and how much processor time it has used.
A long piece of work, as taking over a large file, is done on another thread, and silences nobody.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector import board

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.board import Board

BEAT_SECONDS: Final = 0.25
"""Between two beats, and between two looks at them."""

SILENT_SECONDS: Final = 1.0
"""Without a beat for so long, a worker is silent."""

HANG_SECONDS: Final = 10.0
"""A worker that was silent for so long, and held up by nothing, hangs."""

PROCESSES: Final = Path("/proc")

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_DISK_WAIT: Final = "D"
_RUNNING: Final = "R"


class Heart:
    """Beats as long as the event loop of a worker comes round.

    Args:
        shown: the board, where it beats.
        is_hindered: says whether the worker can keep what comes in; that is shown, too.
    """

    def __init__(self, shown: Board, is_hindered: Callable[[], bool]) -> None:
        self._beats = shown.column(board.BEATS)
        self._hindered = shown.column(board.HINDERED)
        self._is_hindered = is_hindered
        self._loop = asyncio.get_running_loop()

    def beat(self) -> None:
        """Beat now, and from now on."""
        self._beats.add(1)
        self.show()
        self._loop.call_later(BEAT_SECONDS, self.beat)

    def show(self) -> None:
        """Show at once whether the worker can keep what comes in."""
        self._hindered.value = self._is_hindered()


@dataclass(frozen=True, slots=True)
class Condition:
    """What a process does, as the system sees it.

    Attributes:
        waits_for_disk: whether a thread of it does; a full or slow disk, a lost network drive.
        runs: whether its first thread does, or would if a processor were free.
        cpu_seconds: processor time that all threads have used.
    """

    waits_for_disk: bool
    runs: bool
    cpu_seconds: float


def condition(pid: int, processes: Path = PROCESSES) -> Condition | None:
    """Return what a process does (proc_pid_stat(5)); None if it has ended.

    Args:
        pid: its number; its first thread has the same.
        processes: where the system tells of them.
    """
    try:
        found = {
            thread.name: (thread / "stat").read_text().rpartition(")")[2].split()
            for thread in (processes / str(pid) / "task").iterdir()
        }
    except OSError:
        return None
    if str(pid) not in found:
        return None
    return Condition(
        any(fields[0] == _DISK_WAIT for fields in found.values()),
        found[str(pid)][0] == _RUNNING,
        sum(int(fields[11]) + int(fields[12]) for fields in found.values()) / _TICKS,
    )


class Pulse:
    """The beats of a worker, as its supervisor feels them.

    Args:
        beats: returns how often it has beaten.
        look: returns what its process does.

    Attributes:
        is_silent: whether it has not beaten for a while; never before its first beat.
    """

    def __init__(
        self, beats: Callable[[], int], look: Callable[[int], Condition | None] = condition
    ) -> None:
        self._beats = beats
        self._look = look
        self.begin(0, 0.0)

    def begin(self, pid: int, now: float) -> None:
        """Feel the beats of another process from now on."""
        self._pid = pid
        self._last = self._beats()
        self._felt = now
        self._has_begun = False
        self.is_silent = False
        self._silence = self._hanging = 0.0
        self._before: Condition | None = None

    @property
    def hangs(self) -> bool:
        """Whether it has been silent for long though nothing has held it up."""
        return self._hanging > HANG_SECONDS

    def feel(self, now: float) -> None:
        """Look whether it has beaten since; to be done every `BEAT_SECONDS`.

        Where that is done late, the time that the supervisor itself was held up is not counted.
        """
        passed, self._felt = min(now - self._felt, 2 * BEAT_SECONDS), now
        beats = self._beats()
        if beats != self._last:
            self._last, self._has_begun = beats, True
            self._silence = self._hanging = 0.0
            self._before = None
        elif self._has_begun:
            self._silence += passed
        self.is_silent = self._silence > SILENT_SECONDS
        if self.is_silent:
            self._hanging += self._without_reason(passed)

    def _without_reason(self, passed: float) -> float:
        """Return how much of the time that has passed it had no reason to be silent, in seconds.

        One that waits for a disk has a reason all the time; one that would run has none for as long
        as it did: where processors are scarce, it may come round yet.
        """
        before, self._before = self._before, self._look(self._pid)
        current = self._before
        if current is None or before is None or current.waits_for_disk:
            return 0.0
        return min(passed, current.cpu_seconds - before.cpu_seconds) if current.runs else passed
