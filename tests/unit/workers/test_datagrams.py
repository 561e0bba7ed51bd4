"""Datagrams come in on a socket for each worker."""

import socket

import pytest
import structlog

from collector.listeners.sockets import address_of, bind
from collector.workers.datagrams import DatagramSockets


async def datagram_socket(host="127.0.0.1"):
    return await bind(host, 0, socket.SOCK_DGRAM)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
async def test_each_worker_has_a_socket_at_the_same_address(host):
    """Every datagram comes to one of them."""
    bound = await datagram_socket(host)
    sockets = DatagramSockets(bound, 3)
    own = [sockets.of_worker(number) for number in range(3)]
    assert bound in own
    assert len({address_of(item) for item in own}) == 1
    target = address_of(bound)[1]
    family = bound.family
    received = []
    for number in range(60):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"%d" % number, ("127.0.0.1" if host[0] == "1" else "::1", target))
    for item in own:
        try:
            while True:
                received.append(int(item.recv(9)))
        except BlockingIOError:
            continue
    assert sorted(received) == [*range(60)]
    sockets.close()
    assert all(item.fileno() == -1 for item in own)


async def test_sockets_that_are_there_already_are_dealt():
    """As of systemd, which binds as a user with whom the address cannot be shared."""
    made = []
    for _ in range(3):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(made[0].getsockname() if made else ("127.0.0.1", 0))
        made.append(one)
    with structlog.testing.capture_logs() as lines:
        sockets = DatagramSockets(made[0], 3, made[1:])
    assert {sockets.of_worker(number) for number in range(3)} == set(made)
    assert lines == []
    sockets.close()
    assert all(one.fileno() == -1 for one in made)


async def test_nobody_else_can_take_the_address_while_it_is_bound():
    """Though a socket of our own could."""
    bound = await datagram_socket()
    sockets = DatagramSockets(bound, 2)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(address_of(bound))
    sockets.close()


async def test_a_path_is_read_by_one_worker(tmp_path):
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(tmp_path / "s"))
    sockets = DatagramSockets(bound, 3)
    assert [sockets.of_worker(number) for number in range(3)].count(None) == 2
    sockets.close()


async def test_where_no_more_sockets_can_be_bound_one_worker_reads():
    """The log says so: the daemon is slower than it might be, and loses nothing."""

    class Foreign(socket.socket):
        """One that another user has bound."""

        def setsockopt(self, *_):
            raise PermissionError(1, "Operation not permitted")

    bound = await datagram_socket()
    foreign = Foreign(fileno=bound.detach())
    with structlog.testing.capture_logs() as lines:
        sockets = DatagramSockets(foreign, 2)
    assert [sockets.of_worker(number) for number in range(2)].count(None) == 1
    assert lines[0]["event"] == "datagrams cannot be dealt to all workers"
    assert lines[0]["problem"] == "Operation not permitted"
    sockets.close()
