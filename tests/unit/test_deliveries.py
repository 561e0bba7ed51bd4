"""Deliveries that change while they are at work."""

import asyncio
import os
import ssl
from contextlib import asynccontextmanager

import orjson
import pytest
import structlog
from aiohttp import web

from collector.certificates import TlsError
from collector.config import SinkTls
from collector.deliveries import Deliveries
from collector.durability import Durability
from collector.ledger import Ledger
from collector.metrics import Stats
from collector.settings.secret_files import SecretFileError
from collector.spool import Share
from collector.spool.memory import MemorySpool
from collector.spool.sqlite import SqliteSpool
from tests.certificates import Authority
from tests.fake_sink import FakeSink
from tests.http_server import HttpServer
from tests.making import arrival_of, entry_of, event_of, intake_of, sink_of

MIB = 1024 * 1024
ROOMY = {"max_events": 1000, "max_wait": "1m"}


def settings_of(server, **settings):
    """Return the settings of a sink that is quick to act."""
    return sink_of(
        **{
            "url": server.url,
            "compression": "none",
            "concurrency": 1,
            "batch": {"max_events": 2, "max_wait": "10ms"},
            "retry": {"initial": "1ms", "max": "20ms"},
            **settings,
        }
    )


class Room:
    """Deliveries, what surrounds them, and what stands for the pipeline."""

    def __init__(self, spool, stats):
        self.spool = spool
        self.stats = stats
        self.ledger = stats.ledger
        self.failures = 0
        self.deliveries = Deliveries(spool, stats, event_of, self.fail)

    def fail(self):
        self.failures += 1

    def adopt(self, *sinks, intakes=(), share=None):
        """Take settings over as a reload does."""
        shares = {sink.name: Share(share, "block", sink.batch.max_bytes) for sink in sinks}
        self.deliveries.adopt(self.deliveries.plan(sinks, intakes or [intake_of()], shares))

    async def change(self, *sinks, **options):
        """Take settings over, and wait until the sinks are as they say."""
        self.adopt(*sinks, **options)
        await self.deliveries.settle()

    def add(self, *numbers, sink="siem", intake="edr"):
        """Add events as an intake does; they are numbers."""
        for number in numbers:
            self.ledger.received += 1
            arrival = arrival_of(entry_of(number, intake))
            batcher = self.deliveries.batcher(sink, intake)
            batcher.add(b'{"n":%d}' % number, arrival, intake)

    async def until(self, condition):
        """Wait for a condition; the ledger balances meanwhile."""
        async with asyncio.timeout(20):
            while not condition():
                assert self.ledger.imbalance() == 0, self.ledger
                await asyncio.sleep(0.001)

    async def emptied(self):
        """Deliver everything there is."""
        self.deliveries.flush()
        await self.until(lambda: self.ledger.in_memory == 0)
        async with asyncio.timeout(20):
            await self.spool.emptied()
        assert self.ledger.imbalance() == 0, self.ledger

    def sink(self):
        """Return the sink at work."""
        [sink] = self.deliveries.sinks
        return sink


@pytest.fixture(params=["memory", "sqlite"])
async def room(request, tmp_path):
    stats = Stats(Ledger())
    if request.param == "memory":
        spool = MemorySpool(16 * MIB, {}, stats.ledger)
    else:
        spool = SqliteSpool(tmp_path / "spool", 64 * MIB, {}, stats.ledger)
    await spool.start()
    room = Room(spool, stats)
    yield room
    await room.deliveries.stop()
    room.deliveries.flush()
    await spool.close()
    assert room.ledger.imbalance() == 0
    assert room.failures == 0


@pytest.fixture
async def server():
    async with FakeSink() as sink:
        yield sink


@pytest.fixture
async def other():
    async with FakeSink() as sink:
        yield sink


@asynccontextmanager
async def held(server):
    """Have a sink answer nothing until the end."""
    released = asyncio.Event()

    async def answer(_):
        await released.wait()
        return 200

    server.answer = answer
    try:
        yield released
    finally:
        released.set()


def numbers(*servers):
    return [event["n"] for server in servers for event in server.events]


