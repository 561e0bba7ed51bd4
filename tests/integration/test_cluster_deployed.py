"""The cluster of `deploy/cluster`: its configurations, in the programs that they are for.

Only places are others: directories, ports and addresses.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
import yaml
from nats.aio.client import Client

from collector.config import parse
from collector.roles import Role
from collector.stream import wire
from collector.stream.access import credentials, tls_context
from collector.stream.cluster import Cluster
from tests.daemon import SECONDS, Daemon
from tests.deployment import DEPLOY
from tests.fake_sink import FakeSink
from tests.peers import require, run, steady_port

CLUSTER = DEPLOY / "cluster"
SERVERS = ("nats-1", "nats-2", "nats-3")
ROLES = {"receiver": Role.RECEIVE, "deliverer": Role.DELIVER}
STREAM, LETTERS, SINK = "collector", "collector-dead-letters", "siem"


async def make_secrets(directory, **variables):
    """Run `secrets.sh` as who this is."""
    given = {"OWNER": str(os.getuid()), "SERVERS": " ".join(SERVERS), **variables}
    await run("env", *(f"{n}={v}" for n, v in given.items()), CLUSTER / "secrets.sh", directory)


# NATS.


class Servers:
    """NATS servers with the file that all of them share, while used as a context manager."""

    def __init__(self, directory):
        self.directory = directory
        self._clients = {name: steady_port() for name in SERVERS}
        self._routes = {name: steady_port() for name in SERVERS}
        self.addresses = [f"tls://localhost:{port}" for port in self._clients.values()]
        self._processes = []

    async def __aenter__(self):
        await make_secrets(self.directory)
        for name in SERVERS:
            self.start(name)
        return self

    async def __aexit__(self, *_):
        for process in self._processes:
            process.kill()
            process.wait()

    def start(self, name, *, client=None, route=None, secrets=None):
        """Start a server; one that has not the name of the three has its own ports and secrets."""
        own = self.directory / name
        own.mkdir()
        (own / "secrets").symlink_to((secrets or self.directory) / "nats")
        text = (CLUSTER / "nats-server.conf").read_text()
        replaced = {
            '"0.0.0.0:4222"': f'"127.0.0.1:{client or self._clients[name]}"',
            '"0.0.0.0:6222"': f'"127.0.0.1:{route or self._routes[name]}"',
            '"0.0.0.0:8222"': '"127.0.0.1:-1"',
            "/etc/nats": str(own),
            "/data": str(own / "data"),
        }
        replaced |= {f"//{n}:6222": f"//localhost:{port}" for n, port in self._routes.items()}
        for before, after in replaced.items():
            assert before in text
            text = text.replace(before, after)
        (own / "nats-server.conf").write_text(text)
        with (own / "log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [require("nats-server"), "-c", str(own / "nats-server.conf")],
                    env={**os.environ, "SERVER_NAME": name, "GOMAXPROCS": "2"},
                    stdout=log,
                    stderr=log,
                )
            )

    def config(self, role):
        """Return the settings as a member of a role has them."""
        text = (CLUSTER / "collector.yaml").read_text()
        text = text.replace("/run/secrets", str(self.directory / role))
        for name, address in zip(SERVERS, self.addresses, strict=True):
            text = text.replace(f"tls://{name}:4222", address)
        environ = {"NATS_USER": role, "SINK_URL": "https://siem.example"}
        return parse(text, source="collector.yaml", environ=environ, role=ROLES[role])

    @asynccontextmanager
    async def member(self, role):
        """Connect as a member of a role does; the streams are there, and led."""
        config = self.config(role)
        cluster = Cluster(config.spool, config.dead_letters.max_bytes, f"test-{role}")
        try:
            await cluster.start(SECONDS)
            assert (cluster.is_up, cluster.problem) == (True, "")
            yield cluster
        finally:
            await cluster.close()

    @asynccontextmanager
    async def intruder(self, role):
        """Connect with the password of a role, to do what no member does; give what is said."""
        config, said = self.config(role).spool, []

        async def on_error(error):
            said.append(str(error))

        client = Client()
        await client.connect(
            list(config.servers),
            **credentials(config),
            tls=tls_context(config, config.servers[0]),
            allow_reconnect=False,
            error_cb=on_error,
        )
        try:
            yield client, said
        finally:
            await client.close()


async def use_as_receiver(cluster, name):
    """Do all that a receiver does with the streams: a batch stays in one of them."""
    headers = {wire.MESSAGE_ID: f"batch-{name}", wire.EXPECTED_STREAM: STREAM}
    await cluster.publish(wire.subject(STREAM, SINK, 2), headers, name.encode())
    headers = {wire.MESSAGE_ID: f"letter-{name}", wire.EXPECTED_STREAM: LETTERS}
    await cluster.letters.publish(f"{LETTERS}.refused", headers, name.encode())
    async with asyncio.timeout(SECONDS):
        while (stored := await cluster.letters.next(0)) is None:  # a server that lags answers too
            await asyncio.sleep(0.02)
    assert stored.body == name.encode()
    assert await cluster.letters.delete(stored.sequence)


async def use_as_deliverer(cluster, *names):
    """Take batches, and end them."""
    deliveries = asyncio.Queue()
    consumer = cluster.consumer(SINK, is_ordered=False, on_delivery=deliveries.put_nowait)
    consumer.ask(len(names), cluster.largest)
    async with asyncio.timeout(SECONDS):
        taken = [await deliveries.get() for _ in names]
        for delivery in taken:
            delivery.in_progress()
            delivery.ack()
        while cluster.holdings.messages:
            await asyncio.sleep(0.05)
    assert {delivery.stored.body.decode() for delivery in taken} == {*names}


FORBIDDEN = (
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.UPDATE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.MSG.GET.{STREAM}",
    f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{LETTERS}",
    f"$JS.API.STREAM.CREATE.{STREAM}-2",
    f"$JS.API.DIRECT.GET.{STREAM}",
    f"$JS.API.CONSUMER.DELETE.{STREAM}.{SINK}",
    "$JS.API.STREAM.NAMES",
    "$SYS.REQ.SERVER.PING",
    f"{STREAM}-2.siem.1",
    "somewhere.else",
)
"""What no member publishes under."""

FOR_DELIVERERS = (
    f"$JS.API.CONSUMER.CREATE.{STREAM}.{SINK}.{STREAM}.{SINK}.*",
    f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{SINK}",
    f"$JS.ACK.{STREAM}.{SINK}.1.1.1.1.1",
)


async def permitted(client, said, subjects, heard):
    """Publish and subscribe under subjects; return those that are not refused."""
    for subject in subjects:
        await client.publish(subject, b"")
    for subject in heard:
        await client.subscribe(subject)
    await client.publish("the.end", b"")
    async with asyncio.timeout(SECONDS):
        while not any("the.end" in text for text in said):  # refusals come in their order
            await asyncio.sleep(0.01)
    asked = {f'publish to "{subject}"' for subject in subjects}
    asked |= {f'subscription to "{subject}"' for subject in heard}
    return {each for each in asked if not any(each.lower() in text.lower() for text in said)}


async def test_each_role_may_what_it_does_and_no_more(tmp_path):
    """The streams are made by whoever comes first."""
    async with Servers(tmp_path) as servers:
        async with servers.member("receiver") as receiver, servers.member("deliverer") as deliverer:
            await use_as_receiver(receiver, "one")
            await use_as_receiver(deliverer, "two")
            await use_as_deliverer(deliverer, "one", "two")
        everything = [">", "_INBOX.>", f"{STREAM}.>", "$JS.EVENT.>"]
        async with servers.intruder("receiver") as (client, said):
            subjects = [*FORBIDDEN, *FOR_DELIVERERS]
            heard = [*everything, "_INBOX.deliverer.>"]
            assert await permitted(client, said, subjects, heard) == set()
        async with servers.intruder("deliverer") as (client, said):
            heard = [*everything, "_INBOX.receiver.>"]
            assert await permitted(client, said, FORBIDDEN, heard) == set()


async def test_a_server_without_a_certificate_of_the_authority_does_not_join(tmp_path):
    """One that would trust the others."""
    others = tmp_path / "others"
    await make_secrets(others)
    async with Servers(tmp_path / "own") as servers:
        trusted = servers.directory / "nats" / "ca.pem"
        with (others / "nats" / "ca.pem").open("a") as file:
            file.write(trusted.read_text())
        servers.start("stranger", client=steady_port(), route=steady_port(), secrets=others)
        refusal = re.compile("TLS route handshake error.* certificate signed by unknown authority")
        async with asyncio.timeout(SECONDS):
            for name in SERVERS:
                while not refusal.search((servers.directory / name / "log").read_text()):
                    await asyncio.sleep(0.02)


# HAProxy.


def with_own_listeners(settings):
    """Have listeners at free ports, which believe HAProxy at this address."""
    for listener in settings["listeners"]:
        listener.update(host="127.0.0.1", port=0)
        listener.pop("allowed_sources", None)
        if listener["transport"] != "udp":
            listener["proxy_protocol"] = ["127.0.0.1/32"]
    return settings


@asynccontextmanager
async def lone_receivers(directory, sink):
    """Run two daemons with the listeners of the cluster, each with a spool of its own."""
    settings = with_own_listeners(yaml.safe_load((CLUSTER / "collector.yaml").read_text()))
    settings["sinks"][0] = {"name": SINK, "url": sink.url}
    del settings["spool"], settings["admin"]
    daemons = []
    async with AsyncExitStack() as stack:
        for name in ("receiver-1", "receiver-2"):
            (directory / name).mkdir()
            daemons.append(await stack.enter_async_context(Daemon(directory / name, settings)))
        yield daemons


@asynccontextmanager
async def haproxy(directory, daemons):
    """Run HAProxy before them; give the address of each of its listeners, by port."""
    text = (CLUSTER / "haproxy.cfg").read_text().replace("maxconn 20000", "maxconn 100")
    listeners = {5514: "syslog-tcp", 5515: "cybereason", 5516: "harfanglab", 2514: "relp"}
    ports = {port: steady_port() for port in (*listeners, 8405)}
    for port, ours in ports.items():
        text = text.replace(f"  bind :{port}\n", f"  bind 127.0.0.1:{ours}\n")
    for number, daemon in enumerate(daemons, 1):
        checked = daemon.admin_url.rpartition(":")[2]
        for port, listener in listeners.items():
            host, theirs = daemon.address(listener)
            server = f"server receiver-{number} receiver-{number}:{port}\n"
            assert server in text
            text = text.replace(
                server, f"server receiver-{number} {host}:{theirs} port {checked}\n"
            )
    file = directory / "haproxy.cfg"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        require("haproxy"), "-db", "-f", str(file), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        front = f"http://127.0.0.1:{ports[8405]}"
        async with asyncio.timeout(SECONDS):
            while await get(f"{front}/healthz") != (200, "ok"):
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield {port: ("127.0.0.1", ours) for port, ours in ports.items()}
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def get(url):
    """Return status and text of a page; None where nobody answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()
    except aiohttp.ClientError:
        return None


