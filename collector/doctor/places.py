"""Whether listeners and the admin server can have the places that settings give them."""

from __future__ import annotations

import errno
from contextlib import suppress
from ipaddress import ip_address
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from collector.describe.terminal import cut
from collector.doctor.findings import Finding
from collector.listeners.sockets import authority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.config import AdminSettings, ListenerSettings
    from collector.doctor.machine import Machine
    from collector.doctor.ports import Attempt
    from collector.doctor.running import Daemon

_SYSTEMD: Final = "systemd (process 1)"

_UNTOLD: Final = "cannot tell whether it is the running collector"
_TELL: Final = "with its token (admin.token_file) the running collector says which places it has"


def on_listener(
    index: int,
    listener: ListenerSettings,
    attempt: Attempt,
    machine: Machine,
    daemon: Daemon,
) -> Finding:
    """Say whether a listener can listen where it is to.

    Args:
        index: its position among the listeners.
        listener: its settings.
        attempt: what came of binding its place.
        machine: what the system allows.
        daemon: that may run.
    """
    where = f"listeners[{index}].{'port' if listener.path is None else 'path'}"
    if listener.path is not None:
        place = str(listener.path)
    else:
        place = authority(listener.host, listener.port or 0)
    shown = f"{listener.transport} {place}"
    if listener.path is None and not listener.port:
        return Finding("ok", "listener", where, f"{listener.transport}: the system chooses a port")
    if not attempt.problem:
        return _privileged(where, listener, machine) or Finding(
            "ok", "listener", where, f"{shown} is free"
        )
    if attempt.number == errno.EADDRINUSE and is_ours(listener, attempt.address, daemon.status):
        return Finding("ok", "listener", where, f"{shown} is held by the collector that runs")
    if attempt.number == errno.EADDRINUSE and daemon.may_hold(attempt.holder):
        found = f"{shown}: {_in_use(attempt)}; {_UNTOLD}"
        return Finding("warning", "listener", where, found, _TELL)
    return _in_the_way(where, shown, attempt, listener.port)


def is_ours(listener: ListenerSettings, address: str, status: Mapping[str, Any] | None) -> bool:
    """Say whether a running daemon listens where a listener is to.

    Args:
        listener: its settings.
        address: that its host stands for; empty if that is not known.
        status: what the daemon says; None where there is none.
    """
    is_datagram = _is_datagram(listener.transport)
    return any(
        _is_datagram(there["transport"]) == is_datagram
        and (
            there.get("path") == str(listener.path)
            if listener.path is not None
            else there.get("port") == listener.port
            and _overlap(str(there.get("host")), address or listener.host)
        )
        for there in (status or {}).get("listeners", [])
    )


def _overlap(one: str, other: str) -> bool:
    """Say whether two hosts cannot have one port each: they are the same, or one covers both."""
    one, other = _plain(one), _plain(other)
    return one == other or _covers(one, other) or _covers(other, one)


def _covers(host: str, other: str) -> bool:
    """Say whether a host stands for every address of the kind of another (ip(7), ipv6(7))."""
    return host == "::" or (host == "0.0.0.0" and ":" not in other)


def _plain(host: str) -> str:
    """Return an address in its usual form, and a name as it is."""
    with suppress(ValueError):
        return str(ip_address(host))
    return host


def _privileged(where: str, listener: ListenerSettings, machine: Machine) -> Finding | None:
    """Return that a port is free to us alone, if it is."""
    port = listener.port
    if port is None or port >= machine.first_free_port or machine.user != 0:
        return None
    found = f"{listener.transport} {authority(listener.host, port)} is free, but not for every user"
    return Finding("note", "listener", where, found, _privileges(port))


def _privileges(port: int) -> str:
    return (
        f"sockets of systemd (deploy/systemd), AmbientCapabilities=CAP_NET_BIND_SERVICE, or "
        f"`sysctl -w net.ipv4.ip_unprivileged_port_start={port}`; a container can publish "
        f"{port}:5514; or a port from 1024 on"
    )


def _in_the_way(where: str, shown: str, attempt: Attempt, port: int | None) -> Finding:
    found = f"{shown}: {_in_use(attempt)}"
    if attempt.number == errno.EADDRINUSE and str(attempt.holder) == _SYSTEMD:
        found = f"{shown} is held by systemd, which hands it over when it starts the collector"
        advice = "FileDescriptorName= of the socket unit is the listener's name"
        return Finding("note", "listener", where, found, advice)
    if attempt.number == errno.EADDRINUSE:
        advice = "stop that, often rsyslog or an older collector, or choose another port"
    elif attempt.number == errno.EACCES and port:
        advice = _privileges(port)
    elif attempt.number == errno.EADDRNOTAVAIL:
        advice = "host: an address of this machine, 0.0.0.0 or `::`"
    elif attempt.number == errno.EAFNOSUPPORT:
        advice = "host: 0.0.0.0, as there is no IPv6 here"
    else:
        advice = "a place that the daemon's user may use"
    return Finding("error", "listener", where, found, advice)


def _in_use(attempt: Attempt) -> str:
    """Say why a place is not to be had, and who has it."""
    return attempt.problem if attempt.holder is None else f"{attempt.problem}, by {attempt.holder}"


def on_admin(admin: AdminSettings, attempt: Attempt, daemon: Daemon) -> Finding:
    """Say whether the admin server can listen, or a daemon answers there.

    Args:
        admin: its settings.
        attempt: what came of binding its address.
        daemon: that may run.
    """
    place = authority(admin.host, admin.port)
    if not admin.port:
        found = "the system chooses a port, so `top` and `drift` cannot ask the daemon"
        return Finding("note", "admin", "admin.port", found, "set one")
    if daemon.status is not None:
        found = f"collector {cut(daemon.status['version'], 40)} runs and answers at {place}"
        return Finding("ok", "admin", "admin.port", found)
    if not attempt.problem:
        return Finding("ok", "admin", "admin.port", f"{place} is free; no daemon runs")
    found = f"{place}: {_in_use(attempt)}"
    if attempt.number == errno.EADDRINUSE and daemon.is_closed:
        found += f"; {_UNTOLD}: {daemon.problem}"
        advice = (
            "admin.token_file, of the token that the daemon was started with; one in a variable "
            "(${ADMIN_TOKEN_FILE}) has to be set here too"
        )
        return Finding("warning", "admin", "admin.token_file", found, advice)
    if attempt.number == errno.EADDRINUSE:
        found += f"; {daemon.problem}"
        return Finding("error", "admin", "admin.port", found, "another admin.port")
    return Finding("error", "admin", "admin.host", found, "an address of this machine")


def on_spool_lock(directory: str, *, is_locked: bool, daemon: Daemon) -> Finding | None:
    """Say whether another process has the spool.

    Args:
        directory: that of the spool.
        is_locked: whether a process holds it.
        daemon: that may run.
    """
    if not is_locked:
        return None
    theirs = None if daemon.status is None else daemon.status["spool"].get("path")
    if isinstance(theirs, str) and PurePath(theirs) == PurePath(directory):  # `./spool` is `spool`
        return Finding(
            "ok", "spool", "spool.path", f"{directory} is used by the collector that runs"
        )
    found = f"{directory} is in use by another process"
    if daemon.is_closed:
        return Finding("warning", "spool", "spool.path", f"{found}; {_UNTOLD}", _TELL)
    advice = (
        "one directory for each daemon; admin.host and admin.port are those of the one that runs"
    )
    return Finding("error", "spool", "spool.path", found, advice)


def _is_datagram(transport: str) -> bool:
    return transport in {"udp", "unix-datagram"}
