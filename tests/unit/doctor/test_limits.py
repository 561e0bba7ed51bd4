"""Limits of the machine against what settings ask for."""

import pytest

from collector.doctor import limits
from collector.doctor.machine import Parts
from tests.unit.doctor.conftest import config_of, levels, machine

MIB = 1024 * 1024
UDP = {"name": "u", "transport": "udp", "port": 5514}
VERSIONS = {"Python": "3.11.7", "SQLite": "3.40.1", "OpenSSL": "3.0", "Linux": "6"}


def buffers(**changes):
    config = config_of(listeners=[{**UDP, "receive_buffer": "8MiB"}])
    return list(limits.on_buffers(config, machine(**changes)))


def test_a_buffer_that_the_kernel_cuts_is_a_warning_with_the_sysctl():
    (found,) = buffers()
    assert (found.level, found.where) == ("warning", "listeners[0].receive_buffer")
    assert "208 KiB of 8.0 MiB" in found.found
    assert "sysctl -w net.core.rmem_max=8388608" in found.advice


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"rmem_max": 8 * MIB}, "ok"),
        ({"may_force_buffers": True}, "note"),
        ({"rmem_max": None}, "note"),
    ],
)
def test_a_buffer_that_is_given_is_none(changes, level):
    (found,) = buffers(**changes)
    assert found.level == level


def test_streams_have_no_such_buffer():
    assert list(limits.on_buffers(config_of(), machine())) == []


def test_connections_need_files():
    """All listeners together; datagrams need one each at most."""
    streams = [
        {"name": f"t{n}", "transport": "tcp", "port": 0, "max_connections": 600} for n in (1, 2)
    ]
    config = config_of(listeners=[*streams, UDP])
    (found,) = limits.on_files(config, machine(files=1024))
    assert found.level == "warning"
    assert "together are 1200" in found.found
    assert "LimitNOFILE" in found.advice
    assert levels(limits.on_files(config, machine(files=2048))) == [("ok", "open files")]
    assert levels(limits.on_files(config, machine(files=None))) == [("ok", "open files")]


def test_memory_is_held_against_what_is_allowed():
    (found,) = limits.on_memory(config_of(), machine(memory=128 * MIB, memory_is_limited=True))
    assert found.level == "warning"
    assert "the limit of its control group" in found.found
    assert levels(limits.on_memory(config_of(), machine())) == [("ok", "memory")]
    assert list(limits.on_memory(config_of(), machine(memory=None))) == []


def test_more_workers_need_more():
    """And their supervisor."""
    config = config_of()
    needed = [limits.memory_needed(config, workers) for workers in (1, 2, 4)]
    assert needed == sorted(needed)
    assert needed[1] - needed[0] > 2 * limits.PROCESS_OCTETS


def test_a_spool_in_memory_needs_its_bound():
    bounded = config_of(spool={"type": "memory", "max_bytes": "1GiB"})
    assert limits.memory_needed(bounded, 1) - limits.memory_needed(config_of(), 1) == 1024 * MIB


@pytest.mark.parametrize(("workers", "level"), [(4, "ok"), (5, "note"), ("auto", "ok")])
def test_more_workers_than_processors_are_noted(workers, level):
    (found,) = limits.on_workers(config_of(workers=workers), machine())
    assert found.level == level


def test_a_short_queue_of_connections_is_noted():
    assert levels(limits.on_connections(config_of(), machine(somaxconn=128), 1024)) == [
        ("note", "connections")
    ]
    assert list(limits.on_connections(config_of(), machine(), 1024)) == []
    assert list(limits.on_connections(config_of(listeners=[UDP]), machine(somaxconn=1), 9)) == []


def test_root_is_noted():
    assert levels(limits.on_user(machine(user=0))) == [("note", "user")]
    assert list(limits.on_user(machine())) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (Parts(VERSIONS, True, False, True), [("ok", "versions"), ("ok", "kernel")]),
        (Parts(VERSIONS, False, False, True), [("ok", "versions"), ("warning", "kernel")]),
        (Parts(VERSIONS, False, True, True), [("ok", "versions"), ("warning", "kernel")]),
        (
            Parts({**VERSIONS, "SQLite": "3.9.2"}, True, False, False),
            [("error", "versions"), ("ok", "kernel"), ("note", "memory")],
        ),
    ],
)
def test_what_it_runs_on_is_said(parts, expected):
    assert levels(limits.on_parts(parts)) == expected


def test_a_kernel_that_is_switched_off_is_said_to_be_so():
    found = list(limits.on_parts(Parts(VERSIONS, False, True, True)))[-1]
    assert "COLLECTOR_KERNEL=off" in found.found
