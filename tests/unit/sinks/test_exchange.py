"""One request and its answer."""

import asyncio
import gzip
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
import structlog
from aiohttp import web

from collector.masking import Masker
from collector.sinks.credentials import request_headers
from collector.sinks.exchange import SHOWN_CHARS, Answer, Exchange, _Body
from collector.sinks.formats import SealError
from collector.sinks.formats.ndjson import Ndjson
from collector.sinks.recoding import RecodingError
from collector.sinks.retry import Outcome, Verdict
from collector.syslog.message import KeyName
from tests.fake_sink import FakeSink
from tests.making import batch_of, entry_of, sink_of


class Attentive(Ndjson):
    """Remembers what it was asked to read."""

    answer_bytes = 1000

    def read(self, status, headers, body, events, now):  # noqa: ARG002 - the clock is not looked at
        self.was_read = (status, headers["X-Said"], body, events)
        return Verdict(Outcome.PAUSE, body, 7.0)


@asynccontextmanager
async def exchanging(url, kind=Ndjson, proxy=None, mask=str, **settings):
    """Give an exchange with a sink, the form of its events and a batch for it."""
    sink = sink_of(url=url, proxy=proxy, **settings)
    form = kind(sink, ())
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout, proxy=proxy) as session:
        exchange = Exchange(sink, form, session, request_headers(sink, form), mask)
        yield exchange, form, batch_of(form, ["a", "b"], [entry_of()] * 2)


@pytest.fixture
async def server():
    async with FakeSink() as sink:
        yield sink


async def test_an_answer_is_what_the_form_reads_in_it(server):
    """Whatever its status; it knows how many events the request had."""
    server.answer = lambda _: web.Response(status=202, headers={"X-Said": "h"}, text="the body")
    async with exchanging(server.url, Attentive) as (exchange, form, batch):
        answer = await exchange.post(batch, batch.body)
    assert answer == Answer("202", Verdict(Outcome.PAUSE, "the body", 7.0))
    assert form.was_read == (202, "h", "the body", 2)


async def test_an_answer_is_read_as_far_as_its_form_needs(server):
    """No sink fills the memory."""
    server.answer = lambda _: web.Response(headers={"X-Said": "h"}, text="x" * 100_000)
    async with exchanging(server.url, Attentive) as (exchange, form, batch):
        await exchange.post(batch, batch.body)
    assert form.was_read[2] == "x" * 1000


async def test_a_body_goes_out_as_it_stands_in_memory():
    """Behind the headers, and no copy is made of it."""
    written = []

    class Writer:
        def send_headers(self):
            written.append("headers")

        async def write(self, data):
            written.append(data)

    body = _Body(b"\xc3\xa4\n")
    await body.write(Writer())
    assert written == ["headers", b"\xc3\xa4\n"]
    assert written[1] is body._value
    assert (body.size, body.decode()) == (3, "ä\n")


async def test_no_coding_is_named_where_there_is_none(server):
    """The body is sent as it is given."""
    async with exchanging(server.url) as (exchange, _, batch):
        await exchange.post(batch, batch.body)
    assert "Content-Encoding" not in server.headers[0]
    assert [event["message"] for event in server.events] == ["a", "b"]


async def test_what_was_compressed_for_the_disk_alone_is_posted_plain(server):
    """Its sink wants no compression."""
    async with exchanging(server.url, compression="none") as (exchange, form, batch):
        packed = batch_of(form, ["a", "b"], [entry_of()] * 2, codec="zstd")
        body = exchange.body_of(packed)
        await exchange.post(packed, body)
    assert body == batch.body
    assert "Content-Encoding" not in server.headers[0]
    assert [event["message"] for event in server.events] == ["a", "b"]


async def test_a_batch_that_cannot_be_unpacked_is_not_posted(server):
    """It is damaged."""
    async with exchanging(server.url, compression="none") as (exchange, form, _):
        packed = batch_of(form, ["a"], [entry_of()], codec="zstd")
        with pytest.raises(RecodingError, match="it is damaged"):
            exchange.body_of(replace(packed, body=packed.body[:-3]))


async def test_what_a_form_fails_to_read_is_tried_again(server, monkeypatch):
    """A mistake of ours must not cost the batch."""

    def read(*_):
        raise KeyError("s3cret of an event")

    monkeypatch.setattr(Ndjson, "read", read)
    with structlog.testing.capture_logs() as lines:
        async with exchanging(server.url) as (exchange, _, batch):
            answer = await exchange.post(batch, batch.body)
    assert answer == Answer("error", Verdict(Outcome.RETRY, "internal error: KeyError"))
    assert lines[0]["event"] == "request failed, please report it"