async def test_sinks_that_come_get_their_events(room, server, other):
    """Each its own; before a plan there is none."""
    assert room.deliveries.sinks == []
    await room.change(settings_of(server), settings_of(other, name="archive"))
    assert [sink.name for sink in room.deliveries.sinks] == ["siem", "archive"]
    assert room.stats.sinks.keys() == {"siem", "archive"}
    room.add(1, 2, 3)
    room.add(4, sink="archive")
    await room.emptied()
    assert (numbers(server), numbers(other)) == ([1, 2, 3], [4])
    assert room.stats.sinks["siem"].delivered == 3


async def test_a_sink_that_stays_as_it_is_goes_on_untouched(room, server, other):
    """A request in flight too, whatever becomes of others."""
    await room.change(settings_of(server), settings_of(other, name="archive"))
    sink = room.deliveries.sinks[0]
    async with held(server):
        room.add(1, 2)
        await server.wait_until(lambda: len(server.requests) == 1)
        await room.change(settings_of(server), settings_of(other, name="archive", timeout="9s"))
        assert room.stats.sinks["siem"].in_flight == 1
    room.add(3)
    await room.emptied()
    assert room.deliveries.sinks[0] is sink
    assert server.requests == [[{"n": 1}, {"n": 2}], [{"n": 3}]]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_sink_that_moves_under_load_gets_each_event_once(room, server, other, concurrency):
    """In order with one request in flight; nothing is sent to the old place any more."""
    servers = [server, other]
    for turn in range(10):
        await room.change(settings_of(servers[turn % 2], concurrency=concurrency))
        room.add(*range(turn * 30, turn * 30 + 30))
        sent = turn * 30 + 10
        await room.until(lambda: len(server.events) + len(other.events) > sent)  # noqa: B023
    await room.emptied()
    assert sorted(numbers(server, other)) == list(range(300))
    if concurrency == 1:
        assert numbers(server) == sorted(numbers(server))
        assert numbers(other) == sorted(numbers(other))


async def test_a_request_in_flight_is_answered_before_the_sink_makes_way(room, server, other):
    """So that its events do not arrive twice."""
    await room.change(settings_of(server))
    async with held(server):
        room.add(*range(6))
        await server.wait_until(lambda: len(server.requests) == 1)
        room.adopt(settings_of(other))
        settling = asyncio.create_task(room.deliveries.settle())
        await asyncio.sleep(0)
        assert other.requests == []
    await settling
    await room.emptied()
    assert numbers(server) == [0, 1]
    assert numbers(other) == [2, 3, 4, 5]


async def test_a_request_that_is_not_answered_is_given_up_and_goes_to_the_new_place(
    room, server, other, monkeypatch
):
    """In its order: its events stand where they stood."""
    monkeypatch.setattr("collector.deliveries.RETIREMENT_SECONDS", 0.01)
    await room.change(settings_of(server))
    async with held(server):
        room.add(*range(6))
        await server.wait_until(lambda: len(server.requests) == 1)
        await room.change(settings_of(other))
        await room.emptied()
    assert numbers(other) == list(range(6))
    assert room.stats.sinks["siem"].in_flight == 0


async def test_a_failing_sink_makes_way_at_once(room, server, other):
    """Whoever waits for the next probe does so no longer, and what is known of it is forgotten."""
    server.answer = lambda _: 401
    await room.change(settings_of(server, retry={"initial": "10m", "max": "10m"}))
    room.add(*range(6))
    await room.until(lambda: room.deliveries.sinks[0].reason)
    assert not room.stats.sinks["siem"].up
    room.adopt(settings_of(other))
    async with asyncio.timeout(20):
        await room.deliveries.settle()
    assert room.stats.sinks["siem"].up
    await room.emptied()
    assert numbers(other) == list(range(6))


async def test_what_one_sink_refused_is_tried_at_its_successor(room, server, other):
    """As if nobody had refused it."""
    server.answer = lambda _: 422
    await room.change(settings_of(server))
    room.add(*range(4))
    await room.until(lambda: server.requests[8:])
    await room.change(settings_of(other))
    await room.emptied()
    assert numbers(other) == list(range(4))
    assert room.ledger.dead_lettered.total() == 0


async def test_a_sink_that_goes_leaves_its_events_until_it_comes_back(room, server):
    """They are named as those of a sink that is gone, and nobody counts for it."""
    server.answer = lambda _: 503
    await room.change(settings_of(server))
    room.add(*range(5))
    await room.until(lambda: server.requests)
    await room.change()
    assert room.deliveries.sinks == []
    assert room.stats.sinks == {}
    await room.until(lambda: room.ledger.in_memory == 0)
    assert room.spool.gone() == ["siem"]
    assert room.deliveries.waiting() == 0
    requests = len(server.requests)
    server.answer = lambda _: 200
    await room.change(settings_of(server))
    assert room.spool.gone() == []
    await room.emptied()
    assert len(server.requests) > requests
    assert numbers(server) == list(range(5))


