"""Bodies of requests."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from collector.admin import bodies
from collector.admin.bodies import read_body

MOST = 10


@pytest.fixture
async def server():
    async def handle(request):
        return web.Response(body=await read_body(request, MOST))

    application = web.Application()
    application.router.add_post("/", handle)
    async with TestServer(application) as started:
        yield started


async def post(server, body, **headers):
    async with ClientSession() as session:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.post(server.make_url("/"), data=body, headers=named) as answer:
            return answer.status, await answer.read()


async def pieces(*parts):
    for part in parts:
        yield part


async def exchange(server, octets):
    """Send octets; return the beginning of the answer."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + octets)
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return answer


async def test_a_body_is_read_whole(server):
    """Of a length that was said, or in pieces."""
    assert await post(server, b"x" * MOST) == (200, b"x" * MOST)
    assert await post(server, pieces(b"one", b"two")) == (200, b"onetwo")
    assert await post(server, None) == (200, b"")
    assert await post(server, b"x", Content_Encoding="Identity") == (200, b"x")


async def test_a_longer_one_is_refused(server):
    """Whatever was said of it."""
    refused = (413, b"at most 10 octets\n")
    assert await post(server, b"x" * (MOST + 1)) == refused
    assert await post(server, pieces(b"x" * MOST, b"x")) == refused


async def test_one_that_would_have_to_be_unpacked_is_refused(server):
    """A little becomes much then."""
    assert (await post(server, pieces(b""), Content_Encoding="gzip"))[0] == 415


async def test_one_that_does_not_come_is_not_waited_for(server, monkeypatch):
    """Not for long."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    assert b" 408 " in await exchange(server, b"Content-Length: 5\r\n\r\nabc")


async def test_one_that_is_broken_is_refused(server):
    """As one whose pieces are none."""
    assert b" 400 " in await exchange(server, b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nxyz")
