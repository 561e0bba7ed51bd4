"""Settings that change while the daemon runs: what changes, what stays, and what is refused."""

import asyncio
import signal
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

import pytest
import yaml

from tests.certificates import Authority
from tests.daemon import SECONDS, Daemon, free_port
from tests.fake_sink import FakeSink
from tests.relp_sender import RelpSender
from tests.station import KEY, Station

LOCAL = {"host": "127.0.0.1", "port": 0}
TCP = {"name": "tcp", "transport": "tcp", **LOCAL}
RELOADS = 'collector_config_reloads_total{outcome="%s"}'


def syslog(text, key=KEY):
    return f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()


@asynccontextmanager
async def connected(address):
    """Give what sends messages over a connection that stays open."""
    reader, writer = await asyncio.open_connection(*address)

    async def send(*messages):
        writer.writelines(b"%d %b" % (len(message), message) for message in messages)
        await writer.drain()

    send.reader = reader
    yield send
    writer.close()


async def received(daemon, count):
    """Wait until so many messages have reached an end."""

    def is_there(ledger):
        return ledger["received"] == count and not ledger["in_memory"] and not ledger["spooled"]

    return await daemon.ledger_when(is_there)


def messages(sink):
    return [event["message"] for event in sink.events]


# Asking for it.


@pytest.mark.parametrize("by_signal", [True, False])
async def test_what_has_changed_is_told(tmp_path, by_signal):
    """In the log for the audit; the hash of what is in force is that of the file."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        before = (await daemon.status())["config_sha256"]
        assert before == sha256(daemon.file.read_bytes()).hexdigest()
        daemon.configure(station.config(sink={"batch": {"max_events": 7}}, shutdown_grace="1s"))
        change = "sinks[siem].batch.max_events: 1000 -> 7"
        if by_signal:
            daemon.process.send_signal(signal.SIGHUP)
        else:
            status, answer = await daemon.reload()
            assert (status, answer["reloaded"], answer["problem"]) == (200, True, "")
            assert change in answer["changes"]
            assert answer["needs_restart"] == []
        line = await daemon.logged("audit", action="reload")
        assert (line["outcome"], line["actor"]) == ("ok", "signal" if by_signal else "loopback")
        assert change in line["changes"]
        now = sha256(daemon.file.read_bytes()).hexdigest()
        assert line["config_sha256"] == now != before
        metrics = await daemon.metrics()
        assert metrics[f'collector_config_info{{sha256="{now}"}}'] == 1
        assert (metrics[RELOADS % "ok"], metrics[RELOADS % "failed"]) == (1, 0)


async def test_the_hash_is_that_of_the_file_whatever_it_begins_with(tmp_path):
    """A byte order mark and the line ends of other systems count, as they do for `sha256sum`."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        lines = daemon.file.read_bytes().splitlines()
        daemon.file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
        assert (await daemon.reload())[0] == 200
        found = (await daemon.status())["config_sha256"]
        assert found == sha256(daemon.file.read_bytes()).hexdigest()


async def test_what_is_probably_not_meant_is_told_as_at_a_start(tmp_path):
    async with Station(tmp_path) as station, station.daemon() as daemon:
        assert not [line for line in daemon.lines if line["event"] == "configuration"]
        assert (await daemon.reload(station.config(intakes=[])))[0] == 200
        line = await daemon.logged("configuration", path="intakes")
        assert line["problem"] == "there is none, so no message is forwarded"


async def test_where_there_is_a_token_only_who_has_it_can_reload(tmp_path):
    """It can be replaced by a reload; the answer to that one still goes to who asked."""
    tokens = tmp_path / "token", tmp_path / "another"
    for number, file in enumerate(tokens):
        file.write_text(f"token-{number}")
    settings = {"admin": {"token_file": str(tokens[0])}}
    async with Station(tmp_path, **settings) as station, station.daemon() as daemon:
        for header in ({}, {"Authorization": "Bearer token-1"}):
            assert (await daemon.post("/api/reload", header))[0] == 401
        assert not [line for line in daemon.lines if line.get("action") == "reload"]
        daemon.headers = {"Authorization": "Bearer token-0"}
        status, answer = await daemon.reload(station.config(admin={"token_file": str(tokens[1])}))
        assert status == 200
        assert answer["changes"] == [f"admin.token_file: {tokens[0]} -> {tokens[1]}"]
        assert (await daemon.logged("audit", action="reload"))["actor"] == "token"
        assert (await daemon.get("/api/status"))[0] == 401
        daemon.headers = {"Authorization": "Bearer token-1"}
        assert (await daemon.get("/api/status"))[0] == 200