async def test_a_share_that_changes_leaves_its_sink_at_work(room, server):
    """Its senders wait by the new one at once."""
    async with held(server):
        await room.change(settings_of(server), share=MIB)
        sink = room.sink()
        room.add(1, 2)
        await room.until(lambda: room.ledger.in_memory == 0)
        gate = room.spool.gates["siem"]
        assert not gate.closed
        await room.change(settings_of(server, spool={"when_full": "block"}), share=1)
        assert gate.closed
        await room.change(settings_of(server))
        assert not gate.closed
        assert room.sink() is sink


async def test_batches_are_made_as_the_plan_says_from_the_moment_it_is_adopted(room, server):
    """What was open is closed as it was begun, and goes out in the form of now."""
    await room.change(settings_of(server, batch={"max_events": 100, "max_wait": "1m"}))
    before, batchers = room.deliveries.batcher("siem", "edr"), room.deliveries.batchers
    server.answer = lambda _: 503
    room.add(1, 2, 3)
    await room.change(settings_of(server, compression="gzip"))
    requests, server.answer = len(server.requests), lambda _: 200
    assert room.deliveries.batcher("siem", "edr") is not before
    assert list(batchers) == [room.deliveries.batcher("siem", "edr")]
    room.add(4)
    await room.emptied()
    assert numbers(server) == [1, 2, 3, 4]
    codings = [headers["Content-Encoding"] for headers in server.headers[requests:]]
    assert set(codings) == {"gzip"}


async def test_what_connections_that_end_still_bring_is_in_the_batches_that_are_closed(
    room, server
):
    """It goes to the batchers of an earlier plan, of which there may be several."""
    waiting = settings_of(server, batch=ROOMY)
    former = []
    for number in range(3):
        room.adopt(waiting)
        former.append(room.deliveries.batcher("siem", "edr"))
        room.add(number)
    bring(room, former, 3)
    assert room.ledger.in_memory >= 3
    room.deliveries.flush()
    await room.until(lambda: room.ledger.in_memory == 0)
    await room.deliveries.settle()
    await room.emptied()
    assert sorted(numbers(server)) == list(range(6))


async def test_what_they_brought_last_waits_for_nobody_to_fill_its_batch(room, server):
    """When their plan is forgotten, nobody adds to it any more."""
    waiting = settings_of(server, batch=ROOMY)
    await room.change(waiting)
    former = room.deliveries.batcher("siem", "edr")
    await room.change(waiting)
    bring(room, [former], 0)
    room.deliveries.forget_former()
    await room.until(lambda: numbers(server) == [0])


async def test_who_waits_until_messages_are_safe_waits_for_those_batches_too(room, server):
    """Else a RELP client would be told to forget what is in memory alone."""
    waiting = settings_of(server, batch=ROOMY)
    room.adopt(waiting)
    former = room.deliveries.batcher("siem", "edr")
    room.adopt(waiting)
    bring(room, [former], 0)
    in_memory = []
    durability = Durability(room.spool, room.deliveries.flush, asyncio.get_running_loop())
    durability.when_safe(lambda: in_memory.append(room.ledger.in_memory))
    await room.until(lambda: in_memory)
    assert in_memory == [0]


def bring(room, batchers, first):
    """Add an event to each of these, whatever was adopted since."""
    for number, batcher in enumerate(batchers, first):
        room.ledger.received += 1
        batcher.add(b'{"n":%d}' % number, arrival_of(entry_of(number)), "edr")


async def test_a_sink_with_one_intake_in_a_request_has_a_batcher_for_each(room, server):
    """Others have one for all."""
    await room.change(settings_of(server), settings_of(server, name="raw", kind="sekoia"))
    batcher = room.deliveries.batcher
    assert batcher("siem", "a") is batcher("siem", "b")
    assert batcher("raw", "a") is not batcher("raw", "b")
    assert room.deliveries.form("raw").per_intake


