"""Delivery over HTTP, against a server that answers as it is told."""

import asyncio
import gzip
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import aiohttp
import orjson
import pytest
import structlog
from aiohttp import web

from collector.ledger import Ledger
from collector.metrics import SinkStats, Stats
from collector.sinks.credentials import request_headers
from collector.sinks.encoders import encode, select
from collector.sinks.formats import SealError
from collector.sinks.formats.ndjson import Ndjson
from collector.sinks.http import HttpSink
from collector.sinks.recoding import RecodingError
from collector.sinks.retry import Outcome, Verdict
from collector.spool import Share
from collector.spool.entries import pack_entries
from collector.spool.memory import MemorySpool
from tests.fake_sink import FakeSink
from tests.making import entry_of, sink_of

RETRY = {"initial": "1ms", "max": "20ms"}
APART = {"max_events": 1}  # so that no batches are joined but where that is tested


class Scripted(Ndjson):
    """Reads from the body of an answer what it means: `said` makes such bodies."""

    def read(self, status, headers, body, events, now):
        if not body.startswith("{"):
            return super().read(status, headers, body, events, now)
        said = orjson.loads(body)
        items = said.pop("items", None)
        return Verdict(
            Outcome[said.pop("outcome")],
            items=None if items is None else tuple(Outcome[item] for item in items),
            **said,
        )


def said(outcome="ACCEPTED", status=200, **verdict):
    """Return an answer that `Scripted` reads as this verdict."""
    return web.json_response({"outcome": outcome, "problem": "as told", **verdict}, status=status)


def itemwise(outcome_of):
    """Return what answers for each event: `outcome_of` its number, or the word for it."""

    def answer(events):
        items = [outcome_of(event["n"]) for event in events]
        outcome = next(one for one in ("ACCEPTED", "PAUSE", "RETRY", "REFUSED") if one in items)
        return said(outcome, 200 if outcome == "ACCEPTED" else 400, items=items)

    return answer


def cannot_recode(batch):
    raise AssertionError(batch.form)