async def test_pages_of_other_sites_cannot_reload(tmp_path):
    """A browser on this machine reaches the loopback address without a token."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        status, text = await daemon.post("/api/reload", {"Origin": "https://site.example"})
        assert (status, text) == (403, "closed for pages of other sites\n")
        assert (await daemon.get("/api/reload"))[0] == 405
        assert (await daemon.metrics())[RELOADS % "ok"] == 0


async def test_off_loopback_without_a_token_nobody_can_reload(tmp_path):
    async with Station(tmp_path, admin={"host": "0.0.0.0"}) as station, station.daemon() as daemon:
        status, text = await daemon.post("/api/reload")
        assert status == 403
        assert "admin.token_file" in text


# Listeners.


async def test_listeners_come_and_go(tmp_path):
    """Where one is gone, what was sent there before is delivered, and nobody listens."""
    udp = {"name": "udp", "transport": "udp", **LOCAL}
    port = free_port()
    added = {**TCP, "name": "added", "port": port}
    async with Station(tmp_path) as station, station.daemon(listeners=[TCP, udp]) as daemon:
        address = daemon.address("udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(syslog("by datagram"), address)
            _, answer = await daemon.reload(station.config(listeners=[TCP, added]))
            assert answer["changes"] == [
                "listeners[udp]: present -> absent",
                "listeners[added]: absent -> present",
            ]
        async with connected(("127.0.0.1", port)) as send:
            await send(syslog("by the new one"))
            await received(daemon, 2)
        assert sorted(messages(station)) == ["by datagram", "by the new one"]
        assert [item["name"] for item in (await daemon.status())["listeners"]] == ["tcp", "added"]
        assert not [name for name in await daemon.metrics() if 'listener="udp"' in name]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as successor:
            successor.bind(address)


async def test_a_listener_that_is_renamed_keeps_its_connections(tmp_path):
    """It counts under the new name, and is bound to another intake, from then on."""
    listener = {**TCP, "port": free_port()}
    intakes = [{"name": name, "parser": "raw", "fields": {"labels.of": name}} for name in "ab"]
    intakes = [{**intake, "key": f"key-{intake['name']}"} for intake in intakes]
    async with Station(tmp_path, intakes=intakes) as station:
        old, new = ({**listener, "name": n, "intake": i} for n, i in (("old", "a"), ("new", "b")))
        async with (
            station.daemon(listeners=[old]) as daemon,
            connected(daemon.address("old")) as send,
        ):
            await send(b"<134>first")
            await received(daemon, 1)
            assert (await daemon.reload(station.config(listeners=[new])))[0] == 200
            metrics = await daemon.metrics()
            assert metrics['collector_connections{listener="new"}'] == 1
            assert 'collector_connections{listener="old"}' not in metrics
            await send(b"<134>second")
            await received(daemon, 2)
            metrics = await daemon.metrics()
            assert metrics['collector_messages_received_total{listener="new"}'] == 1
            assert metrics['collector_events_total{intake="b",outcome="ok"}'] == 1
    assert [(e["message"], e["labels"]["of"]) for e in station.events] == [
        ("first", "a"),
        ("second", "b"),
    ]


async def test_a_listener_that_moves_takes_in_what_was_sent_to_its_former_address(tmp_path):
    """Connections there are ended, and nobody listens there any more."""
    ports = free_port(), free_port()
    async with Station(tmp_path) as station:
        config = [station.config(listeners=[{**TCP, "port": port}]) for port in ports]
        async with (
            Daemon(tmp_path, config[0]) as daemon,
            connected(("127.0.0.1", ports[0])) as send,
        ):
            await send(*(syslog(str(number)) for number in range(1000)))
            _, answer = await daemon.reload(config[1])
            assert answer["changes"] == [f"listeners[tcp].port: {ports[0]} -> {ports[1]}"]
            assert await send.reader.read() == b""
            await received(daemon, 1000)
            assert station.numbers == list(range(1000))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", ports[0])
            async with connected(("127.0.0.1", ports[1])) as send_there:
                await send_there(syslog("1000"))
                await received(daemon, 1001)


async def test_listeners_can_exchange_their_addresses(tmp_path):
    """Neither is bound anew; each message and connection counts for who has its address now."""
    ports = free_port(), free_port()
    both = [{**TCP, "name": name, "port": port} for name, port in zip("ab", ports, strict=True)]
    swapped = [{**TCP, "name": name, "port": port} for name, port in zip("ba", ports, strict=True)]
    async with (
        Station(tmp_path) as station,
        station.daemon(listeners=both) as daemon,
        connected(("127.0.0.1", ports[0])) as send,
    ):
        await send(syslog("0"))
        await received(daemon, 1)
        assert (await daemon.reload(station.config(listeners=swapped)))[0] == 200
        await send(syslog("1"))
        await received(daemon, 2)
        metrics = await daemon.metrics()
        for name, connections in (("a", 0), ("b", 1)):
            assert metrics[f'collector_messages_received_total{{listener="{name}"}}'] == 1
            assert metrics[f'collector_connections{{listener="{name}"}}'] == connections


async def test_datagrams_that_the_kernel_drops_are_told_of_the_socket_of_now(tmp_path):
    """A listener that moves begins at 0 there, whatever its former socket has dropped."""
    ports = free_port(), free_port()
    small = {**TCP, "name": "udp", "transport": "udp", "receive_buffer": "4KiB"}
    dropped = 'collector_udp_kernel_drops_total{listener="udp"}'
    async with Station(tmp_path) as station:
        config = [station.config(listeners=[{**small, "port": port}]) for port in ports]
        async with Daemon(tmp_path, config[0]) as daemon:
            counts = [await flooded(daemon, ports[0], dropped)]
            await daemon.reload(config[1])
            assert (await daemon.metrics())[dropped] == 0
            counts.append(await flooded(daemon, ports[1], dropped))
            assert all(counts)


async def flooded(daemon, port, dropped):
    """Send more datagrams than a socket holds while nothing is read; return what it dropped."""
    daemon.process.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(1000):
            sender.sendto(syslog(f"{number} {'x' * 1000}"), ("127.0.0.1", port))
    daemon.process.send_signal(signal.SIGCONT)
    return (await daemon.metrics())[dropped]


async def test_who_may_write_to_a_socket_of_this_machine_can_change(tmp_path):
    """What is connected stays so."""
    path = tmp_path / "socket"

    def listener(mode):
        return {"listeners": [{"name": "local", "transport": "unix", "path": str(path), **mode}]}

    async with (
        Station(tmp_path) as station,
        station.daemon(**listener({"mode": "0600"})) as daemon,
    ):
        _, writer = await asyncio.open_unix_connection(path)
        assert path.stat().st_mode & 0o777 == 0o600
        for mode, expected in (({"mode": "0666"}, 0o666), ({}, 0o660)):
            assert (await daemon.reload(station.config(**listener(mode))))[0] == 200
            assert path.stat().st_mode & 0o777 == expected
        writer.write(syslog("0") + b"\n")
        await received(daemon, 1)
        writer.close()
        assert (await daemon.reload(station.config()))[0] == 200
        assert not path.exists()


async def test_a_port_that_a_listener_has_is_free_for_another_host_once_it_has_left(tmp_path):
    """The system does not give it away before; the answer says by whom it is in use."""
    port = free_port()
    settings = [{**TCP, "host": host, "port": port} for host in ("127.0.0.1", "0.0.0.0")]
    async with Station(tmp_path) as station, station.daemon(listeners=settings[:1]) as daemon:
        status, answer = await daemon.reload(station.config(listeners=settings[1:]))
        assert status == 422
        assert "in use by listener tcp until it has another port" in answer["problem"]
        assert (await daemon.reload(station.config()))[0] == 200
        assert (await daemon.reload(station.config(listeners=settings[1:])))[0] == 200
        async with connected(("127.0.0.1", port)) as send:
            await send(syslog("0"))
            await received(daemon, 1)


# Intakes and keys.


async def test_a_key_that_is_gone_is_refused_on_connections_that_stay_open(tmp_path):
    """And the new one is accepted there; the keys are not shown."""

    def intake(*keys):
        return {"intakes": [{"name": "any", "parser": "raw", "key": list(keys)}]}

    async with Station(tmp_path) as station:
        async with (
            station.daemon(**intake("the-old-key")) as daemon,
            connected(daemon.address("tcp")) as send,
        ):
            for number, keys in enumerate([("the-old-key", "the-new-key"), ("the-new-key",)]):
                await send(syslog(f"old {number}", "the-old-key"))
                await received(daemon, 3 * number + 1)
                status, answer = await daemon.reload(station.config(**intake(*keys)))
                assert status == 200
                assert len(answer["changes"]) == 1
                assert answer["changes"][0].startswith("intakes[any].key: [***")
                await send(syslog(f"old {number} after", "the-old-key"))
                await send(syslog(f"new {number}", "the-new-key"))
                ledger = await received(daemon, 3 * number + 3)
            assert ledger["dead_lettered"] == {"unknown_intake": 1}
            shown = str(daemon.lines) + (await daemon.get("/metrics"))[1]
        assert messages(station) == ["old 0", "old 0 after", "new 0", "old 1", "new 1"]
        assert "the-old-key" not in shown
        assert "the-new-key" not in shown


async def test_an_intake_that_is_gone_receives_nothing_more(tmp_path):
    """One that is added does, by its key or by the sender's address, over the same connection."""
    first = {"name": "first", "parser": "raw", "key": "the-first-key"}
    second = {"name": "second", "parser": "raw", "sources": ["127.0.0.1"]}
    async with (
        Station(tmp_path) as station,
        station.daemon(intakes=[first]) as daemon,
        connected(daemon.address("tcp")) as send,
    ):
        await send(b"<134>nobody's", syslog("first's", "the-first-key"))
        await received(daemon, 2)
        await daemon.reload(station.config(intakes=[second]))
        await send(b"<134>second's", syslog("nobody's", "the-first-key"))
        ledger = await received(daemon, 4)
        assert ledger["dead_lettered"] == {"unknown_intake": 2}
        assert messages(station) == ["first's", "second's"]
        assert [item["name"] for item in (await daemon.status())["intakes"]] == ["second"]


