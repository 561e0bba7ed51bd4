"""A connection that is made again and again, to whichever server takes it."""

import asyncio
import gc
import ssl
from contextlib import asynccontextmanager

import nats.errors
import pytest

from collector.settings.files import FileError
from collector.stream import link
from collector.stream.ending import end
from collector.stream.link import CertificateWantedError, GuardedClient, Link, connect, describe
from tests.certificates import Authority
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


class Deaf:
    """A server that lets a client in and reads nothing more, so that what it sends is pending.

    Attributes:
        url: of it.
    """

    def __init__(self):
        self._connections = asyncio.Queue()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        while not self._connections.empty():
            self._connections.get_nowait().transport.abort()
        self._server.close()

    async def _let_in(self, reader, writer):
        writer.write(b'INFO {"max_payload":67108864}\r\n')
        await reader.readuntil(b"PING\r\n")
        reader._transport.pause_reading()
        writer.write(b"PONG\r\n")
        self._connections.put_nowait(writer)

    async def say(self, words):
        """Say something to the client."""
        writer = await self._connections.get()
        writer.write(words)
        self._connections.put_nowait(writer)

    async def part(self):
        """End the connection in the midst of what comes."""
        (await self._connections.get()).transport.abort()


@asynccontextmanager
async def pending(server):
    """Yield a client with a subscription and with more to send than goes out; nothing is left.

    That is: no task, and no error that nobody hears of.
    """
    unheard = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context["message"]))
    before = asyncio.all_tasks()

    async def ignore(_):
        pass

    client = GuardedClient()
    settings = settings_of().model_copy(update={"servers": (server.url,)})
    await connect(client, settings, server.url, name="tester", on_error=ignore, seconds=2)
    await client.subscribe("s", cb=ignore)
    await client.publish("s", bytes(32 << 20))
    while client._pending_data_size:  # until it is with the transport, which cannot send it
        await asyncio.sleep(0)
    await client.publish("s", b"more")
    try:
        yield client
        mine = asyncio.current_task()
        await until(lambda: asyncio.all_tasks() - before <= {mine} | _served())
    finally:
        client.abandon()
        gc.collect()
        loop.set_exception_handler(None)
    assert unheard == []
    assert not client._subs


def _served():
    """Return the tasks of servers of tests."""
    return {task for task in asyncio.all_tasks() if "_let_in" in str(task.get_coro())}


async def test_a_connection_that_is_lost_leaves_nothing_behind():
    """Also with data that could not be sent."""
    async with Deaf() as server, pending(server) as client:
        await server.part()
        await client.lost.wait()
        await link._end(client)


async def test_a_connection_that_is_lost_as_it_is_closed_leaves_nothing_behind():
    """A server that ends one says so, and nats-py begins to send the rest, beside."""
    async with Deaf() as server, pending(server) as client:
        await server.say(b"-ERR 'User Authentication Expired'\r\n")
        await client.lost.wait()
        await server.part()
        await until(client._writer().transport.is_closing)
        await link._end(client)
        assert client.refusal == "user authentication expired"


async def test_a_connection_that_takes_too_long_to_close_leaves_nothing_behind(monkeypatch):
    """As to a server that hangs: what was not sent is given up."""
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.05)
    async with Deaf() as server, pending(server) as client:
        await link._end(client)
        assert client.is_closed


async def test_a_connection_whose_socket_is_closed_leaves_nothing_behind():
    """Nothing can be written then, which uvloop says in its own way."""
    async with Deaf() as server, pending(server) as client:
        client.abandon()
        await link._end(client)


@pytest.mark.parametrize("shown", ["none", "foreign"])
async def test_a_server_that_does_not_take_our_certificate_says_so(tmp_path, shown):
    """Whatever comes of it first: an alert, or the end of the connection."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "other")
    server, foreign = ours.server(), theirs.issue("collector", name="own")
    certificate = {"cert_file": str(foreign.cert_file), "key_file": str(foreign.key_file)}
    more = (
        f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}",'
        f' ca_file: "{ours.ca_file}", verify: true }}'
    )
    tls = {"ca_file": str(ours.ca_file), **(certificate if shown == "foreign" else {})}
    async with Nats(tmp_path / "nats", more=more, scheme="tls") as servers:
        settings = settings_of(servers, tls=tls)
        async with watched(settings) as one:
            await until(lambda: sum("certificate" in said for said in one.problems) >= 5)
        told = {problem for problem in one.problems if "Connection refused" not in problem}
        assert told == {
            f"{servers.urls[0]}: it refuses our certificate, or wants one (spool.tls.cert_file)"
        }


def _of_openssl(reason):
    """Return an error as OpenSSL raises it."""
    error = ssl.SSLError()
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "wants", "is_new", "is_about_us"),
    [
        (ConnectionResetError(), True, True, True),
        (ConnectionResetError(), True, False, False),
        (ConnectionResetError(), False, True, False),
        (nats.errors.AuthorizationError(), True, True, False),
        (_of_openssl("SSLV3_ALERT_BAD_CERTIFICATE"), True, True, True),
        (_of_openssl("TLSV1_ALERT_UNKNOWN_CA"), True, True, True),
        (_of_openssl("TLSV1_ALERT_PROTOCOL_VERSION"), True, True, False),
        (_of_openssl("CERTIFICATE_VERIFY_FAILED"), True, True, False),
    ],
)
def test_not_all_that_goes_wrong_is_about_our_certificate(error, wants, is_new, is_about_us):
    """Only before we are let in, and where the server checks certificates."""
    client = GuardedClient()
    client._server_info = {"tls_verify": wants}
    client._reading_task = None if is_new else object()
    client.hear(error)
    assert isinstance(client.cause, CertificateWantedError) is is_about_us


async def test_what_was_published_is_dealt_with_once_it_is_settled(tmp_path):
    """Each time, whatever is pending: a server that objects has done so."""
    more = 'authorization { users: [{ user: u, password: p, permissions: { publish: "a" } }] }'
    password = tmp_path / "password"
    password.write_text("p")
    servers = Nats(tmp_path / "nats", more=more)
    settings = settings_of(servers, user="u", password_file=str(password))
    async with servers, watched(settings) as one:
        await until(lambda: one.clients)
        for number in range(50):
            await one.clients[0].publish(f"b{number}", b"")
            await one.clients[0].settle()
            assert len(one.errors) == number + 1


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
