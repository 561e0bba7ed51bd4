"""Whether the kernel is there."""

import subprocess
import sys

import pytest

from tests.peers import require_kernel

ASK = "from collector.parsers.shapes.compiled import IS_THERE; print(IS_THERE)"
HIDE = "import sys; sys.modules['collector.parsers.shapes.kernel'] = None"


@pytest.mark.parametrize(("before", "is_there"), [("", True), (HIDE, False)])
def test_it_is_there_where_it_was_built(before, is_there):
    """Which CI asks for."""
    require_kernel()
    asked = subprocess.run(
        [sys.executable, "-c", f"{before}\n{ASK}"], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == str(is_there)
