"""Asks the system what it allows and where we are: limits, capabilities, container, addresses."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
import sqlite3
import ssl
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector import switches
from collector.parsers.shapes import compiled
from collector.workers.count import processors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# linux/capability.h
_CAP_NET_ADMIN: Final = 12

# linux/route.h: a route is up, and leads through a gateway.
_THROUGH_GATEWAY: Final = 0x3

_CONTAINER_MARKS: Final = ((".dockerenv", "Docker"), ("run/.containerenv", "Podman"))
_CONTAINER_GROUPS: Final = (("kubepods", "Kubernetes"), ("docker", "Docker"), ("lxc", "LXC"))

# Interfaces that only the host of containers has.
_HOST_INTERFACES: Final = ("docker", "br-", "cni", "veth", "virbr", "podman", "cali", "flannel")

# "No limit" of control groups version 1: the largest number of pages.
_UNLIMITED: Final = 1 << 60

# adjtimex(2): the clock is not synchronized, as a status and as what is returned.
_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine, or the container, allows and is.

    Attributes:
        user: number of the user we run as.
        may_force_buffers: whether receive buffers may be larger than `rmem_max`.
        first_free_port: the first port that needs no privilege.
        rmem_max: the largest receive buffer, in octets; None if the system does not say.
        somaxconn: how many connections may wait to be accepted; None as above.
        files: how many files a process may have open at most; None for any number.
        memory: octets that may be used; None if the system does not say.
        memory_is_limited: whether that is the limit of a control group, not what the machine has.
        processors: how many may be used.
        container: what kind of container this is; None for none.
        is_bridged: whether a container has a network of its own.
        gateway: where packets to elsewhere go; None if there is no such route.
    """

    user: int
    may_force_buffers: bool
    first_free_port: int
    rmem_max: int | None
    somaxconn: int | None
    files: int | None
    memory: int | None
    memory_is_limited: bool
    processors: int
    container: str | None
    is_bridged: bool
    gateway: str | None


def look(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Machine:
    """Ask the system.

    Args:
        root: where its files are.
        environ: holds what containers are told of themselves.
    """
    capabilities = _capabilities(root)
    limit, total = _memory_limit(root), _memory_total(root)
    container = _container(root, environ)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        user=os.geteuid(),
        may_force_buffers=bool(capabilities >> _CAP_NET_ADMIN & 1),
        first_free_port=_number(root / "proc/sys/net/ipv4/ip_unprivileged_port_start") or 1024,
        rmem_max=_number(root / "proc/sys/net/core/rmem_max"),
        somaxconn=_number(root / "proc/sys/net/core/somaxconn"),
        files=None if hard == resource.RLIM_INFINITY else hard,
        memory=min((size for size in (limit, total) if size is not None), default=None),
        memory_is_limited=limit is not None and (total is None or limit < total),
        processors=processors(root / "sys/fs/cgroup", root / "proc/self/cgroup"),
        container=container,
        is_bridged=container is not None and not _has_host_network(root),
        gateway=_gateway(root),
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What the collector runs on.

    Attributes:
        versions: of Python and the libraries that matter, by name.
        has_kernel: whether the module in C is in use.
        kernel_is_off: whether that was asked for.
        is_glibc: whether memory that is free is given back (`collector.memory`).
    """

    versions: dict[str, str]
    has_kernel: bool
    kernel_is_off: bool
    is_glibc: bool


def parts(environ: Mapping[str, str] = os.environ) -> Parts:
    """Say what the collector runs on."""
    return Parts(
        {
            "Python": platform.python_version(),
            "SQLite": sqlite3.sqlite_version,
            "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").partition(" ")[0],
            "Linux": platform.release(),
        },
        compiled.IS_THERE,
        environ.get(switches.KERNEL) == "off",
        hasattr(ctypes.CDLL(None), "malloc_trim"),
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of the machine.

    Attributes:
        is_synchronized: whether something keeps it right; None if the system does not say.
        uncertainty: seconds by which it may be wrong, as what keeps it right has it.
    """

    is_synchronized: bool | None
    uncertainty: float


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def clock() -> Clock:
    """Ask the kernel for the state of its clock, as NTP daemons set it; nothing is changed."""
    found = _Timex()  # modes 0: read alone, which needs no privilege
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(found))
    except AttributeError:
        return Clock(None, 0.0)
    if state < 0:
        return Clock(None, 0.0)
    is_synchronized = state != _TIME_ERROR and not found.status & _STA_UNSYNC
    return Clock(is_synchronized, found.maxerror / 1e6)


def _number(file: Path) -> int | None:
    """Return the number in a file of the system; None if there is none."""
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _capabilities(root: Path) -> int:
    """Return the effective capabilities of this process as bits (proc(5), status)."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def _memory_total(root: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return None


def _memory_limit(root: Path) -> int | None:
    """Return the least of the limits of our control group and those above it, of either version."""
    return min(filter(None, map(_limit, _memory_files(root))), default=None)


def _memory_files(root: Path) -> Iterator[Path]:
    """Yield where limits of memory stand (cgroups(7)): 2 has one hierarchy, 1 one of its own."""
    cgroups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            top, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        yield from (place / name for place in (group, *group.parents) if place.is_relative_to(top))


def _limit(file: Path) -> int | None:
    number = _number(file)
    return None if number is None or number >= _UNLIMITED else number


def _container(root: Path, environ: Mapping[str, str]) -> str | None:
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "Kubernetes"
    for mark, kind in _CONTAINER_MARKS:
        if (root / mark).exists():
            return kind
    with suppress(OSError):
        groups = (root / "proc/self/cgroup").read_text()
        for mark, kind in _CONTAINER_GROUPS:
            if mark in groups:
                return kind
    return environ.get("container") or None


def _has_host_network(root: Path) -> bool:
    """Guess whether a container has the network of its host, by the interfaces there are."""
    with suppress(OSError):
        names = [entry.name for entry in (root / "sys/class/net").iterdir()]
        return any(name.startswith(_HOST_INTERFACES) for name in names)
    return False


def _gateway(root: Path) -> str | None:
    """Return the gateway of the default route for IPv4 (proc(5), net/route)."""
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/net/route").read_text().splitlines()[1:]:
            fields = line.split()
            is_default = fields[1] == "00000000"
            if is_default and int(fields[3], 16) & _THROUGH_GATEWAY == _THROUGH_GATEWAY:
                return str(IPv4Address(socket.ntohl(int(fields[2], 16))))
    return None
