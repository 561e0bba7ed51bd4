"""A running daemon in front of sinks that misbehave: nothing is lost, and nothing is buried that
should not be.
"""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

KEY = "the-key-of-the-test"


@asynccontextmanager
async def delivering(directory, sink, *, batch=None, **settings):
    """Run a daemon with one TCP listener that delivers to `sink`."""
    config = {
        "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
        "sinks": [
            {
                "name": "siem",
                "url": sink.url,
                "batch": {"max_events": 100, "max_wait": "10ms", **(batch or {})},
                "retry": {"initial": "10ms", "max": "200ms", **settings.pop("retry", {})},
                **settings,
            }
        ],
        "spool": {"type": "memory"},
    }
    async with Daemon(directory, config) as daemon:
        yield daemon


async def send(daemon, numbers):
    """Send a message for each number over one connection."""
    _, writer = await asyncio.open_connection(*daemon.address("tcp"))
    for number in numbers:
        text = f'<134>1 - - - - - [SEKOIA@53288 intake_key="{KEY}"] {number}'.encode()
        writer.write(b"%d %b" % (len(text), text))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def numbers(events):
    return [int(event["message"]) for event in events]


async def delivered(daemon, count):
    """Wait until so many copies are delivered, and see that nothing else became of any."""
    ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == count)
    assert (ledger["received"], ledger["spooled"], ledger["in_memory"]) == (count, 0, 0)
    assert not ledger["dead_lettered"]
    assert not ledger["dropped"]
    return ledger


async def test_a_slow_sink_gets_everything(tmp_path):
    """It is not given more at once than it answers."""

    async def slowly():
        await asyncio.sleep(0.2)
        return 200

    async with (
        FakeSink(lambda _: slowly()) as sink,
        delivering(tmp_path, sink, concurrency=16) as daemon,
    ):
        await send(daemon, range(3000))
        await delivered(daemon, 3000)
        assert sorted(numbers(sink.events)) == list(range(3000))
        metrics = await daemon.metrics()
        assert 1 <= metrics['collector_sink_concurrency_limit{sink="siem"}'] <= 16


async def test_a_flapping_sink_gets_everything_in_order(tmp_path):
    """With one request in flight."""
    async with FakeSink() as sink:
        sink.answer = lambda _: (200, 503, 429, 200, 500)[len(sink.requests) % 5]
        async with delivering(tmp_path, sink, concurrency=1) as daemon:
            await send(daemon, range(2000))
            await delivered(daemon, 2000)
    assert numbers(sink.events) == list(range(2000))


@asynccontextmanager
async def unruly(answer):
    """Serve HTTP by hand: `answer` gives the octets that a request is answered with, by its count.

    Yields:
        An object with the URL and the events of each request.
    """
    requests = []

    class Sink:
        url = ""

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        body = await reader.readexactly(size)
        requests.append([json.loads(line) for line in body.splitlines()])
        writer.write(answer(len(requests)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    sink = Sink()
    sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    sink.requests = requests
    try:
        yield sink
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\xff" * 5000,
    ],
)
async def test_a_sink_that_closes_or_answers_garbage_is_asked_again(tmp_path, broken):
    """What is no answer is no acceptance."""
    async with (
        unruly(lambda count: broken if count % 3 else OK) as sink,
        delivering(tmp_path, sink, concurrency=1, compression="none") as daemon,
    ):
        await send(daemon, range(500))
        await delivered(daemon, 500)
        metrics = await daemon.metrics()
        accepted = metrics['collector_sink_requests_total{code="200",sink="siem"}']
        assert metrics['collector_sink_requests_total{code="error",sink="siem"}'] == 2 * accepted
    taken = [
        event for count, events in enumerate(sink.requests, 1) if count % 3 == 0 for event in events
    ]
    assert numbers(taken) == list(range(500))


