"""The course of `collector doctor`: everything is looked at, the network at the same time."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from collector import __file__ as package
from collector import config as settings
from collector.doctor import (
    addresses,
    backlog,
    certificates,
    credentials,
    keys,
    limits,
    machine,
    places,
    ports,
    storage,
    times,
    volumes,
)
from collector.doctor.findings import Finding
from collector.doctor.ports import Attempt
from collector.doctor.reaching import ask_sink
from collector.doctor.running import ask_daemon
from collector.doctor.stream import ask_stream
from collector.doctor.waiting import beside
from collector.listeners.sockets import BACKLOG
from collector.spool import files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.config import Config, ListenerSettings, SinkSettings
    from collector.doctor.running import Daemon
    from collector.roles import Role
    from collector.settings.problems import Problem

# For the disk: as long as a share of the network may think about a file, and no longer.
DISK_SECONDS: Final = 10.0

_DATAGRAMS: Final = frozenset({"udp", "unix-datagram"})


class _Disk(NamedTuple):
    """What was found of the spool's place, where nothing was waited for without end.

    Attributes:
        findings: about the disk.
        is_locked: whether a process uses the spool.
        waiting: what is to be said of events that wait there.
    """

    findings: list[Finding]
    is_locked: bool
    waiting: list[Problem]


class _Answers(NamedTuple):
    """What was asked, and is to be judged.

    Attributes:
        here: this machine.
        daemon: that may run.
        disk: of the spool.
        admin: what came of binding the admin server's address.
        listeners: of binding the place of each listener.
        stream: what was found of the stream, if there is one.
        sinks: what was found of all sinks.
    """

    here: machine.Machine
    daemon: Daemon
    disk: _Disk
    admin: Attempt
    listeners: list[Attempt]
    stream: list[Finding]
    sinks: list[Finding]


async def examine(config: Config, role: Role, *, send_test: bool, seconds: float) -> list[Finding]:
    """Look at everything that these settings need.

    Args:
        config: the settings.
        role: of the daemon; what that does not do needs nothing.
        send_test: whether an empty batch may be posted to sinks where that might count for an
            event.
        seconds: that each step on the network may take.

    Returns:
        What was found, in the order: this machine, disk, listeners, intakes, stream, sinks.
    """
    config = config.model_copy(update={"listeners": role.listeners(config)})
    wall, steady = time.time(), time.monotonic()
    answers = await _ask(config, role, send_test=send_test, seconds=seconds)
    found = _judge(config, answers)
    moved = (time.time() - wall) - (time.monotonic() - steady)
    return [*_on_clock(config, moved), *found]


async def _ask(config: Config, role: Role, *, send_test: bool, seconds: float) -> _Answers:
    """Ask this machine, the daemon that may run, the servers of a stream, and the sinks."""
    posted = config.sinks if role.delivers else ()
    daemon, disk, stream, sinks = await asyncio.gather(
        ask_daemon(config.admin, seconds),
        _look_at_disk(config),
        ask_stream(config, role, seconds),
        _ask_sinks(config, posted, send_test=send_test, seconds=seconds),
    )
    here = machine.look()
    admin, *listeners = await asyncio.gather(
        _try_admin(config, daemon, seconds), *(_try(item, seconds) for item in config.listeners)
    )
    daemon = daemon._replace(holder=admin.holder)
    return _Answers(here, daemon, disk, admin, listeners, stream, sinks)


async def _ask_sinks(
    config: Config, sinks: Sequence[SinkSettings], *, send_test: bool, seconds: float
) -> list[Finding]:
    """Ask sinks; return what was found in the order of the settings."""
    found = await asyncio.gather(
        *(
            ask_sink(
                index,
                sink,
                [intake for intake in config.intakes if sink in config.sinks_of(intake)],
                send_test=send_test,
                seconds=seconds,
            )
            for index, sink in enumerate(sinks)
        )
    )
    return list(chain.from_iterable(found))


def _judge(config: Config, answers: _Answers) -> list[Finding]:
    """Say what answers mean for settings; the clock aside."""
    here, daemon = answers.here, answers.daemon
    return [
        *_on_machine(config, here),
        *_on_disk(config, answers.disk, daemon),
        places.on_admin(config.admin, answers.admin, daemon),
        *(
            places.on_listener(index, item, attempt, here, daemon)
            for index, (item, attempt) in enumerate(
                zip(config.listeners, answers.listeners, strict=True)
            )
        ),
        *limits.on_buffers(config, here),
        *addresses.on_addresses(config, here, daemon.status),
        *certificates.on_certificates(config, time.time()),
        *credentials.on_credentials(config, time.time()),
        *keys.on_keys(config),
        *keys.on_secret_files(config),
        *keys.on_admin_token(config),
        *_on_settings(config, answers.disk),
        *answers.stream,
        *answers.sinks,
    ]


def _on_machine(config: Config, here: machine.Machine) -> list[Finding]:
    return [
        *limits.on_parts(machine.parts()),
        *limits.on_user(here),
        *limits.on_files(config, here),
        *limits.on_memory(config, here),
        *limits.on_workers(config, here),
        *limits.on_connections(config, here, BACKLOG),
    ]


def _on_clock(config: Config, moved: float) -> list[Finding]:
    now = time.time()
    return [
        *times.on_clock(machine.clock()),
        *times.on_time(now, Path(package).stat().st_mtime),
        *times.on_jump(moved),
        *times.on_zones(config, now),
    ]


def _on_settings(config: Config, disk: _Disk) -> list[Finding]:
    """Return what `collector check` warns of."""
    warnings = (*settings.warnings(config), *disk.waiting)
    return [Finding("warning", "settings", item.path, item.message) for item in warnings]


async def _look_at_disk(config: Config) -> _Disk:
    if config.spool.type == "memory":
        return _Disk(list(storage.on_memory_spool(config)), is_locked=False, waiting=[])
    directory = Path(config.spool.path)

    def look() -> _Disk:
        volume = volumes.look_at(directory)
        is_locked = False
        with suppress(OSError):  # told of the volume
            is_locked = files.is_locked(directory)
        waiting = [] if volume.problem else backlog.warnings(config)
        return _Disk(list(storage.on_volume(config, volume)), is_locked, waiting)

    try:
        return await beside(look, DISK_SECONDS)
    except TimeoutError:
        found = f"{directory} has not answered in {DISK_SECONDS:g} seconds"
        advice = "a disk of this machine that works: `dmesg` may say more"
        findings = [Finding("error", "spool", "spool.path", found, advice)]
        return _Disk(findings, is_locked=False, waiting=[])


def _on_disk(config: Config, disk: _Disk, daemon: Daemon) -> list[Finding]:
    lock = places.on_spool_lock(config.spool.path, is_locked=disk.is_locked, daemon=daemon)
    return [*disk.findings, *([] if lock is None else [lock])]


async def _try_admin(config: Config, daemon: Daemon, seconds: float) -> Attempt:
    admin = config.admin
    if not admin.port or daemon.status is not None:
        return Attempt()
    return await ports.try_address(admin.host, admin.port, socket.SOCK_STREAM, seconds)


async def _try(listener: ListenerSettings, seconds: float) -> Attempt:
    kind = socket.SOCK_DGRAM if listener.transport in _DATAGRAMS else socket.SOCK_STREAM
    if listener.path is not None:
        return ports.try_path(listener.path, kind)
    if not listener.port:
        return Attempt()
    return await ports.try_address(listener.host, listener.port, kind, seconds)