class Delivery:
    """One sink at work, with its spool and counters."""

    def __init__(self, url, session, *, recode=cannot_recode, form=Ndjson, retry=RETRY, **settings):
        settings = {"compression": "none", "batch": APART, **settings}
        self.settings = sink_of(url=url, retry={**RETRY, **retry}, **settings)
        self.stats = Stats(Ledger())
        self.ledger = self.stats.ledger
        self.counters = SinkStats("siem", self.stats.ingest_to_delivery)
        self.spool = MemorySpool(1 << 20, {"siem": Share(None, "block")}, self.ledger)
        self.form = form(self.settings, ())
        self.sink = HttpSink(
            self.settings,
            form=self.form,
            spool=self.spool,
            session=session,
            headers=request_headers(self.settings, self.form),
            rng=random.Random(7),
            stats=self.counters,
            dead_lettered=self.stats.dead_lettered,
            recode=recode,
        )

    def batch(self, *numbers, received=4e9):
        """Return a batch of events; by default they are never too old."""
        return encode(
            [b'{"n":%d}' % number for number in numbers],
            pack_entries(entry_of(number) for number in numbers),
            sink="siem",
            form=self.form,
            codec=self.settings.compression,
            received=received,
        )

    def put(self, *numbers, **known):
        """Spool one batch of events."""
        self.put_batch(self.batch(*numbers, **known))

    def put_batch(self, batch):
        self.ledger.received += batch.events
        self.ledger.in_memory += batch.events
        self.spool.put(batch)

    async def until(self, condition):
        """Wait for a condition of the counters."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    async def settled(self):
        """Wait until nothing is left in the spool."""
        await self.until(lambda: self.ledger.spooled == 0)


@asynccontextmanager
async def delivering(url, *, timeout=5, **options):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
        delivery = Delivery(url, session, **options)
        task = asyncio.create_task(delivery.sink.run())
        try:
            yield delivery
        finally:
            assert delivery.ledger.imbalance() == 0
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert delivery.counters.in_flight == 0


def numbers(sink):
    return [event["n"] for event in sink.events]


@pytest.fixture
async def server():
    async with FakeSink() as sink:
        yield sink


async def test_batches_are_posted_as_ndjson(server):
    """The body, its type and its coding are what the sink is told."""
    async with delivering(server.url, compression="gzip") as delivery:
        delivery.put(1, 2)
        await delivery.settled()
    assert server.requests == [[{"n": 1}, {"n": 2}]]
    headers = server.headers[0]
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("collector/")
    assert delivery.counters.delivered == delivery.ledger.delivered == 2
    assert delivery.counters.requests == {"200": 1}
    assert delivery.counters.in_flight == 0
    assert delivery.counters.last_success is not None
    assert delivery.counters.last_failure is None


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (
            {"basic": {"username": "me", "password": "pass:wörd"}},
            "Authorization",
            "Basic bWU6cGFzczp3w7ZyZA==",
        ),
        ({"bearer": {"token": "t0ken-value"}}, "Authorization", "Bearer t0ken-value"),
        ({"header": {"name": "X-Api-Key", "value": "k3y-value"}}, "X-Api-Key", "k3y-value"),
    ],
)
async def test_credentials_and_headers_are_sent(server, auth, header, value):
    """Each kind of auth, beside headers of the settings."""
    async with delivering(server.url, auth=auth, headers={"X-Site": "paris"}) as delivery:
        delivery.put(1)
        await delivery.settled()
    assert server.headers[0][header] == value
    assert server.headers[0]["X-Site"] == "paris"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_the_sink_cannot_take_now_is_tried_again(server, status):
    """Nothing is lost and nothing is sent twice once accepted."""
    server.answer = lambda _: status if len(server.requests) < 4 else 200
    async with delivering(server.url, concurrency=1) as delivery:
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


def shared(delivery, *, takes=True):
    """Have others who may take what a failing sink is not sent now; return what is left to them.

    In a while it comes back, as none of them could deliver it either.
    """
    left = []

    def relinquish(batch, seconds):
        left.append((batch.refused_at, seconds))
        if takes:
            asyncio.get_running_loop().call_later(seconds, delivery.spool.postpone, batch)
        return takes

    delivery.spool.relinquish = relinquish
    return left


async def test_what_a_failing_sink_is_not_sent_now_is_left_to_others(server):
    """For as long as it is left alone; whoever has it then is the next to probe."""
    server.answer = lambda _: 503 if len(server.requests) < 4 else 200
    retry = {"initial": "20ms", "max": "20ms"}
    async with delivering(server.url, concurrency=1, retry=retry) as delivery:
        left = shared(delivery)
        delivery.put(1)
        await delivery.settled()
        assert numbers(server) == [1]
        assert len(left) >= 3
        assert all(0 < seconds <= 0.02 for _, seconds in left)
        assert {refused_at for refused_at, _ in left} == {None}


async def test_what_nobody_else_takes_is_probed_here(server):
    """As where there are no others; it is asked before each probe."""
    server.answer = lambda _: 503 if len(server.requests) < 3 else 200
    retry = {"initial": "20ms", "max": "20ms"}
    async with delivering(server.url, concurrency=1, retry=retry) as delivery:
        left = shared(delivery, takes=False)
        delivery.put(1)
        await delivery.settled()
        assert numbers(server) == [1]
        assert len(left) == 2


async def test_suspects_are_not_left_to_others(server):
    """They would begin to suspect anew; what has not been refused is."""
    accept = False
    server.answer = lambda _: 200 if accept else 422
    retry = {"initial": "5ms", "max": "5ms"}
    async with delivering(server.url, concurrency=1, retry=retry) as delivery:
        left = shared(delivery)
        for number in range(3):
            delivery.put(number)
        await delivery.until(lambda: len(server.requests) > 12)
        assert {refused_at for refused_at, _ in left} <= {None}
        accept = True
        await delivery.settled()
        assert delivery.ledger.delivered == 3


async def test_a_failing_sink_is_probed_by_one_request_at_a_time(server):
    """Those that wait do not overrun a sink that comes back."""
    highest = 0

    def answer(_):
        nonlocal highest
        if 8 < len(server.requests) <= 12:  # the first four were sent together
            highest = max(highest, delivery.counters.in_flight)
        return 503 if len(server.requests) < 12 else 200

    server.answer = answer
    async with delivering(server.url, concurrency=4) as delivery:
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
    url = f"http://127.0.0.1:{hanging.sockets[0].getsockname()[1]}/"
    async with delivering(url, timeout=0.05) as delivery:
        delivery.put(1)
        await delivery.until(lambda: delivery.counters.requests["timeout"] > 1)
        assert delivery.ledger.spooled == 1
        assert delivery.sink.reason == "no answer: timeout"
    held.set()
    hanging.close()


async def test_retry_after_is_kept_up_to_the_maximum(server):
    """A sink that asks for a day gets the maximum of the settings."""
    server.answer = lambda _: (
        web.Response(status=429, headers={"Retry-After": "86400"})
        if len(server.requests) < 3
        else 200
    )
    async with delivering(server.url, retry={"max": "30ms"}) as delivery:
        delivery.put(1)
        await delivery.settled()
    assert numbers(server) == [1]


async def test_a_batch_that_is_too_large_is_halved_and_the_size_learned(server):
    """413 halves until it fits; later batches are cut before they are sent."""
    server.answer = lambda events: 413 if len(events) > 2 else 200
    async with delivering(server.url, concurrency=1) as delivery:
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
    async with delivering(server.url, concurrency=1) as delivery:
        delivery.put(*range(8))
        await delivery.settled()
        assert delivery.counters.up
    assert sorted(numbers(server)) == [0, 1, 2, 3, 4, 6, 7]
    assert delivery.ledger.dead_lettered == {"refused": 1}


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
    assert delivery.ledger.dead_lettered == {"refused": 1}


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
    assert not delivery.ledger.dead_lettered


async def test_many_refused_events_among_good_ones_are_all_found(server):
    """Every odd event is bad; every even one arrives."""
    server.answer = lambda events: 400 if any(event["n"] % 2 for event in events) else 200
    async with delivering(server.url, concurrency=3) as delivery:
        for start in range(0, 40, 8):
            delivery.put(*range(start, start + 8))
        await delivery.until(lambda: delivery.ledger.delivered == 20)
        more = 40
        while delivery.ledger.spooled:  # each acceptance is evidence against those before it
            delivery.put(more)
            more += 2
            await asyncio.sleep(0.02)
    assert sorted(numbers(server)) == list(range(0, more, 2))
    assert delivery.ledger.dead_lettered == {"refused": 20}


async def test_order_is_kept_with_one_request_in_flight(server):
    """Through failures and halving too."""
    server.answer = lambda events: (
        503 if len(server.requests) % 3 == 0 else 413 if len(events) > 3 else 200
    )
    async with delivering(server.url, concurrency=1) as delivery:
        for start in range(0, 40, 8):
            delivery.put(*range(start, start + 8))
        await delivery.settled()
    assert numbers(server) == list(range(40))


async def test_before_a_stop_a_waiting_sink_is_tried_at_once(server):
    """A sink that came back during a long backoff still gets what waits for it."""
    server.answer = lambda _: 503
    async with delivering(server.url, retry={"initial": "10m", "max": "1h"}) as delivery:
        delivery.put(1)
        await server.wait_until(lambda: len(server.requests) == 1)
        await delivery.until(lambda: not delivery.counters.up)
        server.answer = lambda _: 503 if len(server.requests) < 3 else 200
        delivery.sink.hurry()
        await delivery.settled()
    assert numbers(server) == [1]
    assert delivery.counters.requests == {"503": 2, "200": 1}
    at, problem = delivery.counters.last_failure
    assert at <= delivery.counters.last_success
    assert problem.startswith("HTTP 503")


async def test_a_replaced_secret_file_is_read_before_the_next_probe(server, tmp_path):
    """An operator mends a wrong token without a restart."""
    token = tmp_path / "token"
    token.write_text("old-token\n")
    server.answer = lambda _: (
        200 if server.headers[-1]["Authorization"] == "Bearer new-token" else 401
    )
    auth = {"bearer": {"token_file": str(token)}}
    async with delivering(server.url, auth=auth) as delivery:
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
    async with delivering(server.url, auth={"bearer": {"token": "s3cret-token"}}) as delivery:
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
    async with delivering(url, auth={"bearer": {"token": token}}) as delivery:
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
    async with delivering(server.url, concurrency=1) as delivery:
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
        async with delivering(server.url, concurrency=1) as delivery:
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


# Answers for each event.


async def test_of_a_batch_that_is_taken_in_part_only_the_rest_is_sent_again(server):
    """What the sink cannot take now is one smaller batch, in order, before what comes after."""
    later = {2, 5}

    def outcome(number):
        return "RETRY" if number in later and len(server.requests) < 4 else "ACCEPTED"

    server.answer = itemwise(outcome)
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(*range(8))
        delivery.put(8, 9)
        await delivery.settled()
        assert delivery.counters.delivered == delivery.ledger.delivered == 10
    sent = [[event["n"] for event in events] for events in server.requests]
    assert sent == [list(range(8)), [2, 5], [2, 5], [2, 5], [8, 9]]


async def test_a_sink_that_takes_a_batch_in_part_is_named_for_it(server):
    """Without a word of what it said where anybody may read it."""
    server.answer = itemwise(lambda number: "PAUSE" if number else "ACCEPTED")
    async with delivering(server.url, form=Scripted) as delivery:
        delivery.put(0, 1)
        await delivery.until(lambda: delivery.ledger.delivered == 1)
        assert delivery.sink.reason == "HTTP 200, but events were not taken"
        assert delivery.sink.problem == "as told"
        server.answer = lambda _: 200
        await delivery.settled()
        assert (delivery.sink.reason, delivery.sink.problem) == ("", "")


async def test_events_refused_among_accepted_ones_are_buried_after_the_next_acceptance(server):
    """Together, and with their intakes counted."""
    server.answer = itemwise(lambda number: "REFUSED" if number % 3 == 0 else "ACCEPTED")
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(*range(7))
        await delivery.until(lambda: delivery.ledger.delivered == 4)
        await server.wait_until(lambda: len(server.requests) > 3)
        assert delivery.ledger.spooled == 3
        delivery.put(7)
        await delivery.settled()
    assert delivery.ledger.dead_lettered == {"refused": 3}
    assert delivery.stats.dead_lettered == {("edr", "refused"): 3}
    assert [event["n"] for event in server.requests[-1]] == [0, 3, 6]


async def test_what_of_a_suspect_is_taken_at_last_is_not_buried(server):
    """Only what is refused again."""
    mended = False
    server.answer = itemwise(
        lambda number: "REFUSED" if number == 0 or (number == 1 and not mended) else "ACCEPTED"
    )
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(0, 1, 2)
        await delivery.until(lambda: delivery.ledger.delivered == 1)
        mended = True
        delivery.put(3)
        await delivery.settled()
    assert delivery.ledger.delivered == 3
    assert delivery.ledger.dead_lettered == {"refused": 1}


async def test_bulks_of_which_every_event_is_refused_pause_the_sink_and_stay_whole(server):
    """Taking them apart would tell nothing. Once it is mended, the sink gets them in order."""
    refuse, accept = itemwise(lambda _: "REFUSED"), itemwise(lambda _: "ACCEPTED")
    server.answer = refuse
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        for start in range(0, 40, 10):
            delivery.put(*range(start, start + 10))
        await server.wait_until(lambda: len(server.requests) > 12)
        assert not delivery.counters.up
        assert delivery.ledger.spooled == 40
        assert {len(events) for events in server.requests} == {10}
        # Mended between two rounds: the next request is the oldest suspect's.
        server.answer = lambda events: (
            accept(events) if events[0]["n"] == 0 or server.events else refuse(events)
        )
        await delivery.settled()
    assert numbers(server) == list(range(40))
    assert not delivery.ledger.dead_lettered


async def test_events_kept_apart_as_failed_are_delivered_and_counted(server):
    """The sink has them, but nobody will find them where they look."""
    server.answer = lambda _: said(failed_store=2)
    with structlog.testing.capture_logs() as lines:
        async with delivering(server.url, form=Scripted) as delivery:
            delivery.put(1, 2, 3)
            await delivery.settled()
    assert delivery.counters.failure_store == 2
    assert delivery.counters.delivered == 3
    (line,) = lines
    assert line["event"] == "sink kept events apart as failed, see its failure store"
    assert (line["log_level"], line["events"], line["problem"]) == ("error", 2, "as told")


async def test_a_suspect_that_is_taken_in_part_lets_the_next_have_its_turn(server):
    """While nothing else is there to be sent."""
    mended = False
    server.answer = itemwise(lambda number: "ACCEPTED" if mended and number % 2 else "REFUSED")
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(0, 1)
        delivery.put(2, 3)
        await server.wait_until(lambda: len(server.requests) > 8)
        mended = True
        await delivery.until(lambda: delivery.ledger.delivered == 2)
        delivery.put(5)
        await delivery.settled()
    assert delivery.ledger.dead_lettered == {"refused": 2}


# The event at fault, where the sink names it.


async def test_the_event_that_the_sink_names_is_tried_alone(server):
    """What is before and after it is sent in order, without halving."""

    def answer(events):
        found = [event["n"] for event in events]
        return said("REFUSED", 400, culprit=found.index(5)) if 5 in found else 200

    server.answer = answer
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(*range(10))
        await delivery.settled()
    assert [len(events) for events in server.requests] == [10, 5, 1, 4, 1]
    assert numbers(server) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert delivery.ledger.dead_lettered == {"refused": 1}


@pytest.mark.parametrize("culprit", [0, 7])
async def test_an_event_named_wrongly_is_not_blamed(server, culprit):
    """It is accepted when it stands alone."""
    server.answer = lambda events: (
        said("REFUSED", 400, culprit=min(culprit, len(events) - 1))
        if len(events) > 1 and {"n": 3} in events
        else 400
        if {"n": 3} in events
        else 200
    )
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(*range(8))
        delivery.put(8)
        await delivery.settled()
    assert sorted(numbers(server)) == [0, 1, 2, 4, 5, 6, 7, 8]


async def test_a_position_that_does_not_exist_is_no_hint(server):
    """The batch is halved as if none had been given."""
    server.answer = lambda events: said("REFUSED", 400, culprit=9) if {"n": 1} in events else 200
    async with delivering(server.url, form=Scripted, concurrency=1) as delivery:
        delivery.put(0, 1, 2, 3)
        await delivery.settled()
    assert sorted(numbers(server)) == [0, 2, 3]


# A sink that refuses all.


async def test_a_mended_sink_gets_what_it_refused_in_order(server):
    """Suspects come before what was not tried yet."""
    server.answer = lambda _: 422
    async with delivering(server.url, concurrency=1) as delivery:
        for start in range(0, 12, 4):
            delivery.put(*range(start, start + 4))
        # Mended between two rounds: the next request is the oldest suspect's.
        server.answer = lambda events: (
            200 if len(server.requests) > 30 and (events[0]["n"] == 0 or server.events) else 422
        )
        await delivery.settled()
    assert numbers(server) == list(range(12))
    assert not delivery.ledger.dead_lettered


async def test_several_bad_events_in_a_row_do_not_stop_the_sink_for_good(server):
    """Each probe tries one that was not tried yet."""
    server.answer = lambda events: 400 if any(event["n"] < 6 for event in events) else 200
    async with delivering(server.url, concurrency=1) as delivery:
        delivery.put(*range(12))
        await delivery.settled()
    assert numbers(server) == list(range(6, 12))
    assert delivery.ledger.dead_lettered == {"refused": 6}


async def test_while_nothing_else_comes_each_suspect_has_its_turn(server):
    """A good one behind a bad one is found although no new event arrives."""
    mended = False
    server.answer = lambda events: 200 if mended and {"n": 2} in events else 400
    async with delivering(server.url, concurrency=1) as delivery:
        for number in range(4):
            delivery.put(number)
        await server.wait_until(lambda: len(server.requests) > 12)
        mended = True
        await delivery.until(lambda: delivery.ledger.delivered == 1)
    assert numbers(server) == [2]


async def test_beyond_what_suspects_may_take_the_refused_batch_is_tried_again(server, monkeypatch):
    """The sink's backlog stays in the spool."""
    monkeypatch.setattr("collector.sinks.suspects.MAX_OCTETS", 1)
    mended = False
    server.answer = lambda _: 200 if mended else 400
    async with delivering(server.url, concurrency=1) as delivery:
        for number in range(5):
            delivery.put(number)
        await server.wait_until(lambda: len(server.requests) > 15)
        assert {event["n"] for events in server.requests for event in events} == {0, 1}
        mended = True
        await delivery.settled()
    assert sorted(numbers(server)) == list(range(5))
    assert not delivery.ledger.dead_lettered


