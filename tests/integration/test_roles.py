"""One settings file, two daemons: one receives, the other delivers what that put into a stream."""

import asyncio

import pytest

from collector.roles import Role
from tests.daemon import Daemon, imbalance
from tests.fake_sink import FakeSink
from tests.nats import Nats
from tests.station import KEY, number_of, send

SECONDS = 60.0


class Pair:
    """A receiver and a deliverer, with the settings that both go by.

    Credentials of the sink are where the deliverer runs, certificates of listeners where the
    receiver does; here neither has what it does not need.
    """

    def __init__(self, directory, nats, sink):
        self.directory = directory
        self.nats = nats
        self.sink = sink
        self.token = directory / "token"
        self.token.write_text("s3cret-token")

    def settings(self, role, workers=1, **sink):
        token = self.token if role is Role.DELIVER else self.directory / "nowhere"
        return {
            "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
            "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
            "sinks": [
                {
                    "name": "siem",
                    "url": self.sink.url,
                    "auth": {"bearer": {"token_file": str(token)}},
                    "compression": "none",
                    "concurrency": 1,
                    "batch": {"max_wait": "10ms"},
                    "retry": {"initial": "20ms", "max": "100ms"},
                    **sink,
                }
            ],
            "spool": {
                "type": "jetstream",
                "servers": list(self.nats.urls),
                "replicas": 1,
                "max_bytes": "64MiB",
                "path": str(self.directory / role / "spool"),
            },
            "dead_letters": {"max_bytes": "8MiB", "unknown_intake_max_bytes": "1MiB"},
            "workers": workers,
            "shutdown_grace": "2s",
        }

    def daemon(self, role, workers=1, **sink):
        directory = self.directory / role
        directory.mkdir(exist_ok=True)
        return Daemon(directory, self.settings(role, workers, **sink), role=role)

    async def until_delivered(self, count):
        await self.sink.wait_until(lambda: len(self.sink.events) >= count, SECONDS)
        assert sorted(map(number_of, self.sink.events)) == list(range(count))


@pytest.fixture
async def pair(tmp_path):
    async with Nats(tmp_path / "nats") as nats, FakeSink() as sink:
        yield Pair(tmp_path, nats, sink)


async def test_what_one_receives_the_other_delivers(pair):
    """Each says which part it shows, and both parts together are the whole."""
    async with pair.daemon(Role.RECEIVE) as receiver, pair.daemon(Role.DELIVER) as deliverer:
        await send(receiver, range(300))
        await pair.until_delivered(300)
        received = await receiver.ledger_when(lambda ledger: ledger["handed_over"] == 300)
        delivered = await deliverer.ledger_when(lambda ledger: ledger["delivered"] == 300)
        assert received["received"] == delivered["taken_over"] == 300
        states = {"receive": await receiver.status(), "deliver": await deliverer.status()}
        for role, status in states.items():
            assert status["cluster"]["role"] == role
            assert status["cluster"]["part"] == "this member"
            assert status["ready"]
            assert status["degraded"] == []
            assert status["spool"]["stream"]["connected"]
            assert sum(status["spool"]["stream"]["events"].values()) == 0
        assert [item["name"] for item in states["receive"]["listeners"]] == ["tcp"]
        assert states["deliver"]["listeners"] == []
        assert (await deliverer.get("/readyz"))[0] == 200
        metrics = await receiver.metrics()
        assert metrics["collector_stream_connected"] == 1
        assert metrics["collector_events_handed_over_total"] == 300
        assert 'collector_sink_up{sink="siem"}' not in metrics
        metrics = await deliverer.metrics()
        assert metrics["collector_events_taken_over_total"] == 300
        assert metrics['collector_sink_up{sink="siem"}'] == 1
        assert not [name for name in metrics if "messages_received" in name and metrics[name]]
        assert await receiver.stop() == 0
        assert await deliverer.stop() == 0
    for daemon in (receiver, deliverer):
        assert imbalance(daemon.farewell) == 0
        assert "s3cret" not in daemon.text
    assert {headers["Authorization"] for headers in pair.sink.headers} == {"Bearer s3cret-token"}


