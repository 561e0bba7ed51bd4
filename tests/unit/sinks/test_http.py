"""Delivery over HTTP, against a server that answers as it is told."""

import asyncio
import random
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog
from aiohttp import web

from collector.backpressure import Gate
from collector.config import parse
from collector.ledger import Ledger
from collector.metrics import SinkStats, Stats
from collector.sinks.encoders import encode
from collector.sinks.http import HttpSink
from collector.spool.memory import MemorySpool
from tests.fake_sink import FakeSink

SETTINGS = """
listeners: [{name: l, transport: tcp, port: 0, intake: i}]
intakes: [{name: i, parser: raw}]
sinks:
  - name: s
    url: %s
    retry: {initial: %s, max: %s}
    %s
"""


class Delivery:
    """One sink at work, with its spool and counters."""

    def __init__(self, url, session, *, more="", retry_initial="1ms", retry_max="20ms"):
        text = SETTINGS % (url, retry_initial, retry_max, more)
        settings = parse(text, source="test", environ={}).sinks[0]
        self.stats = Stats(Ledger())
        self.ledger = self.stats.ledger
        self.counters = SinkStats("s", self.stats.ingest_to_delivery)
        self.spool = MemorySpool(1 << 20, ["s"], self.ledger, Gate())
        self.sink = HttpSink(
            settings,
            spool=self.spool,
            session=session,
            rng=random.Random(7),
            stats=self.counters,
        )

    def put(self, *numbers, codec="none"):
        """Spool one batch of events."""
        events = [b'{"n":%d}' % number for number in numbers]
        self.ledger.received += len(events)
        self.spool.put(encode(events, sink="s", codec=codec, received=0.0))

    async def until(self, condition):
        """Wait for a condition of the counters."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.001)

    async def settled(self):
        """Wait until nothing is left in the spool."""
        await self.until(lambda: self.ledger.spooled == 0)


@asynccontextmanager
async def delivering(url, **options):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        delivery = Delivery(url, session, **options)
        task = asyncio.create_task(delivery.sink.run())
        try:
            yield delivery
        finally:
            assert delivery.ledger.imbalance() == 0
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def numbers(sink):
    return [event["n"] for event in sink.events]


@pytest.fixture
async def server():
    async with FakeSink() as sink:
        yield sink


async def test_batches_are_posted_as_ndjson(server):
    """The body, its type and its coding are what the sink is told."""
    async with delivering(server.url) as delivery:
        delivery.put(1, 2, codec="gzip")
        await delivery.settled()
    assert server.requests == [[{"n": 1}, {"n": 2}]]
    headers = server.headers[0]
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["User-Agent"].startswith("collector/")
    assert delivery.counters.delivered == delivery.ledger.delivered == 2
    assert delivery.counters.requests == {"200": 1}
    assert delivery.counters.in_flight == 0
    assert delivery.counters.last_success is not None


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (
            "{basic: {username: me, password: pass:wörd}}",
            "Authorization",
            "Basic bWU6cGFzczp3w7ZyZA==",
        ),
        ("{bearer: {token: t0ken-value}}", "Authorization", "Bearer t0ken-value"),
        ("{header: {name: X-Api-Key, value: k3y-value}}", "X-Api-Key", "k3y-value"),
    ],
)
async def test_credentials_and_headers_are_sent(server, auth, header, value):
    """Each kind of auth, beside headers of the settings."""
    async with delivering(
        server.url, more=f"auth: {auth}\n    headers: {{X-Site: paris}}"
    ) as delivery:
        delivery.put(1)
        await delivery.settled()
    assert server.headers[0][header] == value
    assert server.headers[0]["X-Site"] == "paris"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_the_sink_cannot_take_now_is_tried_again(server, status):
    """Nothing is lost and nothing is sent twice once accepted."""
    server.answer = lambda _: status if len(server.requests) < 4 else 200
    async with delivering(server.url, more="concurrency: 1") as delivery:
        delivery.put(1)
        delivery.put(2)
        await delivery.settled()
        assert delivery.counters.up
    assert numbers(server) == [1, 2]
    assert delivery.counters.requests == {str(status): 3, "200": 2}


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 409])
async def test_other_answers_pause_the_sink_and_it_is_probed(server, status):
    """A wrong token costs no event; the first answer that accepts ends the pause."""
    accept = False
    server.answer = lambda _: (
        200 if accept else web.Response(status=status, headers={"Location": "/elsewhere"})
    )
    async with delivering(server.url) as delivery:
        for number in range(6):
            delivery.put(number)
        await server.wait_until(lambda: len(server.requests) > 8)
        assert not delivery.counters.up
        assert delivery.sink.health.problem.startswith(f"HTTP {status}")
        assert delivery.ledger.delivered == 0
        accept = True
        await delivery.settled()
        assert delivery.counters.up
    assert sorted(numbers(server)) == list(range(6))


async def test_a_failing_sink_is_probed_by_one_request_at_a_time(server):
    """Those that wait do not overrun a sink that comes back."""
    highest = 0

    def answer(_):
        nonlocal highest
        if 8 < len(server.requests) <= 12:  # the first four were sent together
            highest = max(highest, delivery.counters.in_flight)
        return 503 if len(server.requests) < 12 else 200

    server.answer = answer
    async with delivering(server.url, more="concurrency: 4") as delivery:
        for number in range(8):
            delivery.put(number)
        await delivery.settled()
    assert sorted(numbers(server)) == list(range(8))
    assert highest == 1


async def test_an_absent_sink_is_waited_for():
    """A refused connection is tried again."""
    async with FakeSink() as server:
        url = server.url
    async with delivering(url) as delivery:
        delivery.put(1)
        await delivery.until(lambda: delivery.counters.requests["error"] > 2)
        assert not delivery.counters.up
        assert delivery.ledger.spooled == 1


async def test_a_sink_that_never_answers_times_out():
    """A hanging request is given up and tried again."""
    held = asyncio.Event()

    async def hang(_reader, writer):
        await held.wait()
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
        delivery = Delivery(f"http://127.0.0.1:{port}/", session)
        task = asyncio.create_task(delivery.sink.run())
        delivery.put(1)
        await delivery.until(lambda: delivery.counters.requests["timeout"] > 1)
        assert delivery.ledger.spooled == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    held.set()
    hanging.close()


async def test_retry_after_is_kept_up_to_the_maximum(server):
    """A sink that asks for a day gets the maximum of the settings."""
    server.answer = lambda _: (
        web.Response(status=429, headers={"Retry-After": "86400"})
        if len(server.requests) < 3
        else 200
    )
    async with delivering(server.url, retry_max="30ms") as delivery:
        delivery.put(1)
        await delivery.settled()
    assert numbers(server) == [1]


async def test_a_batch_that_is_too_large_is_halved_and_the_size_learned(server):
    """413 halves until it fits; later batches are cut before they are sent."""
    server.answer = lambda events: 413 if len(events) > 2 else 200
    async with delivering(server.url, more="concurrency: 1") as delivery:
        delivery.put(*range(8))
        await delivery.settled()
        refusals = delivery.counters.requests["413"]
        delivery.put(*range(8, 16))
        await delivery.settled()
        assert delivery.counters.requests["413"] == refusals
        assert delivery.counters.up
    assert numbers(server) == list(range(16))


@pytest.mark.parametrize("status", [400, 422])
async def test_one_refused_event_among_good_ones_is_isolated_and_given_up(server, status):
    """The others are delivered; the bad one is buried after the sink has accepted others."""
    server.answer = lambda events: status if {"n": 5} in events else 200
    async with delivering(server.url, more="concurrency: 1") as delivery:
        delivery.put(*range(8))
        await delivery.settled()
        assert delivery.counters.up
    assert sorted(numbers(server)) == [0, 1, 2, 3, 4, 6, 7]
    assert delivery.ledger.dropped == {"refused": 1}


async def test_a_lone_refused_event_is_not_buried_before_another_is_accepted(server):
    """Nothing shows yet that the event is to blame."""
    server.answer = lambda events: 400 if {"n": 1} in events else 200
    async with delivering(server.url) as delivery:
        delivery.put(1)
        await server.wait_until(lambda: len(server.requests) > 3)
        assert delivery.ledger.spooled == 1
        delivery.put(2)
        await delivery.settled()
    assert numbers(server) == [2]
    assert delivery.ledger.dropped == {"refused": 1}


async def test_while_all_events_are_refused_nothing_is_buried(server):
    """A sink with a broken schema pauses; when it is mended every event arrives."""
    mended = False
    server.answer = lambda _: 200 if mended else 400
    async with delivering(server.url) as delivery:
        delivery.put(*range(4))
        delivery.put(*range(4, 8))
        await server.wait_until(lambda: len(server.requests) > 40)
        assert not delivery.counters.up
        assert delivery.ledger.spooled == 8
        mended = True
        await delivery.settled()
        assert delivery.counters.up
    assert sorted(numbers(server)) == list(range(8))
    assert delivery.ledger.dropped == {}


async def test_many_refused_events_among_good_ones_are_all_found(server):
    """Every odd event is bad; every even one arrives."""
    server.answer = lambda events: 400 if any(event["n"] % 2 for event in events) else 200
    async with delivering(server.url, more="concurrency: 3") as delivery:
        for start in range(0, 40, 8):
            delivery.put(*range(start, start + 8))
        await delivery.until(lambda: delivery.ledger.delivered == 20)
        delivery.put(40)
        await delivery.settled()
    assert sorted(numbers(server)) == list(range(0, 41, 2))
    assert delivery.ledger.dropped == {"refused": 20}


async def test_order_is_kept_with_one_request_in_flight(server):
    """Through failures and halving too."""
    server.answer = lambda events: (
        503 if len(server.requests) % 3 == 0 else 413 if len(events) > 3 else 200
    )
    async with delivering(server.url, more="concurrency: 1") as delivery:
        for start in range(0, 40, 8):
            delivery.put(*range(start, start + 8))
        await delivery.settled()
    assert numbers(server) == list(range(40))


async def test_before_a_stop_a_waiting_sink_is_tried_at_once(server):
    """A sink that came back during a long backoff still gets what waits for it."""
    server.answer = lambda _: 503
    async with delivering(server.url, retry_max="1h", retry_initial="10m") as delivery:
        delivery.put(1)
        await server.wait_until(lambda: len(server.requests) == 1)
        await delivery.until(lambda: not delivery.counters.up)
        server.answer = lambda _: 503 if len(server.requests) < 3 else 200
        delivery.sink.hurry()
        await delivery.settled()
    assert numbers(server) == [1]
    assert delivery.counters.requests == {"503": 2, "200": 1}


async def test_a_replaced_secret_file_is_read_before_the_next_probe(server, tmp_path):
    """An operator mends a wrong token without a restart."""
    token = tmp_path / "token"
    token.write_text("old-token\n")
    server.answer = lambda _: (
        200 if server.headers[-1]["Authorization"] == "Bearer new-token" else 401
    )
    async with delivering(
        server.url, more=f"auth: {{bearer: {{token_file: {token}}}}}"
    ) as delivery:
        delivery.put(1)
        await server.wait_until(lambda: len(server.requests) > 2)
        token.unlink()
        await server.wait_until(lambda: len(server.requests) > 5)
        token.write_text("new-token\n")
        await delivery.settled()
    assert numbers(server) == [1]


async def test_the_reported_problem_holds_no_secret(server):
    """A sink that repeats our credentials does not bring them into the log or the status."""
    server.answer = lambda _: web.Response(
        status=401, text=f"who is\n\n{server.headers[-1]['Authorization']} ?"
    )
    async with delivering(server.url, more="auth: {bearer: {token: s3cret-token}}") as delivery:
        delivery.put(1)
        await delivery.until(lambda: not delivery.counters.up)
        assert delivery.sink.health.problem == "HTTP 401 Unauthorized: who is *** *** ?"


@pytest.mark.parametrize("place", ["reason", "body", "late in the body"])
async def test_no_place_of_an_answer_brings_back_a_secret(server, place):
    """Reason phrase and body are masked before they are cut."""
    token = "s3cret-token-of-ours"
    padding = "x" * 210 if place == "late in the body" else ""
    server.answer = lambda _: web.Response(
        status=401,
        reason=token if place == "reason" else "No",
        text="" if place == "reason" else padding + token,
    )
    url = f"{server.url}?apikey=query-secret"
    async with delivering(url, more=f"auth: {{bearer: {{token: {token}}}}}") as delivery:
        delivery.put(1)
        await delivery.until(lambda: not delivery.counters.up)
        assert "s3cret" not in delivery.sink.health.problem


@asynccontextmanager
async def answering(answer):
    """Serve what need not be HTTP; yield the URL and the list of requests."""
    requests = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        requests.append(await reader.readexactly(size))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield (
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/?apikey=query-secret",
            requests,
        )
    finally:
        server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
async def test_an_acceptance_stands_however_its_body_ends(answer):
    """The sink has said that it has the batch: sending it again would only double it."""
    async with answering(answer) as (url, requests), delivering(url) as delivery:
        delivery.put(1)
        await delivery.settled()
    assert requests == [b'{"n":1}\n']


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000],
)
async def test_what_is_no_answer_is_tried_again_and_shows_no_url(answer):
    """The query of a URL may hold a key."""
    async with answering(answer) as (url, requests), delivering(url) as delivery:
        delivery.put(1)
        await delivery.until(lambda: len(requests) > 2 and not delivery.counters.up)
        assert delivery.ledger.spooled == 1
        assert "secret" not in delivery.sink.health.problem


async def test_a_sink_that_found_everything_too_large_is_sent_full_batches_again(server):
    """What a time of 413 has taught is forgotten by and by."""
    server.answer = lambda _: 413 if len(server.requests) < 12 else 200
    async with delivering(server.url, more="concurrency: 1") as delivery:
        delivery.put(*range(64))
        await delivery.settled()
        for start in range(64, 64 * 20, 64):
            delivery.put(*range(start, start + 64))
        await delivery.settled()
    assert len(server.requests[-1]) == 64
    assert sorted(numbers(server)) == list(range(64 * 20))


async def test_a_sink_that_comes_and_goes_is_not_logged_each_time(server):
    """One line for the first failure and one for its end."""
    server.answer = lambda _: 503 if len(server.requests) % 2 else 200
    with structlog.testing.capture_logs() as lines:
        async with delivering(server.url, more="concurrency: 1") as delivery:
            for number in range(50):
                delivery.put(number)
            await delivery.settled()
    assert [line["event"] for line in lines] == [
        "sink failing, its batches wait",
        "sink accepts again",
    ]


async def test_an_endless_answer_is_not_read_to_its_end(server):
    """What is shown of an answer is short and on one line."""
    server.answer = lambda _: web.Response(status=500, body=b"x\n" * 2_000_000)
    async with delivering(server.url) as delivery:
        delivery.put(1)
        await delivery.until(lambda: not delivery.counters.up)
        assert len(delivery.sink.health.problem) < 300
        assert "\n" not in delivery.sink.health.problem