# Sinks.


@asynccontextmanager
async def under_load(daemon):
    """Have messages sent within; gives the numbers of those that went, all delivered in the end."""
    async with connected(daemon.address("tcp")) as send:
        numbers = []
        sending = asyncio.create_task(keep_sending(send, numbers))
        try:
            yield numbers
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        await received(daemon, len(numbers))


async def keep_sending(send, numbers):
    """Send numbered messages until cancelled; `numbers` holds those that went, or are about to."""
    while True:
        some = range(len(numbers), len(numbers) + 10)
        numbers += some
        await send(*(syslog(str(number)) for number in some))
        await asyncio.sleep(0.002)


def numbers_of(*sinks):
    return sorted(int(text) for sink in sinks for text in messages(sink))


async def test_a_sink_that_changes_under_load_gets_each_message_once(tmp_path):
    """Its form, its compression and its credentials, as often as they do."""
    token = tmp_path / "token"
    token.write_text("token-of-a-file")
    changes = [
        {"format": "json"},
        {"compression": "gzip", "concurrency": 4},
        {"auth": {"bearer": {"token": "token-in-the-settings"}}},
        {"auth": {"bearer": {"token_file": str(token)}}, "batch": {"max_events": 3}},
        {},
    ]
    async with Station(tmp_path) as station, station.daemon() as daemon:
        async with under_load(daemon) as numbers:
            for change in changes:
                status, answer = await daemon.reload(station.config(sink=change))
                assert status == 200, answer
                seen = len(station.events)
                await station.wait_until(lambda least=seen + 100: len(station.events) > least)
        assert numbers_of(station) == numbers
        used = {headers.get("Authorization") for headers in station.headers}
        assert used == {None, "Bearer token-in-the-settings", "Bearer token-of-a-file"}


