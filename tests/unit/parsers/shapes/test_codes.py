"""The numbers that the kernel and those who write programs for it have in common."""

import pytest

from collector.parsers.shapes import codes, compiled
from tests.peers import require_kernel

if compiled.IS_THERE:
    from collector.parsers.shapes import kernel


@pytest.fixture(autouse=True, scope="module")
def _kernel():
    require_kernel()


@pytest.mark.parametrize("name", ["Kind", "Argument", "Way"])
def test_the_kernel_has_the_same_numbers(name):
    """For the same names, and neither has one more."""
    assert numbers(getattr(kernel, name)) == numbers(getattr(codes, name))


def numbers(enum):
    return {member.name: int(member) for member in enum}


def test_the_kernel_takes_as_much_as_it_is_given():
    """Outlines have an end as well, and lists are told how many texts it takes."""
    assert kernel.MAX_SLOTS > codes.MAX_STEPS
    assert kernel.MAX_ENTRIES == codes.MAX_ENTRIES
