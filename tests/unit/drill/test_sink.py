"""The private sink: what it understands, what it remembers, how it fails."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest

from collector.drill.sink import Arrivals, PrivateSink, read_fault
from collector.sinks.encoders import COMPRESS

LINE = b'{"message":"collector-drill-7 text"}'
BODIES = {
    "ndjson": LINE + b"\n" + b'"collector-drill-8 raw"\n',
    "json": b"[" + LINE + b',\n{"message":"collector-drill-8"}]',
    "elasticsearch": b'{"create":{}}\n' + LINE + b'\n{"create":{}}\n{"m":"collector-drill-8"}\n',
    "splunk_hec": b'{"event":%b}\n{"event":"collector-drill-8"}' % LINE,
    "sekoia": b'{"intake_key":"a\\"jsons\\":","jsons":["collector-drill-7",\n"collector-drill-8"]}',
}


def standing_in(sink, form="ndjson"):
    url = f"{sink.url}/0"
    sink.stand_in(SimpleNamespace(sinks=[SimpleNamespace(name="siem", format=form, url=url)]))
    return url


async def post(url, body, codec="none"):
    headers = {} if codec == "none" else {"Content-Encoding": codec}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.post(url, data=COMPRESS[codec](body), headers=headers) as response,
    ):
        return response.status, await response.read()


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
async def test_every_format_and_codec_is_understood(form, codec):
    async with PrivateSink() as sink:
        url = standing_in(sink, form)
        status, _ = await post(f"{url}/below/it?and=more", BODIES[form], codec)
        assert (status, sink.arrivals.of("siem")) == (200, 2)


async def test_the_bulk_api_answers_for_each_event():
    async with PrivateSink() as sink:
        _, answer = await post(standing_in(sink, "elasticsearch"), BODIES["elasticsearch"])
        assert answer.count(b'"status": 201') == 2


async def test_a_message_is_counted_once_for_each_sink():
    arrivals = Arrivals()
    arrivals.note("one", [1, 2], 0.0)
    arrivals.note("two", [2], 0.0)
    arrivals.note("one", [2, 3, 3], 0.0)
    assert (arrivals.delivered, arrivals.duplicated) == (4, 2)


async def test_recovery_is_timed_from_what_was_sent_before_the_end_of_the_fault():
    arrivals = Arrivals()
    arrivals.note("one", [0], 1.0)
    arrivals.fault_ends(3)
    assert (arrivals.recovered_at, arrivals.caught_up_at) == (None, None)
    arrivals.note("one", [4], 2.0)
    arrivals.note("one", [1, 2], 3.0)
    arrivals.note("one", [2, 5], 4.0)
    assert (arrivals.recovered_at, arrivals.caught_up_at) == (2.0, 3.0)


async def test_a_status_is_answered_until_the_sink_recovers():
    async with PrivateSink() as sink:
        url = standing_in(sink)
        await sink.fail(429)
        assert (await post(url, BODIES["ndjson"]))[0] == 429
        assert sink.arrivals.delivered == 0
        await sink.recover()
        assert (await post(url, BODIES["ndjson"]))[0] == 200


async def test_a_reset_leaves_the_client_without_an_answer():
    async with PrivateSink() as sink:
        url = standing_in(sink)
        await sink.fail("reset")
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(url, BODIES["ndjson"])
        assert sink.arrivals.delivered == 0


async def test_a_sink_that_refuses_connections_comes_back_on_its_port():
    async with PrivateSink() as sink:
        url = standing_in(sink)
        await sink.fail("refuse")
        with pytest.raises(aiohttp.ClientConnectorError):
            await post(url, BODIES["ndjson"])
        await sink.recover()
        assert (await post(url, BODIES["ndjson"]))[0] == 200


async def test_a_hanging_sink_neither_answers_nor_keeps_a_request_even_when_it_recovers():
    async with PrivateSink() as sink:
        url = standing_in(sink)
        await sink.fail("timeout")
        hanging = asyncio.create_task(post(url, BODIES["ndjson"]))
        while not sink.hanging:
            await asyncio.sleep(0)
        await sink.recover()
        assert (await post(url, b'"collector-drill-9"\n'))[0] == 200
        assert (hanging.done(), sink.arrivals.delivered) == (False, 1)
        hanging.cancel()
        while sink.hanging:
            await asyncio.sleep(0)
        await asyncio.wait([hanging])


async def test_a_slow_sink_accepts_in_the_end(monkeypatch):
    monkeypatch.setattr("collector.drill.sink.SLOW_SECONDS", 0.01)
    async with PrivateSink() as sink:
        url = standing_in(sink)
        await sink.fail("slow")
        assert (await post(url, BODIES["ndjson"]))[0] == 200
        assert sink.arrivals.delivered == 2


@pytest.mark.parametrize(("text", "fault"), [("503", 503), ("301", 301), ("refuse", "refuse")])
def test_faults_are_read(text, fault):
    assert read_fault(text) == fault


@pytest.mark.parametrize("text", ["200", "100", "600", "-1", "", "down", "५०३"])
def test_what_is_no_fault_is_refused_with_what_is_accepted(text):
    with pytest.raises(ValueError, match="accepted: a status of 300 to 599, timeout, reset"):
        read_fault(text)
