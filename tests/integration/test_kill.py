"""The daemon is killed while events come in and go out, and started again on the same spool."""

import asyncio
import random
import signal

import orjson
import pytest

from tests.daemon import imbalance
from tests.spools import stored_accounts, stored_ledger, stored_lines
from tests.station import Station, number_of, send


async def kill(daemon):
    daemon.process.kill()
    assert await daemon.ended() == -signal.SIGKILL


async def kill_under_load(station, daemon, numbers, moments):
    """Send, and kill the daemon at some moment; the sink is there every other time."""
    station.answer = moments.choice([lambda _: 200, lambda _: 503])
    sending = asyncio.create_task(send(daemon, numbers))
    await asyncio.sleep(moments.uniform(0.02, 0.6))
    await kill(daemon)
    await sending


async def assert_goes_on(daemon, accounts):
    """Check what a daemon says of the end of the one before it."""
    status = await daemon.status()
    line = await daemon.logged("the last process did not end well")
    assert line["in_memory_at_last_write"] == accounts["in_memory"]
    assert status["spool"]["in_memory_at_last_write"] == accounts["in_memory"]
    assert imbalance(status["ledger"]) == 0


@pytest.mark.slow
async def test_what_was_committed_is_delivered_however_often_the_daemon_is_killed(
    tmp_path, in_full
):
    """Sent again is only what the sink may not have answered; ids and ledger stay whole."""
    may_repeat, moments, accounts = set(), random.Random(), None
    async with Station(tmp_path) as station:
        for round_ in range(50 if in_full else 5):
            async with station.daemon() as daemon:
                if accounts:
                    await assert_goes_on(daemon, accounts)
                numbers = range(round_ * 100_000, (round_ + 1) * 100_000)
                await kill_under_load(station, daemon, numbers, moments)
            accounts, ledger = stored_accounts(station.spool), stored_ledger(station.spool)
            assert ledger.imbalance() == 0
            delivered = set(station.numbers)
            stored = {number_of(orjson.loads(line)) for line in stored_lines(station.spool)}
            assert ledger.received == len(delivered | stored)
            may_repeat |= delivered & stored
        station.come_back()
        async with station.daemon() as daemon:
            ledger = await daemon.ledger_when(
                lambda ledger: not ledger["spooled"] + ledger["in_memory"]
            )
            metrics = await daemon.metrics()
            for account in ("received", "delivered", "spooled"):
                sample = f'collector_ledger_messages{{account="{account}",reason=""}}'
                assert metrics[sample] == ledger[account]
            assert await daemon.stop() == 0
    assert ledger["received"] == ledger["delivered"] == len(set(station.numbers)) > 0
    assert station.repeated.keys() <= may_repeat
    ids = {}
    for event in station.events:
        assert ids.setdefault(number_of(event), event["event"]["id"]) == event["event"]["id"]
    assert len(set(ids.values())) == len(ids)


async def test_what_is_killed_before_anything_arrived_starts_again(tmp_path):
    """With an empty spool, and a ledger of nothing."""
    async with Station(tmp_path) as station:
        for _ in range(2):
            async with station.daemon() as daemon:
                await kill(daemon)
        async with station.daemon() as daemon:
            await send(daemon, range(10))
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)
            assert ledger["received"] == 10
            status = await daemon.status()
            assert status["spool"]["in_memory_at_last_write"] == 0