async def test_credentials_that_were_replaced_are_used_at_once(room, server, tmp_path):
    """Also by a sink that was left alone for long because they were refused."""
    file = tmp_path / "token"
    file.write_text("old-token")
    settings = settings_of(
        server,
        auth={"bearer": {"token_file": str(file)}},
        retry={"initial": "10m", "max": "10m"},
    )
    server.answer = lambda _: 200 if "new" in server.headers[-1]["Authorization"] else 401
    await room.change(settings)
    sink = room.sink()
    room.add(1)
    await room.until(lambda: not sink.health.up)
    file.write_text("new-token")
    await room.change(settings)
    await room.emptied()
    assert room.sink() is sink
    assert numbers(server) == [1]


async def test_keys_of_intakes_that_changed_are_known_to_a_sink_that_stays(room):
    """It seals requests with the key of its intake."""
    bodies = []

    class Platform(HttpServer):
        async def _post(self, request):
            bodies.append(orjson.loads(await request.read()))
            return web.Response()

    async with Platform() as platform:
        settings = settings_of(platform, kind="sekoia")
        await room.change(settings, intakes=[intake_of(key="first-key")])
        sink = room.sink()
        room.add(1)
        await room.emptied()
        await room.change(settings, intakes=[intake_of(key="second-key")])
        room.add(2)
        await room.emptied()
        assert room.sink() is sink
    assert [body["intake_key"] for body in bodies] == ["first-key", "second-key"]


async def test_a_sink_is_spoken_to_with_its_certificates_and_anew_when_they_change(room, tmp_path):
    """Its own, and those of the authorities it trusts."""
    ours, wrong = Authority(tmp_path, "ours"), Authority(tmp_path, "wrong")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(wrong.ca_file.read_bytes())
    server, client = ours.server(), ours.issue("collector.example", name="client")
    sink = FakeSink()
    sink.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    sink.tls.load_cert_chain(server.cert_file, server.key_file)
    sink.tls.load_verify_locations(ours.ca_file)
    sink.tls.verify_mode = ssl.CERT_REQUIRED
    files = {"cert_file": str(client.cert_file), "key_file": str(client.key_file)}
    async with sink:
        settings = settings_of(sink, tls={"ca_file": str(trusted), **files})
        await room.change(settings)
        before = room.sink()
        room.add(1)
        await room.until(lambda: "certificate" in before.problem.lower())
        trusted.write_bytes(ours.ca_file.read_bytes())
        await room.change(settings)
        assert room.sink() is not before
        await room.emptied()
        after = room.sink()
        await room.change(settings)
        assert room.sink() is after
    assert numbers(sink) == [1]


@pytest.mark.parametrize("kind", ["secret", "certificates"])
@pytest.mark.parametrize("content", [None, b"", b"two\nlines, no certificate"])
async def test_a_plan_that_fails_changes_nothing(room, server, tmp_path, kind, content):
    """It names the file that could be used when the settings were read."""
    await room.change(settings_of(server))
    sink, file = room.sink(), tmp_path / "file.pem"
    if kind == "secret":
        file.write_text("s3cret")
        error, use = SecretFileError, {"auth": {"bearer": {"token_file": str(file)}}}
    else:
        file.write_bytes(Authority(tmp_path).ca_file.read_bytes())
        error, use = TlsError, {"tls": {"ca_file": str(file)}}
    bad = settings_of(server, url="https://siem.example", name="bad", **use)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(error, match=str(file)):
        room.deliveries.plan([bad], [], {"bad": Share(None, "block")})
    await room.deliveries.settle()
    assert room.sink() is sink
    assert room.spool.gates.keys() == {"siem"}
    room.add(1)
    await room.emptied()
    assert numbers(server) == [1]


async def test_requests_go_through_a_proxy_where_settings_say(room, server, monkeypatch):
    """And nowhere else: the variables of the environment are not looked at."""
    monkeypatch.setitem(os.environ, "http_proxy", "http://127.0.0.1:1")
    proxy = server.url.replace("http://", "http://someone:pass%2Fword@").removesuffix("/ingest")
    unreachable = "http://siem.invalid/ingest"
    await room.change(settings_of(server, url=unreachable, proxy=proxy))
    room.add(1)
    await room.emptied()
    await room.change(settings_of(server))
    room.add(2)
    await room.emptied()
    assert numbers(server) == [1, 2]
    assert server.headers[0]["Host"] == "siem.invalid"
    assert server.headers[0]["Proxy-Authorization"] == "Basic c29tZW9uZTpwYXNzL3dvcmQ="
    assert "Proxy-Authorization" not in server.headers[1]


