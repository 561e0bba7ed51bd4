"""What the environment switches off."""

from collector.switches import uses_kernel
from tests.peers import require_kernel


def test_a_switch_turns_the_kernel_off():
    """Everything is read the general way then."""
    assert not uses_kernel({"COLLECTOR_KERNEL": "off"})


def test_the_kernel_is_in_use_where_it_was_built():
    """Whatever else the switch says."""
    require_kernel()
    assert uses_kernel({})
    assert uses_kernel({"COLLECTOR_KERNEL": "on"})
