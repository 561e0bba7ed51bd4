"""Whether a worker lives."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from collector import board
from collector.board import Board
from collector.workers import pulse
from collector.workers.pulse import BEAT_SECONDS, HANG_SECONDS, Condition, Heart, Pulse, condition
from tests.unit.listeners.conftest import until

LOOKS = int(2 * HANG_SECONDS / BEAT_SECONDS)
ASLEEP = Condition(waits_for_disk=False, runs=False, cpu_seconds=5.0)
ON_DISK = Condition(waits_for_disk=True, runs=False, cpu_seconds=5.0)


class Patient:
    """A worker whose heart the test is; what its process does comes from a list, the last stays."""

    def __init__(self, *conditions):
        self.beats = 41
        self.now = 100.0
        self._conditions = list(conditions) or [ASLEEP]
        self.pulse = Pulse(lambda: self.beats, self._look)
        self.pulse.begin(7, self.now)

    def _look(self, pid):
        assert pid == 7
        return self._conditions.pop(0) if len(self._conditions) > 1 else self._conditions[0]

    def feel(self, looks=1, seconds=BEAT_SECONDS):
        for _ in range(looks):
            self.now += seconds
            self.pulse.feel(self.now)

    def beat(self):
        self.beats += 1
        self.feel()


async def test_a_heart_beats_as_long_as_the_loop_comes_round(monkeypatch):
    """With it goes whether the worker can keep what comes in."""
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.001)
    shown, hindered = Board.alone(), [False]
    heart = Heart(shown, lambda: hindered[0])
    heart.beat()
    beats = shown.column(board.BEATS)
    await until(lambda: beats.value > 2)
    assert shown.column(board.HINDERED).value == 0
    hindered[0] = True
    await until(lambda: shown.column(board.HINDERED).value == 1)
    before = beats.value
    time.sleep(0.01)
    assert beats.value == before
    hindered[0] = False
    heart.show()
    assert shown.column(board.HINDERED).value == 0


def test_who_beats_is_not_silent():
    patient = Patient()
    for _ in range(LOOKS):
        patient.beat()
    assert not patient.pulse.is_silent
    assert not patient.pulse.hangs


def test_who_does_not_beat_for_a_second_is_silent_and_hangs_in_the_end():
    """Until it is heard again."""
    patient = Patient()
    patient.beat()
    patient.feel(4)
    assert not patient.pulse.is_silent
    patient.feel()
    assert patient.pulse.is_silent
    assert not patient.pulse.hangs
    patient.feel(LOOKS)
    assert patient.pulse.hangs
    patient.beat()
    assert not patient.pulse.is_silent
    assert not patient.pulse.hangs


def test_before_its_first_beat_nobody_is_silent():
    """An interpreter takes its time to start; what its predecessor has beaten does not count."""
    patient = Patient()
    patient.feel(LOOKS)
    assert not patient.pulse.is_silent
    patient.beat()
    patient.feel(LOOKS)
    assert patient.pulse.hangs
    patient.pulse.begin(7, patient.now)
    patient.feel(LOOKS)
    assert not patient.pulse.is_silent


def test_who_waits_for_a_disk_is_silent_and_does_not_hang():
    """However long; if it comes back to something else, its time begins then."""
    patient = Patient(*LOOKS * [ON_DISK], ASLEEP)
    patient.beat()
    patient.feel(LOOKS)
    assert patient.pulse.is_silent
    assert not patient.pulse.hangs
    patient.feel(LOOKS)
    assert patient.pulse.hangs


@pytest.mark.parametrize(("share", "hangs"), [(1.0, True), (0.01, False)])
def test_who_runs_hangs_once_it_has_had_the_time_to_come_round(share, hangs):
    """Where processors are scarce it has not."""
    patient = Patient(
        *(
            Condition(waits_for_disk=False, runs=True, cpu_seconds=look * BEAT_SECONDS * share)
            for look in range(2 * LOOKS)
        )
    )
    patient.beat()
    patient.feel(LOOKS)
    assert patient.pulse.is_silent
    assert patient.pulse.hangs == hangs


def test_time_in_which_nobody_felt_the_pulse_is_not_counted():
    """As when the whole machine, or all of the daemon, was stopped."""
    patient = Patient()
    patient.beat()
    patient.feel(seconds=3600)
    assert not patient.pulse.is_silent
    patient.feel(4, seconds=3600)
    assert not patient.pulse.hangs


def test_of_a_process_that_has_ended_nothing_is_said():
    """Its end is noticed by other means."""
    patient = Patient(None)
    patient.beat()
    patient.feel(LOOKS)
    assert not patient.pulse.hangs
    assert condition(2**22 + 1) is None


async def test_the_system_says_what_a_process_does():
    """One that waits, one that works and one that is stopped."""
    working = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        await until(lambda: condition(working.pid).cpu_seconds > 0.05)
        found = condition(working.pid)
        assert found.runs
        assert not found.waits_for_disk
        os.kill(working.pid, signal.SIGSTOP)
        await until(lambda: not condition(working.pid).runs)
    finally:
        working.kill()
        await asyncio.to_thread(working.wait)
    assert condition(working.pid) is None


def thread(directory, number, state):
    """Write what the system says of a thread; its name may hold anything (proc_pid_stat(5))."""
    place = directory / "7" / "task" / str(number)
    place.mkdir(parents=True)
    fields = [state, *10 * ["0"], "150", "50", *30 * ["0"]]
    (place / "stat").write_text(f"{number} (a) D (b) {' '.join(fields)}\n")


@pytest.mark.parametrize(
    ("states", "waits", "runs"),
    [("SS", False, False), ("RS", False, True), ("SR", False, False), ("SD", True, False)],
)
def test_every_thread_counts_that_waits_for_a_disk_but_only_the_first_that_runs(
    tmp_path, states, waits, runs
):
    """The first is that of the event loop, which may wait for what another one holds."""
    for number, state in enumerate(states, 7):
        thread(tmp_path, number, state)
    seconds = 2 * 200 / os.sysconf("SC_CLK_TCK")
    assert condition(7, tmp_path) == Condition(waits, runs, seconds)
