"""Whether this machine lets a collector with these settings work: files, memory, buffers, parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from collector.describe.quantities import octets
from collector.doctor.findings import Finding
from collector.settings.units import MIB
from collector.workers.count import worker_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config import Config
    from collector.doctor.machine import Machine, Parts

PROCESS_OCTETS: Final = 110 * MIB
"""What a process has resident at full load, apart from what settings bound: measured."""

# A request in flight is there as documents, as their compressed body, and while it is made.
_COPIES_OF_A_BATCH: Final = 3

# Besides connections: sockets, files of the spool, what libraries open.
_OTHER_FILES: Final = 100

_TRANSPORTS_OF_DATAGRAMS: Final = frozenset({"udp", "unix-datagram"})

# ON CONFLICT … DO UPDATE.
_OLDEST_SQLITE: Final = (3, 24)


def on_buffers(config: Config, machine: Machine) -> Iterator[Finding]:
    """Hold receive buffers against what the kernel gives (socket(7), rmem_max)."""
    for index, listener in enumerate(config.listeners):
        if listener.transport not in _TRANSPORTS_OF_DATAGRAMS:
            continue
        where, wanted = f"listeners[{index}].receive_buffer", listener.receive_buffer
        most = machine.rmem_max
        if most is None:
            found = "net.core.rmem_max cannot be read here, so it is not known what is given"
            yield Finding("note", "receive buffer", where, found, _sysctl(wanted))
        elif wanted <= most:
            found = f"{octets(wanted)}, as net.core.rmem_max allows"
            yield Finding("ok", "receive buffer", where, found)
        elif machine.may_force_buffers:
            found = (
                f"{octets(wanted)} is more than net.core.rmem_max ({most}) allows; we may have it, "
                "as we have CAP_NET_ADMIN, but another user may not"
            )
            yield Finding("note", "receive buffer", where, found, _sysctl(wanted))
        else:
            found = (
                f"the kernel gives {octets(most)} of {octets(wanted)} (net.core.rmem_max): bursts "
                "are lost"
            )
            yield Finding("warning", "receive buffer", where, found, _sysctl(wanted))


def _sysctl(wanted: int) -> str:
    setting = f"net.core.rmem_max={wanted}"
    return (
        f"`sysctl -w {setting}` on the host, and the same in /etc/sysctl.d/90-collector.conf; or "
        "sockets of systemd with ReceiveBuffer="
    )


def on_files(config: Config, machine: Machine) -> Iterator[Finding]:
    """Hold the connections that are allowed against the files that may be open.

    The daemon raises its limit to the hard one, which is what counts.
    """
    connections = sum(
        listener.max_connections
        for listener in config.listeners
        if listener.transport not in _TRANSPORTS_OF_DATAGRAMS
    )
    needed = connections + sum(sink.concurrency for sink in config.sinks) + _OTHER_FILES
    if machine.files is None or needed <= machine.files:
        most = "any number" if machine.files is None else str(machine.files)
        yield Finding("ok", "open files", "", f"{most} may be open, {needed} is the most needed")
        return
    found = (
        f"{machine.files} may be open at most, but max_connections of all listeners together are "
        f"{connections}: some senders could not connect"
    )
    advice = (
        "LimitNOFILE=65536 in the unit, `ulimits: {nofile: 65536}` of a container, or a lower "
        "max_connections"
    )
    yield Finding("warning", "open files", "listeners", found, advice)


def memory_needed(config: Config, workers: int) -> int:
    """Return how many octets of memory a daemon may come to need, roughly."""
    in_flight = sum(
        sink.concurrency * sink.batch.max_bytes * _COPIES_OF_A_BATCH for sink in config.sinks
    )
    processes = workers if workers == 1 else workers + 1
    # Several workers keep the bound together, and may for a moment hold twice of it.
    buffered = config.max_buffered_bytes * (1 if workers == 1 else 2)
    waiting = config.spool.bound if config.spool.type == "memory" else 0
    return processes * PROCESS_OCTETS + workers * in_flight + buffered + waiting


def on_memory(config: Config, machine: Machine) -> Iterator[Finding]:
    """Hold what a daemon may need against what it may have."""
    if machine.memory is None:
        return
    workers = worker_count(config.workers) if config.workers != "auto" else machine.processors
    needed = memory_needed(config, workers)
    whose = "the limit of its control group" if machine.memory_is_limited else "what there is"
    figures = f"up to {octets(needed)} needed, {octets(machine.memory)} is {whose}"
    if needed <= machine.memory:
        yield Finding("ok", "memory", "", figures)
        return
    advice = (
        "give it more (MemoryMax= of the unit, `mem_limit` or limits.memory of a container), or "
        "lower workers, max_buffered_bytes, sinks[].concurrency, or spool.max_bytes in memory"
    )
    yield Finding("warning", "memory", "", f"{figures}: the kernel may end it", advice)


def on_workers(config: Config, machine: Machine) -> Iterator[Finding]:
    """Hold the number of workers against the processors there are."""
    there = f"{machine.processors} processor{'s' if machine.processors > 1 else ''} may be used"
    if config.workers == "auto":
        yield Finding("ok", "workers", "workers", f"auto: {machine.processors}, as {there}")
    elif config.workers > machine.processors:
        found = f"{config.workers} workers, but {there}: more cost memory and gain nothing"
        yield Finding("note", "workers", "workers", found, "workers: auto takes as many as fit")
    else:
        yield Finding("ok", "workers", "workers", f"{config.workers}; {there}")


def on_connections(config: Config, machine: Machine, wanted: int) -> Iterator[Finding]:
    """Hold the queue of connections against what the kernel keeps (listen(2), somaxconn).

    Args:
        config: the settings.
        machine: what the system allows.
        wanted: how long the queue is to be.
    """
    has_streams = any(
        listener.transport not in _TRANSPORTS_OF_DATAGRAMS for listener in config.listeners
    )
    if has_streams and machine.somaxconn is not None and machine.somaxconn < wanted:
        found = f"{machine.somaxconn} connections may wait to be accepted (net.core.somaxconn)"
        advice = f"`sysctl -w net.core.somaxconn={wanted}`, for crowds that connect at once"
        yield Finding("note", "connections", "listeners", found, advice)


def on_user(machine: Machine) -> Iterator[Finding]:
    """Say that root sees other things than the daemon will."""
    if machine.user == 0:
        found = "looked at as root: rights to files and ports of another user may be less"
        advice = "run it as the daemon's user: `sudo -u collector collector doctor -c FILE`"
        yield Finding("note", "user", "", found, advice)


def on_parts(parts: Parts) -> Iterator[Finding]:
    """Say what the collector runs on, and whether it is fit."""
    versions = ", ".join(f"{name} {version}" for name, version in parts.versions.items())
    if _number(parts.versions["SQLite"]) < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        found = f"{versions}: this SQLite is too old"
        yield Finding("error", "versions", "", found, f"SQLite {oldest} or newer")
    else:
        yield Finding("ok", "versions", "", versions)
    if parts.has_kernel:
        yield Finding("ok", "kernel", "", "the module in C is in use")
    elif parts.kernel_is_off:
        found = "the module in C is switched off (COLLECTOR_KERNEL=off)"
        advice = "unset it: without, each event costs several times as much"
        yield Finding("warning", "kernel", "", found, advice)
    else:
        found = "the module in C is not there: each event costs several times as much"
        advice = (
            "install gcc, libc6-dev and python3-dev, then the collector again "
            "(`pip install --force-reinstall --no-deps .`)"
        )
        yield Finding("warning", "kernel", "", found, advice)
    if not parts.is_glibc:
        found = "the C library is not glibc, which alone is told when to give memory back"
        yield Finding("note", "memory", "", found, "the image of the collector is of Debian")


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
