"""What tests of the doctor share: settings, and a machine to hold them against."""

from dataclasses import replace

import pytest

from collector.config import build
from collector.doctor.machine import Machine

KEY = "0f6f2f0e-1111-4222-8333-abcdefabcdef"

MACHINE = Machine(
    user=1000,
    may_force_buffers=False,
    first_free_port=1024,
    rmem_max=212_992,
    somaxconn=4096,
    files=65_536,
    memory=8 * 1024**3,
    memory_is_limited=False,
    processors=4,
    container=None,
    is_bridged=False,
    gateway="172.17.0.1",
)


def config_of(**sections):
    """Return settings; sections given replace those of a small collector."""
    tree = {
        "listeners": [{"name": "l", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "intakes": [{"name": "edr", "parser": "raw", "key": KEY}],
        "sinks": [{"name": "siem", "url": "http://127.0.0.1:9"}],
        **sections,
    }
    return build(tree, source="test")


def machine(**changes):
    """Return a machine without container, changed."""
    return replace(MACHINE, **changes)


def levels(findings):
    """Return level and subject of findings."""
    return [(finding.level, finding.subject) for finding in findings]


@pytest.fixture
def listener():
    """Return settings with one listener."""
    return lambda **settings: config_of(
        listeners=[{"name": "l", "transport": "tcp", "port": 5514, **settings}]
    )