async def servers_up(front):
    """Return the servers that HAProxy thinks are there, each as often as it is named."""
    _, text = await get(f"http://{front[8405][0]}:{front[8405][1]}/metrics")
    return re.findall(
        r'^haproxy_server_status\{proxy="[\w-]+",server="([\w-]+)",state="UP"\} 1$',
        text,
        re.MULTILINE,
    )


async def all_up(front):
    """Wait until HAProxy thinks that both receivers are there, for each of their four listeners."""
    async with asyncio.timeout(SECONDS):
        while len(await servers_up(front)) < 8:
            await asyncio.sleep(0.05)


SENDER = "127.0.0.2"


async def send_one(address, number):
    """Send a message over a connection of its own; return the connection."""
    _, writer = await asyncio.open_connection(*address, local_addr=(SENDER, 0))
    writer.write(b"<134>1 - - - - - - %d\n" % number)
    await writer.drain()
    return writer


async def received(daemon):
    return (await daemon.status())["ledger"]["received"]


async def test_receivers_share_connections_and_one_takes_those_of_another_that_dies(tmp_path):
    """Receivers see the addresses of senders; their health checks are refused by nobody."""
    async with (
        FakeSink() as sink,
        lone_receivers(tmp_path, sink) as (one, two),
        haproxy(tmp_path, (one, two)) as front,
    ):
        open_ones = [await send_one(front[5515], number) for number in range(10)]
        await one.ledger_when(lambda ledger: ledger["delivered"] == 5)
        await two.ledger_when(lambda ledger: ledger["delivered"] == 5)
        for daemon in (one, two):
            (intake, _) = (await daemon.status())["intakes"]
            assert [seen["source"] for seen in intake["last_seen"]] == [SENDER]
        await all_up(front)
        for daemon in (one, two):
            assert [line for line in daemon.lines if line["event"] == "connection rejected"] == []
        one.process.kill()
        await one.ended()
        open_ones += [await send_one(front[port], 10) for port in (5514, 5515, 5516) * 3]
        await two.ledger_when(lambda ledger: ledger["received"] == 5 + 9)
        for writer in open_ones:
            writer.close()


