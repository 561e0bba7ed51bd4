"""Quotas of processes, with the control groups of this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.processes import cpu_seconds
from tests.bench.quota import ROOT, QuotaError, held_to


def group_of(process):
    return Path(f"/proc/{process}/cgroup").read_text()


@pytest.fixture
def busy():
    """A process that takes all the time it gets."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process.pid
        process.kill()


def test_a_process_is_held_to_its_share_and_let_go(busy):
    """A tenth of a core stays about that, and nothing is left behind."""
    before, own = sorted(ROOT.rglob("collector-bench-*")), group_of(busy)
    try:
        with held_to(0.1, [busy]):
            assert group_of(busy) != own
            began, taken = time.monotonic(), cpu_seconds(busy)
            time.sleep(1)
            share = (cpu_seconds(busy) - taken) / (time.monotonic() - began)
    except QuotaError as error:
        pytest.skip(str(error))
    assert share < 0.3
    assert group_of(busy) == own
    assert sorted(ROOT.rglob("collector-bench-*")) == before


def test_where_there_are_no_control_groups_it_says_what_to_do(tmp_path):
    """The caller gets one error, whatever the system's is."""
    with (
        pytest.raises(QuotaError, match=r"needs root and control groups .* or --share 0"),
        held_to(0.5, [os.getpid()], tmp_path / "nowhere"),
    ):
        pass