async def test_an_acceptance_whose_body_breaks_off_is_not_sent_again(tmp_path):
    """The status is what counts."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
    async with (
        unruly(lambda _: cut) as sink,
        delivering(tmp_path, sink, concurrency=1, compression="none") as daemon,
    ):
        await send(daemon, range(500))
        await delivered(daemon, 500)
    assert numbers(event for events in sink.requests for event in events) == list(range(500))


async def test_a_redirecting_sink_is_paused_and_named(tmp_path):
    """Events go nowhere but where the settings say."""
    async with FakeSink() as other, FakeSink() as sink:
        sink.answer = lambda _: web.Response(status=308, headers={"Location": other.url})
        async with delivering(tmp_path, sink) as daemon:
            await send(daemon, range(300))
            await daemon.logged("sink paused until it accepts a probe")
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 300)
            _, body = await daemon.get("/readyz")
            assert json.loads(body)["degraded"] == [{"sink": "siem", "reason": "HTTP 308"}]
            sink.answer = lambda _: 200
            await delivered(daemon, 300)
    assert other.requests == []


async def test_one_poison_event_among_ten_thousand_is_the_only_one_buried(tmp_path):
    """It is a dead letter; the other 9,999 arrive, in order."""
    async with FakeSink() as sink:
        sink.answer = lambda events: 400 if 5678 in numbers(events) else 200
        async with delivering(tmp_path, sink, concurrency=1, batch={"max_events": 1000}) as daemon:
            await send(daemon, range(10_000))
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 9999)
            await send(daemon, [10_000])
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10_000)
            ledger = await daemon.ledger_when(
                lambda ledger: ledger["spooled"] + ledger["in_memory"] == 0
            )
            assert ledger["dead_lettered"] == {"refused": 1}
            metrics = await daemon.metrics()
            buried = 'collector_events_dead_lettered_total{intake="any",reason="refused"}'
            assert metrics[buried] == 1
    assert numbers(sink.events) == [number for number in range(10_001) if number != 5678]


@pytest.mark.parametrize("status", [400, 422])
async def test_a_sink_that_refuses_all_is_paused_and_nothing_is_buried(tmp_path, status):
    """Once it is mended, everything arrives."""
    async with FakeSink(lambda _: status) as sink, delivering(tmp_path, sink) as daemon:
        await send(daemon, range(1000))
        await daemon.logged("sink paused until it accepts a probe")
        await sink.wait_until(lambda: len(sink.requests) > 40)
        ledger = await daemon.ledger_when(lambda ledger: ledger["spooled"] == 1000)
        assert not ledger["dead_lettered"]
        sink.answer = lambda _: 200
        await delivered(daemon, 1000)
    assert sorted(numbers(sink.events)) == list(range(1000))


def bulk(sink, status_of):
    """Make `sink` answer as the bulk API does: `status_of` the number of an event."""

    def answer(lines):
        items = []
        for event in lines[1::2]:
            status = status_of(int(event["message"]))
            item = {"status": status}
            if status >= 300:
                item["error"] = {"type": "some_exception", "reason": "as told"}
            items.append({"create": item})
        return web.json_response({"errors": True, "items": items})

    sink.answer = answer


async def test_a_bulk_that_is_taken_in_half_is_sent_again_for_the_other_half_only(tmp_path):
    """In order, with one request in flight."""
    seen = set()

    def status_of(number):
        if number % 2 and number not in seen:
            seen.add(number)
            return 429
        arrived.append(number)
        return 201

    arrived = []
    async with FakeSink() as sink:
        bulk(sink, status_of)
        whole = {"max_wait": "1s"}
        async with delivering(
            tmp_path, sink, format="elasticsearch", concurrency=1, batch=whole
        ) as daemon:
            await send(daemon, range(1000))
            await delivered(daemon, 1000)
    batches = [[*range(start, start + 100)] for start in range(0, 1000, 100)]
    assert arrived == [number for batch in batches for number in batch[::2] + batch[1::2]]


async def test_a_mapping_that_refuses_every_event_pauses_the_sink_and_keeps_bulks_whole(tmp_path):
    """Strict mappings are mended by people; until then nothing is buried."""
    async with FakeSink() as sink:
        bulk(sink, lambda _: 400)
        whole = {"max_wait": "1s"}
        async with delivering(
            tmp_path, sink, format="elasticsearch", concurrency=2, batch=whole
        ) as daemon:
            await send(daemon, range(1000))
            await daemon.logged("sink paused until it accepts a probe")
            await sink.wait_until(lambda: len(sink.requests) > 20)
            assert len(sink.requests[-1]) > 100
            ledger = await daemon.ledger_when(lambda ledger: ledger["spooled"] == 1000)
            assert not ledger["dead_lettered"]
            bulk(sink, lambda _: 201)
            await delivered(daemon, 1000)


async def test_what_a_sink_does_not_take_in_time_becomes_dead_letters(tmp_path):
    """Counted by intake; what comes once it is back is delivered."""
    async with (
        FakeSink(lambda _: 503) as sink,
        delivering(tmp_path, sink, retry={"give_up_after": "1s"}) as daemon,
    ):
        await send(daemon, range(500))
        await daemon.ledger_when(lambda ledger: ledger["dead_lettered"] == {"gave_up": 500})
        metrics = await daemon.metrics()
        buried = 'collector_events_dead_lettered_total{intake="any",reason="gave_up"}'
        assert metrics[buried] == 500
        sink.answer = lambda _: 200
        await send(daemon, range(500, 600))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert ledger["spooled"] == 0
    assert sorted(numbers(sink.events)) == list(range(500, 600))


async def test_a_sink_that_comes_back_is_not_overrun(tmp_path):
    """The first requests after an outage come one by one."""
    together, under_way = [], 0

    async def count():
        nonlocal under_way
        under_way += 1
        together.append(under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return 200

    async with (
        FakeSink(lambda _: 503) as sink,
        delivering(tmp_path, sink, concurrency=32) as daemon,
    ):
        await send(daemon, range(20_000))
        await sink.wait_until(lambda: len(sink.requests) > 10)
        sink.answer = lambda _: count()
        await delivered(daemon, 20_000)
    assert together[:2] == [1, 1]
    assert max(together[:8]) <= 4
