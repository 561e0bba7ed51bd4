"""What all tests share."""

import os
import sys

import pytest
import uvloop
from hypothesis import settings


def pytest_configure(config):
    """Try the same examples each time, so that a change is what makes a test fail; `-m slow` looks
    for new ones.
    """
    settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
    settings.register_profile("searching", max_examples=2000, deadline=None)
    slow = "slow" in config.getoption("markexpr")
    settings.load_profile("searching" if slow else "repeatable")
    # As on a machine where it was not built, for the tests too.
    if os.environ.get("COLLECTOR_KERNEL") == "off":
        sys.modules["collector.parsers.shapes.kernel"] = None
    # The daemons that tests start take three times as long to start where nothing is kept compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Nor do they ask anybody whom the system's authorities vouch for, all of which are read.
    os.environ["SSL_CERT_FILE"] = os.devnull


def pytest_xdist_auto_num_workers():
    """Run more at a time than there are processors: many wait for programs most of the time."""
    return len(os.sched_getaffinity(0)) * 3 // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Count property tests among those that can run for longer."""
    for item in items:
        if getattr(item.function, "is_hypothesis_test", False):
            item.add_marker("slow")


def pytest_asyncio_loop_factories():
    """Run asynchronous tests on the loop that the daemon runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def in_full(pytestconfig):
    """Whether long runs are asked for, with `-m slow`; without, they run shortened."""
    return "slow" in pytestconfig.getoption("markexpr")