async def test_a_redirect_is_not_followed(server):
    """Events go where the settings say, and nowhere else."""
    server.answer = lambda _: web.Response(status=307, headers={"Location": server.url})
    async with exchanging(server.url) as (exchange, _, batch):
        answer = await exchange.post(batch, batch.body)
    assert (answer.code, answer.verdict.outcome) == ("307", Outcome.PAUSE)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Outcome.ACCEPTED),
        (b"HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nshort", Outcome.PAUSE),
        (b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh", Outcome.REFUSED),
        (b"HTTP/1.1 200", Outcome.RETRY),
        (b"", Outcome.RETRY),
    ],
)
async def test_a_status_stands_however_the_answer_ends(said, outcome):
    """Without one, nothing is known."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(100_000)
        writer.write(said)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/?apikey=s3cret-key"
    async with exchanging(url) as (exchange, _, batch):
        answer = await exchange.post(batch, batch.body)
    assert answer.verdict.outcome is outcome
    assert "s3cret" not in answer.verdict.problem
    listening.close()


async def test_the_body_of_a_sealed_form_holds_its_secret(server):
    """Compressed like the batch; the secret is that of the intake of its events."""

    class Sealed(Ndjson):
        is_sealed = True

        def seal(self, body, intake):
            if intake != "edr":
                raise SealError(f"no key of {intake}")
            return b"key " + body

    async with exchanging(server.url, Sealed) as (exchange, form, batch):
        assert exchange.body_of(batch) == b"key " + batch.body
        packed = batch_of(form, ["a"], [entry_of()], codec="gzip")
        assert gzip.decompress(exchange.body_of(packed)).startswith(b'key {"message":"a"')
        with pytest.raises(SealError, match="no key of gone"):
            exchange.body_of(batch_of(form, ["a"], [entry_of(intake="gone")]))


async def test_credentials_that_cannot_be_read_leave_the_last_ones(server, tmp_path):
    """They are read anew when asked to."""
    token = tmp_path / "token"
    token.write_text("first-token\n")
    auth = {"bearer": {"token_file": str(token)}}
    async with exchanging(server.url, auth=auth) as (exchange, _, batch):
        await exchange.post(batch, batch.body)
        token.write_text("second-token\n")
        exchange.refresh_headers()
        await exchange.post(batch, batch.body)
        token.unlink()
        with structlog.testing.capture_logs() as lines:
            exchange.refresh_headers()
        await exchange.post(batch, batch.body)
    sent = [headers["Authorization"] for headers in server.headers]
    assert sent == ["Bearer first-token", "Bearer second-token", "Bearer second-token"]
    assert lines[0]["event"] == "credentials cannot be read, the last ones are used"
    assert "token-" not in str(lines)


async def test_credentials_that_are_replaced_meanwhile_are_not_shown(server, tmp_path):
    """A request under way was sent with those before."""
    token = tmp_path / "token"
    token.write_text("first-token\n")
    async with exchanging(server.url, auth={"bearer": {"token_file": str(token)}}) as parts:
        exchange, _, batch = parts

        async def answer(_):
            token.write_text("second-token\n")
            exchange.refresh_headers()
            return web.Response(status=401, text="no first-token")

        server.answer = answer
        found = await exchange.post(batch, batch.body)
    assert found.verdict.problem == "HTTP 401 Unauthorized: no ***"


async def test_a_form_that_is_replaced_meanwhile_reads_no_answer_to_another(server):
    """It does not know what was sent."""
    async with exchanging(server.url, Attentive) as (exchange, form, batch):

        async def answer(_):
            exchange.form = Ndjson(sink_of(url="https://elsewhere.example"), ())
            return web.Response(headers={"X-Said": "h"})

        server.answer = answer
        await exchange.post(batch, batch.body)
    assert form.was_read == (200, "h", "", 2)


async def test_what_a_proxy_says_is_shown_without_its_credentials(server):
    """However it, or a library, repeats them."""
    said = "no some%21one:pass%2Fword c29tZSFvbmU6cGFzcy93b3Jk some!one pass/word"
    server.answer = lambda _: web.Response(status=407, text=said)
    proxy = server.url.replace("http://", "http://some%21one:pass%2Fword@").removesuffix("/ingest")
    async with exchanging("http://siem.invalid/in", proxy=proxy) as (exchange, _, batch):
        answer = await exchange.post(batch, batch.body)
    assert answer.verdict.outcome is Outcome.PAUSE
    problem = answer.verdict.problem
    assert problem == "HTTP 407 Proxy Authentication Required: no *** *** *** ***"


async def test_a_proxy_that_refuses_a_tunnel_is_named_as_the_one_who_did():
    """Nothing was heard of the sink itself."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Not there\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with exchanging("https://siem.invalid/in", proxy=proxy) as (exchange, _, batch):
        answer = await exchange.post(batch, batch.body)
    verdict = Verdict(Outcome.RETRY, "the proxy answers HTTP 403: Not there")
    assert answer == Answer("error", verdict)
    listening.close()


async def test_an_answer_that_repeats_an_event_shows_no_intake_key(server):
    """Nor where what is shown of it ends within one."""
    masker = Masker(KeyName(), ["very-secret"])
    text = "very-secret " + "x" * (SHOWN_CHARS - 20) + " very-secret"
    server.answer = lambda _: web.Response(status=400, text=text)
    async with exchanging(server.url, mask=masker.mask_text) as (exchange, _, batch):
        answer = await exchange.post(batch, batch.body)
    assert "***" in answer.verdict.problem
    assert "very" not in answer.verdict.problem
