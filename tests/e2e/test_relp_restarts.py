"""The daemon ends, or is killed, under a sender that waits for answers: nothing of it is lost."""

import asyncio
import random
import signal
from collections import defaultdict
from contextlib import suppress

import pytest

from tests.daemon import imbalance
from tests.peers import steady_port
from tests.rsyslog import Rsyslog, forward
from tests.spools import stored_ledger
from tests.station import KEY, Station, number_of

PER_SECOND = 2000
EVERY_SECONDS = 0.01


class Feed:
    """Sends numbered messages to rsyslog at a rate, while used as an asynchronous context manager.

    Attributes:
        sent: how many, so far.
    """

    def __init__(self, rsyslog):
        self._rsyslog = rsyslog
        self._is_over = False
        self.sent = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def stop(self):
        """Send no more; all that was sent has been taken by rsyslog."""
        self._is_over = True
        await self._task

    async def _run(self):
        writer = await self._rsyslog.connect("all")
        while not self._is_over:
            for _ in range(int(PER_SECOND * EVERY_SECONDS)):
                message = b"<134>1 2026-01-02T03:04:05.678Z edr app - - - %d" % self.sent
                writer.write(b"%d %b" % (len(message), message))
                self.sent += 1
            await writer.drain()
            await asyncio.sleep(EVERY_SECONDS)
        writer.close()
        await writer.wait_closed()


class Arrivals:
    """What the sink of a station has, by number: the ids under which each message came."""

    def __init__(self, station):
        self._station = station
        self._looked_at = 0
        self.ids = defaultdict(set)

    def count(self):
        """Return how many different messages have arrived."""
        events = self._station.events
        for event in events[self._looked_at :]:
            self.ids[number_of(event)].add(event["event"]["id"])
        self._looked_at = len(events)
        return len(self.ids)


async def receiving(daemon):
    """Wait until rsyslog is back.

    It has to have something to send for that: with nothing more to send it does not find out that a
    connection broke, and keeps what was not answered there until its next message.
    """
    before = (await daemon.status())["ledger"]
    assert imbalance(before) == 0
    await daemon.ledger_when(lambda ledger: ledger["received"] > before["received"])


async def kill_under_load(station, daemon, moments):
    """Kill the daemon at some moment once rsyslog is back; the sink is there every other time."""
    station.answer = moments.choice([lambda _: 200, lambda _: 503])
    await receiving(daemon)
    await asyncio.sleep(moments.uniform(0, 0.6))
    daemon.process.kill()
    assert await daemon.ended() == -signal.SIGKILL


def forwarding(directory, port):
    """Return rsyslog with an omrelp that goes on for as long as it takes."""
    action = forward("omrelp", ("127.0.0.1", port))
    return Rsyslog(directory / "rsyslog", {"all": action}, {"all": KEY}, modules={"omrelp": {}})


def relp(port):
    return {"name": "relp", "transport": "relp", "host": "127.0.0.1", "port": port}


async def test_nothing_is_lost_or_doubled_when_the_daemon_stops_and_starts(tmp_path):
    """It answers what it has read, and reads no more: the rest is still the sender's."""
    port = steady_port()
    async with (
        Station(tmp_path, listeners=[relp(port)]) as station,
        forwarding(tmp_path, port) as rsyslog,
        Feed(rsyslog) as feed,
    ):
        for _ in range(3):
            async with station.daemon() as daemon:
                await receiving(daemon)
                assert await daemon.stop() == 0
        async with station.daemon() as daemon:
            await receiving(daemon)
            await feed.stop()
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] >= feed.sent)
        assert ledger["received"] == feed.sent
        assert sorted(station.numbers) == list(range(feed.sent))


@pytest.mark.slow
async def test_nothing_is_lost_however_often_the_daemon_is_killed(tmp_path, in_full):
    """What was safe and not yet answered comes again, and by its content has the same id."""
    port, moments = steady_port(), random.Random()
    async with (
        Station(tmp_path, listeners=[relp(port)], identity="content") as station,
        forwarding(tmp_path, port) as rsyslog,
        Feed(rsyslog) as feed,
    ):
        for _ in range(20 if in_full else 2):
            async with station.daemon() as daemon:
                await kill_under_load(station, daemon, moments)
            assert stored_ledger(station.spool).imbalance() == 0
        station.come_back()
        arrivals = Arrivals(station)
        async with station.daemon() as daemon:
            await receiving(daemon)
            await feed.stop()
            with suppress(TimeoutError):  # what is missing is told below
                await station.wait_until(lambda: arrivals.count() >= feed.sent, 60)
            ledger = await daemon.ledger_when(
                lambda ledger: not ledger["spooled"] + ledger["in_memory"]
            )
            assert await daemon.stop() == 0
    assert set(range(feed.sent)) ^ arrivals.ids.keys() == set()
    assert all(len(ids) == 1 for ids in arrivals.ids.values())
    # What came twice was received twice, and what was delivered just before a kill is again.
    assert feed.sent <= ledger["received"] == ledger["delivered"] <= len(station.events)