async def test_a_change_of_mind_on_the_way_is_followed(room, server, other):
    """A plan that is adopted while the last one is carried out."""
    await room.change(settings_of(server))
    async with held(server):
        room.add(*range(4))
        await server.wait_until(lambda: len(server.requests) == 1)
        room.adopt(settings_of(other))
        first = asyncio.create_task(room.deliveries.settle())
        await asyncio.sleep(0)
        room.adopt(settings_of(server))
        second = asyncio.create_task(room.deliveries.settle())
        await asyncio.sleep(0)
        server.answer = lambda _: 200
    await asyncio.gather(first, second)
    await room.emptied()
    assert numbers(server) == [0, 1, 2, 3]
    assert other.requests == []


async def test_one_who_does_not_wait_for_the_sinks_to_follow_can_call_again(room, server, other):
    """A sink that was to make way does so, though the settings have it again."""
    await room.change(settings_of(server))
    async with held(server):
        room.add(*range(4))
        await server.wait_until(lambda: len(server.requests) == 1)
        room.adopt(settings_of(other))
        settling = asyncio.create_task(room.deliveries.settle())
        await asyncio.sleep(0.001)
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
    await room.change(settings_of(server))
    await room.emptied()
    assert numbers(server) == [0, 1, 2, 3]


async def test_a_stop_leaves_in_the_spool_what_was_not_answered(room, server, other):
    """Also in the middle of a change, which is not waited for; nothing begins anew."""
    await room.change(settings_of(server))
    async with held(server):
        room.add(1, 2)
        await server.wait_until(lambda: len(server.requests) == 1)
        room.adopt(settings_of(other))
        settling = asyncio.create_task(room.deliveries.settle())
        await asyncio.sleep(0.001)
        async with asyncio.timeout(2):
            await room.deliveries.stop()
        await settling
        assert room.deliveries.sinks == []
        assert room.ledger.spooled == 2
    assert other.requests == []


async def test_a_hurried_sink_is_tried_at_once(room, server):
    """There is little time left."""
    server.answer = lambda _: 503 if len(server.requests) < 3 else 200
    await room.change(settings_of(server, retry={"initial": "10m", "max": "10m"}))
    room.add(1)
    await room.until(lambda: server.requests)
    await room.until(lambda: not room.sink().health.up)
    room.deliveries.hurry()
    await room.emptied()
    assert numbers(server) == [1]


async def test_a_delivery_that_breaks_is_reported(room, server, monkeypatch):
    """A daemon that only collects is of no use."""

    async def take(_):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(room.spool, "take", take)
    with structlog.testing.capture_logs() as lines:
        await room.change(settings_of(server))
        await room.until(lambda: room.failures)
    assert [line["event"] for line in lines] == ["delivery failed, please report it"]
    assert lines[0]["task"] == "sink siem"
    room.failures = 0


async def test_who_does_not_deliver_makes_events_and_posts_none(tmp_path):
    """Nothing is read that would be needed to post them."""
    stats = Stats(Ledger())
    spool = MemorySpool(16 * MIB, {}, stats.ledger)
    deliveries = Deliveries(spool, stats, event_of, lambda: None, delivers=False)
    missing = tmp_path / "missing"
    (tmp_path / "token").write_text("s3cret")
    settings = sink_of(
        url="https://h", auth={"bearer": {"token_file": str(tmp_path / "token")}}
    ).model_copy(update={"tls": SinkTls.model_construct(ca_file=missing)})
    (tmp_path / "token").unlink()
    deliveries.adopt(deliveries.plan([settings], [intake_of()], {"siem": Share(None, "block")}))
    await deliveries.settle()
    stats.ledger.received += 1
    deliveries.batcher("siem", "edr").add(b'{"n":1}', arrival_of(entry_of(1, "edr")), "edr")
    deliveries.flush()
    assert deliveries.sinks == []
    assert deliveries.waiting() == spool.backlog("siem").events == 1
    await deliveries.stop()


async def test_a_plan_shows_no_secrets(room, server):
    """It may end up in a log."""
    settings = settings_of(
        server, headers={"X-Key": "s3cret-header"}, proxy="http://u:s3cret-proxy@proxy.example"
    )
    plan = room.deliveries.plan([settings], [intake_of(key="s3cret-key")], {})
    assert "s3cret" not in repr(plan)
