"""Whether the kernel is there."""

import os
import subprocess
import sys

from tests.peers import require_kernel

ASK = "from collector.parsers.shapes.compiled import IS_THERE; print(IS_THERE)"


def is_there(**environment):
    """Ask a new process."""
    ran = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip() == "True"


def test_a_switch_turns_it_off():
    """Everything is read the general way then."""
    assert not is_there(COLLECTOR_KERNEL="off")


def test_it_is_there_where_it_was_built():
    """Which CI asks for."""
    require_kernel()
    assert is_there(COLLECTOR_KERNEL="on")
