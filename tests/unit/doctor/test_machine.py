"""What the system is asked, from files as it has them."""

import pytest

from collector.doctor import machine

STATUS = "Name:\tpython\nCapEff:\t{}\n"
ROUTES = (
    "Iface\tDestination\tGateway\tFlags\n"
    "eth0\t0000A8C0\t00000000\t0001\n"
    "eth0\t00000000\t010011AC\t0003\n"
)


class Tree:
    """Files of a system."""

    def __init__(self, root):
        self.root = root
        self.write("proc/self/status", STATUS.format("0000000000000000"))
        self.write("proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n")
        self.write("proc/self/cgroup", "0::/service\n")
        self.write("proc/net/route", ROUTES)
        self.write("proc/sys/net/core/rmem_max", "212992\n")

    def write(self, path, text=""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def look(self, **environ):
        return machine.look(self.root, environ)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_a_plain_machine(tree):
    found = tree.look()
    assert found.rmem_max == 212_992
    assert found.memory == 1024 * 1024
    assert not found.memory_is_limited
    assert found.gateway == "172.17.0.1"
    assert found.first_free_port == 1024
    assert (found.container, found.is_bridged) == (None, False)
    assert not found.may_force_buffers


def test_a_system_that_says_nothing_is_no_error(tmp_path):
    """As one without /proc."""
    found = machine.look(tmp_path, {})
    assert (found.rmem_max, found.memory, found.gateway, found.container) == (None,) * 4
    assert found.processors >= 1


@pytest.mark.parametrize(("bits", "may"), [("0400", False), ("1000", True)])
def test_capabilities_are_read(tree, bits, may):
    """CAP_NET_ADMIN is 12."""
    tree.write("proc/self/status", STATUS.format(bits.rjust(16, "0")))
    assert tree.look().may_force_buffers == may


def test_the_least_limit_of_the_groups_above_counts(tree):
    """Version 2."""
    tree.write("sys/fs/cgroup/service/memory.max", "max\n")
    tree.write("sys/fs/cgroup/memory.max", "524288\n")
    found = tree.look()
    assert (found.memory, found.memory_is_limited) == (524_288, True)


def test_limits_of_version_1_are_read(tree):
    """Its largest number stands for none."""
    tree.write("proc/self/cgroup", "5:cpu:/x\n4:memory:/y\n")
    tree.write("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "9223372036854771712\n")
    assert not tree.look().memory_is_limited
    tree.write("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "4096\n")
    assert tree.look().memory == 4096


@pytest.mark.parametrize(
    ("mark", "environ", "kind"),
    [
        (".dockerenv", {}, "Docker"),
        ("run/.containerenv", {}, "Podman"),
        (None, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
        (None, {"container": "lxc"}, "lxc"),
    ],
)
def test_a_container_is_known(tree, mark, environ, kind):
    if mark:
        tree.write(mark)
    found = tree.look(**environ)
    assert (found.container, found.is_bridged) == (kind, True)


def test_a_container_with_the_network_of_its_host_is_not_bridged(tree):
    """It sees the bridges of the others."""
    tree.write(".dockerenv")
    tree.write("sys/class/net/docker0/mtu")
    assert not tree.look().is_bridged


def test_a_container_is_known_by_its_group(tree):
    tree.write("proc/self/cgroup", "0::/kubepods/besteffort/pod1\n")
    assert tree.look().container == "Kubernetes"


def test_this_machine_can_be_asked():
    """Whatever it says."""
    assert machine.look().processors >= 1
    assert machine.clock().is_synchronized in {True, False, None}


def test_the_parts_are_named():
    found = machine.parts({})
    assert {"Python", "SQLite", "OpenSSL", "Linux"} == set(found.versions)
    assert all(found.versions.values())
    assert not found.kernel_is_off
    assert machine.parts({"COLLECTOR_KERNEL": "off"}).kernel_is_off