# Giving up.

LONG_AGO = 1_000_000.0


async def test_events_that_a_failing_sink_does_not_take_in_time_become_dead_letters(server):
    """Those that are too old; the others wait."""
    server.answer = lambda _: 503
    with structlog.testing.capture_logs() as lines:
        async with delivering(server.url, retry={"give_up_after": "1h"}) as delivery:
            for number in range(20):
                delivery.put(number, received=LONG_AGO)
            delivery.put(20, 21)
            await delivery.until(lambda: delivery.ledger.dead_lettered["gave_up"] == 20)
            assert delivery.ledger.spooled == 2
            server.answer = lambda _: 200
            await delivery.settled()
    assert numbers(server) == [20, 21]
    assert delivery.stats.dead_lettered == {("edr", "gave_up"): 20}
    given_up = [line for line in lines if "given up" in line["event"]]
    assert [line["problem"] for line in given_up] == ["HTTP 503 Service Unavailable"]


async def test_one_failure_gives_up_nothing(server):
    """A sink that accepts gets the oldest events too."""
    server.answer = lambda _: 503 if len(server.requests) % 2 else 200
    async with delivering(server.url, retry={"give_up_after": "1h"}, concurrency=1) as delivery:
        for number in range(20):
            delivery.put(number, received=LONG_AGO)
        await delivery.settled()
    assert numbers(server) == list(range(20))


