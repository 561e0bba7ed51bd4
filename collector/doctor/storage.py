"""Whether the disk is fit for the spool."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from collector.describe.quantities import octets
from collector.doctor.findings import Finding
from collector.roles import STREAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config import Config
    from collector.doctor.volumes import Volume

_NETWORK: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs"),
        *("fuse.sshfs", "gfs2", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"),
    }
)
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_LAYERS: Final = frozenset({"overlay", "aufs"})

SLOW_SECONDS: Final = 0.05
"""Beyond that a disk is what senders over RELP wait for."""


def on_memory_spool(config: Config) -> Iterator[Finding]:
    """Say what a spool in memory means."""
    if config.spool.type == "memory":
        found = "in memory: what waits ends with the process, and a sink's outage is short"
        yield Finding("warning", "spool", "spool.type", found, "spool.type: sqlite keeps it")


def on_volume(config: Config, volume: Volume) -> Iterator[Finding]:
    """Say whether a disk is fit for the spool of these settings."""
    where = "spool.path"
    if volume.problem:
        found = f"{volume.looked_at} cannot be written to: {volume.problem}"
        yield Finding("error", "spool", where, found, _advice(volume))
        return
    if volume.is_there:
        yield Finding("ok", "spool", where, f"{volume.directory} can be written to")
    else:
        found = f"{volume.directory} is not there yet; it can be made in {volume.looked_at}"
        yield Finding("ok", "spool", where, found)
    yield from _on_kind(volume, where)
    yield from _on_room(config, volume)
    yield from _on_speed(volume, where)


def _advice(volume: Volume) -> str:
    """Say what to do where nothing can be written."""
    if volume.number in {errno.ENOSPC, errno.EDQUOT}:
        return "make room there, or take a directory on a larger disk"
    if volume.number == errno.EROFS:
        return "mount it to be written to, or a volume there: a container's own files may be fixed"
    return (
        "a directory that the daemon's user may write to: `install -d -o collector -m 700 "
        f"{volume.directory}`; in a container, of user 10001"
    )


def _on_kind(volume: Volume, where: str) -> Iterator[Finding]:
    kind = volume.kind
    if kind in _NETWORK:
        found = f"{kind} is a file system of the network: SQLite's locks and log may not work"
        yield Finding("error", "file system", where, found, "a directory on a disk of this machine")
    elif kind in _MEMORY:
        found = f"{kind} is memory: what waits ends with this machine, or this container"
        yield Finding("warning", "file system", where, found, "a directory on a disk, or a volume")
    elif kind in _LAYERS:
        found = f"{kind} is the container's own layer: what waits ends with the container"
        yield Finding("warning", "file system", where, found, "mount a volume there")
    elif kind:
        yield Finding("ok", "file system", where, kind)


def _on_room(config: Config, volume: Volume) -> Iterator[Finding]:
    kept = config.dead_letters
    # Of unknown intakes and of incomplete messages, each.
    most = config.spool.bound + kept.max_bytes + 2 * kept.unknown_intake_max_bytes
    if not volume.has_inodes:
        advice = "delete files there, or make the file system anew with more"
        yield Finding("error", "disk", "spool.path", "no more files can be made (inodes)", advice)
    figures = f"{octets(volume.free)} free; up to {octets(most)} is for what waits and dead letters"
    where = "spool.local_max_bytes" if config.spool.type == STREAM else "spool.max_bytes"
    if volume.free + volume.used >= most:
        yield Finding("ok", "disk", where, figures)
        return
    used = f", of which it has {octets(volume.used)}" if volume.used else ""
    advice = f"a larger disk, or a lower {where} or dead_letters.max_bytes"
    found = f"{figures}{used}: the disk may be full before the spool is"
    yield Finding("warning", "disk", where, found, advice)


def _on_speed(volume: Volume, where: str) -> Iterator[Finding]:
    if volume.sync_seconds is None:
        return
    found = f"a small write takes {volume.sync_seconds * 1000:.2g} ms until it is safe"
    if volume.sync_seconds > SLOW_SECONDS:
        advice = "a faster disk; spool.synchronous: normal waits for it less often, see its help"
        yield Finding("warning", "disk", where, f"{found}, which is slow", advice)
    else:
        yield Finding("ok", "disk", where, found)
