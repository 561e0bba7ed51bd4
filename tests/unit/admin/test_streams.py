"""Server-sent events."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer

from collector.admin import streams
from collector.admin.streams import MAX_STREAMS, Streams


def anybody(_request):
    return True


@asynccontextmanager
async def telling(tell, may_go_on=anybody):
    """Serve streams; give them, what fetches one, and for how many something is told."""
    served, told = Streams(may_go_on), []
    application = web.Application()

    async def handle(request):
        async def counted(stream):
            told.append(stream)
            try:
                await tell(stream)
            finally:
                told.remove(stream)

        return await served.serve(request, counted)

    application.router.add_get("/{name:.*}", handle)
    async with TestServer(application) as server, ClientSession() as session:
        yield served, lambda name="": session.get(server.make_url(f"/{name}")), told


async def first_then_nothing(stream):
    """Tell one thing, and go on."""
    await stream.send("first", 1)
    await asyncio.Event().wait()


async def until(condition):
    """Wait for something that others bring about."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_events_come_as_the_standard_has_them():
    """A name, and JSON on one line."""

    async def tell(stream):
        await stream.send("status", {"text": "two\nlines"})
        await stream.send("ready", b"[1]")

    async with telling(tell) as (_, fetch, _), fetch() as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        assert await answer.text() == (
            'event: status\ndata: {"text":"two\\nlines"}\n\nevent: ready\ndata: [1]\n\n'
        )


async def test_a_reader_that_leaves_ends_what_is_told():
    """Nothing goes on for nobody."""
    ended = asyncio.Event()

    async def tell(stream):
        try:
            while True:
                await stream.send("tick", 1)
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with telling(tell) as (_, fetch, told):
        async with fetch() as answer:
            await answer.content.readline()
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: not told)


async def test_a_reader_that_leaves_is_noticed_though_nothing_is_told(monkeypatch):
    """It takes no place longer than that."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.01)

    async with telling(first_then_nothing) as (_, fetch, told):
        async with fetch() as answer:
            await answer.content.readline()
            assert len(told) == 1
        await until(lambda: not told)


async def test_readers_are_bounded(monkeypatch):
    """One too many is told to come back, and has room once another has left."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.01)
    async with telling(first_then_nothing) as (_, fetch, told):
        answers = [await fetch() for _ in range(MAX_STREAMS)]
        await until(lambda: len(told) == MAX_STREAMS)
        async with fetch() as refused:
            assert refused.status == 503
            assert "close one" in await refused.text()
        answers.pop().close()
        await until(lambda: len(told) < MAX_STREAMS)
        async with fetch() as let_in:
            assert let_in.status == 200
        for answer in answers:
            answer.close()


async def test_all_can_be_ended_at_once():
    """As when the token changes; others may come then."""
    async with telling(first_then_nothing) as (served, fetch, _):
        async with fetch() as answer:
            await answer.content.readuntil(b"\n\n")
            served.end()
            assert await answer.content.read() == b""
        async with fetch() as answer:
            await answer.content.readuntil(b"\n\n")


async def test_all_end_when_the_daemon_begins_to_stop():
    """A stop does not wait for those who look, nor for those who come then."""
    async with telling(first_then_nothing) as (served, fetch, told):
        async with fetch() as answer:
            await answer.content.readuntil(b"\n\n")
            served.close()
            assert await answer.content.read() == b""
        async with fetch() as refused:
            assert (refused.status, await refused.text()) == (503, "the daemon is stopping\n")
        assert not told


async def test_who_may_not_see_more_is_told_no_more(monkeypatch):
    """At the next look, or at once where somebody says so; the others are told more."""
    closed = set()

    def may_go_on(request):
        return request.match_info["name"] not in closed

    async with telling(first_then_nothing, may_go_on) as (served, fetch, told):
        async with fetch("one") as one, fetch("other") as other:
            for answer in (one, other):
                await answer.content.readuntil(b"\n\n")
            closed.add("one")
            served.look()
            assert await one.content.read() == b""
            assert len(told) == 1
        monkeypatch.setattr(streams, "LOOK_SECONDS", 0.01)
        async with fetch("third") as third:
            await third.content.readuntil(b"\n\n")
            closed.add("third")
            assert await third.content.read() == b""


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch):
    """What it does not take is bounded by time, and by what a connection holds."""
    monkeypatch.setattr(streams, "WRITE_SECONDS", 0.05)

    ended = asyncio.Event()

    async def tell(stream):
        try:
            while True:
                await stream.send("much", "x" * 1_000_000)
        finally:
            ended.set()

    async with telling(tell) as (_, fetch, _):
        answer = await fetch()
        await asyncio.wait_for(ended.wait(), 5)
        with pytest.raises(ClientError):  # nor is it told of an end, which it would not take
            await answer.read()


async def test_a_stream_goes_on_for_so_long(monkeypatch):
    """Then its reader has to ask again, and may no longer be allowed to."""
    monkeypatch.setattr(streams, "STREAM_SECONDS", 0.1)
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.01)

    async with telling(first_then_nothing) as (_, fetch, told), fetch() as answer:
        assert await answer.text() == "event: first\ndata: 1\n\n"
        assert not told


async def test_a_mistake_of_ours_is_not_hidden():
    """It ends the stream, and the server logs it."""
    served, mistakes = Streams(anybody), []

    async def tell(stream):
        await stream.send("first", 1)
        raise RuntimeError("a mistake")

    async def handle(request):
        try:
            return await served.serve(request, tell)
        except RuntimeError as mistake:
            mistakes.append(str(mistake))
            raise

    application = web.Application()
    application.router.add_get("/", handle)
    async with TestServer(application) as server, ClientSession() as session:
        answer = await session.get(server.make_url("/"))
        with pytest.raises(ClientError):
            await answer.read()
    assert mistakes == ["a mistake"]