async def test_suspects_that_are_too_old_are_given_up_together(server):
    """Nobody will know whether they were to blame."""
    server.answer = lambda _: 400
    async with delivering(server.url, retry={"give_up_after": "1h"}, concurrency=1) as delivery:
        for number in range(4):
            delivery.put(number, received=LONG_AGO)
        await delivery.settled()
    assert delivery.ledger.dead_lettered == {"gave_up": 4}


# Batches that cannot be sent as they are.


class Sealed(Ndjson):
    """Puts a key before the body, once there is one."""

    is_sealed = True
    key = b""

    def seal(self, body, intake):
        if not self.key:
            raise SealError(f"intake {intake!r} has no key")
        return b'{"n":"%b of %b"}\n%b' % (self.key, intake.encode(), body)


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_a_body_is_sealed_when_it_is_posted(server, compression):
    """With the key of the time; what is stored is without it."""
    async with delivering(server.url, form=Sealed, compression=compression) as delivery:
        delivery.form.key = b"first"
        server.answer = lambda _: 503
        delivery.put(1)
        await server.wait_until(lambda: len(server.requests) > 1)
        delivery.form.key = b"second"
        server.answer = lambda _: 200 if server.requests[-1][0]["n"][:6] == "second" else 503
        await delivery.settled()
    assert server.events == [{"n": "second of edr"}, {"n": 1}]