async def test_a_sink_that_moves_under_load_is_followed(tmp_path):
    """Each message arrives at one of the two addresses, once."""
    async with (
        Station(tmp_path) as station,
        FakeSink() as successor,
        station.daemon() as daemon,
    ):
        async with under_load(daemon) as numbers:
            await station.wait_until(lambda: len(station.events) > 100)
            await daemon.reload(station.config(sink={"url": successor.url}))
            before = len(station.requests)
            await successor.wait_until(lambda: len(successor.events) > 100)
        assert len(station.requests) == before
        assert numbers_of(station, successor) == numbers


async def test_sinks_come_and_go_under_load(tmp_path):
    """One that is added gets what comes from then on; what waits for one that is gone is kept."""
    async with Station(tmp_path) as station, FakeSink() as other, station.daemon() as daemon:
        config = station.config()
        (siem,) = config["sinks"]
        both = {**config, "sinks": [siem, {**siem, "name": "other", "url": other.url}]}
        async with under_load(daemon) as numbers:
            _, answer = await daemon.reload(both)
            assert answer["changes"] == ["sinks[other]: absent -> present"]
            await other.wait_until(lambda: len(other.events) > 100)
            await daemon.reload(config)
            ended = len(other.requests)
            seen = len(station.events)
            await station.wait_until(lambda: len(station.events) > seen + 100)
            assert len(other.requests) == ended
            await daemon.reload(both)
            await other.wait_until(lambda: len(other.requests) > ended + 3)
        assert numbers_of(station) == numbers
        got = numbers_of(other)
        assert len(got) == len(set(got)) < len(numbers)
        assert (await daemon.status())["ledger"]["copies"] == len(got)


