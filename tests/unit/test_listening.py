"""Listeners that come, change and go."""

import asyncio
import socket
import stat
from contextlib import asynccontextmanager

import pytest
import structlog

from collector.backpressure import Gate
from collector.certificates import SOON_SECONDS
from collector.config import parse
from collector.ledger import Ledger
from collector.listeners.buffers import Buffers
from collector.listeners.opening import ListenError, OwnSockets
from collector.listening import Listening, Receivers
from collector.metrics import ListenerStats, Stats
from collector.routing import Router
from collector.syslog.relp import SERVER_CLOSE
from collector.systemd import Inherited, InheritedSockets
from tests.certificates import Authority
from tests.unit.listeners.conftest import SECONDS, Durability, Pipeline, ended

TCP = "transport: tcp, host: 127.0.0.1"
UDP = "transport: udp, host: 127.0.0.1"
RELP = "transport: relp, host: 127.0.0.1"
OPEN = b"1 open 14 relp_version=0\n"


class World:
    """Listeners, and what is around them."""

    def __init__(self, inherited=()):
        self.pipeline = Pipeline()
        self.durability = Durability()
        self.gate = Gate()
        self.stats = Stats(Ledger())
        self.listening = Listening(
            Receivers(self.pipeline, Buffers(1 << 20), self.durability),
            OwnSockets(InheritedSockets(inherited)),
            self.stats,
            self.gate,
        )

    async def plan(self, *listeners):
        return await self.listening.plan(settings_of(*listeners))

    async def change(self, *listeners):
        """Go by the settings of listeners, as a reload does: what there was is wound down."""
        plan = await self.plan(*listeners)
        self.adopt(plan)
        await self.listening.settle()

    def adopt(self, plan):
        for settings in plan.listeners:
            name = settings.name
            self.stats.listeners.setdefault(name, ListenerStats(name))
        bound = {settings.name: f"intake of {settings.name}" for settings in plan.listeners}
        self.listening.adopt(plan, Router([], {}, bound, []))

    def address(self, name="l"):
        return self.listening.addresses()[name]

    async def send(self, data, name="l"):
        """Send something over a connection of its own."""
        _, writer = await asyncio.open_connection(*self.address(name))
        writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def received(self, count):
        await self.pipeline.until(lambda: len(self.pipeline.fed) == count)
        return self.pipeline.frames


def settings_of(*listeners):
    entries = [
        f"{{name: l, {item}}}" if "name:" not in item else f"{{{item}}}" for item in listeners
    ]
    text = f"""
listeners: [{", ".join(entries)}]
intakes: [{{name: i, parser: raw, key: k}}]
sinks: [{{name: s, url: "http://127.0.0.1/"}}]
"""
    return parse(text, source="test", environ={}).listeners


@asynccontextmanager
async def world_of(*listeners, inherited=()):
    world = World(inherited)
    try:
        await world.change(*listeners)
        yield world
    finally:
        await world.listening.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def port():
    return free_port()


# Beginning.


async def test_every_transport_listens(tmp_path):
    """The log says where."""
    paths = [tmp_path / "stream", tmp_path / "datagram"]
    with structlog.testing.capture_logs() as lines:
        async with world_of(
            f"name: tcp, {TCP}, port: 0",
            f"name: udp, {UDP}, port: 0",
            f"name: relp, {RELP}, port: 0",
            f"name: stream, transport: unix, path: {paths[0]}",
            f"name: datagram, transport: unix-datagram, path: {paths[1]}, mode: 0600",
        ) as world:
            await world.send(b"1 a", "tcp")
            await world.received(1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"b", world.address("udp"))
            await world.received(2)
            _, writer = await asyncio.open_connection(*world.address("relp"))
            writer.write(OPEN + b"2 syslog 1 c\n")
            await world.received(3)
            _, local = await asyncio.open_unix_connection(world.address("stream"))
            local.write(b"1 d")
            await world.received(4)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"e", world.address("datagram"))
            assert await world.received(5) == [b"a", b"b", b"c", b"d", b"e"]
            assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o660, 0o600]
            for each in (writer, local):
                each.close()
    assert not any(path.exists() for path in paths)
    found = {line["listener"]: line["address"] for line in lines if line["event"] == "listening"}
    assert found["stream"] == str(paths[0])
    assert found["tcp"].startswith("127.0.0.1:")


