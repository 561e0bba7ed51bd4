"""Binding sockets."""

import socket

import pytest

from collector.listeners.sockets import authority, bind, keep_alive, reachable


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
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
