"""Somebody looks at a daemon that is at work: the status page's streams, with real senders."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from tests.bench import watching
from tests.daemon import SECONDS
from tests.station import HEADER, KEY, Station

FILTERED = [{"name": "noise", "field": "message", "prefix": "noise"}]
STRUCTURED = {
    "intakes": [
        {"name": "edr", "parser": "cybereason", "key": KEY, "envelope": ["received", "syslog"]},
        {"name": "text", "parser": "raw", "key": "key-of-texts", "drop": FILTERED},
        {
            "name": "limited",
            "parser": "raw",
            "key": "key-of-the-limited",
            "max_rate": {"events_per_second": 1, "when_over": "drop"},
        },
    ]
}


class Watched:
    """A stream of server-sent events, read as a page does.

    Attributes:
        events: what came, in order: names and what they hold.
    """

    def __init__(self, response):
        self.response = response
        self.events = []

    async def next(self, name="message", **holds):
        """Return what the next event of a name holds, which is as asked."""
        async with asyncio.timeout(SECONDS):
            while True:
                lines = (await self.response.content.readuntil(b"\n\n")).decode().splitlines()
                (_, found), (_, data) = (line.split(": ", 1) for line in lines if line)
                self.events.append((found, json.loads(data)))
                held = self.events[-1][1]
                if found == name and holds.items() <= held.items():
                    return held


@asynccontextmanager
async def watched(daemon, path, **query):
    """Open a stream."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(daemon.admin_url, timeout=timeout, read_bufsize=2**20) as session,
        session.get(path, params=query, headers=daemon.headers) as response,
    ):
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield Watched(response)


async def send(daemon, *messages):
    """Send each over a connection of its own, so that all workers get some."""
    for message in messages:
        octets = message if isinstance(message, bytes) else message.encode()
        _, writer = await asyncio.open_connection(*daemon.address("tcp"))
        writer.write(b"%d %b" % (len(octets), octets))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def header(key):
    return HEADER.replace(KEY, key)


@asynccontextmanager
async def at_work(directory, **settings):
    """Run a daemon with its sink."""
    async with Station(directory, **settings) as station, station.daemon() as daemon:
        yield daemon


@pytest.mark.parametrize("workers", [1, 2])
async def test_messages_are_shown_with_what_became_of_them(tmp_path, workers):
    """By intake, outcome and text; no key of an intake is among it."""
    queries = {
        "all": {},
        "edr": {"intake": "edr"},
        "errors": {"outcome": "pipeline_error"},
        "letters": {"outcome": "dead_letter"},
        "dropped": {"outcome": "dropped"},
        "text": {"text": "NEEDLE"},
        "key": {"text": KEY[:8]},
    }
    settings = {**STRUCTURED, "workers": workers}
    async with at_work(tmp_path, **settings) as daemon, AsyncExitStack() as pages:
        streams = {
            name: await pages.enter_async_context(watched(daemon, "/api/tail", **query))
            for name, query in queries.items()
        }
        await daemon.logged("audit", action="messages watched", intake="edr")
        await settled(daemon, len(queries))
        texts = header("key-of-texts")
        await send(daemon, f"{texts}a needle <script>alert(1)</script> {KEY} \x07")
        message = await streams["text"].next()
        assert message["raw"].endswith("a needle <script>alert(1)</script> *** \x07")
        assert (message["intake"], message["outcome"], message["listener"]) == ("text", "ok", "tcp")
        assert (message["peer"], message["problem"], message["truncated"]) == (
            "127.0.0.1",
            None,
            False,
        )
        assert message["event"]["message"].startswith("a needle <script>")
        assert await streams["all"].next() == message

        await send(daemon, f"{HEADER}no CEF at all")
        message = await streams["errors"].next()
        assert (message["intake"], message["outcome"]) == ("edr", "pipeline_error")
        assert message["event"]["event"]["kind"] == "pipeline_error"
        assert message["problem"]
        assert await streams["edr"].next() == message

        await send(daemon, header("key-of-nobody") + "lost")
        message = await streams["letters"].next()
        assert (message["intake"], message["event"]) == (None, None)
        assert "key-of-nobody" not in json.dumps(message)

        await send(daemon, f"{texts}noise")
        assert (await streams["dropped"].next(intake="text"))["raw"].endswith("noise")
        await send(daemon, *[header("key-of-the-limited") + str(n) for n in range(10)])
        assert (await streams["dropped"].next(intake="limited"))["problem"]
        for stream in streams.values():
            for key in (KEY, "key-of-texts", "key-of-the-limited", "key-of-nobody"):
                assert key not in json.dumps(stream.events)
        assert streams["key"].events == []


