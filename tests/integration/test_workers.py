"""Several processes that are one daemon."""

import asyncio
import json
import os
import signal
import socket
import struct

import pytest

from tests.daemon import imbalance
from tests.station import KEY, Station, frames, number_of, send

WORKERS = 2


@pytest.fixture
async def station(tmp_path):
    """Return a sink, and what starts daemons of two workers that deliver to it."""
    async with Station(tmp_path, workers=WORKERS) as made:
        yield made


class Sender:
    """A connection that stays."""

    @classmethod
    async def to(cls, daemon, listener="tcp"):
        sender = cls()
        sender.reader, sender.writer = await asyncio.open_connection(*daemon.address(listener))
        return sender

    async def send(self, numbers):
        self.writer.write(frames(numbers))
        await self.writer.drain()

    async def ended(self):
        """Wait for the daemon to end the connection."""
        try:
            while await self.reader.read(1000):
                pass
        except ConnectionError:
            pass
        return True


async def workers_when(daemon, condition):
    """Wait until the workers are as asked, and return what the status says of them."""
    async with asyncio.timeout(60):
        while True:
            workers = (await daemon.status())["workers"]
            if condition(workers):
                return workers
            await asyncio.sleep(0.05)


async def test_connections_are_dealt_evenly(station):
    """Eight to two workers, four each; what they bring is delivered, and all of it counted."""
    async with station.daemon() as daemon:
        senders = [await Sender.to(daemon) for _ in range(8)]
        for place, sender in enumerate(senders):
            await sender.send(range(place * 100, place * 100 + 100))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 800)
        assert ledger["received"] == 800
        status = await daemon.status()
        assert [worker["connections"] for worker in status["workers"]] == [4, 4]
        assert [worker["ledger"]["received"] for worker in status["workers"]] == [400, 400]
        assert status["listeners"][0]["connections"] == 8
        metrics = await daemon.metrics()
        assert metrics['collector_messages_received_total{listener="tcp"}'] == 800
        assert metrics["collector_worker_restarts_total"] == 0
        assert sorted(station.numbers) == [*range(800)]
        assert await daemon.stop() == 0
        assert imbalance(daemon.farewell | {"event": None}) == 0