async def test_a_reload_while_a_sink_is_down_loses_nothing(tmp_path):
    """What waits is delivered once it is back, in the form the sink has by then."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        station.go_away()
        async with connected(daemon.address("tcp")) as send:
            await send(*(syslog(str(number)) for number in range(500)))
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 500)
            for change in ({"batch": {"max_events": 10}}, {"compression": "gzip"}, {}):
                assert (await daemon.reload(station.config(sink=change)))[0] == 200
                await daemon.ledger_when(lambda ledger: ledger["spooled"] == 500)
            station.come_back()
            await received(daemon, 500)
        assert numbers_of(station) == list(range(500))


# Connections that a change ends, and what they bring until they do.

BOUND = {"intake": "any"}
ROOMY = {"batch": {"max_wait": "1m", "max_events": 100_000, "max_bytes": "8MiB"}}


class Pump:
    """Sends numbered messages without a key over a connection until it breaks.

    Attributes:
        sent: how many went, or are about to.
    """

    def __init__(self, address):
        self._address = address
        self.sent = 0
        self.is_told = asyncio.Event()

    async def run(self):
        """Send; tell when the daemon has let us see that it ends the connection."""
        reader, writer = await asyncio.open_connection(*self._address)
        looking = asyncio.create_task(reader.read())
        looking.add_done_callback(lambda _: self.is_told.set())
        with suppress(ConnectionError):
            while True:
                text = b"<134>%d" % self.sent
                self.sent += 1
                writer.write(b"%d %b" % (len(text), text))
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()
        await asyncio.wait([looking])
        assert looking.exception() is None or isinstance(looking.exception(), ConnectionError)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["gone", "another protocol"])
async def test_what_connections_bring_that_a_reload_ends_is_delivered_at_once(
    tmp_path, is_replaced
):
    """It does not wait for its batch to be full or old: nobody else adds to it."""
    ending = {**TCP, **BOUND, "name": "ending", "port": free_port()}
    later = [{**ending, "transport": "relp"}] if is_replaced else []
    async with Station(tmp_path, sink=ROOMY) as station:
        async with station.daemon(listeners=[TCP, ending]) as daemon:
            pump = Pump(("127.0.0.1", ending["port"]))
            pumping = asyncio.create_task(pump.run())
            await daemon.ledger_when(lambda ledger: ledger["in_memory"] > 10)
            assert (await daemon.reload(station.config(listeners=[TCP, *later])))[0] == 200
            await pumping
            async with asyncio.timeout(SECONDS / 2):  # long before its batch would be old
                ledger = await daemon.ledger_when(
                    lambda ledger: not ledger["in_memory"] and not ledger["spooled"]
                )
            assert ledger["dead_lettered"] == {}
        assert station.numbers == list(range(ledger["received"]))


async def test_what_they_bring_until_the_daemon_stops_is_on_disk(tmp_path):
    """A stop that comes before they have ended waits for them, and leaves nothing in memory."""
    ending = {**TCP, **BOUND, "name": "ending", "port": free_port()}
    async with Station(tmp_path, sink=ROOMY) as station:
        station.go_away()
        async with station.daemon(listeners=[TCP, ending]) as daemon:
            pump = Pump(("127.0.0.1", ending["port"]))
            pumping = asyncio.create_task(pump.run())
            await daemon.ledger_when(lambda ledger: ledger["in_memory"] > 10)
            daemon.configure(station.config(listeners=[TCP]))
            daemon.process.send_signal(signal.SIGHUP)
            await pump.is_told.wait()
            assert await daemon.stop() == 0
            await pumping
        stopped = daemon.lines[-2]
        assert (stopped["event"], daemon.lines[-1]["action"]) == ("stopped", "stop")
        assert stopped["spooled"] == stopped["received"] > 10
        assert stopped["in_memory"] == 0
        assert not [line for line in daemon.lines if line["level"] == "error"]


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "no longer allowed"])
async def test_what_is_answered_over_relp_while_a_reload_ends_it_is_safe(tmp_path, is_gone):
    """Whoever was told so may forget the message, though the daemon is killed then."""
    ending = {**TCP, **BOUND, "name": "ending", "transport": "relp"}
    later = [TCP] if is_gone else [TCP, {**ending, "allowed_sources": ["192.0.2.0/24"]}]
    async with Station(tmp_path, sink=ROOMY) as station:
        async with station.daemon(listeners=[TCP, ending]) as daemon:
            async with RelpSender(daemon.address("ending")) as sender:
                sending = asyncio.create_task(keep_asking(sender))
                await daemon.ledger_when(lambda ledger: ledger["received"] > 100)
                assert (await daemon.reload(station.config(listeners=later)))[0] == 200
                await sending
            daemon.process.kill()
            await daemon.ended()
        async with station.daemon(listeners=[TCP]) as daemon:
            await daemon.ledger_when(lambda ledger: not ledger["spooled"])
        assert sender.client.accepted > 100
        assert set(station.numbers) >= set(range(sender.client.accepted))


async def keep_asking(sender):
    """Send numbered messages, each batch when the one before is answered, until told to leave."""
    numbers = count()
    with suppress(ConnectionError):
        while True:
            await sender.send(b"<134>%d" % number for number in islice(numbers, 20))


# What cannot be, or not yet.


def with_mistakes(station, directory):
    """Return settings files with a mistake each, by what is said of them."""
    occupied = socket.create_server(("127.0.0.1", 0))
    authority = Authority(directory)
    files = authority.server("one"), authority.server("another")
    mismatch = {"cert_file": str(files[0].cert_file), "key_file": str(files[1].key_file)}
    missing = {**mismatch, "cert_file": str(directory / "missing.pem")}
    added = {**TCP, "name": "added"}
    port = occupied.getsockname()[1]
    texts = {
        f"cannot listen on 127.0.0.1:{port}: Address already in use": station.config(
            listeners=[TCP, {**added, "port": port}]
        ),
        "key_file: ": station.config(listeners=[TCP, {**added, "tls": mismatch}]),
        "tls.cert_file: ": station.config(listeners=[TCP, {**added, "tls": missing}]),
        "listeners: ": station.config(listeners=[]),
        "lisseners: unknown": station.config(lisseners=[]),
        "intakes[0].parser: ": station.config(intakes=[{"name": "x", "parser": "y", "key": "zzz"}]),
        "sinks[0].auth.bearer.token_file: ": station.config(
            sink={"auth": {"bearer": {"token_file": str(directory / "missing")}}}
        ),
    }
    return occupied, {said: yaml.safe_dump(config) for said, config in texts.items()}


async def test_a_mistake_changes_nothing_and_is_told(tmp_path):
    """In the answer, in the log and by a counter; what is open stays open."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        in_force = (await daemon.status())["config_sha256"]
        occupied, files = with_mistakes(station, tmp_path)
        files["line 2, column 1"] = "listeners: [\n}"
        async with connected(daemon.address("tcp")) as send:
            for number, (said, text) in enumerate(files.items(), 1):
                daemon.file.write_text(text)
                status, answer = await daemon.reload()
                assert (status, answer["reloaded"], answer["changes"]) == (422, False, [])
                assert said in answer["problem"]
                event = "settings not reloaded, nothing has changed"
                line = await daemon.logged(event, problem=answer["problem"])
                assert line["level"] == "error"
                audited = await daemon.logged("audit", problem=answer["problem"])
                assert (audited["outcome"], audited["config_sha256"]) == ("failed", in_force)
                metrics = await daemon.metrics()
                assert (metrics[RELOADS % "ok"], metrics[RELOADS % "failed"]) == (0, number)
                assert metrics["collector_config_last_reload_successful"] == 0
                assert metrics['collector_degraded{part="settings"}'] == 1
                assert f'collector_config_info{{sha256="{in_force}"}}' in metrics
                assert [item["name"] for item in (await daemon.status())["listeners"]] == ["tcp"]
                await send(syslog(str(number)))
                await received(daemon, number)
            occupied.close()
            assert (await daemon.reload(station.config()))[0] == 200
            metrics = await daemon.metrics()
            assert metrics["collector_config_last_reload_successful"] == 1
            assert metrics['collector_degraded{part="settings"}'] == 0
            await send(syslog("0"))
            await received(daemon, len(files) + 1)