async def test_a_batch_that_cannot_be_sealed_waits_and_is_named(server):
    """It is sent once that is mended."""
    async with delivering(server.url, form=Sealed) as delivery:
        delivery.put(1)
        await delivery.until(lambda: delivery.sink.reason != "")
        assert delivery.sink.reason == "some events cannot be sent as they are"
        assert delivery.sink.problem == "intake 'edr' has no key"
        assert delivery.ledger.spooled == 1
        delivery.form.key = b"key"
        await delivery.settled()
        assert (delivery.sink.reason, delivery.sink.problem) == ("", "")
    assert server.events == [{"n": "key of edr"}, {"n": 1}]


async def test_a_batch_that_others_have_been_left_is_named_no_longer(server, monkeypatch):
    """When it was to be tried again it did not come back: others may see to it."""
    monkeypatch.setattr("collector.sinks.http.RETRIED_SECONDS", 0.01)
    retry = {"initial": "10ms", "max": "10ms"}
    async with delivering(server.url, form=Sealed, retry=retry) as delivery:
        left = []
        monkeypatch.setattr(delivery.spool, "postpone", left.append)
        delivery.put(1)
        await delivery.until(lambda: left)
        await delivery.until(lambda: delivery.sink.reason == "")
        assert not delivery.sink._stuck
        delivery.spool.finish(left[0])


async def test_a_batch_in_another_form_is_made_anew_and_its_parts_sent_in_order(server):
    """Once, however often they are retried."""
    made = []

    def recode(batch):
        made.append(batch.form)
        parts = [replace(part, form="ndjson:event") for part in select(batch, ([0, 1], [2]))]
        server.answer = lambda _: 503 if len(server.requests) < 3 else 200
        return parts

    async with delivering(server.url, recode=recode, concurrency=1) as delivery:
        delivery.put_batch(replace(delivery.batch(1, 2, 3), form="ndjson:raw"))
        delivery.put(4)
        await delivery.settled()
    assert numbers(server) == [1, 2, 3, 4]
    assert made == ["ndjson:raw"]


