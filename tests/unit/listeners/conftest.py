"""What the listeners' tests share: a pipeline that remembers, settings, and listeners that run."""

import asyncio
import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

import pytest

from collector.backpressure import Gate
from collector.config import parse
from collector.listeners import streams
from collector.listeners.buffers import Buffers
from collector.listeners.encryption import Encryption
from collector.listeners.entrances import SocketEntrance
from collector.listeners.relp import RelpConnection
from collector.listeners.sockets import bind, bind_path, listen, unlink
from collector.listeners.streams import StreamListener
from collector.listeners.tcp import SyslogConnection
from collector.metrics import ListenerStats
from collector.routing import Router
from tests.certificates import Authority

SECONDS = 30
BOUND = 64 * 1024 * 1024


class Pipeline:
    """Remembers what it is fed, told to reject and to keep incomplete.

    What is fed goes to a sink whose gate the test may close; `refused` are messages that it reports
    as rejected.
    """

    def __init__(self):
        self.fed = []
        self.intakes = []
        self.rejected = []
        self.incomplete = []
        self.refused = set()
        self.gate = Gate()
        self._changed = asyncio.Event()

    def feed(self, frames, origin, rejected=None):
        if rejected is not None:
            rejected += [place for place, frame in enumerate(frames) if frame in self.refused]
        self.fed += [(frame, origin.peer) for frame in frames]
        self.intakes += [origin.without_key] * len(frames)
        self._changed.set()
        return {self.gate} if self.gate.closed else ()

    def reject(self, origin, reason, count=1):
        self.rejected += [(reason, origin.peer)] * count
        self._changed.set()

    def keep_incomplete(self, frame, origin):
        self.incomplete.append((frame, origin.peer))
        self._changed.set()

    @property
    def frames(self):
        return [frame for frame, _ in self.fed]

    async def until(self, condition):
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Durability:
    """Says that messages are safe when the test does."""

    def __init__(self):
        self.waiting = []

    def when_safe(self, callback):
        self.waiting.append(callback)

    def commit(self):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Serving:
    """A stream listener that runs, and its senders.

    Attributes:
        listener: the listener.
        pipeline: what takes its messages.
        address: where it listens: host and port, or a path.
    """

    def __init__(self, listener, pipeline, settings_of):
        self.listener = listener
        self.pipeline = pipeline
        self.address = listener.address
        self._settings_of = settings_of
        self._writers = []

    @property
    def stats(self):
        """The counters of the listener."""
        return self.listener.stats

    async def connect(self, **more):
        """Connect a sender; `more` is about TLS."""
        if isinstance(self.address, str):
            reader, writer = await asyncio.open_unix_connection(self.address)
        else:
            reader, writer = await asyncio.open_connection(*self.address, **more)
        self._writers.append(writer)
        return reader, writer

    def reconfigure(self, more="", stats=None):
        """Go by other settings, as after a reload; with other counters under their name."""
        listener = self.listener
        stats = stats or listener.stats
        settings = self._settings_of(listener.settings.transport, more)
        settings = settings.model_copy(update={"name": stats.name})
        encryption = None if settings.tls is None else Encryption.of(settings.tls)
        router = Router([], keys={}, bound={stats.name: f"bound to {stats.name}"}, sources=[])
        listener.reconfigure(settings, router, stats, encryption)

    async def end(self):
        """Close the senders' connections, then the listener."""
        for writer in self._writers:
            writer.close()
        await self.listener.stop()


@pytest.fixture
def pipeline():
    return Pipeline()


@pytest.fixture
def durability():
    return Durability()


@pytest.fixture
def stats():
    return ListenerStats("l")


@pytest.fixture
def router():
    return Router([], keys={}, bound={"l": "bound to l"}, sources=[])


@pytest.fixture
def quick_drain(monkeypatch):
    """Have what is being closed drain for a moment only."""
    monkeypatch.setattr(streams, "DRAIN_SECONDS", 0.1)


@pytest.fixture
def listener_settings(tmp_path):
    """Return a function that makes a listener's settings from YAML."""

    def make(transport="tcp", more=""):
        is_unix = transport.startswith("unix")
        place = f"path: {tmp_path / 'socket'}" if is_unix else "host: 127.0.0.1, port: 0"
        text = f"""
listeners: [{{name: l, transport: {transport}, {place}, intake: i{more}}}]
intakes: [{{name: i, parser: raw}}]
sinks: [{{name: s, url: "http://127.0.0.1/"}}]
"""
        return parse(text, source="test", environ={}).listeners[0]

    return make


@pytest.fixture
def serving(pipeline, durability, router, stats, listener_settings):
    """Return what runs a stream listener."""

    @asynccontextmanager
    async def serve(more="", *, transport="tcp", buffers=None):
        settings = listener_settings(transport, more)
        if settings.path is not None:
            bound = bind_path(settings.path, settings.mode, socket.SOCK_STREAM)
        else:
            bound = await bind(settings.host, settings.port, socket.SOCK_STREAM)
        listen(bound)
        if transport == "relp":
            protocol = partial(RelpConnection, pipeline=pipeline, durability=durability)
        else:
            protocol = partial(SyslogConnection, pipeline=pipeline)
        listener = StreamListener(
            SocketEntrance(bound, settings),
            settings,
            protocol=protocol,
            router=router,
            stats=stats,
            buffers=buffers or Buffers(BOUND),
            encryption=None if settings.tls is None else Encryption.of(settings.tls),
        )
        running = Serving(listener, pipeline, listener_settings)
        listener.start()
        try:
            yield running
        finally:
            unlink(bound)
            await running.end()

    return serve


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Return who signs certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Return another authority, whom nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def tls(authority):
    """Return a function that makes the TLS part of a listener's settings, as YAML."""

    def make(more=""):
        issued = authority.server()
        return f", tls: {{cert_file: {issued.cert_file}, key_file: {issued.key_file}{more}}}"

    return make


@contextmanager
def burst(address, count):
    """Give senders that have connected before the listener has its turn."""
    with ExitStack() as stack:
        senders = [stack.enter_context(socket.create_connection(address)) for _ in range(count)]
        for sender in senders:
            sender.setblocking(False)
        yield senders


async def ended(reader):
    """Wait for the daemon to end the connection, in whatever way."""
    try:
        async with asyncio.timeout(SECONDS):
            await reader.read()
    except ConnectionError:
        pass
    return True


async def until(condition):
    """Wait for something of which nobody tells."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def check_times(listener, now):
    """Have a listener look at its connections as if it were another time."""
    for connection in list(listener._connections):
        connection.check_time(now)
