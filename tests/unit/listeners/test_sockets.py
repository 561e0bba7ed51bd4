"""Binding sockets."""

import os
import socket
import stat

import pytest

from collector.listeners.sockets import (
    ETHERNET_SEGMENT,
    address_of,
    authority,
    bind,
    bind_path,
    keep_alive,
    limit_segments,
    listen,
    reachable,
    shown,
    unlink,
)

KINDS = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])


@KINDS
@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
async def test_both_families_are_bound_without_blocking(host, family, kind):
    """Port 0 lets the kernel choose."""
    with await bind(host, 0, kind) as bound:
        assert (bound.family, bound.type) == (family, kind)
        assert bound.getsockname()[1] != 0
        assert not bound.getblocking()


async def test_the_unspecified_ipv6_address_takes_ipv4_too():
    """One listener on `::` serves both."""
    with await bind("::", 0, socket.SOCK_DGRAM) as bound:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", bound.getsockname()[1]))
        bound.setblocking(True)
        assert bound.recvfrom(10)[1][0] == "::ffff:127.0.0.1"


async def test_an_address_in_use_is_an_error():
    """The socket that was tried is closed again, or the test would end with a warning."""
    with await bind("127.0.0.1", 0, socket.SOCK_DGRAM) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await bind("127.0.0.1", port, socket.SOCK_DGRAM)


async def test_two_cannot_listen_at_one_address():
    """Both could be bound; the second one is closed."""
    with await bind("127.0.0.1", 0, socket.SOCK_STREAM) as first:
        second = await bind(*address_of(first), socket.SOCK_STREAM)
        listen(first)
        with pytest.raises(OSError, match="in use"):
            listen(second)
        assert second.fileno() == -1


# In the file system.


@KINDS
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_path_has_the_permissions_of_its_settings(tmp_path, kind, mode):
    """Whatever the mask of the process is, which is as before."""
    mask = os.umask(0o077)
    try:
        with bind_path(tmp_path / "s", mode, kind) as bound:
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
            assert (bound.family, bound.type) == (socket.AF_UNIX, kind)
            assert not bound.getblocking()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)


@KINDS
def test_what_a_process_that_is_gone_has_left_is_removed(tmp_path, kind):
    """As after a SIGKILL."""
    path = tmp_path / "s"
    bind_path(path, 0o600, kind).close()
    assert path.is_socket()
    with bind_path(path, 0o600, kind):
        assert path.is_socket()


@KINDS
def test_a_path_that_is_served_is_somebody_elses(tmp_path, kind):
    """It still is afterwards."""
    path = tmp_path / "s"
    with bind_path(path, 0o600, kind) as bound:
        if kind == socket.SOCK_STREAM:
            listen(bound)
        with pytest.raises(OSError, match="in use"):
            bind_path(path, 0o600, kind)
        with socket.socket(socket.AF_UNIX, kind) as sender:
            sender.connect(str(path))


def test_a_path_whose_server_has_no_room_is_served(tmp_path):
    """Who waits there fills its queue."""
    path = tmp_path / "s"
    with (
        bind_path(path, 0o600, socket.SOCK_STREAM) as bound,
        socket.socket(socket.AF_UNIX) as first,
        socket.socket(socket.AF_UNIX) as second,
    ):
        bound.listen(0)
        for sender in (first, second):
            sender.setblocking(False)
            sender.connect_ex(str(path))
        with pytest.raises(OSError, match="in use"):
            bind_path(path, 0o600, socket.SOCK_STREAM)


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_anything_else_at_a_path_is_left_alone(tmp_path, kind):
    """A mistake in the settings costs no file."""
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("kept")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        bind_path(path, 0o600, socket.SOCK_STREAM)
    assert path.is_symlink() or path.exists()


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        bind_path(tmp_path / "missing" / "s", 0o600, socket.SOCK_STREAM)


async def test_a_path_is_removed_with_its_socket(tmp_path):
    """Other sockets have none."""
    path = tmp_path / "s"
    with bind_path(path, 0o600, socket.SOCK_STREAM) as bound:
        assert (shown(bound), address_of(bound)) == (str(path), str(path))
        unlink(bound)
        assert not path.exists()
        unlink(bound)
    with await bind("127.0.0.1", 0, socket.SOCK_STREAM) as bound:
        unlink(bound)
        assert shown(bound) == f"127.0.0.1:{address_of(bound)[1]}"


# What connections are like.


async def test_a_socket_that_is_closed_is_nowhere():
    """Who asks how things are while the daemon stops is answered too."""
    bound = await bind("127.0.0.1", 0, socket.SOCK_STREAM)
    bound.close()
    assert (address_of(bound), shown(bound)) == (None, "closed")


async def test_segments_are_no_longer_than_on_ethernet():
    """Also of those who connect to a socket that has listened before it was told."""
    with await bind("127.0.0.1", 0, socket.SOCK_STREAM) as bound:
        listen(bound)
        limit_segments(bound)
        with socket.create_connection(address_of(bound)) as sender:
            segment = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    assert segment <= ETHERNET_SEGMENT


def test_keepalive_finds_dead_peers_within_minutes():
    """60 seconds of silence, then four probes 15 seconds apart."""
    with socket.socket() as connection:
        keep_alive(connection)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [connection.getsockopt(socket.IPPROTO_TCP, o) for o in options] == [60, 15, 4]


@pytest.mark.parametrize(
    ("host", "address"), [("192.0.2.1", "192.0.2.1:80"), ("::1", "[::1]:80"), ("h", "h:80")]
)
def test_an_authority_is_host_and_port(host, address):
    """IPv6 addresses stand in brackets."""
    assert authority(host, 80) == address


def test_what_listens_on_every_address_is_reached_by_loopback():
    """Of the same family."""
    hosts = ("0.0.0.0", "::", "192.0.2.1", "localhost")
    assert [*map(reachable, hosts)] == ["127.0.0.1", "::1", "192.0.2.1", "localhost"]
