"""How the benchmark sends messages."""

import socket
import threading

import pytest

from collector.syslog.framing import Framer
from tests.bench.sender import (
    WRITE_OCTETS,
    cycled,
    pieces,
    read_messages,
    send_tcp,
    send_udp,
    write_messages,
)

MESSAGES = [b"<134>1 - - - - - - %d %b" % (number, b"z" * 700) for number in range(1000)]


def test_messages_are_read_as_they_were_written(tmp_path):
    """Whatever octets they hold."""
    messages = [b"", b"\n\0", *MESSAGES]
    write_messages(tmp_path / "messages", messages)
    assert read_messages(tmp_path / "messages") == messages


def test_pieces_are_large_and_hold_every_message():
    """Octet-counted, so that a framer finds them again."""
    found = pieces(MESSAGES)
    assert all(len(octets) >= WRITE_OCTETS for _, octets in found[:-1])
    assert Framer().feed(b"".join(octets for _, octets in found)) == MESSAGES
    assert sum(count for count, _ in found) == len(MESSAGES)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("first", [0, 2])
def test_as_many_messages_are_sent_as_asked_for(count, first):
    """Over and over, wherever they begin."""
    sent = b"".join(cycled(MESSAGES, pieces(MESSAGES), count, first))
    assert len(Framer().feed(sent)) == count


@pytest.mark.parametrize("connections", [1, 3])
def test_connections_share_the_messages(connections):
    """Each sends a part, and all of them what was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = send_tcp(MESSAGES, server.getsockname(), 100, connections)
        for thread in threads:
            thread.start()
        found = []
        for _ in threads:
            accepted, _ = server.accept()
            with accepted, accepted.makefile("rb") as stream:
                found.append(len(Framer().feed(stream.read())))
        for thread in threads:
            thread.join()
    assert len(found) == connections
    assert sum(found) == 100


def test_datagrams_come_from_as_many_ports_as_asked_for():
    """By turns, so that each sends as much."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        arguments = (MESSAGES, receiver.getsockname(), 40, 4, 1e6)
        sending = threading.Thread(target=send_udp, args=arguments)
        sending.start()
        found = [receiver.recvfrom(65_536) for _ in range(40)]
        sending.join()
    assert [message for message, _ in found] == MESSAGES[:40]
    assert len({port for _, (_, port) in found}) == 4
