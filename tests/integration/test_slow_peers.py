"""Peers that stall, leave half way or never listen: they cost no more than what they hold."""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager, suppress

import pytest

from tests.crowds import Crowd, open_files, reset, resident_bytes
from tests.house import housed
from tests.relp_sender import RelpSender
from tests.station import HEADER

MIB = 1024 * 1024
OPEN_RELP = b"1 open 14 relp_version=0\n"
MESSAGE = f"{HEADER}text".encode()
COUNTED = b"%d %b" % (len(MESSAGE), MESSAGE)
LARGE = b"200000 " + MESSAGE.ljust(100_000, b"z")  # half of it


@asynccontextmanager
async def visited(directory, **settings):
    """Run a daemon that serves others before and after the test, and gives everything back."""
    async with housed(directory, **settings) as house:
        await house.visit("before")
        files = open_files(house.process)
        with Crowd() as crowd:
            yield house, crowd
            await house.visit("after")
        await house.until_all_gone(files)
        assert await house.daemon.stop() == 0
    errors = [line for line in house.daemon.lines if line["level"] in {"error", "critical"}]
    assert errors == []


async def settled(house):
    """Return the ledger once nothing is on its way."""
    return await house.daemon.ledger_when(
        lambda ledger: not ledger["in_memory"] and not ledger["spooled"]
    )


# Who stalls.


async def test_a_relp_client_that_never_reads_its_answers_is_no_longer_read_from(tmp_path):
    """It holds what the kernel takes and a bounded rest; others are answered."""
    commands = b"2 x 0\n" * 10_000  # each is answered with six times as many octets
    most = 500 * len(commands)
    async with visited(tmp_path) as (house, crowd):
        memory = resident_bytes(house.process)
        for client in await crowd.connect(house.address("relp"), 5):
            client.settimeout(0.5)
            client.sendall(OPEN_RELP)
            assert await asyncio.to_thread(push, client, commands, most) < most
        assert resident_bytes(house.process) < memory + 16 * MIB
        assert await house.count("connections", listener="relp") == 5
        async with RelpSender(house.address("relp")) as sender:
            await sender.send(f"{HEADER}{number}".encode() for number in range(100))
        ledger = await settled(house)
        assert ledger["dead_lettered"] == {}


def push(client, data, most):
    """Send octets again and again until nothing more is taken; return how many were."""
    sent = 0
    with suppress(TimeoutError):
        while sent < most:
            sent += client.send(data)
    return sent


class Handshake:
    """A TLS client whose flights are sent by hand."""

    def __init__(self, connected, context):
        self._socket = connected
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def flight(self):
        """Return what is to be sent next, with the server's answer to what was sent before."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def answered(self):
        """Wait for the server's answer."""
        while not self._outgoing.pending:
            self._incoming.write(self._socket.recv(65536))
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()

    def stall(self, flights, octets):
        """Send so many flights, then so many octets of the next."""
        for _ in range(flights):
            self._socket.sendall(self.flight())
            self.answered()
        self._socket.sendall(self.flight()[:octets])


async def test_a_handshake_that_stalls_at_any_step_ends_in_time(tmp_path):
    """Before the first octet, within the first flight, after it, within the second."""
    steps = [
        (version, flights, octets)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        for flights, octets in ((0, 0), (0, 1), (0, 100), (1, 0), (1, 1), (1, 40))
    ]
    async with visited(tmp_path, tls={"handshake_timeout": "1s"}) as (house, crowd):
        stalling = await crowd.connect(house.address("tls"), len(steps))
        for connected, (version, flights, octets) in zip(stalling, steps, strict=True):
            house.context.maximum_version = version
            connected.settimeout(60)
            handshake = Handshake(connected, house.context)
            await asyncio.to_thread(handshake.stall, flights, octets)
        house.context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        await house.until_rejected(len(steps), "tls", "handshake_timeout")
        assert await house.count("connections", listener="tls") == 0


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [(b"100 ", "incomplete_frame"), (b"100", "unknown_intake"), (b"<", "unknown_intake")],
)
async def test_a_peer_that_begins_a_frame_and_says_no_more_is_ended(tmp_path, beginning, reason):
    """What came of the frame is kept as a dead letter."""
    async with visited(tmp_path, listener={"frame_timeout": "500ms"}) as (house, crowd):
        (connected,) = await crowd.connect(house.address("tcp"), 1)
        connected.sendall(beginning)
        await house.until_rejected(1, "tcp", "frame_timeout")
        await house.until_counted(0, "connections", listener="tcp")
        assert (await settled(house))["dead_lettered"] == {reason: 1}


async def test_a_relp_frame_that_is_begun_and_not_ended_stays_its_senders(tmp_path):
    """It was not answered; nothing is received."""
    async with visited(tmp_path, listener={"frame_timeout": "500ms"}) as (house, crowd):
        (connected,) = await crowd.connect(house.address("relp"), 1)
        connected.sendall(OPEN_RELP + b"2 syslog 100 <134>")
        received = (await settled(house))["received"]
        await house.until_rejected(1, "relp", "frame_timeout")
        await house.until_counted(0, "connections", listener="relp")
        assert (await settled(house))["received"] == received


