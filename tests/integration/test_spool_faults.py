"""What waits on disk: over restarts, in a damaged file, and more of it than memory may hold."""

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector import samples, sending
from collector.spool.files import DATABASE, databases
from collector.spool.store import PAGE_OCTETS, VERSION
from tests.daemon import Daemon
from tests.spools import stored_ledger
from tests.station import KEY, Station, noise, send

LOCAL = {"host": "127.0.0.1", "port": 0}
DAMAGED = "spool file damaged and moved aside; `collector spool verify` says what can be read"
MAX_RESIDENT_KIB = 300 * 1024


async def fill(station, numbers, padding=0):
    """Have a daemon take in messages while its sink is away, and stop it; return its ledger."""
    station.go_away()
    async with station.daemon() as daemon:
        await send(daemon, numbers, padding)
        ledger = await daemon.ledger_when(
            lambda ledger: ledger["received"] == numbers.stop and not ledger["in_memory"]
        )
        assert await daemon.stop() == 0
    return ledger


async def test_what_waits_at_a_stop_is_delivered_after_the_next_start(tmp_path):
    """In order, with its ids, and the ledger goes on; twice, without repetition."""
    async with Station(tmp_path) as station:
        refused = []
        station.answer = lambda events: refused.append(events[0]["event"]["id"]) or 503
        async with station.daemon() as daemon:
            await send(daemon, range(500))
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 500)
            assert await daemon.stop() == 0
        ledger = await fill(station, range(500, 1000))
        assert (ledger["received"], ledger["spooled"], ledger["delivered"]) == (1000, 1000, 0)
        station.come_back()
        async with station.daemon() as daemon:
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1000)
            assert (ledger["received"], ledger["spooled"], ledger["dropped"]) == (1000, 0, {})
            metrics = await daemon.metrics()
            assert metrics['collector_ledger_messages{account="received",reason=""}'] == 1000
            assert metrics['collector_ledger_messages{account="delivered",reason=""}'] == 1000
            assert await daemon.stop() == 0
        assert station.numbers == list(range(1000))
        assert station.events[0]["event"]["id"] == refused[0]
        async with station.daemon() as daemon:
            ledger = (await daemon.status())["ledger"]
            assert (ledger["received"], ledger["delivered"]) == (1000, 1000)
        assert len(station.numbers) == 1000


async def test_halved_batches_keep_their_order_over_restarts(tmp_path):
    """Whatever size the sink has room for, and however far it came."""
    async with Station(tmp_path) as station:
        await fill(station, range(400))
        for most in (150, 60, 7):
            accepted = 0

            def answer(events, most=most):
                nonlocal accepted
                if len(events) > most:
                    return 413
                accepted += 1
                return 200 if accepted <= 2 else 503

            station.answer = answer
            async with station.daemon() as daemon:
                await daemon.logged("sink failing, its batches wait")
                assert await daemon.stop() == 0
        station.come_back()
        async with station.daemon() as daemon:
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 400)
        assert station.numbers == list(range(400))


async def test_a_backlog_larger_than_memory_keeps_its_order_over_a_restart(tmp_path):
    """Though more comes in while it is delivered."""
    async with Station(tmp_path) as station:
        await fill(station, range(8000), padding=8000)
        station.come_back()
        async with station.daemon() as daemon:
            await send(daemon, range(8000, 8500), padding=8000)
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 8500)
        assert station.numbers == list(range(8500))


def damage(path, what):
    """Damage a file in its place, where a daemon may have it open."""
    middle = path.stat().st_size // 2 // PAGE_OCTETS * PAGE_OCTETS
    with path.open("r+b") as file:
        match what:
            case "header":
                file.write(b"garbage " * 8)
            case "middle":
                file.seek(middle)
                file.write(b"\xff" * 8 * PAGE_OCTETS)
            case "truncated":
                file.truncate(middle)


@pytest.mark.parametrize("what", ["header", "middle", "truncated"])
async def test_a_damaged_file_does_not_keep_the_daemon_from_collecting(tmp_path, what):
    """It is kept, named in the log and counted in the metrics."""
    async with Station(tmp_path) as station:
        await fill(station, range(300), padding=3000)
        damage(station.spool / DATABASE, what)
        station.come_back()
        async with station.daemon() as daemon:
            line = await daemon.logged(DAMAGED)
            moved = [path for path in databases(station.spool) if path.name != DATABASE]
            assert [str(path) for path in moved] == [line["moved_to"]]
            quarantined = (await daemon.metrics())["collector_spool_quarantined_bytes"]
            assert quarantined >= moved[0].stat().st_size > 0
            await send(daemon, range(1000, 1010))
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)
            assert ledger["received"] == 10
            assert await daemon.stop() == 0
        assert station.numbers == list(range(1000, 1010))


async def test_a_file_damaged_while_in_use_does_not_end_the_daemon(tmp_path):
    """What is in memory is delivered, and what only the file held is accounted for."""
    async with Station(tmp_path) as station:
        await fill(station, range(8000), padding=8000)
        async with station.daemon() as daemon:
            damage(station.spool / DATABASE, "middle")
            station.come_back()
            await daemon.logged(DAMAGED)
            await send(daemon, range(8000, 8010))
            ledger = await daemon.ledger_when(
                lambda ledger: (
                    ledger["received"] == 8010 and not ledger["spooled"] + ledger["in_memory"]
                )
            )
            assert ledger["dropped"].keys() == {"quarantined"}
            assert ledger["delivered"] + ledger["dropped"]["quarantined"] == 8010
            assert await daemon.stop() == 0
        assert station.numbers[-10:] == list(range(8000, 8010))
        assert station.numbers == sorted(set(station.numbers))
        assert stored_ledger(station.spool).as_dict() == {**ledger, "in_memory": 0}