async def test_what_is_sent_to_a_plan_waits_until_it_is_adopted(port):
    """Its sockets listen already."""
    world = World()
    plan = await world.plan(f"{TCP}, port: {port}")
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(b"1 a")
        world.adopt(plan)
        await world.received(1)
    await world.listening.stop()


async def test_a_listener_that_begins_while_the_spool_is_full_reads_nothing_yet(port):
    """It follows the gate as the others do."""
    world = World()
    world.gate.close()
    await world.change(f"{TCP}, port: {port}", f"name: u, {UDP}, port: {port}")
    await world.send(b"1 a")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"b", world.address("u"))
    await asyncio.sleep(0.1)
    assert world.pipeline.fed == []
    world.gate.open()
    await world.received(2)
    await world.listening.stop()


# What cannot be.


async def test_an_address_that_is_taken_is_named_and_nothing_has_changed(port):
    """What had been opened for the plan is closed again."""
    async with world_of(f"{TCP}, port: 0") as world:
        before = world.address()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            other = taken.getsockname()[1]
            with pytest.raises(ListenError) as caught:
                await world.change(
                    f"name: a, {TCP}, port: {port}", f"name: b, {TCP}, port: {other}"
                )
        assert str(caught.value) == (
            f"listener b: cannot listen on 127.0.0.1:{other}: Address already in use"
        )
        assert world.listening.addresses() == {"l": before}
        await world.send(b"1 a")
        await world.received(1)
        socket.create_server(("127.0.0.1", port)).close()