# Who leaves half way.


@pytest.mark.parametrize("way", ["tcp", "proxied"])
async def test_a_connection_that_is_closed_on_one_side_is_ended(tmp_path, way):
    """What was sent before is served; nothing is waited for."""
    async with visited(tmp_path) as (house, crowd):
        (connected,) = await crowd.connect(house.address(way), 1)
        header = b"PROXY UNKNOWN\r\n" if way == "proxied" else b""
        connected.sendall(header + COUNTED + b"500 half")
        connected.shutdown(socket.SHUT_WR)
        await house.until_counted(0, "connections", listener=way)
        assert (await settled(house))["dead_lettered"] == {"incomplete_frame": 1}
        await house.arrived(["text"])


async def test_a_tls_connection_that_is_closed_on_one_side_is_ended(tmp_path):
    """Whether the end of TLS was announced or not."""
    async with visited(tmp_path) as (house, crowd):
        announced, cut = await crowd.connect(house.address("tls"), 2, house.context)
        announced.sendall(COUNTED)
        with suppress(ssl.SSLWantReadError):
            announced.unwrap()
        cut.sendall(COUNTED)
        cut.shutdown(socket.SHUT_WR)
        await house.until_counted(0, "connections", listener="tls")
        await house.arrived(["text"])
        assert (await settled(house))["dead_lettered"] == {}


async def test_a_relp_client_that_closes_its_side_is_not_waited_for(tmp_path):
    """Its messages are kept, and whether it reads the answers is its own affair."""
    async with visited(tmp_path) as (house, crowd):
        (connected,) = await crowd.connect(house.address("relp"), 1)
        connected.sendall(OPEN_RELP + b"2 syslog %d %b\n3 syslog 99 half" % (len(MESSAGE), MESSAGE))
        connected.shutdown(socket.SHUT_WR)
        await house.until_counted(0, "connections", listener="relp")
        await house.arrived(["text"])
        assert (await settled(house))["dead_lettered"] == {}


async def test_connections_that_break_in_the_middle_leave_nothing_behind(tmp_path):
    """By a reset, within a message, a handshake or a proxy's header, and while answers go out."""
    async with visited(tmp_path) as (house, crowd):
        received = (await settled(house))["received"]
        for connected in await crowd.connect(house.address("tcp"), 20):
            connected.sendall(LARGE[:50_000])
            await asyncio.sleep(0)
            reset(connected)
        for connected in await crowd.connect(house.address("tls"), 20, house.context):
            with suppress(ssl.SSLWantWriteError):
                connected.send(LARGE[:50_000])
            reset(connected)
        for connected in await crowd.connect(house.address("tls"), 20):
            connected.sendall(b"\x16\x03\x01\x02\x00")
            reset(connected)
        for connected in await crowd.connect(house.address("proxied"), 20):
            connected.sendall(b"PROXY TCP4 ")
            reset(connected)
        for connected in await crowd.connect(house.address("relp"), 20):
            connected.sendall(OPEN_RELP + b"2 syslog %d %b\n" % (len(MESSAGE), MESSAGE) * 50)
            reset(connected)
        await house.until_counted(0, "connections")
        ledger = await settled(house)
        letters = ledger["dead_lettered"]
        # What the kernel had not given us when the reset came is gone with the connection.
        assert letters.keys() <= {"incomplete_frame"}
        assert sum(letters.values()) <= 40
        assert ledger["received"] <= received + 40 + 20 * 50
        rejected = await house.count("connections_rejected_total", listener="proxied")
        assert rejected == 20


# Who comes and goes.


@pytest.mark.parametrize("way", ["tcp", "tls", "relp", "proxied"])
async def test_a_thousand_connections_a_second_that_reset_at_once_leave_nothing_behind(
    tmp_path, way, in_full
):
    """Each was accepted, or gone before that; others are served meanwhile."""
    seconds = 5 if in_full else 1
    async with visited(tmp_path) as (house, _):
        memory = resident_bytes(house.process)
        knocking = asyncio.create_task(asyncio.to_thread(knock, house.address(way), seconds))
        visits = 0
        while not knocking.done():
            await house.visit(f"during {visits}")
            visits += 1
        assert await knocking >= 1000 * seconds
        await house.until_counted(0, "connections")
        assert resident_bytes(house.process) < memory + 128 * MIB
        ledger = await settled(house)
        assert (ledger["dead_lettered"], ledger["rejected"]) == ({}, {})


def knock(address, seconds):
    """Connect and reset again and again, a thousand times a second; return how often."""
    began, count = time.monotonic(), 0
    while count < 1000 * seconds:
        reset(socket.create_connection(address, timeout=60))
        count += 1
        time.sleep(max(0.0, began + count / 1000 - time.monotonic()))
    return count