async def test_a_file_of_a_newer_version_is_not_touched(tmp_path):
    """The daemon does not start, and names the version."""
    async with Station(tmp_path) as station:
        await fill(station, range(10))
        with closing(sqlite3.connect(station.spool / DATABASE)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        code, text = await station.refused()
        assert code == 1
        assert f"has version {VERSION + 1}, this collector knows {VERSION}" in text
        assert [path.name for path in databases(station.spool)] == [DATABASE]


async def test_a_second_daemon_on_the_same_spool_does_not_start(tmp_path):
    """It names the process that uses it, which goes on."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        code, text = await station.refused()
        assert code == 1
        assert re.search(rf"spool\.path: .* in use by process {daemon.process.pid}\b", text)
        await send(daemon, range(10))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)


async def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    """The daemon does not start."""
    async with Station(tmp_path) as station:
        (tmp_path / "spool").write_text("a file")
        code, text = await station.refused()
        assert code == 1
        assert f"spool.path: {station.spool} cannot be used" in text


@pytest.mark.parametrize("when_full", ["block", "drop"])
async def test_a_sink_that_is_away_until_its_share_is_full_costs_the_other_nothing(
    tmp_path, when_full
):
    """Everything for the other is delivered, in order; what is dropped is the first one's."""
    common = {
        "compression": "none",
        "concurrency": 1,
        "batch": {"max_wait": "10ms", "max_bytes": "64KiB"},
        "retry": {"initial": "20ms", "max": "100ms"},
    }
    async with Station(tmp_path) as station, Station(tmp_path) as other:
        station.go_away()
        share = {"max_bytes": "512KiB", "when_full": when_full}
        config = {
            "listeners": [
                {"name": name, "transport": "tcp", **LOCAL, "intake": intake}
                for name, intake in (("tcp", "there"), ("away", "away"))
            ],
            "intakes": [
                {"name": "away", "parser": "raw", "key": "other", "sinks": "away"},
                {"name": "there", "parser": "raw", "key": KEY, "sinks": "there"},
            ],
            "sinks": [
                {"name": "away", "url": station.url, "spool": share, **common},
                {"name": "there", "url": other.url, **common},
            ],
            "spool": {"type": "sqlite", "path": str(station.spool), "max_bytes": "64MiB"},
        }
        config = {**station.config(), **config}
        station.config = lambda: config
        async with station.daemon() as daemon:
            _, writer = await asyncio.open_connection(*daemon.address("away"))
            lines = [f"<134>1 - - - - - - {n} {noise(n, 1000)}".encode() for n in range(3000)]
            writer.write(b"".join(b"%d %b" % (len(line), line) for line in lines))
            if when_full == "block":
                await daemon.logged("sink's share of the spool full, its senders wait")
            else:
                await daemon.logged("spool full, events are dropped", sink="away")
            await send(daemon, range(3000), padding=1000)
            await other.wait_until(lambda: len(other.events) == 3000)
            assert other.numbers == list(range(3000))
            station.come_back()
            ledger = await daemon.ledger_when(
                lambda ledger: (
                    ledger["received"] == 6000 and not ledger["spooled"] + ledger["in_memory"]
                )
            )
            writer.close()
            dropped = ledger["dropped"].get("spool_full", 0)
            assert (dropped > 0) is (when_full == "drop")
            assert ledger["delivered"] == 6000 - dropped
            assert len(station.numbers) == 3000 - dropped
            assert station.numbers == sorted(set(station.numbers))


def sample_frames():
    """Return every sample of every vendor as a connection carries it."""
    now = datetime.now(UTC)
    frames = [
        sending.message(
            sending.Outgoing(sample.vendor, sample.raw, f"key-of-{sample.vendor}"),
            now=now,
            hostname="host",
            sd_id="SEKOIA@53288",
            parameter="intake_key",
        )
        for vendor in ("cybereason", "harfanglab")
        for sample in samples.load(vendor)
    ]
    return [sending.octet_counted(frame) for frame in frames]


def peak_resident_kib(daemon):
    """Return the most memory that a daemon has had so far."""
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.mark.slow
async def test_memory_is_bounded_while_the_sink_is_away(tmp_path, in_full, monkeypatch):
    """However many events wait on disk: several times what memory may hold of them."""
    # Forked, it would not have all of its memory resident from the start on.
    monkeypatch.setattr(Daemon, "execute", staticmethod(asyncio.create_subprocess_exec))
    count, compression = (2_000_000, "gzip") if in_full else (50_000, "none")
    frames = sample_frames()
    block = b"".join((frames * (1000 // len(frames) + 1))[:1000])
    intakes = [
        {"name": vendor, "parser": vendor, "key": f"key-of-{vendor}"}
        for vendor in ("cybereason", "harfanglab")
    ]
    async with Station(tmp_path, intakes=intakes, sink={"compression": compression}) as station:
        station.go_away()
        async with station.daemon() as daemon:
            _, writer = await asyncio.open_connection(*daemon.address("tcp"))
            for _ in range(count // 1000):
                writer.write(block)
                await writer.drain()
            writer.close()
            async with asyncio.timeout(600):
                while (ledger := (await daemon.status())["ledger"])["spooled"] < count:
                    assert peak_resident_kib(daemon) < MAX_RESIDENT_KIB
                    await asyncio.sleep(0.1)
            assert ledger["received"] == count
            assert peak_resident_kib(daemon) < MAX_RESIDENT_KIB
            assert await daemon.stop() == 0
