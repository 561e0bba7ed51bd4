"""What the benchmark reads of processes."""

import os
import subprocess
import sys
import time

import pytest

from tests.bench.processes import (
    busy_seconds,
    cpu_seconds,
    first_thread_seconds,
    peak_octets,
    read_stat,
    resident_octets,
    run_seconds,
    tree,
    written_octets,
)

LINE = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 25 75 20 0 1 0 99"


@pytest.fixture
def parent():
    """A process with a child, which ends with it."""
    child = "import sys; sys.stdin.read()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    while len(tree(process.pid)) < 2:
        time.sleep(0.01)
    yield process.pid
    process.communicate()


def test_a_program_may_be_called_anything():
    """Its name stands in parentheses and may hold some."""
    stat = read_stat(LINE)
    ticks = os.sysconf("SC_CLK_TCK")
    assert stat.parent == 7
    assert stat.own_cpu_seconds == 200 / ticks
    assert stat.cpu_seconds == 300 / ticks


def test_a_process_counts_with_its_children(parent):
    """And with nobody else's."""
    found = tree(parent)
    assert len(found) == 2
    assert parent in found
    assert found.keys() < tree(os.getpid()).keys()


def test_time_is_that_of_the_process_and_its_children(parent):
    """They are summed, and so is memory."""
    found = tree(parent)
    assert cpu_seconds(parent) >= sum(stat.own_cpu_seconds for stat in found.values())
    assert peak_octets(parent) > peak_octets(max(found))
    assert resident_octets(parent).keys() == found.keys()
    assert 0 < sum(resident_octets(parent).values()) <= peak_octets(parent)
    assert written_octets(parent) >= 0


def test_a_process_that_has_ended_takes_nothing():
    """Not an error: it may end while it is looked at."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert tree(process.pid) == {}
    assert cpu_seconds(process.pid) == 0
    assert peak_octets(process.pid) == 0
    assert resident_octets(process.pid) == {}


def test_the_first_thread_has_a_part_of_the_time():
    """Which is all of it where there is no other."""
    process = os.getpid()
    first = first_thread_seconds(process)
    assert 0 < first <= cpu_seconds(process)


def test_what_runs_has_taken_time(parent):
    """To less than a tick, with what its children have; what has ended has none."""
    process = os.getpid()
    before = run_seconds(process)
    sum(range(20_000))
    assert before < run_seconds(process)
    assert 0 < run_seconds(parent) < run_seconds(process)
    program = subprocess.Popen([sys.executable, "-c", ""])
    program.wait()
    assert run_seconds(program.pid) == 0


def test_the_machine_has_been_busy():
    """At least as long as we have."""
    assert busy_seconds() > time.process_time()