async def test_a_batch_compressed_otherwise_is_made_anew(server):
    """The sink may not read what the settings no longer say."""
    async with delivering(
        server.url, compression="gzip", recode=lambda batch: [replace(batch, codec="gzip")]
    ) as delivery:
        delivery.form.content_type = "text/plain"
        batch = delivery.batch(1)
        delivery.put_batch(replace(batch, codec="zstd"))
        await delivery.settled()
    assert server.headers[0]["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RecodingError("form 'later:event' is not known"), "form 'later:event' is not known"),
        (ValueError("s3cret"), "a batch cannot be read: ValueError"),
    ],
)
async def test_a_batch_that_cannot_be_made_anew_waits_and_others_go_before_it(
    server, error, problem
):
    """It is named, and never lost."""

    def recode(_):
        raise error

    async with delivering(server.url, recode=recode, concurrency=1) as delivery:
        delivery.put_batch(replace(delivery.batch(1), form="later:event"))
        delivery.put(2)
        await delivery.until(lambda: delivery.ledger.delivered == 1)
        assert delivery.sink.problem == problem
        assert delivery.ledger.spooled == 1
    assert numbers(server) == [2]


async def test_a_damaged_batch_that_would_have_to_be_halved_waits(server):
    """It neither ends delivery nor is lost."""
    server.answer = lambda events: 413 if len(events) > 1 else 200
    async with delivering(server.url, concurrency=1) as delivery:
        damaged = delivery.batch(1, 2)
        damaged.entries = b"[]"
        delivery.put_batch(damaged)
        delivery.put(3)
        await delivery.until(lambda: delivery.ledger.delivered == 1)
        assert delivery.sink.problem.startswith("a batch cannot be read")
        assert delivery.ledger.spooled == 2


# How many requests at once.


async def test_a_sink_is_met_by_one_request_and_given_more_as_it_answers(server):
    """Up to what the settings allow."""
    highest = []

    def answer(_):
        highest.append(delivery.counters.in_flight)
        return 200

    server.answer = answer
    async with delivering(server.url, concurrency=4) as delivery:
        sent = 0

        def has_grown():
            """Look, and see to it that there is enough to be sent: a slow answer sets it back."""
            nonlocal sent
            while delivery.ledger.spooled < 100:
                delivery.put(sent)
                sent += 1
            return delivery.counters.concurrency_limit == 4

        await delivery.until(has_grown)
        await delivery.settled()
    assert highest[0] == 1
    assert max(highest) <= 4
    assert sorted(numbers(server)) == list(range(sent))


async def test_a_sink_that_comes_back_is_met_by_one_request(server):
    """An outage takes the limit down; nothing is sent at once that waited."""
    async with delivering(server.url, concurrency=8) as delivery:
        for number in range(100):
            delivery.put(number)
        await delivery.settled()
        server.answer = lambda _: 503
        for number in range(100, 200):
            delivery.put(number)
        await delivery.until(lambda: delivery.counters.requests["503"] > 12)
        assert delivery.counters.concurrency_limit == 1
        first = len(server.requests)
        together = []

        def answer(_):
            together.append(delivery.counters.in_flight)
            return 200

        server.answer = answer
        await delivery.settled()
        assert len(server.requests) > first
    assert together[0] == 1
    assert all(later - earlier <= 2 for earlier, later in pairwise(together))


async def test_requests_wait_for_their_turn_in_order(server):
    """No worker is passed over for good while the limit is low."""
    server.answer = itemwise(lambda _: "ACCEPTED")
    async with delivering(server.url, form=Scripted, concurrency=8) as delivery:
        delivery.sink._limiter._grow = lambda: None
        for number in range(100):
            delivery.put(number)
        await delivery.settled()
    assert numbers(server) == list(range(100))


async def test_cancelled_in_the_middle_of_a_request_nothing_is_unaccounted_for(server):
    """What was under way is still in the spool."""
    held = asyncio.Event()

    async def hold():
        await held.wait()
        return 200

    server.answer = lambda _: hold()
    async with delivering(server.url, concurrency=1) as delivery:
        delivery.put(1, 2)
        delivery.put(3)
        await server.wait_until(lambda: len(server.requests) == 1)
    held.set()
    assert delivery.ledger.spooled == 3
    assert await delivery.spool.close() == 3
    assert delivery.ledger.imbalance() == 0


class Moody:
    """A sink that does anything: by its mood of the moment and, at times, against it."""

    def __init__(self, rng):
        self.mood = 200
        self.poison = set(rng.sample(range(100), rng.choice([0, 1, 20])))
        self.taken = []
        self._rng = rng
        self._is_itemwise = rng.random() < 0.5
        self._names_culprits = rng.random() < 0.5
        self._most_events = rng.choice([7, 1000])

    def answer(self, events):
        rng = self._rng
        mood = self.mood if rng.random() < 0.9 else rng.choice([200, 401, 429, 503])
        found = [event["n"] for event in events]
        if mood != 200:
            return mood
        if len(found) > self._most_events:
            return 413
        if self._is_itemwise:
            return self._answer_each(events)
        bad = [at for at, number in enumerate(found) if number in self.poison]
        if bad:
            return said("REFUSED", 400, culprit=bad[0]) if self._names_culprits else 422
        self.taken += found
        return 200

    def _answer_each(self, events):
        def outcome_of(number):
            if number in self.poison:
                return "REFUSED"
            if self._rng.random() < 0.1:
                return "RETRY"
            self.taken.append(number)
            return "ACCEPTED"

        return itemwise(outcome_of)(events)


