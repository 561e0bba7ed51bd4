"""The inventory of HarfangLab's agents."""

import pytest

from tests.support import harfanglab_fields as mapped

AGENT = {
    "log_type": "agent",
    "id": "a-3",
    "version": "4.1",
    "hostname": "srv3",
    "osproducttype": "Windows Server 2022",
    "ostype": "windows",
    "osversion": "10.0.20348",
    "os_platform": "server",
    "bitness": "x64",
    "ipaddress": "192.0.2.33",
    "cpu_count": 8,
    "cpu_frequency": 2400,
    "machine_serial": "SN-1",
    "total_memory": 17179869184.0,
    "firstseen": "2024-01-02T03:04:05.000006Z",
    "lastseen": "2024-02-02T03:04:05Z",
}
ECS = {
    "agent.name": "harfanglab",
    "agent.id": "a-3",
    "agent.version": "4.1",
    "event.dataset": "agent",
    "event.category": ["host"],
    "event.type": ["info"],
    "event.start": "2024-01-02T03:04:05.000006Z",
    "event.end": "2024-02-02T03:04:05.000000Z",
    "host.name": "srv3",
    "host.architecture": "x64",
    "host.ip": ["192.0.2.33"],
    "host.os.full": "Windows Server 2022",
    "host.os.type": "windows",
    "host.os.version": "10.0.20348",
    "host.os.platform": "server",
    "harfanglab.host.cpu.count": 8,
    "harfanglab.host.cpu.frequency": 2400,
    "harfanglab.host.serial_number": "SN-1",
    "harfanglab.host.total_memory": 17179869184,
    "related.ip": ["192.0.2.33"],
}


def test_an_agent():
    """What its host is, and since when it is known."""
    assert mapped("ecs", **AGENT) == ECS
    shape = {"event.category": "host", "event.type": "info"}
    assert mapped("documented", **AGENT) == ECS | shape


@pytest.mark.parametrize(
    ("memory", "expected"), [(1.5, 1.5), ("2048", 2048), ("much", None), ([1], None), (True, None)]
)
def test_the_memory_may_be_a_fraction(memory, expected):
    """It is kept as it is."""
    found = mapped("ecs", log_type="agent", total_memory=memory)
    assert found.get("harfanglab.host.total_memory") == expected


def test_an_address_that_is_none_is_absent():
    """Only an address is one."""
    assert "host.ip" not in mapped("ecs", **AGENT | {"ipaddress": "srv3"})