async def settled(daemon, count):
    """Wait until so many watch, in all processes.

    A worker is told before it is given another connection, and over the same channel.
    """
    async with asyncio.timeout(SECONDS):
        while len(lines(daemon, "messages watched")) < count:
            await asyncio.sleep(0.01)


def lines(daemon, action):
    return [line for line in daemon.lines if line.get("action") == action]


async def test_rejected_messages_are_shown_too(tmp_path):
    """Where settings refuse what is nobody's."""
    async with (
        at_work(tmp_path, routing={"on_unknown": "reject"}) as daemon,
        watched(daemon, "/api/tail", outcome="rejected") as told,
    ):
        await settled(daemon, 1)
        await send(daemon, "<13>for nobody", HEADER + "for somebody", "<13>again")
        assert [(await told.next())["raw"] for _ in range(2)] == ["<13>for nobody", "<13>again"]


async def test_whatever_is_sent_can_be_shown(tmp_path):
    """Octets that are no text, control characters, and a megabyte; nothing else is kept back."""
    listener = {"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}
    long = HEADER.encode() + b"x" * 1_000_000
    async with at_work(tmp_path, listeners=[{**listener, "max_message_bytes": "2MiB"}]) as daemon:
        async with watched(daemon, "/api/tail") as told:
            await settled(daemon, 1)
            await send(daemon, HEADER.encode() + b"\xff\xfe\x00\x1b[31m\xed\xa0\x80", long)
            message = await told.next()
            assert message["raw"].endswith("\ufffd\ufffd\x00\x1b[31m\ufffd\ufffd\ufffd")
            message = await told.next()
            assert (message["truncated"], message["event"], len(message["raw"])) == (
                True,
                None,
                64 * 1024,
            )
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2)


async def test_more_than_can_be_read_is_counted(tmp_path):
    """Nothing is held for those who watch, and everybody else gets everything."""
    async with at_work(tmp_path) as daemon, watched(daemon, "/api/tail") as told:
        await settled(daemon, 1)
        count = 2000
        message = HEADER.encode() + b"1 text"
        _, writer = await asyncio.open_connection(*daemon.address("tcp"))
        writer.write(b"%d %b" % (len(message), message) * count)
        await writer.drain()
        writer.close()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == count)

        def seen():
            names = [name for name, _ in told.events]
            return names.count("message") + sum(
                held["count"] for name, held in told.events if name == "skipped"
            )

        while seen() < count:
            await told.next("skipped")
        assert seen() == count


def rates(told):
    """Return the rates that an event tells, by name; none if it tells something else."""
    name, data = told
    return {item["name"]: item["value"] for item in data["values"]} if name == "point" else {}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_page_is_told_how_things_are_and_were(tmp_path, workers):
    """What came and went before it was loaded, or loaded again, as well."""
    async with at_work(tmp_path, workers=workers) as daemon:
        async with watched(daemon, "/api/live") as told:
            assert (await told.next("history"))["step"] == 5
            await told.next("status")
            await send(daemon, *[f"{HEADER}{number} text" for number in range(10)])
            async with asyncio.timeout(SECONDS):
                while (await told.next("status"))["ledger"]["delivered"] < 10:
                    pass
            status = told.events[-1][1]
            assert status["access"] == "open"
            assert {"intakes", "listeners", "sinks", "spool", "drift", "degraded"} <= status.keys()
            async with asyncio.timeout(SECONDS):
                while not (moved := [at for at in map(rates, told.events) if at.get("any")]):
                    await told.next("point")
            assert moved[0]["tcp"] > 0
        async with watched(daemon, "/api/live") as told:
            kept = {
                (series["kind"], series["name"]): series["values"]
                for series in (await told.next("history"))["series"]
            }
            for series in (("intake", "any"), ("sink", "siem"), ("listener", "tcp")):
                assert any(kept[series])


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_page_is_told_whether_there_is_an_inbox_and_how_much_is_in_it(tmp_path, workers):
    """There is one as long as a sink posts to it."""
    own = {"name": "siem", "url": "inbox:", "batch": {"max_wait": "10ms"}}
    async with Station(tmp_path, workers=workers) as station, station.daemon() as daemon:
        assert (await daemon.status())["inbox"] is None
        assert (await daemon.reload(station.config(sinks=[own])))[0] == 200
        assert (await daemon.status())["inbox"] == {"events": 0, "kept": 0}
        await send(daemon, *[f"{HEADER}{number} text" for number in range(10)])
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)
        assert (await daemon.status())["inbox"] == {"events": 10, "kept": 10}
        assert (await daemon.reload(station.config()))[0] == 200
        assert (await daemon.status())["inbox"] is None


