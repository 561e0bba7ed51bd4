"""What the tests of a running daemon share."""

from functools import partial

import pytest

from tests import forkserver
from tests.daemon import Daemon

# A process that was forked has not all of its memory resident from the start on.
MEASURING = {"test_bench.py", "test_crowd.py", "test_slow_peers.py", "test_soak.py"}


@pytest.fixture(autouse=True)
def _started_soon(monkeypatch, request):
    """Have daemons and commands forked, but for those that are measured."""
    if request.path.name not in MEASURING:
        monkeypatch.setattr(Daemon, "execute", staticmethod(forkserver.start))


@pytest.fixture
def hurried(monkeypatch):
    """Return what has daemons that start from now on go by other constants of modules."""

    def hurry(constants):
        started = partial(forkserver.start, constants=constants)
        monkeypatch.setattr(Daemon, "execute", staticmethod(started))

    return hurry