@pytest.mark.slow
async def test_connections_to_a_receiver_that_hangs_are_ended(tmp_path):
    """So that its senders come to the other one."""
    async with (
        FakeSink() as sink,
        lone_receivers(tmp_path, sink) as (one, two),
        haproxy(tmp_path, (one, two)) as front,
    ):
        await all_up(front)
        one.process.send_signal(signal.SIGSTOP)
        connections = [await asyncio.open_connection(*front[5515]) for _ in range(2)]
        readers = [asyncio.create_task(reader.read()) for reader, _ in connections]
        async with asyncio.timeout(SECONDS):
            ended, going_on = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
        assert (len(ended), len(going_on)) == (1, 1)
        while set(await servers_up(front)) != {"receiver-2"}:
            await asyncio.sleep(0.05)
        writer = await send_one(front[5515], 1)
        await two.ledger_when(lambda ledger: ledger["received"] == 1)
        one.process.send_signal(signal.SIGCONT)
        for each in (writer, *(writer for _, writer in connections)):
            each.close()


# All of it.


def settings_of(kind, directory, servers, sink):
    """Return the settings as a member of a role has them, with places of the test."""
    text = (CLUSTER / "collector.yaml").read_text().replace("${NATS_USER}", kind)
    text = text.replace("/run/secrets", str(servers.directory / kind))
    settings = with_own_listeners(yaml.safe_load(text))
    settings["spool"] |= {"servers": servers.addresses, "path": str(directory / "spool")}
    settings["sinks"][0] = {"name": SINK, "url": sink.url, "batch": {"max_wait": "10ms"}}
    settings["admin"] |= {"host": "127.0.0.1", "port": 0}
    return settings