async def test_what_was_received_while_nobody_delivers_waits_in_the_stream(pair):
    """A deliverer that comes later finds it; a reload leaves each what it is."""
    async with pair.daemon(Role.RECEIVE) as receiver:
        await send(receiver, range(100))
        await receiver.ledger_when(lambda ledger: ledger["handed_over"] == 100)
        status, answer = await receiver.reload(pair.settings(Role.RECEIVE, concurrency=2))
        assert (status, answer["problem"]) == (200, "")
        await send(receiver, range(100, 200))
        await receiver.ledger_when(lambda ledger: ledger["handed_over"] == 200)
        assert await receiver.stop() == 0
    async with pair.daemon(Role.DELIVER) as deliverer:
        await pair.until_delivered(200)
        token = pair.directory / "token-2"
        token.write_text("another-token")
        auth = {"bearer": {"token_file": str(token)}}
        status, answer = await deliverer.reload(pair.settings(Role.DELIVER, auth=auth))
        assert (status, answer["problem"]) == (200, "")
        assert (await deliverer.status())["ready"]
        async with pair.daemon(Role.RECEIVE) as receiver:
            await send(receiver, range(200, 300))
            await pair.until_delivered(300)
        assert pair.sink.headers[-1]["Authorization"] == "Bearer another-token"


async def test_a_cluster_that_is_away_is_degraded_and_not_unready(pair):
    """What comes meanwhile waits in the file, and goes on once it is back."""
    async with pair.daemon(Role.RECEIVE) as receiver, pair.daemon(Role.DELIVER) as deliverer:
        await pair.nats.kill()
        for daemon in (receiver, deliverer):
            await until_stream(daemon, is_away=True)
            status, _ = await daemon.get("/readyz")
            assert status == 200
        assert (await receiver.metrics())["collector_stream_connected"] == 0
        await send(receiver, range(100))
        await receiver.ledger_when(lambda ledger: ledger["spooled"] == 100)
        pair.nats.start()
        await pair.until_delivered(100)
        for daemon in (receiver, deliverer):
            await until_stream(daemon, is_away=False)


async def until_stream(daemon, *, is_away):
    async with asyncio.timeout(SECONDS):
        while True:
            degraded = (await daemon.status())["degraded"]
            if any(entry.get("spool") == "stream" for entry in degraded) == is_away:
                return
            await asyncio.sleep(0.05)


async def test_several_workers_are_one_member(pair):
    """What they have in the stream is told once, and what each handed or took over is added up."""
    async with (
        pair.daemon(Role.RECEIVE, workers=2) as receiver,
        pair.daemon(Role.DELIVER, workers=2) as deliverer,
    ):
        for first in range(0, 200, 50):
            await send(receiver, range(first, first + 50))
        await pair.until_delivered(200)
        await receiver.ledger_when(lambda ledger: ledger["handed_over"] == 200)
        await deliverer.ledger_when(lambda ledger: ledger["taken_over"] == 200)
        status = await deliverer.status()
        assert (status["ready"], status["listeners"]) == (True, [])
        assert status["cluster"]["role"] == "deliver"
        assert status["spool"]["stream"]["connected"]
        assert len(status["workers"]) == 2
        metrics = await receiver.metrics()
        assert metrics["collector_stream_connected"] == 1
        assert metrics["collector_stream_max_bytes"] == 64 << 20
        assert metrics["collector_events_handed_over_total"] == 200
        for daemon, role in ((receiver, Role.RECEIVE), (deliverer, Role.DELIVER)):
            status, answer = await daemon.reload(pair.settings(role, workers=2, timeout="20s"))
            assert (status, answer["problem"]) == (200, "")
            assert await daemon.stop() == 0
