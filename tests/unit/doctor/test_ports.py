"""Asking whether places are free, and who has them."""

import errno
import os
import socket
import time

import pytest

from collector.doctor import ports

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
SECONDS = 10.0


async def test_a_free_port_can_be_bound_and_is_free_afterwards():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for _ in range(2):
        assert await ports.try_address("127.0.0.1", port, STREAM, SECONDS) == ports.Attempt()
        assert await ports.try_address("127.0.0.1", port, DATAGRAM, SECONDS) == ports.Attempt()


async def test_a_port_that_is_taken_names_who_has_it():
    """Us."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        attempt = await ports.try_address("127.0.0.1", server.getsockname()[1], STREAM, SECONDS)
    assert (attempt.number, attempt.address) == (errno.EADDRINUSE, "127.0.0.1")
    assert str(attempt.holder).endswith(f"(process {os.getpid()})")


async def test_datagrams_have_holders_too():
    with socket.socket(socket.AF_INET, DATAGRAM) as server:
        server.bind(("127.0.0.1", 0))
        attempt = await ports.try_address("127.0.0.1", server.getsockname()[1], DATAGRAM, SECONDS)
    assert str(attempt.holder).endswith(f"(process {os.getpid()})")


async def test_an_address_of_another_machine_is_told():
    attempt = await ports.try_address("192.0.2.200", 5514, STREAM, SECONDS)
    assert attempt.number == errno.EADDRNOTAVAIL
    attempt = await ports.try_address("no-such-host.invalid", 5514, STREAM, SECONDS)
    assert attempt == ports.Attempt(ports.NO_NAME, errno.EADDRNOTAVAIL)


async def test_a_name_is_not_waited_for_without_end(monkeypatch):
    """A look-up that hangs holds up nobody."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
    attempt = await ports.try_address("slow.example", 5514, STREAM, 0.05)
    assert attempt == ports.Attempt("no answer to the name in 0.05 s", errno.EADDRNOTAVAIL)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_a_name_is_bound_by_its_address(host):
    assert await ports.try_address(host, 0, STREAM, SECONDS) == ports.Attempt()


async def test_a_name_that_is_taken_is_told_by_its_address():
    address = socket.getaddrinfo("localhost", None)[0][4][0]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        attempt = await ports.try_address("localhost", server.getsockname()[1], STREAM, SECONDS)
    assert attempt.address == address


def test_a_holder_that_is_not_to_be_seen_has_no_name(tmp_path):
    """Processes of others hide their files; of those that connect nobody is in the way."""
    header = "  sl  local_address rem_address   st\n"
    row = "   0: 0100007F:{:04X} 00000000:0000 {} 0 0 0 0 0 4711 1\n"
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(header + row.format(5514, "0A"))
    assert ports.holder_of(5514, STREAM, tmp_path) is None
    process = tmp_path / "12"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("rsyslogd\n")
    (process / "stat").write_text("12 (rsyslogd) S 1 11 10 0 -1")
    (process / "fd" / "3").symlink_to("socket:[4711]")
    assert ports.holder_of(5514, STREAM, tmp_path) == ports.Holder("rsyslogd", 12, 11)
    assert ports.holder_of(5515, STREAM, tmp_path) is None
    (tmp_path / "net" / "tcp").write_text(header + row.format(5514, "01"))
    assert ports.holder_of(5514, STREAM, tmp_path) is None


def test_a_holder_is_known_by_its_process_group_whatever_it_is_called(tmp_path):
    """Its name stands before the numbers, and may look like them."""
    (tmp_path / "net").mkdir()
    row = "   0: 0100007F:15A2 00000000:0000 07 0 0 0 0 0 4711 1\n"
    (tmp_path / "net" / "udp").write_text(f"  sl  local_address\n{row}")
    process = tmp_path / "12"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("a) S 7 (b\n")
    (process / "stat").write_text("12 (a) S 7 (b) S 1 11 10 0 -1")
    (process / "fd" / "3").symlink_to("socket:[4711]")
    found = ports.holder_of(0x15A2, DATAGRAM, tmp_path)
    assert found == ports.Holder("a) S 7 (b", 12, 11)
    assert str(found) == "a) S 7 (b (process 12)"


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM])
def test_a_path_that_is_free_is_left_alone(tmp_path, kind):
    """So is what a process that is gone has left: the daemon removes it."""
    path = tmp_path / "socket"
    assert ports.try_path(path, kind) == ports.Attempt()
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
    assert ports.try_path(path, kind) == ports.Attempt()
    assert path.exists()


def test_a_path_that_is_served_is_told(tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, STREAM) as server:
        server.bind(str(path))
        server.listen()
        assert ports.try_path(path, STREAM).number == errno.EADDRINUSE


def test_other_things_in_the_way_are_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert ports.try_path(file, STREAM).number == errno.EEXIST
    missing = ports.try_path(tmp_path / "no" / "socket", STREAM)
    assert missing.number == errno.ENOENT
    assert str(tmp_path / "no") in missing.problem