async def test_a_worker_that_is_started_again_is_watched_too(tmp_path):
    """Whoever looks goes on looking."""
    async with at_work(tmp_path, workers=2) as daemon, watched(daemon, "/api/tail") as told:
        await settled(daemon, 1)
        for worker in (await daemon.status())["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        async with asyncio.timeout(SECONDS):
            while True:
                workers = (await daemon.status())["workers"]
                if all(worker["pid"] and worker["restarts"] for worker in workers):
                    break
                await asyncio.sleep(0.05)
        await send(daemon, *[f"{HEADER}{number} text" for number in range(8)])
        for _ in range(8):
            await told.next()


async def test_who_watched_what_and_for_how_long_is_in_the_audit(tmp_path):
    """By the token's owner, who is not named by it."""
    token = tmp_path / "token"
    token.write_text("the-token-of-the-test\n")
    admin = {"port": 0, "token_file": str(token)}
    async with Station(tmp_path) as station, station.daemon(admin=admin) as daemon:
        status, _ = await daemon.get("/api/tail")
        assert status == 401
        daemon.headers = {"Authorization": "Bearer the-token-of-the-test"}
        async with watched(daemon, "/api/tail", intake="any", text="a\n\u2028" + "b" * 200):
            line = await daemon.logged("audit", action="messages watched")
            assert (line["actor"], line["peer"], line["intake"]) == ("token", "127.0.0.1", "any")
            assert line["text_characters"] == 203
        assert await daemon.logged("audit", action="messages no longer watched", actor="token")
        async with watched(daemon, "/api/tail") as told:
            token.write_text("another-token\n")
            await daemon.post("/api/reload")
            await told.response.read()  # it ends with the token
        assert (await daemon.get("/api/status"))[0] == 401
        assert len(lines(daemon, "messages watched")) == 2
    assert "the-token-of-the-test" not in daemon.text
    assert "another-token" not in daemon.text


@pytest.mark.parametrize("workers", [1, 2])
async def test_watching_ends_when_a_stop_begins(tmp_path, workers):
    """A stop does not wait for those who look, and they do not see what is done in its grace."""
    async with (
        Station(tmp_path, workers=workers, shutdown_grace="60s") as station,
        station.daemon(spool={"type": "memory"}) as daemon,
        watched(daemon, "/api/live") as page,
        watched(daemon, "/api/tail") as tail,
    ):
        station.go_away()
        await settled(daemon, 1)
        await send(daemon, f"{HEADER}1 text")
        await tail.next()
        daemon.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            for told in (page, tail):
                await told.response.read()
        for path in ("/api/live", "/api/tail"):
            assert await daemon.get(path) == (503, "the daemon is stopping\n")
        assert (await daemon.get("/healthz"))[0] == 200
        assert (await daemon.get("/metrics"))[0] == 200
        station.come_back()
        assert await daemon.ended() == 0
        assert station.numbers == [1]


def test_what_looking_costs_is_measured(capsys, monkeypatch):
    """Each turn takes some time, and each reader is sent something."""
    # What a reader is sent first, which it is at once, counts as well then.
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0.0)
    few = ["--rates", "0", "200", "--rounds", "1", "--seconds", "1.2", "--corpus", "50"]
    watching.main([*few, "--workers", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.endswith(":")] == [
        "0 events/s, 1 process:",
        "200 events/s, 1 process:",
    ]
    costs = [line for line in printed if " of a core while nobody looks" in line]
    assert len(costs) == 4
    for line in costs:
        assert float(line.split(" KiB/s")[0].rpartition(" ")[2]) > 0
    idle, busy = costs[:2], costs[2:]
    assert all(float(line.split("%")[0]) >= 0 for line in idle)  # next to nothing, in a second
    assert all(float(line.split("%")[0]) > 0 for line in busy)