async def test_what_needs_a_restart_is_named_and_goes_on_as_it_was(tmp_path):
    """The rest of the same file is gone by."""
    async with Station(tmp_path) as station, station.daemon() as daemon:
        changed = station.config(
            spool={"max_bytes": "20MiB"},
            admin={"port": free_port()},
            dead_letters={"max_age": "1h"},
            shutdown_grace="300ms",
        )
        status, answer = await daemon.reload(changed)
        assert status == 200
        assert answer["needs_restart"] == [
            "spool.max_bytes",
            "dead_letters.max_age",
            "admin.port",
        ]
        assert answer["changes"] == ["shutdown_grace: 200ms -> 300ms"]
        line = await daemon.logged("settings that need a restart go on as they were")
        assert line["settings"] == answer["needs_restart"]
        assert (await daemon.metrics())["collector_spool_max_bytes"] == 10 << 30


# At the wrong time.


class Hurried(Daemon):
    """A daemon that is asked to reload as soon as its process knows what that means."""

    async def _start(self, *command):
        process = await super()._start(*command)
        async with asyncio.timeout(SECONDS):
            while not is_prepared(process.pid, signal.SIGHUP):
                await asyncio.sleep(0.001)
        for _ in range(5):
            process.send_signal(signal.SIGHUP)
        return process


