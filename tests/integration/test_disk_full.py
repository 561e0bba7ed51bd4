"""There is no more room for what waits, on the disk or within the bounds that are set."""

import asyncio
import json
from contextlib import suppress
from functools import partial

import pytest

from tests.disks import MIB, fill, small_disk
from tests.spools import stored_ledger
from tests.station import Station, send

# Messages of ten kilobytes: a disk is full after some thousand.
PADDING = 10_000

CANNOT_WRITE = "spool cannot be written, it is tried again"
WRITES_AGAIN = "spool can be written again"


@pytest.fixture
def disk(tmp_path):
    """Return what makes a small disk: a context manager of its octets that gives its directory."""
    return partial(small_disk, tmp_path / "disk")


async def degraded(daemon):
    """Return what `/readyz` says does not work; the daemon is ready all the same."""
    status, text = await daemon.get("/readyz")
    assert status == 200
    return json.loads(text)["degraded"]


async def blocked(daemon, sending):
    """Wait until nothing more is received, though there is more to come; return the ledger."""
    before = None
    while (ledger := (await daemon.status())["ledger"]) != before:
        before = ledger
        await asyncio.sleep(0.3)
    assert not sending.done()
    return ledger


@pytest.mark.parametrize("relief", ["room", "sink"])
async def test_a_full_disk_makes_senders_wait_until_there_is_room_again(disk, relief):
    """Be it that a file is deleted or that deliveries make room; nothing is lost or repeated."""
    with disk(96 * MIB) as directory:
        fill(directory / "filler", 40 * MIB)
        numbers = range(5000)
        async with Station(directory) as station:
            station.go_away()
            async with station.daemon() as daemon:
                sending = asyncio.create_task(send(daemon, numbers, PADDING))
                line = await daemon.logged(CANNOT_WRITE)
                assert "disk is full" in line["problem"]
                await blocked(daemon, sending)
                problem = {"spool": "disk", "reason": "cannot be written, see the log"}
                assert problem in await degraded(daemon)
                if relief == "room":
                    (directory / "filler").unlink()
                    await daemon.logged(WRITES_AGAIN)
                station.come_back()
                await sending
                ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5000)
                await daemon.logged(WRITES_AGAIN)
                assert ledger["dropped"] == {}
                assert await degraded(daemon) == []
                assert await daemon.stop() == 0
        assert station.numbers == list(numbers)


async def test_a_full_disk_drops_what_comes_in_if_settings_say_so(disk):
    """It is counted; senders do not wait, and what was kept is delivered in order."""
    with disk(64 * MIB) as directory:
        fill(directory / "filler", 16 * MIB)
        async with Station(directory, spool={"when_full": "drop"}) as station:
            station.go_away()
            async with station.daemon() as daemon:
                await send(daemon, range(5000), PADDING)
                ledger = await daemon.ledger_when(
                    lambda ledger: ledger["received"] == 5000 and not ledger["in_memory"]
                )
                dropped = ledger["dropped"].pop("spool_full")
                assert 0 < dropped < 5000
                assert ledger["dropped"] == {}
                await daemon.logged("spool cannot be written, events are dropped")
                station.come_back()
                await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5000 - dropped)
                (directory / "filler").unlink()
                await daemon.logged(WRITES_AGAIN)
                await send(daemon, range(5000, 5100))
                await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5100 - dropped)
        assert station.numbers == sorted(set(station.numbers))


async def test_deliveries_are_noted_though_somebody_else_fills_the_disk(disk):
    """There is room kept for that: what was delivered is not delivered again after a kill."""
    with disk(96 * MIB) as directory:
        async with Station(directory) as station:
            station.go_away()
            async with station.daemon() as daemon:
                await send(daemon, range(3000), PADDING)
                await daemon.ledger_when(lambda ledger: ledger["spooled"] == 3000)

                async def answer(_):
                    await asyncio.sleep(0.01)
                    return 200

                station.answer = answer
                await station.wait_until(lambda: len(station.events) > 300)
                fill(directory / "filler")
                await daemon.ledger_when(lambda ledger: ledger["delivered"] == 3000)
                async with asyncio.timeout(30):
                    while stored_ledger(station.spool).spooled:
                        await asyncio.sleep(0.05)
                assert stored_ledger(station.spool).delivered == 3000
                daemon.process.kill()
                await daemon.ended()
            async with station.daemon() as daemon:
                ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 3000)
                assert ledger["received"] == 3000
                (directory / "filler").unlink()
                await send(daemon, range(3000, 3010))
                await daemon.ledger_when(lambda ledger: ledger["delivered"] == 3010)
        assert station.numbers == list(range(3010))


def octets_in(directory):
    """Return what the files of a directory take."""
    total = 0
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [4, 16])
async def test_all_files_together_stay_within_what_the_spool_may_take(tmp_path, in_full, mebibytes):
    """Senders wait while the sink is away; then everything is delivered, in order."""
    max_bytes = mebibytes * MIB * (4 if in_full else 1)
    # The kernel's buffers hold some of it, too.
    numbers = range((max_bytes * 3 // 2 + 12 * MIB) // PADDING)
    largest = 0
    async with Station(tmp_path, spool={"max_bytes": max_bytes}) as station:
        station.go_away()
        async with station.daemon() as daemon:
            sending = asyncio.create_task(send(daemon, numbers, PADDING))
            logged = asyncio.create_task(daemon.logged("spool full, listeners stop reading"))
            while not logged.done():
                largest = max(largest, octets_in(station.spool))
                await asyncio.sleep(0.005)
            ledger = await blocked(daemon, sending)
            largest = max(largest, octets_in(station.spool))
            assert {"spool": "all", "reason": "full, listeners do not read"} in await degraded(
                daemon
            )
            station.come_back()
            await sending
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == len(numbers))
            assert ledger["received"] == len(numbers)
            assert await degraded(daemon) == []
    assert max_bytes / 4 < largest <= max_bytes
    assert station.numbers == list(numbers)


async def test_a_full_spool_drops_what_comes_in_if_settings_say_so(tmp_path):
    """Counted and named as long as it goes on; what was kept is delivered in order."""
    bounds = {"max_bytes": 4 * MIB, "when_full": "drop"}
    async with Station(tmp_path, spool=bounds) as station:
        station.go_away()
        async with station.daemon() as daemon:
            sending = asyncio.create_task(send(daemon, range(1000), PADDING))
            # While it goes on: a batch that is small may find room in the end.
            problem = {"sink": "siem", "reason": "spool full, its events are dropped"}
            while problem not in await degraded(daemon):
                assert (await daemon.status())["ledger"]["received"] < 1000
            await sending
            ledger = await daemon.ledger_when(
                lambda ledger: ledger["received"] == 1000 and not ledger["in_memory"]
            )
            dropped = ledger["dropped"]["spool_full"]
            assert 0 < dropped < 1000
            assert (await daemon.metrics())[
                'collector_events_dropped_total{reason="spool_full"}'
            ] == dropped
            await daemon.logged("spool full, events are dropped", sink="siem")
            assert octets_in(station.spool) <= 4 * MIB
            station.come_back()
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1000 - dropped)
            assert await degraded(daemon) == []
    assert station.numbers == sorted(set(station.numbers))
