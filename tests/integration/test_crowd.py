"""Great numbers of connections, and what unfinished messages hold: others are served as before."""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.crowds import Crowd, allow_files, drip, open_files, resident_bytes
from tests.house import WAYS, housed
from tests.station import HEADER, frames

KIB, MIB = 1024, 1024 * 1024

# Connections within a handshake or before a proxy's header that one listener bears with.
MAX_OPENINGS = 512

SLOW_MESSAGE = b"500 " + HEADER.encode().ljust(500, b"z")


@dataclass(frozen=True)
class Numbers:
    """How many there are of each kind: idle ones, those within a handshake, before a header …"""

    idle: int
    encrypted: int
    slow: int
    unfinished: int
    unnamed: int
    visits: int

    @property
    def connections(self):
        return self.idle + self.encrypted + self.slow + self.unfinished + self.unnamed

    @property
    def allowed_growth(self):
        """Octets; generous, and far from what a buffer for each connection would take."""
        encrypted = self.encrypted + min(self.unfinished, MAX_OPENINGS)
        return 64 * MIB + 8 * KIB * (self.idle + self.slow) + 128 * KIB * encrypted


FEW = Numbers(idle=1500, encrypted=100, slow=100, unfinished=600, unnamed=300, visits=10)
MANY = Numbers(idle=4500, encrypted=500, slow=500, unfinished=1000, unnamed=500, visits=50)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_crowd_that_says_little_or_nothing_keeps_nobody_out(tmp_path, in_full):
    """Idle connections, slow senders, unfinished handshakes, silence where a proxy should speak.

    All others are served as before and memory is bounded. In the end everything is given back, and
    each connection and message is accounted for.
    """
    numbers = MANY if in_full else FEW
    allow_files(numbers.connections)
    async with housed(tmp_path, listener={"frame_timeout": "5s"}) as house:
        address = house.address
        sent = await house.visit("before", 50)
        files, memory = open_files(house.process), resident_bytes(house.process)
        with Crowd() as crowd:
            await crowd.connect(address("tcp"), numbers.idle)
            await house.until_counted(numbers.idle, "connections", listener="tcp")
            await crowd.connect(address("tls"), numbers.encrypted, house.context)
            await house.until_counted(numbers.encrypted, "connections", listener="tls")
            await crowd.connect(address("tls"), numbers.unfinished)
            await crowd.connect(address("proxied"), numbers.unnamed)
            for way, count in (("tls", numbers.unfinished), ("proxied", numbers.unnamed)):
                await house.until_rejected(max(0, count - MAX_OPENINGS), way, "max_handshakes")
            slow = await crowd.connect(address("tcp"), numbers.slow)
            dripping = asyncio.create_task(drip(slow, SLOW_MESSAGE))
            await house.until_counted(numbers.idle + numbers.slow, "connections", listener="tcp")
            for number in range(numbers.visits):
                sent += await house.visit(f"during {number}", 20)
            assert resident_bytes(house.process) < memory + numbers.allowed_growth
            await house.until_rejected(numbers.slow, "tcp", "frame_timeout")
            assert await house.count("connections", listener="tcp") == numbers.idle
            dripping.cancel()
        await house.until_all_gone(files)
        sent += await house.visit("after", 50)
        expected = {"tls": numbers.unfinished, "proxied": numbers.unnamed, "tcp": numbers.slow}
        for way in WAYS:
            rejected = await house.count("connections_rejected_total", listener=way)
            assert rejected == expected.get(way, 0), way
        ledger = await house.daemon.ledger_when(lambda ledger: ledger["delivered"] == sent)
        assert ledger["dead_lettered"] == {"incomplete_frame": numbers.slow}
        assert ledger["received"] == sent + numbers.slow
        assert await house.daemon.stop() == 0


async def test_what_all_hold_together_is_bounded_and_large_messages_get_through(tmp_path):
    """Those end that have held much for long; what came of their messages is kept."""
    hoarders, held, bound = 60, 200 * KIB, 4 * MIB
    large = [f"{number} {'z' * 240 * KIB}" for number in range(10)]
    async with housed(tmp_path, max_buffered_bytes=bound) as house:
        await house.visit("before")
        files, memory = open_files(house.process), resident_bytes(house.process)
        with Crowd() as crowd:
            holding = await crowd.connect(house.address("tcp"), hoarders // 2)
            holding += await crowd.connect(house.address("tls"), hoarders // 2, house.context)
            for connected in holding:
                await asyncio.to_thread(hoard, connected, held)
            await house.until_counted(
                hoarders - bound // held, "connections_rejected_total", reason="max_buffered_bytes"
            )
            assert (await house.daemon.status())["buffered_bytes"] <= bound
            for way in ("tcp", "tls", "relp", "proxied"):
                for text in large:
                    await house.send(way, [text])
                    await house.arrived([text])
            delivered = len(WAYS) + 4 * len(large)
            await house.daemon.ledger_when(lambda ledger: ledger["delivered"] == delivered)
            assert resident_bytes(house.process) < memory + 128 * MIB
            left = hoarders - bound // held
            assert left <= await house.count("connections_rejected_total") < hoarders
        await house.until_all_gone(files)
        ledger = await house.daemon.ledger_when(lambda ledger: not ledger["in_memory"])
        assert ledger["dead_lettered"] == {"incomplete_frame": hoarders}
        assert (await house.daemon.status())["buffered_bytes"] == 0
        assert await house.daemon.stop() == 0


async def test_many_senders_over_tls_are_held_back_while_the_spool_is_full(tmp_path):
    """Little is decrypted ahead for each; the rest stays with the kernel and the senders."""
    senders = 60
    counted = [frames(range(number, number + 1), 2000) for number in range(MIB // 2000)]
    async with housed(tmp_path, spool={"max_bytes": "1MiB"}) as house:
        await house.visit("before")
        house.station.go_away()
        files = open_files(house.process)
        with Crowd() as crowd:
            many = await crowd.connect(house.address("tls"), senders, house.context)
            await asyncio.to_thread(push, many[:3], counted)
            await house.daemon.logged("spool full, listeners stop reading")
            memory = resident_bytes(house.process)
            await asyncio.to_thread(push, many, counted)
            assert resident_bytes(house.process) < memory + senders * 160 * KIB
        house.station.come_back()
        await house.until_all_gone(files)
        ledger = await house.daemon.ledger_when(
            lambda ledger: not ledger["in_memory"] and not ledger["spooled"]
        )
        assert ledger["dead_lettered"].keys() <= {"incomplete_frame"}
        assert await house.daemon.stop() == 0


def push(senders, messages):
    """Send messages over each connection, or until none has taken anything for a second."""
    left = dict.fromkeys(senders, len(messages))
    taken = time.monotonic()
    while left and time.monotonic() < taken + 1:
        for sender in list(left):
            with suppress(ssl.SSLWantWriteError):
                sender.send(messages[-left[sender]])
                taken = time.monotonic()
                left[sender] -= 1
                if not left[sender]:
                    del left[sender]


def hoard(connected, octets):
    """Send most of a message, and nothing more; some connections are ended within it."""
    connected.settimeout(60)
    with suppress(OSError):
        connected.sendall((b"262144 " + HEADER.encode()).ljust(octets, b"z"))