def is_prepared(process, number):
    """Say whether a signal would not end a process (proc(5)): it is blocked, or caught."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    return any(int(masks[name], 16) >> (number - 1) & 1 for name in ("SigBlk", "SigCgt"))


async def test_a_signal_that_comes_before_everything_has_started_is_followed_then(tmp_path):
    async with Station(tmp_path) as station, Hurried(tmp_path, station.config()) as daemon:
        assert (await daemon.logged("audit", action="reload"))["outcome"] == "ok"
        async with connected(daemon.address("tcp")) as send:
            await send(syslog("0"))
            await received(daemon, 1)


async def test_while_the_daemon_stops_nothing_is_reloaded(tmp_path):
    """Above all it does not begin to listen again."""
    async with Station(tmp_path, shutdown_grace="20s") as station, station.daemon() as daemon:
        address = daemon.address("tcp")
        station.go_away()
        async with connected(address) as send:
            await send(syslog("0"))
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 1)
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.logged("stopping")
        daemon.process.send_signal(signal.SIGHUP)
        status, answer = await daemon.reload(station.config(listeners=[{**TCP, "name": "late"}]))
        assert status == 422
        assert "stopping" in answer["problem"]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        station.come_back()
        assert await daemon.ended() == 0
        assert not [line for line in daemon.lines if line.get("listener") == "late"]
        assert station.numbers == [0]


BROKEN_AT_A_RELOAD = """
from itertools import count
from collector import cli
from collector.intakes import IntakeMaker

calls, router = count(), IntakeMaker.router

def broken(self, keys):
    if next(calls):
        raise RuntimeError("broken on purpose")
    return router(self, keys)

