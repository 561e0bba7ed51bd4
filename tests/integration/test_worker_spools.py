"""The spools of several workers: one picture, one bound, and none left behind."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.daemon import Daemon, imbalance
from tests.disks import MIB, fill, small_disk
from tests.station import HEADER, Station, frames, noise

SECONDS = 60
UNKNOWN = b"<134>1 - - - - - - of nobody"


@pytest.fixture
async def station(tmp_path):
    """Return a sink, and what starts daemons that deliver to it."""
    async with Station(tmp_path) as made:
        yield made


@asynccontextmanager
async def running(station, workers=2, **settings):
    """Run a daemon; yield it once all workers are there, and a connection to each of two."""
    async with station.daemon(workers=workers, **settings) as daemon, AsyncExitStack() as held:
        if workers > 1:
            for number in range(workers):
                await daemon.logged("worker started", worker=number)
        writers = []
        for _ in range(2):
            _, writer = await asyncio.open_connection(*daemon.address("tcp"))
            held.push_async_callback(_closed, writer)
            writers.append(writer)
        yield daemon, writers


async def _closed(writer):
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def leave(station, count, **settings):
    """Have each of two workers leave so many messages, and half as many dead letters."""
    station.go_away()
    async with running(station, **settings) as (daemon, writers):
        for first, writer in zip((0, count), writers, strict=True):
            writer.write(frames(range(first, first + count)))
            writer.write(b"%d %b" % (len(UNKNOWN), UNKNOWN) * (count // 2))
        await daemon.ledger_when(
            lambda ledger: (
                (ledger["spooled"], ledger["dead_lettered"].get("unknown_intake"))
                == (2 * count, count)
            )
        )
        workers = (await daemon.status())["workers"]
        assert [worker["ledger"]["received"] for worker in workers] == [count + count // 2] * 2
        assert await daemon.stop() == 0


async def call(station, *arguments):
    """Run a command with the settings of the daemon; return its exit code and stdout."""
    process = await Daemon.execute(
        *(sys.executable, "-m", "collector", *arguments),
        *("-c", str(station.directory / "collector.yaml")),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


def files_of(station):
    return sorted(path.name for path in station.spool.glob("spool*.db"))


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_another_number_of_workers_delivers_what_was_left(station, workers):
    """Each message once; the accounts are those of all files."""
    await leave(station, 100)
    assert files_of(station) == ["spool-1.db", "spool.db"]
    station.come_back()
    async with station.daemon(workers=workers) as daemon:
        ledger = await daemon.ledger_when(lambda found: found["delivered"] == 200)
        assert (ledger["received"], ledger["dead_lettered"]) == (300, {"unknown_intake": 100})
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == list(range(200))
    others = [f"spool-{number}.db" for number in range(1, workers)]
    assert files_of(station) == [*others, "spool.db"]


async def test_a_drain_delivers_what_all_workers_have_left(station):
    """One process does it, and takes their files over."""
    await leave(station, 100)
    station.come_back()
    assert (await call(station, "spool", "drain"))[0] == 0
    assert sorted(station.numbers) == list(range(200))
    assert files_of(station) == ["spool.db"]


async def test_many_workers_have_the_metrics_of_one(station):
    """Families and labels; whoever draws them need not know."""

    async def names(workers, delivered):
        async with running(station, workers) as (daemon, writers):
            for number, writer in enumerate(writers):
                writer.write(frames(range(number, number + 1)))
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == delivered)
            text = (await daemon.get("/metrics"))[1]
            status = await daemon.status()
            await daemon.stop()
        families = [line for line in text.splitlines() if line.startswith("#")]
        samples = {
            line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("collector_")
        }
        return families, samples, status

    one, many = await names(1, 2), await names(2, 4)
    assert one[0] == many[0]
    assert {name for name in one[1] ^ many[1] if "config_info" not in name} == set()
    assert one[2].keys() == many[2].keys() - {"workers"}
    for section in ("listeners", "intakes", "sinks"):
        assert one[2][section][0].keys() == many[2][section][0].keys()
    assert one[2]["spool"].keys() == many[2]["spool"].keys()


async def test_two_workers_fill_one_spool(station):
    """Senders of both wait when it is full, and nothing is lost."""
    station.go_away()
    bound = 4 * 1024 * 1024
    settings = {"spool": {"max_bytes": bound}, "sink": {"batch": {"max_bytes": "64KiB"}}}
    async with running(station, **settings) as (daemon, writers):
        sending = [
            asyncio.create_task(_send(writer, range(first, first + 1000)))
            for first, writer in zip((0, 1000), writers, strict=True)
        ]
        for worker in range(2):
            await daemon.logged("spool full, listeners stop reading", worker=worker)
        used = sum(path.stat().st_size for path in station.spool.glob("spool*.db*"))
        assert bound // 2 < used <= bound
        station.come_back()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2000)
        await asyncio.gather(*sending)
    assert sorted(station.numbers) == list(range(2000))


async def _send(writer, numbers):
    for number in numbers:
        line = f"{HEADER}{number} {noise(number, 5000)}".encode()
        writer.write(b"%d %b" % (len(line), line))
        await writer.drain()


async def test_dead_letters_are_replayed_and_purged_by_the_worker_that_has_them(station):
    """Beside the daemon, and what is asked for without one goes with the files."""
    await leave(station, 10)
    station.come_back()
    async with station.daemon(workers=2) as daemon:
        _, output = await call(station, "dead-letters", "show", "--format", "json")
        numbers = [json.loads(line)["number"] for line in output.splitlines()]
        assert len(numbers) == len(set(numbers)) == 10
        last = str(max(numbers))
        assert await call(station, "dead-letters", "purge", last) == (
            0,
            "1 dead letters purged\n",
        )
        ledger = await daemon.ledger_when(lambda found: found["delivered"] == 20)
        assert ledger["dead_lettered"] == {"unknown_intake": 9}
        assert await daemon.stop() == 0
    code, output = await call(station, "dead-letters", "replay")
    assert (code, "its next start replays 9 dead letters" in output) == (0, True)
    source = {"intakes": [{"name": "any", "parser": "raw", "sources": ["127.0.0.1/32"]}]}
    async with station.daemon(workers=1, **source) as daemon:
        ledger = await daemon.ledger_when(lambda found: found["delivered"] == 29)
        assert (ledger["dead_lettered"].get("unknown_intake", 0), imbalance(ledger)) == (0, 0)


@pytest.mark.parametrize("when_full", ["block", "drop"])
async def test_a_worker_without_room_for_its_spool_gets_no_connections_until_it_has(
    tmp_path, when_full
):
    """It is named meanwhile; the other has the connections, and nothing is lost."""
    with small_disk(tmp_path / "disk", 48 * MIB) as disk:
        fill(disk / "filler", 24 * MIB)
        spool = {"path": str(disk / "spool"), "when_full": when_full}
        async with Station(tmp_path, workers=2, spool=spool) as station, AsyncExitStack() as held:

            async def send(daemon, numbers):
                _, writer = await asyncio.open_connection(*daemon.address("tcp"))
                held.push_async_callback(_closed, writer)
                writer.write(frames(numbers))

            async with station.daemon() as daemon:
                await daemon.logged("spool cannot be written, it is tried again")
                (named,) = [found for found in await degraded(daemon) if "worker" in found]
                hindered = int(named["worker"])
                assert named["reason"].startswith("cannot write its spool")
                for place in range(4):
                    await send(daemon, range(place * 10, place * 10 + 10))
                await daemon.ledger_when(lambda ledger: ledger["delivered"] == 40)
                workers = (await daemon.status())["workers"]
                assert workers[hindered]["connections"] == 0
                (disk / "filler").unlink()
                await daemon.logged("spool can be written again", worker=hindered)
                async with asyncio.timeout(SECONDS):
                    while await degraded(daemon):
                        await asyncio.sleep(0.05)
                for place in range(4, 8):
                    await send(daemon, range(place * 10, place * 10 + 10))
                ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 80)
                assert ledger["dropped"] == {}
                workers = (await daemon.status())["workers"]
                assert [worker["connections"] for worker in workers] == [4, 4]
                assert await daemon.stop() == 0
    assert sorted(station.numbers) == list(range(80))


async def degraded(daemon):
    """Return what `/readyz` says does not work."""
    return json.loads((await daemon.get("/readyz"))[1])["degraded"]