async def another_request(server):
    seen = len(server.requests)
    await server.wait_until(lambda: len(server.requests) > seen)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_a_sink_does_every_event_is_delivered_once_or_buried(server, seed):
    """Only what it refuses is buried; all that it accepts, it gets once."""
    rng = random.Random(seed)
    sink = Moody(rng)
    server.answer = sink.answer
    concurrency = rng.choice([1, 2, 8])
    async with delivering(server.url, form=Scripted, concurrency=concurrency) as delivery:
        count = 0
        for size in [10] * 10:
            delivery.put(*range(count, count + size))
            count += size
            sink.mood = rng.choice([200, 200, 401, 503])
            await another_request(server)
        sink.mood = 200
        while delivery.ledger.spooled:  # each acceptance is evidence against those before it
            delivery.put(count)
            count += 1
            await asyncio.sleep(0.05)
    assert delivery.ledger.dead_lettered.total() == len(sink.poison)
    assert sorted(sink.taken) == [number for number in range(count) if number not in sink.poison]


async def test_small_batches_that_are_ready_are_posted_together(server):
    """As after an outage: in order, within the bounds of a batch."""
    together = {"max_events": 10}
    async with delivering(server.url, batch=together, concurrency=1) as delivery:
        server.answer = lambda _: 503
        delivery.put(0)
        await delivery.until(lambda: len(server.requests) > 1)
        for number in range(1, 25, 2):
            delivery.put(number, number + 1)
        server.answer = lambda _: 200
        await delivery.settled()
    taken = [[event["n"] for event in request] for request in server.requests]
    assert taken[-3:] == [[*range(1, 11)], [*range(11, 21)], [*range(21, 25)]]
    assert set(map(tuple, taken[:-3])) == {(0,)}
    assert delivery.ledger.delivered == 25


async def test_what_is_refused_of_joined_batches_alone_is_buried(server):
    """They are taken apart like one."""
    together = {"max_events": 100}
    server.answer = lambda events: 400 if any(event["n"] == 7 for event in events) else 200
    async with delivering(server.url, batch=together, concurrency=1) as delivery:
        for number in range(20):
            delivery.put(number)
        await delivery.settled()
    assert delivery.ledger.dead_lettered == {"refused": 1}
    assert sorted(event["n"] for event in server.events) == [n for n in range(20) if n != 7]


async def test_batches_of_different_compression_or_to_be_encoded_anew_are_not_joined(server):
    """Each is posted as it is; order is kept."""

    def recode(batch):
        return [replace(batch, codec="none", body=gzip.decompress(batch.body))]

    together = {"max_events": 100}
    async with delivering(server.url, batch=together, concurrency=1, recode=recode) as delivery:
        server.answer = lambda _: 503
        delivery.put(0)
        await delivery.until(lambda: len(server.requests) > 1)
        delivery.put(1)
        packed = delivery.batch(2)
        delivery.put_batch(replace(packed, codec="gzip", body=gzip.compress(packed.body)))
        delivery.put(3)
        server.answer = lambda _: 200
        await delivery.settled()
    assert [event["n"] for event in server.events] == [0, 1, 2, 3]


async def test_a_sink_that_refuses_all_is_paused_however_its_refusals_meet(server):
    """Also where a suspect is under way again while another batch is refused for the first time."""

    async def answer(events):
        if events[0]["n"] == 2:
            await asyncio.sleep(0.05)  # longer than a suspect is left alone
        return 400

    server.answer = answer
    async with delivering(server.url) as delivery:
        delivery.put(1)
        await server.wait_until(lambda: bool(server.requests))
        delivery.put(2)
        await delivery.until(lambda: not delivery.counters.up)
        assert delivery.ledger.dead_lettered == {}


