"""Connections to the admin server."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from collector.admin import connections
from collector.admin.connections import NO_HTTP, Connections
from collector.admin.files import HEADERS

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 30


@asynccontextmanager
async def serving(handle):
    """Serve requests as a function does; give the place, and the connections."""
    known = None

    @web.middleware
    async def busy(request, handler):
        with known.busy(request.protocol):
            return await handler(request)

    application = web.Application(middlewares=[busy])
    application.router.add_get("/", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    known = Connections(runner.server)
    server = await asyncio.get_running_loop().create_server(known, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await runner.cleanup()


async def hello(_request):
    return web.Response(text="hello")


async def answers(reader, writer):
    """Say whether a request is answered; otherwise the other side has closed."""
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(ASK)
            await reader.readuntil(b"hello")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    return True


async def until(condition):
    """Wait for something that others bring about."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)


async def test_the_one_that_was_quiet_for_longest_makes_room():
    """Whoever asks something gets an answer, however many others do not."""
    async with serving(hello) as place:
        opened = [await asyncio.open_connection(*place) for _ in range(3)]
        for reader, writer in (opened[0], opened[2]):
            writer.write(ASK)
            await reader.readuntil(b"hello")
        newest = await asyncio.open_connection(*place)
        assert await answers(*newest)
        assert [await answers(*one) for one in opened] == [True, False, True]
        for _, writer in (*opened, newest):
            writer.close()


async def test_what_is_being_answered_goes_on():
    """Then the one that has just come has no room."""
    answering, may_end = asyncio.Semaphore(0), asyncio.Event()

    async def slow(request):
        answering.release()
        await may_end.wait()
        return await hello(request)

    async with serving(slow) as place:
        opened = [await asyncio.open_connection(*place) for _ in range(3)]
        for _, writer in opened:
            writer.write(ASK)
            await answering.acquire()
        reader, writer = await asyncio.open_connection(*place)
        assert not await answers(reader, writer)
        writer.close()
        may_end.set()
        for reader, writer in opened:
            await asyncio.wait_for(reader.readuntil(b"hello"), SECONDS)
            writer.close()


async def test_one_that_is_gone_makes_room():
    """Nothing is counted twice."""
    async with serving(hello) as place:
        for _ in range(10):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(ASK)
            await asyncio.wait_for(reader.readuntil(b"hello"), SECONDS)
            writer.close()
            await writer.wait_closed()
        opened = [await asyncio.open_connection(*place) for _ in range(3)]
        assert all([await answers(*one) for one in opened])
        for _, writer in opened:
            writer.close()


async def test_who_takes_nothing_of_an_answer_is_let_go(monkeypatch):
    """Though it asked for it."""
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.05)
    size, gone = 32 * 1024 * 1024, asyncio.Event()

    async def much(request):
        response = web.Response(body=b"x" * size)
        await response.prepare(request)
        try:
            await response.write_eof()
        finally:
            gone.set()
        return response

    async with serving(much) as place:
        reader, writer = await asyncio.open_connection(*place, limit=1024)
        writer.write(ASK)
        await asyncio.wait_for(gone.wait(), SECONDS)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(SECONDS):
                await reader.readexactly(size)
        writer.close()


class Wire(asyncio.Transport):
    """A connection whose other side takes something before each look, or nothing.

    Attributes:
        looks: how often it was looked at what is left to be taken.
        is_cut: whether it was closed at once.
    """

    def __init__(self, takes):
        super().__init__()
        self._takes = takes
        self.looks = 0
        self.is_cut = False

    def get_write_buffer_size(self):
        self.looks += 1
        return 1_000_000 - self.looks * self._takes

    def abort(self):
        self.is_cut = True

    def close(self):
        pass


@pytest.mark.parametrize("takes", [0, 1])
async def test_who_takes_an_answer_slowly_is_told_from_who_does_not(monkeypatch, takes):
    """And gets it all, however long that goes on."""
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.001)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    connection, wire = Connections(runner.server)(), Wire(takes)
    connection.connection_made(wire)
    connection.pause_writing()
    await until(lambda: wire.is_cut or wire.looks >= 20)
    assert wire.is_cut == (not takes)
    connection.connection_lost(None)
    await runner.cleanup()


async def test_one_that_is_closed_and_not_gone_makes_room():
    """Its answer is given, and waits to be taken."""

    async def last(_request):
        response = web.Response(body=b"x" * 8_000_000)
        response.force_close()
        return response

    async with serving(last) as place:
        opened = [await asyncio.open_connection(*place, limit=1024) for _ in range(8)]
        for _, writer in opened:
            with suppress(ConnectionError):
                writer.write(ASK)
        for reader, _ in opened:  # the first ones had to make room, perhaps before they asked
            with suppress(ConnectionError):
                first = await asyncio.wait_for(reader.readline(), SECONDS)
                assert first in (b"HTTP/1.1 200 OK\r\n", b"")
        reader, writer = await asyncio.open_connection(*place)
        writer.write(ASK)
        assert await asyncio.wait_for(reader.readline(), SECONDS) == b"HTTP/1.1 200 OK\r\n"
        for _, other in (*opened, (reader, writer)):
            other.transport.abort()


async def test_what_is_no_request_is_answered_as_everything_is():
    """Nothing of it is said again."""
    async with serving(hello) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"a secret\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert body == NO_HTTP
    assert {f"{name}: {value}" for name, value in HEADERS.items()} <= set(head.splitlines())


async def test_what_cannot_be_expected_is_refused(caplog):
    """Though it is no text; nothing is told of it in the log."""
    async with serving(hello) as place:
        for expected in (b"\xb1", b"anything"):
            reader, writer = await asyncio.open_connection(*place)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: %b\r\n\r\n" % expected)
            assert b" 417 " in await asyncio.wait_for(reader.readline(), SECONDS)
            writer.close()
    assert not caplog.records


async def test_who_has_left_is_no_error(caplog):
    """It is not told in the log; a mistake of ours is."""
    came, ends = asyncio.Semaphore(0), [ConnectionResetError("gone"), RuntimeError("a mistake")]

    async def handle(request):
        came.release()
        await until(lambda: request.transport is None)
        raise ends.pop(0)

    async with serving(handle) as place:
        for _ in range(2):
            left = len(ends)
            _, writer = await asyncio.open_connection(*place)
            writer.write(ASK)
            await came.acquire()
            writer.transport.abort()
            await until(lambda: len(ends) < left)  # noqa: B023 - it is waited for here
        await until(lambda: caplog.records)
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError]
