"""One of two sinks is away until its share of the spool is full: the other gets everything."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

LOCAL = {"host": "127.0.0.1", "port": 0}
FULL = "sink's share of the spool full, its senders wait"
ROOM = "sink has room again, its senders are read"

# What the sink that is away may have waiting, and messages that are several times as much.
SHARE = "64KiB"
TEXT = "z" * 1000
COUNT = 4000


@asynccontextmanager
async def collecting(directory, *, when_full="block", **settings):
    """Run a daemon with intakes for one sink, for the other and for both; `away` answers 503."""
    common = {
        "compression": "none",
        "concurrency": 1,
        "batch": {"max_wait": "10ms", "max_bytes": "16KiB"},
        "retry": {"initial": "20ms", "max": "100ms"},
    }
    async with FakeSink(lambda _: 503) as away, FakeSink() as there:
        config = {
            "listeners": [
                {"name": "tcp", "transport": "tcp", **LOCAL, "frame_timeout": "300ms"},
                {"name": "udp", "transport": "udp", **LOCAL, "intake": "away"},
            ],
            "intakes": [
                {"name": name, "parser": "raw", "key": f"key-of-{name}", "sinks": sinks}
                for name, sinks in {"away": "away", "there": "there", "both": "all"}.items()
            ],
            "sinks": [
                {
                    "name": "away",
                    "url": away.url,
                    "spool": {"max_bytes": SHARE, "when_full": when_full},
                    **common,
                },
                {"name": "there", "url": there.url, **common},
            ],
            **settings,
        }
        async with Daemon(directory, config) as daemon:
            yield daemon, away, there


def messages(intake, count=COUNT):
    """Return the messages of an intake as a connection carries them, numbered."""
    header = f'<134>1 - - - - - [SEKOIA@53288 intake_key="key-of-{intake}"]'
    lines = (f"{header} {intake} {number} {TEXT}".encode() for number in range(count))
    return b"".join(b"%d %b" % (len(line), line) for line in lines)


async def send(daemon, data):
    """Send octets over one connection and close it."""
    _, writer = await asyncio.open_connection(*daemon.address("tcp"))
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def received(sink, intake):
    """Return the numbers of the messages of an intake that a sink got, in order."""
    words = (event["message"].split() for event in sink.events)
    return [int(number) for name, number, _ in words if name == intake]


async def test_senders_of_a_full_share_wait_and_others_do_not(tmp_path):
    """Nothing is lost, and no frame is late for having waited."""
    async with collecting(tmp_path) as (daemon, away, there):
        sending = asyncio.create_task(send(daemon, messages("away")))
        await daemon.logged(FULL)
        await send(daemon, messages("there"))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == COUNT)
        assert received(there, "there") == [*range(COUNT)]
        await asyncio.sleep(0.5)
        held = (await daemon.status())["ledger"]
        assert held["received"] == ledger["received"] < 2 * COUNT
        status, body = await daemon.get("/readyz")
        assert status == 200
        assert "its share of the spool is full" in body
        away.answer = lambda _: 200
        await sending
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2 * COUNT)
        assert received(away, "away") == [*range(COUNT)]
        assert (ledger["dropped"], ledger["dead_lettered"]) == ({}, {})
        assert (await daemon.status())["listeners"][0]["connections_rejected"] == {}
        await daemon.logged(ROOM)


async def test_an_intake_of_both_sinks_waits_for_the_full_one(tmp_path):
    """Its sender does; what was read by then goes to the other, and all of it later to both."""
    async with collecting(tmp_path) as (daemon, away, there):
        sending = asyncio.create_task(send(daemon, messages("both")))
        await daemon.logged(FULL)
        await send(daemon, messages("there", 100))
        ledger = await daemon.ledger_when(
            lambda ledger: ledger["delivered"] == ledger["copies"] + 100
        )
        assert ledger["received"] < COUNT
        away.answer = lambda _: 200
        await sending
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2 * COUNT + 100)
        for sink in (away, there):
            assert received(sink, "both") == [*range(COUNT)]


async def test_a_share_that_drops_holds_nobody_up(tmp_path):
    """What does not fit is counted; the other sink gets everything."""
    async with collecting(tmp_path, when_full="drop") as (daemon, away, there):
        await send(daemon, messages("both"))
        ledger = await daemon.ledger_when(
            lambda ledger: (
                ledger["delivered"] == COUNT
                and ledger["spooled"] + ledger["dropped"].get("spool_full", 0) == COUNT
            )
        )
        assert received(there, "both") == [*range(COUNT)]
        assert 0 < ledger["spooled"] * len(TEXT) <= 64 * 1024
        line = await daemon.logged("spool full, events are dropped")
        assert (line["sink"], line["level"]) == ("away", "error")
        dropped = ledger["dropped"]["spool_full"]
        metrics = await daemon.metrics()
        assert metrics['collector_events_dropped_total{reason="spool_full"}'] == dropped
        away.answer = lambda _: 200
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2 * COUNT - dropped)
        numbers = received(away, "both")
        assert len({*numbers}) == len(numbers) == COUNT - dropped


async def test_datagrams_for_a_full_share_wait_in_the_kernel(tmp_path):
    """The kernel keeps what its buffer holds, and counts the rest."""
    async with collecting(tmp_path) as (daemon, away, there):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(daemon.address("udp"))
            for number in range(100):
                sender.send(f"away {number} {TEXT}".encode())
            await daemon.logged(FULL)
            held = (await daemon.status())["ledger"]["received"]
            for number in range(100, 150):
                sender.send(f"away {number} {TEXT}".encode())
            await send(daemon, messages("there", 100))
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert ledger["received"] == held + 100
        away.answer = lambda _: 200
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 250)
        assert received(away, "away") == [*range(150)]
        assert len(there.events) == 100


@pytest.mark.parametrize("answer", [200, 503])
async def test_stopping_while_senders_wait_ends_with_a_balance(tmp_path, answer):
    """What was read is delivered if the sink accepts within the grace period, else named."""
    grace = "30s" if answer == 200 else "300ms"
    async with collecting(tmp_path, shutdown_grace=grace) as (daemon, away, _):
        sending = asyncio.create_task(send(daemon, messages("away")))
        await daemon.logged(FULL)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(20):
                sender.sendto(f"away {number} {TEXT}".encode(), daemon.address("udp"))
        daemon.process.terminate()
        await daemon.logged("stopping")
        away.answer = lambda _: answer
        assert await daemon.ended() == 0
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        stopped = daemon.farewell
        assert stopped["event"].startswith("stopped")
        # The sender may be cut off within a message, which a spool in memory cannot keep.
        cut_off = sum(line.get("reason") == "incomplete_frame" for line in daemon.lines)
        assert cut_off <= 1
        lost = cut_off if answer == 200 else stopped["received"]
        assert stopped["dropped"] == ({"shutdown": lost} if lost else {})
        assert stopped["delivered"] == stopped["received"] - lost
        assert stopped["received"] > 20