IntakeMaker.router = broken
cli.main()
"""

PATIENT = "from collector import cli, deliveries; deliveries.RETIREMENT_SECONDS = 1e6; cli.main()"


class Altered(Daemon):
    """A daemon that is not quite as it should be: it is started by a program of the test."""

    def __init__(self, directory, settings, program):
        super().__init__(directory, settings)
        self._program = program

    async def _start(self, *command):
        interpreter, _, _, *arguments = command
        return await super()._start(interpreter, "-c", self._program, *arguments)


async def test_a_reload_that_breaks_half_way_ends_the_daemon(tmp_path):
    """It would go on partly by the new settings, and might say of messages that they are safe."""
    async with (
        Station(tmp_path) as station,
        Altered(tmp_path, station.config(), BROKEN_AT_A_RELOAD) as daemon,
    ):
        async with connected(daemon.address("tcp")) as send:
            await send(syslog("0"))
            await received(daemon, 1)
            daemon.process.send_signal(signal.SIGHUP)
            assert await daemon.ended() == 1
        events = [line["event"] for line in daemon.lines]
        assert "settings taken over in part only, please report it" in events
        stopped = next(line for line in daemon.lines if line["event"] == "stopped")
        assert (stopped["delivered"], stopped["in_memory"]) == (1, 0)
        assert station.numbers == [0]


async def test_a_stop_does_not_wait_for_a_reload_that_waits_for_a_sink(tmp_path):
    """One whose requests are never answered; what it did not get stays on disk."""
    never = asyncio.Event()
    async with Station(tmp_path, sink={"timeout": "10m"}) as station:

        async def answer(_):
            await never.wait()
            return 200

        station.answer = answer
        async with Altered(tmp_path, station.config(), PATIENT) as daemon:
            async with connected(daemon.address("tcp")) as send:
                await send(syslog("0"))
                await station.wait_until(lambda: station.requests)
            added = {**TCP, "name": "added"}
            daemon.configure(station.config(sink={"timeout": "9m"}, listeners=[TCP, added]))
            daemon.process.send_signal(signal.SIGHUP)
            await daemon.logged("listening", listener="added")
            assert await daemon.stop() == 0
        never.set()
        stopped = next(line for line in daemon.lines if line["event"] == "stopped")
        assert (stopped["spooled"], stopped["in_memory"]) == (1, 0)
        assert not [line for line in daemon.lines if line["level"] == "error"]


# All of it, again and again.


class Load:
    """Senders whose messages are numbers; the connection of each has to stay until the end.

    Attributes:
        key: of the messages that are sent from now on.
        sent: how many went, or are about to.
        is_over: set to have the senders end.
    """

    def __init__(self, key):
        self.key = key
        self.sent = 0
        self.is_over = False

    def _numbered(self, count):
        first, self.sent = self.sent, self.sent + count
        return [syslog(str(number), self.key) for number in range(first, self.sent)]

    async def over_tcp(self, address, context=None):
        """Send over TCP, or TLS if there is a context for it."""
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        while not self.is_over:
            assert not reader.at_eof()
            texts = self._numbered(10)
            writer.writelines(b"%d %b" % (len(text), text) for text in texts)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.close()
        await writer.wait_closed()

    async def over_relp(self, address):
        """Send over RELP; each message has to be accepted."""
        async with RelpSender(address) as sender:
            while not self.is_over:
                await sender.send(self._numbered(20))
                assert not sender.client.refused
                await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_reloads_under_load_lose_nothing_and_end_no_connection(tmp_path, in_full):
    """Each message arrives once, and the ledger balances at every look."""
    rounds = 100 if in_full else 15
    authority = Authority(tmp_path)
    certificate = authority.server()
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    tls = {"cert_file": str(certificate.cert_file), "key_file": str(certificate.key_file)}
    listeners = [
        TCP,
        {**TCP, "name": "tls", "tls": tls},
        {**TCP, "name": "relp", "transport": "relp"},
    ]

    def config(number):
        """The keys move on by one; all else is one way or another."""
        odd = number % 2
        keys = [f"the-key-{n}" for n in (number, number + 1)]
        extra = {**TCP, "name": f"extra-{number}", "transport": ("udp", "tcp")[odd]}
        return station.config(
            listeners=[*listeners, extra] if odd else [extra, *reversed(listeners)],
            intakes=[{"name": "any", "parser": "raw", "key": keys}],
            sink={
                "batch": {"max_wait": "10ms", "max_events": (1000, 20)[odd]},
                "compression": ("none", "gzip")[number // 2 % 2],
                "spool": {"max_bytes": ("8MiB", "9MiB")[number // 3 % 2]},
            },
        )

    async with (
        Station(tmp_path) as station,
        Daemon(tmp_path, config(0)) as daemon,
    ):
        load = Load("the-key-1")
        senders = [
            asyncio.create_task(course)
            for course in (
                load.over_tcp(daemon.address("tcp")),
                load.over_tcp(daemon.address("tls"), trusting),
                load.over_relp(daemon.address("relp")),
            )
        ]
        for number in range(1, rounds + 1):
            authority.server()  # in place of the former one
            status, answer = await daemon.reload(config(number))
            assert status == 200, answer
            assert not any(sender.done() for sender in senders), senders
            # Nothing with a key that the next round does not know may be on its way then.
            least, load.key = load.sent, f"the-key-{number + 1}"
            await daemon.ledger_when(lambda ledger, least=least: ledger["received"] >= least)
        load.is_over = True
        await asyncio.gather(*senders)
        await received(daemon, load.sent)
        assert sorted(station.numbers) == list(range(load.sent))
        metrics = await daemon.metrics()
        assert metrics[RELOADS % "ok"] == rounds
        rejected = [name for name in metrics if name.startswith("collector_connections_rejected")]
        assert rejected
        assert not any(metrics[name] for name in rejected)