@asynccontextmanager
async def retiring(server, **settings):
    """Give a delivery whose `run` is expected to end, and its task."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        delivery = Delivery(server.url, session, **settings)
        task = asyncio.create_task(delivery.sink.run())
        try:
            yield delivery, task
            async with asyncio.timeout(20):
                await task
            assert delivery.counters.in_flight == 0
            assert delivery.ledger.imbalance() == 0
        finally:
            task.cancel()


async def left(delivery):
    """Give back what a sink has left, and return the numbers of all that waits, in order."""
    delivery.spool.give_back("siem")
    found = []
    for _ in range(delivery.spool._lanes["siem"].batches):
        batch = await delivery.spool.take("siem")
        assert batch.refused_at is None
        found += [orjson.loads(line)["n"] for line in batch.body.splitlines()]
    return found


async def test_a_sink_that_retires_begins_no_more_requests(server):
    """Those in flight are answered, and what they say counts."""
    released = asyncio.Event()

    async def answer(_):
        await released.wait()
        return 200

    server.answer = answer
    async with retiring(server, concurrency=1) as (delivery, _):
        for number in range(5):
            delivery.put(number)
        await server.wait_until(lambda: len(server.requests) == 1)
        retirement = asyncio.create_task(delivery.sink.retire(60))
        await asyncio.sleep(0)
        assert not retirement.done()
        released.set()
        await retirement
    assert numbers(server) == [0]
    assert delivery.ledger.delivered == 1
    assert await left(delivery) == [1, 2, 3, 4]


async def test_a_sink_that_retires_does_not_wait_for_answers_for_ever(server):
    """What was not answered in time is left with the rest."""
    released = asyncio.Event()

    async def answer(_):
        await released.wait()
        return 200

    server.answer = answer
    async with retiring(server, concurrency=1) as (delivery, _):
        delivery.put(1)
        delivery.put(2)
        await server.wait_until(lambda: len(server.requests) == 1)
        await delivery.sink.retire(0.01)
    released.set()
    assert await left(delivery) == [1, 2]


async def test_a_sink_that_has_nothing_to_do_retires_at_once(server):
    """Also before it has begun."""
    async with retiring(server) as (delivery, _):
        await delivery.sink.retire(60)
    async with retiring(server) as (delivery, _):
        await asyncio.sleep(0.01)
        await delivery.sink.retire(60)
        delivery.put(1)
    assert await left(delivery) == [1]


async def test_a_sink_that_retires_leaves_what_is_in_parts_suspect_or_held_back(server):
    """Each in its place, and no timer brings any of it back."""

    def recode(batch):
        raise RecodingError(f"{batch.form} is unknown to this version")

    server.answer = lambda events: 400 if events[0]["n"] % 2 else 503
    retry = {"initial": "5ms", "max": "5ms"}
    async with retiring(server, recode=recode, retry=retry) as (delivery, _):
        strange = delivery.batch(0, 1)
        delivery.put_batch(replace(strange, form="other:event"))
        delivery.put(3, 5, 7)
        delivery.put(2, 4)
        await delivery.until(lambda: len(server.requests) > 10)
        await delivery.sink.retire(60)
    server.requests.clear()
    assert await left(delivery) == [0, 1, 3, 5, 7, 2, 4]
    await asyncio.sleep(0.02)
    assert delivery.spool.take_if("siem", lambda _: True) is None
    assert server.requests == []


async def test_a_sink_goes_on_with_the_credentials_it_is_given(server):
    """One that failed is tried at once: they may be what was wrong."""
    server.answer = lambda _: 200 if server.headers[-1].get("X-Key") == "new" else 403
    async with delivering(server.url, retry={"initial": "10m", "max": "10m"}) as delivery:
        delivery.put(1)
        await delivery.until(lambda: not delivery.sink.health.up)
        headers = request_headers(delivery.settings, delivery.form)
        delivery.sink.refresh(delivery.form, headers)
        assert len(server.requests) == 1
        # A probe reads the secrets of the settings again: these stand for one that was replaced.
        delivery.sink._exchange.refresh_headers = lambda: None
        delivery.sink.refresh(delivery.form, {**headers, "X-Key": "new"})
        await delivery.settled()
    assert numbers(server) == [1]


async def test_a_spool_that_leaves_a_failing_sink_alone_hears_when_it_is_to_be_tried(server):
    """With other credentials, and before a stop."""
    server.answer = lambda _: 503 if len(server.requests) < 3 else 200
    async with delivering(server.url, retry={"initial": "10m", "max": "10m"}) as delivery:
        left = []
        delivery.spool.relinquish = lambda batch, _: left.append(batch) or True
        delivery.spool.resume = lambda _: delivery.spool.postpone(left.pop())
        delivery.put(1)
        await delivery.until(lambda: left)
        headers = request_headers(delivery.settings, delivery.form)
        delivery.sink.refresh(delivery.form, {**headers, "X-Key": "new"})
        await delivery.until(lambda: left)
        delivery.sink.hurry()
        await delivery.settled()
    assert numbers(server) == [1]


async def test_a_sink_begins_well_whatever_another_of_its_name_was(server):
    """The counters are those of the name."""
    async with aiohttp.ClientSession() as session:
        delivery = Delivery(server.url, session)
        delivery.counters.up = False
        delivery.counters.concurrency_limit = 9
        HttpSink(
            delivery.settings,
            form=delivery.form,
            spool=delivery.spool,
            session=session,
            headers={},
            rng=random.Random(7),
            stats=delivery.counters,
            dead_lettered=delivery.stats.dead_lettered,
            recode=cannot_recode,
        )
    assert (delivery.counters.up, delivery.counters.concurrency_limit) == (True, 1)


async def test_a_sink_that_retires_does_not_send_what_an_answer_asks_for(server):
    """The halves of a batch that was too large are left to others."""
    released = asyncio.Event()

    async def answer(events):
        await released.wait()
        return 413 if len(events) > 1 else 200

    server.answer = answer
    async with retiring(server, concurrency=1) as (delivery, _):
        delivery.put(1, 2, 3, 4)
        await server.wait_until(lambda: len(server.requests) == 1)
        retirement = asyncio.create_task(delivery.sink.retire(60))
        await asyncio.sleep(0)
        released.set()
        await retirement
    assert len(server.requests) == 1
    assert await left(delivery) == [1, 2, 3, 4]