@asynccontextmanager
async def members(kind, directory, servers, sink):
    """Run two of a role."""
    daemons = []
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            own = directory / f"{kind}-{number}"
            own.mkdir()
            settings = settings_of(kind, own, servers, sink)
            daemon = Daemon(own, settings, role=ROLES[kind], defaults={})
            token = (servers.directory / kind / "admin_token").read_text().strip()
            daemon.headers["Authorization"] = f"Bearer {token}"
            daemons.append(await stack.enter_async_context(daemon))
        yield daemons


async def ledgers(daemons):
    return [(await daemon.status())["ledger"] for daemon in daemons]


@pytest.mark.slow
async def test_events_come_through_haproxy_a_receiver_the_stream_and_a_deliverer(tmp_path):
    """The ledgers of all members add up; a receiver that stops leaves nothing behind."""
    async with (
        FakeSink() as sink,
        Servers(tmp_path / "nats") as servers,
        members("receiver", tmp_path, servers, sink) as receivers,
        members("deliverer", tmp_path, servers, sink) as deliverers,
        haproxy(tmp_path, receivers) as front,
    ):
        for number in range(50):
            (await send_one(front[5515], number)).close()
        await until_received(receivers, 50)
        assert await receivers[0].stop() == 0
        for number in range(50, 100):
            (await send_one(front[5515], number)).close()
        async with asyncio.timeout(SECONDS):
            while sum(each["delivered"] for each in await ledgers(deliverers)) < 100:
                await asyncio.sleep(0.05)
            while (await ledgers(receivers[1:]))[0]["handed_over"] < 50:
                await asyncio.sleep(0.05)
        assert sum(each["taken_over"] for each in await ledgers(deliverers)) == 100
        assert sorted(event["message"] for event in sink.events) == sorted(map(str, range(100)))
        assert (await receivers[1].get("/readyz"))[0] == 200
        for kind, daemon in (("receiver", receivers[1]), ("deliverer", deliverers[0])):
            await assert_sound(kind, daemon)


async def until_received(receivers, count):
    """Wait until nothing is on its way: what one that stops has not read, plain TCP loses."""
    async with asyncio.timeout(SECONDS):
        while sum(each["received"] for each in await ledgers(receivers)) < count:
            await asyncio.sleep(0.05)


async def assert_sound(kind, daemon):
    """Have `collector doctor` look, and find nothing wrong with servers and streams."""
    command = (sys.executable, "-m", "collector", "doctor", "-c", str(daemon.file))
    said = await run(*command, "--role", str(ROLES[kind]), ends_with=None)
    assert said.count("lets us in") == len(SERVERS)
    assert len(re.findall(r"stream [\w-]+ is as settings have it", said)) == 2
    assert not re.findall(r"^(?:error|warning) +(?:stream|consumer) .*", said, re.MULTILINE)
