"""What tests of the stream share: servers, and a member that is connected to them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from collector.config import SpoolSettings
from collector.spool import Batch, entries
from collector.stream import wire
from collector.stream.cluster import Cluster
from tests.nats import Nats

SECONDS = 40.0
LETTERS_MAX_BYTES = 64 * 1024 * 1024

# Octets that may be asked for, where their number is not what matters.
WINDOW = 1 << 20


@pytest.fixture
async def nats(tmp_path):
    """One server: streams with one replica."""
    async with Nats(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def member(nats):
    """One member of the cluster that is up."""
    async with Member(nats) as one:
        yield one


def settings_of(nats: Nats | None = None, **more) -> SpoolSettings:
    """Return settings for servers of a test; without, for one that is not there."""
    urls = ("nats://127.0.0.1:1",) if nats is None else nats.urls
    given = {"servers": urls, "replicas": 1, "max_bytes": "64MiB", "ack_wait": "2s", **more}
    return SpoolSettings(type="jetstream", **given)


def batch_of(*numbers: int, sink: str = "a", octets: int = 0) -> Batch:
    """Return a batch whose events are numbers, with what is known of each.

    Args:
        numbers: the events.
        sink: its name.
        octets: how long its body is at least.
    """
    body = b"\n".join(b"%d" % number for number in numbers).ljust(octets)
    known = [entries.Entry(f"{number:032x}", "edr", "192.0.2.1", 10.0) for number in numbers]
    packed = entries.pack_entries(known)
    return Batch(sink, "ndjson:event", "none", body, len(numbers), len(body), 10.5, packed)


async def until(condition):
    """Wait for something to become so."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def speaking(nats: Nats):
    """Say something to a server as it is."""
    port = int(nats.urls[0].rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
    yield writer.write
    writer.close()


async def change(nats: Nats, name: str, **settings):
    """Have a stream be different, as somebody may make it."""
    async with nats.client() as somebody:
        stream = somebody.jetstream()
        config = (await stream.stream_info(name)).config
        await stream.update_stream(config.evolve(**settings))


class Member(Cluster):
    """A cluster that is used as an asynchronous context manager, and what it was delivered.

    Attributes:
        deliveries: in the order in which they came.
        changes: what `is_up` became, each time it changed.
    """

    def __init__(self, nats: Nats, *, patience: float = SECONDS, **more) -> None:
        super().__init__(settings_of(nats, **more), LETTERS_MAX_BYTES, "m")
        self.patience = patience
        self.deliveries = []
        self.changes = []
        self.on_change = lambda: self.changes.append(self.is_up)

    async def __aenter__(self):
        await self.start(self.patience)
        return self

    async def __aexit__(self, *_):
        await self.close()

    @property
    def numbers(self):
        """Which batches were delivered."""
        return [number_of(delivery) for delivery in self.deliveries]

    @property
    def sequences(self):
        """Where each of these stands in the stream."""
        return [delivery.stored.sequence for delivery in self.deliveries]

    async def send(self, number: int, sink: str = "a", octets: int = 0):
        """Publish a batch of one event."""
        batch = batch_of(number, sink=sink, octets=octets)
        message = wire.batch_message(self._settings.stream, batch, f"{sink}-{number}")
        await self.publish(*message)

    def receive(self, sink: str = "a", *, is_ordered: bool = False):
        """Return what brings batches here."""
        return self.consumer(sink, is_ordered=is_ordered, on_delivery=self.deliveries.append)


def number_of(delivery) -> int:
    """Return which batch it is, by the id that it was published with."""
    return int(delivery.stored.headers[wire.MESSAGE_ID].rpartition("-")[2])
