"""A connection that is made again and again, to whichever server takes it."""

import asyncio
from contextlib import asynccontextmanager

import nats.errors
import pytest

from collector.settings.files import FileError
from collector.stream import link
from collector.stream.ending import end
from collector.stream.link import Link, describe
from tests.nats import Nats
from tests.unit.stream.conftest import settings_of, until


class Watched:
    """A link that runs, and what became of it.

    Attributes:
        clients: the connections that there were.
        problems: why there was none.
    """

    def __init__(self, settings):
        self.clients = []
        self.problems = []
        self.errors = []
        self.link = Link(
            settings,
            "tester",
            on_up=self.up,
            on_down=self.problems.append,
            on_error=self.errors.append,
        )

    async def up(self, client):
        self.clients.append(client)


@asynccontextmanager
async def watched(settings):
    one = Watched(settings)
    task = asyncio.create_task(one.link.run())
    try:
        yield one
    finally:
        await end([task])


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Nobody waits for long."""
    monkeypatch.setattr(link, "LONGEST_PAUSE_SECONDS", 0.1)


async def test_a_connection_has_a_name_for_those_who_look_at_the_servers(nats):
    """They see who it is."""
    async with watched(settings_of(nats)) as one:
        await until(lambda: one.clients)
        assert one.clients[0].server_name == "n0"
        assert [known["name"] for known in await nats.connections()] == ["tester"]


async def test_a_server_that_is_killed_is_connected_to_again(nats):
    """By a new client, each time."""
    async with watched(settings_of(nats)) as one:
        for lives in (1, 2, 3):
            await until(lambda lives=lives: len(one.clients) == lives)
            await nats.kill()
            await until(lambda: any("refused" in problem for problem in one.problems))
            one.problems.clear()
            nats.start()
    assert len(set(map(id, one.clients))) >= 3


async def test_a_server_that_is_not_there_is_passed_over(nats, tmp_path):
    """One of them is enough."""
    absent = Nats(tmp_path / "absent")
    settings = settings_of(nats).model_copy(update={"servers": (*absent.urls, *nats.urls)})
    for _ in range(4):
        async with watched(settings) as one:
            await until(lambda one=one: one.clients)


async def test_who_listens_and_is_no_such_server_is_passed_over(monkeypatch):
    """One that says nothing, and one that says something else; both connections are closed."""
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.1)
    closed = []

    async def serve(words):
        async def say(reader, writer):
            writer.write(words)
            await reader.read()
            closed.append(words)
            writer.close()

        server = await asyncio.start_server(say, "127.0.0.1", 0)
        return server, f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    silent, babbling = (
        await serve(b""),
        await serve(b'INFO {"tls_required":false}\r\nHTTP/1.1 400\r\n'),
    )
    settings = settings_of().model_copy(update={"servers": (silent[1], babbling[1])})
    async with watched(settings) as one:
        await until(lambda: len(set(closed)) == 2)
        assert not one.clients
        assert set(one.problems) >= {
            f"{silent[1]}: no answer in time",
            f"{babbling[1]}: it does not speak as a server of NATS does",
        }
    for server, _ in (silent, babbling):
        server.close()


async def test_a_server_that_closes_what_it_has_let_in_is_not_asked_all_the_time(monkeypatch):
    """Each connection that does not last makes the next pause longer; one that does, the shortest.

    As one whose account has no connections left.
    """
    monkeypatch.setattr(link, "FIRST_PAUSE_SECONDS", 0.01)

    async def let_in(reader, writer):
        writer.write(b'INFO {"max_payload":1048576}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(let_in, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with watched(settings_of().model_copy(update={"servers": (url,)})) as one:
        await until(lambda: one.link._pause == 0.1)
        assert len(one.clients) >= 4
        monkeypatch.setattr(link, "STEADY_SECONDS", 0.0)
        await until(lambda: one.link._pause == 0.01)
    server.close()


async def test_a_connection_that_nobody_reads_from_is_lost(nats):
    """It would be taken for one that works until pings are not answered."""
    async with watched(settings_of(nats)) as one:
        await until(lambda: one.clients)
        await one.clients[0].subscribe("s")
        one.clients[0]._process_msg = None  # and so it cannot be called
        await one.clients[0].publish("s", b"")
        await until(lambda: len(one.clients) == 2)
    assert one.problems == ["the connection was lost: what the server sends cannot be read"]


async def test_a_mistake_in_dealing_with_a_message_is_told_as_one(nats, capsys):
    """It is not taken for a word of the servers."""
    async with watched(settings_of(nats)) as one:
        await until(lambda: one.clients)

        async def fail(_):
            raise ZeroDivisionError

        await one.clients[0].subscribe("s", cb=fail)
        await one.clients[0].publish("s", b"")
        await one.clients[0].flush()
        await asyncio.sleep(0.05)
    assert one.errors == []
    assert "please report it" in capsys.readouterr().out


async def test_a_link_ends_when_it_is_told_to():
    """At once, also where that comes as an attempt fails, which nats-py forgets over it."""
    settings = settings_of()
    for turns in range(30):
        task = asyncio.create_task(Watched(settings).link.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([task])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (nats.errors.SecureConnWantedError(), "the server offers no TLS"),
        (nats.errors.TimeoutError(), "no answer in time"),
        (nats.errors.Error("nats: 'Authorization Violation'\r\n"), "Authorization Violation"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (FileError("token", "is empty"), "token is empty"),
        (ValueError("a secret"), "ValueError"),
    ],
)
def test_errors_are_told_for_people(error, words):
    """What is not known holds perhaps a secret."""
    assert describe(error) == words
