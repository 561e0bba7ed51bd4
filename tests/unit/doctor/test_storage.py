"""Whether a disk is fit for the spool."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from collector.doctor import storage
from collector.doctor.volumes import Volume
from tests.unit.doctor.conftest import config_of, levels

GIB = 1024**3
GOOD = Volume(
    directory=Path("/var/lib/collector"),
    is_there=True,
    looked_at=Path("/var/lib/collector"),
    kind="ext4",
    free=100 * GIB,
    sync_seconds=0.001,
)


def findings(**changes):
    return list(storage.on_volume(config_of(), replace(GOOD, **changes)))


def test_a_good_disk_is_fit():
    assert {finding.level for finding in findings()} == {"ok"}
    assert {finding.level for finding in findings(is_there=False)} == {"ok"}


def test_one_that_cannot_be_written_to_is_an_error_and_no_more_is_said():
    (found,) = findings(problem="Permission denied")
    assert (found.level, found.where) == ("error", "spool.path")
    assert "Permission denied" in found.found
    assert "-o collector" in found.advice


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.EROFS, "mount"),
        (errno.EACCES, "-o collector"),
    ],
)
def test_what_to_do_is_as_what_is_in_the_way(number, advice):
    (found,) = findings(problem=os.strerror(number), number=number)
    assert advice in found.advice


@pytest.mark.parametrize(
    ("kind", "level"),
    [("nfs4", "error"), ("cifs", "error"), ("tmpfs", "warning"), ("overlay", "warning")],
)
def test_some_file_systems_are_not_fit(kind, level):
    assert (level, "file system") in levels(findings(kind=kind))


def test_room_is_for_what_waits_and_for_dead_letters():
    """What the spool has already counts as room."""
    needed = 10 * GIB + GIB + 2 * 64 * 1024**2
    assert ("ok", "disk") in levels(findings(free=needed))
    (found,) = [item for item in findings(free=needed - 1) if item.level == "warning"]
    assert found.where == "spool.max_bytes"
    assert "free; up to 11.1 GiB" in found.found
    assert ("warning", "disk") not in levels(findings(free=needed - GIB, used=GIB))


def test_no_inodes_are_an_error():
    assert ("error", "disk") in levels(findings(has_inodes=False))


def test_a_slow_disk_is_told():
    assert ("warning", "disk") in levels(findings(sync_seconds=0.2))


def test_a_spool_in_memory_is_told():
    assert levels(storage.on_memory_spool(config_of(spool={"type": "memory"}))) == [
        ("warning", "spool")
    ]
    assert list(storage.on_memory_spool(config_of())) == []
