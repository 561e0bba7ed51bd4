"""What all tests share."""

import pytest
import uvloop


def pytest_asyncio_loop_factories():
    """Run asynchronous tests on the loop that the daemon runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def in_full(pytestconfig):
    """Whether long runs are asked for, with `-m slow`; without, they run shortened."""
    return "slow" in pytestconfig.getoption("markexpr")