async def test_a_path_of_a_plan_that_cannot_be_is_removed(tmp_path):
    """Another file where the second is to be is left alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text("kept")
    with pytest.raises(ListenError, match=f"listener b: cannot listen on {second}: "):
        await World().plan(
            f"name: a, transport: unix, path: {first}", f"name: b, transport: unix, path: {second}"
        )
    assert not first.exists()
    assert second.read_text() == "kept"


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    """It may be gone since the settings were checked."""
    issued = Authority(tmp_path).server()
    tls = f", tls: {{cert_file: {issued.cert_file}, key_file: {issued.key_file}}}"
    settings = settings_of(f"{TCP}, port: 0{tls}")
    issued.cert_file.unlink()
    with pytest.raises(ListenError, match=f"^listener l: cert_file: {issued.cert_file} cannot be"):
        await World().listening.plan(settings)


# Change.


async def test_a_listener_that_stays_keeps_its_connections(port):
    """Under another name too; nothing is said about it."""
    async with world_of(f"{TCP}, port: {port}") as world:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a")
        await world.received(1)
        with structlog.testing.capture_logs() as lines:
            await world.change(f"name: other, {TCP}, port: {port}, framing: lf")
        writer.write(b"1 b\n")
        assert await world.received(2) == [b"a", b"1 b"]
        assert world.pipeline.intakes == ["intake of l", "intake of other"]
        assert [*world.listening.addresses()] == ["other"]
        assert lines == []
        writer.close()


async def test_a_listener_that_is_gone_has_taken_in_what_was_sent(port):
    """Then its port is free."""
    async with world_of(f"{TCP}, port: {port}", f"name: u, {UDP}, port: {port}") as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a")
        await world.received(1)
        writer.write(b"1 b")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"c", ("127.0.0.1", port))
        with structlog.testing.capture_logs() as lines:
            await world.change(f"name: other, {TCP}, port: 0")
        assert sorted(await world.received(3)) == [b"a", b"b", b"c"]
        assert await ended(reader)
        writer.close()
        gone = {line["listener"] for line in lines if line["event"] == "no longer listening"}
        assert gone == {"l", "u"}
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


async def test_a_stop_waits_for_listeners_that_are_about_to_leave(port):
    """What they still take in would come too late else; they have been stopped once then."""
    async with world_of(f"{TCP}, port: {port}") as world:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a")
        await world.received(1)
        world.adopt(await world.plan(f"name: other, {TCP}, port: 0"))
        with structlog.testing.capture_logs() as lines:
            settling = asyncio.create_task(world.listening.settle())
            await asyncio.sleep(0)
            writer.write(b"1 b")
            await world.listening.stop()
            assert settling.done()
        assert world.stats.listeners["l"].connections == 0
        assert world.pipeline.frames == [b"a", b"b"]
        assert [line["event"] for line in lines] == ["no longer listening"]
        writer.close()


async def test_a_stop_that_was_broken_off_can_be_repeated(port):
    """Some listeners are closed by then, others still read."""
    async with world_of(f"{TCP}, port: {port}", f"name: u, {UDP}, port: {port}") as world:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a")
        await world.received(1)
        stopping = asyncio.create_task(world.listening.stop())
        await asyncio.sleep(0.02)
        stopping.cancel()
        await asyncio.wait([stopping])
        await world.listening.stop()
        assert world.stats.listeners["l"].connections == 0
        writer.close()


async def test_a_listener_that_is_gone_no_longer_follows_the_gate(port):
    """Its socket is closed."""
    async with world_of(f"{TCP}, port: {port}", f"name: u, {UDP}, port: {port}") as world:
        await world.change(f"name: other, {TCP}, port: 0")
        world.gate.close()
        world.gate.open()
        await world.send(b"1 a", "other")
        await world.received(1)


@pytest.mark.parametrize("one", [TCP, RELP])
async def test_another_protocol_takes_over_at_the_same_port(port, one):
    """Nobody who connects meanwhile is refused; those who speak the former one are ended."""
    other = RELP if one == TCP else TCP
    async with world_of(f"{one}, port: {port}") as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a" if one == TCP else OPEN + b"2 syslog 1 a\n")
        await world.received(1)
        world.durability.commit()
        plan = await world.plan(f"{other}, port: {port}")
        with socket.create_connection(("127.0.0.1", port)) as late:
            world.adopt(plan)
            late.sendall(b"1 b" if other == TCP else OPEN + b"2 syslog 1 b\n")
            await world.received(2)
            world.durability.commit()
            await world.listening.settle()
            async with asyncio.timeout(SECONDS):
                said = await reader.read()
            assert said.endswith(SERVER_CLOSE if one == RELP else b"")
            late.sendall(b"1 c" if other == TCP else b"3 syslog 1 c\n")
            assert await world.received(3) == [b"a", b"b", b"c"]
            world.durability.commit()
            assert world.stats.listeners["l"].connections == 1
        writer.close()


async def test_swapped_names_are_other_listeners_in_the_same_places(port):
    """Each connection counts for the new name of its listener."""
    other = free_port()
    one = (f"name: a, {TCP}, port: {port}", f"name: b, {TCP}, port: {other}")
    async with world_of(*one) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1 a")
        await world.received(1)
        await world.change(f"name: b, {TCP}, port: {port}", f"name: a, {TCP}, port: {other}")
        counts = {name: stats.connections for name, stats in world.stats.listeners.items()}
        assert counts == {"a": 0, "b": 1}
        writer.write(b"1 b")
        await world.received(2)
        assert world.pipeline.intakes == ["intake of a", "intake of b"]
        writer.close()


async def test_a_path_keeps_its_socket_and_gets_other_permissions(tmp_path):
    """Connections stay."""
    path = tmp_path / "s"
    async with world_of(f"transport: unix, path: {path}") as world:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"1 a")
        await world.received(1)
        await world.change(f"transport: unix, path: {path}, mode: 0600")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        writer.write(b"1 b")
        await world.received(2)
        writer.close()


async def test_permissions_that_cannot_be_changed_are_told(tmp_path):
    """Here somebody has removed the path."""
    path = tmp_path / "s"
    async with world_of(f"transport: unix, path: {path}") as world:
        path.unlink()
        with structlog.testing.capture_logs() as lines:
            await world.change(f"transport: unix, path: {path}, mode: 0600")
    assert lines[0]["event"] == "permissions of the socket stay as they were"
    assert lines[0]["problem"] == "No such file or directory"


# Certificates.


@pytest.fixture
def tls(tmp_path):
    """Return what makes the TLS part of settings, of a certificate valid for so many days."""
    authority = Authority(tmp_path)

    def make(days):
        issued = authority.issue("localhost", name="server", valid_days=(-1, days))
        return f", tls: {{cert_file: {issued.cert_file}, key_file: {issued.key_file}}}"

    return make


async def test_the_end_of_a_certificate_is_told_with_the_metrics(port, tls):
    """As long as TLS is spoken; a new one counts from its reload on."""
    async with world_of(f"{TCP}, port: {port}{tls(100)}") as world:
        stats = world.stats.listeners["l"]
        first = stats.certificate_expiry
        await world.change(f"{TCP}, port: {port}{tls(200)}")
        assert round((stats.certificate_expiry - first) / 86_400) == 100
        await world.change(f"{TCP}, port: {port}")
        assert stats.certificate_expiry is None


@pytest.mark.parametrize(("days", "problem"), [(-0.5, "expired on"), (10, "ends on"), (20, None)])
async def test_a_certificate_that_ends_soon_is_warned_of(port, tls, days, problem):
    """In time to have another one signed."""
    assert 10 < SOON_SECONDS / 86_400 < 20
    with structlog.testing.capture_logs() as lines:
        async with world_of(f"{TCP}, port: {port}{tls(days)}"):
            pass
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == (problem is not None)
    if problem:
        assert warnings[0]["problem"].startswith(problem)


# Sockets of systemd.


def handed_over(kind, path=None):
    if path is None:
        bound = socket.socket(socket.AF_INET, kind)
        bound.bind(("127.0.0.1", 0))
    else:
        bound = socket.socket(socket.AF_UNIX, kind)
        bound.bind(str(path))
    bound.setblocking(False)
    if kind == socket.SOCK_STREAM:
        bound.listen()
    return bound


async def test_a_socket_that_was_handed_over_is_taken(tmp_path):
    """Its path is not ours to remove, nor its permissions to change."""
    path = tmp_path / "s"
    bound = handed_over(socket.SOCK_STREAM, path)
    path.chmod(0o640)
    async with world_of(
        f"transport: unix, path: {path}", inherited=[Inherited("l", bound)]
    ) as world:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"1 a")
        await world.received(1)
        await world.change(f"transport: unix, path: {path}, mode: 0600")
        writer.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_socket_for_relp_that_was_handed_over_has_short_segments():
    """As one of our own, or each window of a client takes 200 ms."""
    bound = handed_over(socket.SOCK_STREAM)
    async with world_of(f"{RELP}, port: 1514", inherited=[Inherited("l", bound)]) as world:
        with socket.create_connection(world.address()) as sender:
            segment = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    assert segment <= 1448


async def test_who_connects_before_the_settings_are_taken_over_has_short_segments_too():
    """As a sender does that has waited for us to come back: a socket that listens takes it in."""
    async with world_of(f"{TCP}, port: 0") as world:
        plan = await world.plan(f"name: r, {RELP}, port: 0")
        (entrance,) = plan.opened.values()
        with socket.create_connection(entrance.address) as sender:
            segment = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            world.listening.discard(plan)
    assert segment <= 1448
