"""Headers of proxies read from sockets."""

import asyncio
import socket

import pytest

from collector.listeners.proxies import read_header
from collector.listeners.proxy_protocol import MAX_HEADER_BYTES, ProxyHeaderError

V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 514\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_SENDER = V2 + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1]) + b"\x04\xd2\x02\x02"


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("header", [V1, V2_SENDER], ids=["version 1", "version 2"])
async def test_a_header_may_be_split_anywhere(pair, header):
    """Nothing of what follows is taken."""
    ours, theirs = pair
    for at in range(1, len(header)):
        reading = asyncio.create_task(read_header(ours))
        theirs.send(header[:at])
        await asyncio.sleep(0)
        theirs.send(header[at:] + b"data")
        assert await reading == "192.0.2.7"
        assert ours.recv(100) == b"data"


@pytest.mark.parametrize("header", [V1, V2_SENDER], ids=["version 1", "version 2"])
async def test_a_header_may_come_octet_by_octet(pair, header):
    ours, theirs = pair
    reading = asyncio.create_task(read_header(ours))
    for octet in header + b"data":
        theirs.send(bytes([octet]))
        for _ in range(5):
            await asyncio.sleep(0)
    assert await reading == "192.0.2.7"
    assert ours.recv(100) == b"data"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\0\0\0"])
async def test_a_proxy_that_speaks_for_itself_names_nobody(pair, header):
    ours, theirs = pair
    theirs.send(header + b"data")
    assert await read_header(ours) is None
    assert ours.recv(100) == b"data"


async def test_a_header_may_be_as_long_as_is_read(pair):
    """What a proxy adds to the addresses is passed over."""
    ours, theirs = pair
    rest = MAX_HEADER_BYTES - 16
    theirs.send(V2 + b"\x21\x11" + rest.to_bytes(2) + V2_SENDER[16:] + bytes(rest - 12) + b"data")
    assert await read_header(ours) == "192.0.2.7"
    assert ours.recv(100) == b"data"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"<13>hello\n", "there is no PROXY header"),
        (b"\x16\x03\x01", "there is no PROXY header"),
        (V1[:20], "the connection ended before the header did"),
        (b"", "the connection ended before the header did"),
        (V2 + b"\x21\x11\xff\xff", "the PROXY header is longer than 4096 bytes"),
    ],
)
async def test_anything_else_is_an_error(pair, data, problem):
    """So is an end before its own."""
    ours, theirs = pair
    theirs.send(data)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ProxyHeaderError, match=f"^{problem}$"):
        await read_header(ours)


async def test_a_connection_that_breaks_is_an_error_of_the_system(pair):
    """Here the other side closes with something unread."""
    ours, theirs = pair
    ours.send(b"unread")
    theirs.close()
    with pytest.raises(ConnectionResetError):
        await read_header(ours)


async def test_nothing_reads_the_socket_once_reading_is_given_up(pair):
    """The loop watches it no more, so that a protocol can take it."""
    ours, theirs = pair
    reading = asyncio.create_task(read_header(ours))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert not asyncio.get_running_loop().remove_reader(ours)
    theirs.send(V1)
    assert await read_header(ours) == "192.0.2.7"
