"""A running daemon under bad input and behind a bad sink: it goes on, and its ledger balances."""

import asyncio
import os
import socket
import struct
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

KEY = "the-key-of-the-test"


@asynccontextmanager
async def collecting(directory, *, listener=None, sink_settings=None, **settings):
    """Run a daemon with one TCP and one UDP listener, routed by key, and its sink."""
    async with FakeSink() as sink:
        local = {"host": "127.0.0.1", "port": 0}
        config = {
            "listeners": [
                {"name": "tcp", "transport": "tcp", **local, **(listener or {})},
                {"name": "udp", "transport": "udp", **local},
            ],
            "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
            "sinks": [
                {
                    "name": "siem",
                    "url": sink.url,
                    "batch": {"max_wait": "10ms"},
                    "retry": {"initial": "20ms", "max": "200ms"},
                    **(sink_settings or {}),
                }
            ],
            **settings,
        }
        async with Daemon(directory, config) as daemon:
            yield daemon, sink


def syslog(text, key=KEY):
    return f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()


def counted(*messages):
    return b"".join(b"%d %b" % (len(message), message) for message in messages)


async def send(address, data):
    """Send octets over one connection and close it."""
    _, writer = await asyncio.open_connection(*address)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def total(ledger):
    """Count the messages that have reached an end."""
    ends = ("rejected", "dropped", "dead_lettered")
    return ledger["delivered"] + sum(sum(ledger[account].values()) for account in ends)


@pytest.mark.parametrize("on_unknown", ["dead_letter", "reject"])
async def test_a_wrong_key_and_no_key_are_told_and_never_shown(tmp_path, on_unknown):
    """They are kept as dead letters, or rejected; what follows on the connection is served."""
    routing = {"on_unknown": on_unknown}
    async with collecting(tmp_path, routing=routing) as (daemon, sink):
        wrong = [syslog("x", key="not-a-key-of-ours"), b"<134>1 - - - - - - no key"]
        await send(daemon.address("tcp"), counted(*wrong, syslog("good")))
        ledger = await daemon.ledger_when(lambda ledger: total(ledger) == 3)
        kept = on_unknown == "dead_letter"
        assert ledger["dead_lettered"] == ({"unknown_intake": 2} if kept else {})
        assert ledger["rejected"] == ({} if kept else {"unknown_intake": 2})
        assert [event["message"] for event in sink.events] == ["good"]
        metrics = await daemon.metrics()
        rejected = 'collector_messages_rejected_total{listener="tcp",reason="unknown_intake"}'
        assert metrics.get(rejected, 0) == (0 if kept else 2)
        letters = 'collector_events_dead_lettered_total{intake="",reason="unknown_intake"}'
        assert metrics.get(letters, 0) == (2 if kept else 0)
        assert metrics['collector_messages_received_total{listener="tcp"}'] == 3
        shown = str(daemon.lines) + (await daemon.get("/metrics"))[1] + str(await daemon.status())
        assert "not-a-key-of-ours" not in shown
        assert KEY not in shown
        reasons = [
            line["problem"] for line in daemon.lines if line.get("reason") == "unknown_intake"
        ]
        assert sorted(reasons) == [
            "no intake key, and neither the listener nor the sender belongs to an intake",
            "the intake key is not configured",
        ]


@pytest.mark.parametrize("when_oversize", ["truncate", "reject"])
async def test_a_line_of_ten_mebibytes_is_cut_or_refused_and_the_next_one_served(
    tmp_path, when_oversize
):
    """The connection is kept either way."""
    line = syslog("y" * (10 << 20))
    async with collecting(tmp_path, listener={"when_oversize": when_oversize}) as (daemon, sink):
        await send(daemon.address("tcp"), line + b"\n" + syslog("after") + b"\n")
        ledger = await daemon.ledger_when(lambda ledger: total(ledger) == 2)
        metrics = await daemon.metrics()
    assert sink.events[-1]["message"] == "after"
    if when_oversize == "reject":
        assert ledger["rejected"] == {"oversize": 1}
        assert metrics['collector_messages_rejected_total{listener="tcp",reason="oversize"}'] == 1
    else:
        cut = sink.events[0]
        assert cut["message"] == line[: 256 * 1024].decode().partition("] ")[2]
        assert "truncated" in cut["tags"]
        assert metrics['collector_messages_truncated_total{listener="tcp"}'] == 1


async def test_random_octets_are_survived(tmp_path):
    """Over TCP and UDP; a good message after them arrives."""
    async with collecting(tmp_path) as (daemon, sink):
        for _ in range(20):
            await send(daemon.address("tcp"), os.urandom(50_000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(daemon.address("udp"))
            for _ in range(200):
                sender.send(os.urandom(1400))
            sender.send(syslog("udp"))
        await send(daemon.address("tcp"), syslog("tcp"))
        await sink.wait_until(lambda: len(sink.events) >= 2)
        await daemon.ledger_when(lambda ledger: total(ledger) == ledger["received"] > 220)
        assert sorted(event["message"] for event in sink.events) == ["tcp", "udp"]
        assert await daemon.stop() == 0


async def test_a_half_sent_frame_is_kept_when_its_sender_leaves(tmp_path):
    """It is no message, and not forgotten either."""
    async with collecting(tmp_path) as (daemon, sink):
        await send(daemon.address("tcp"), counted(syslog("whole")) + b"500 <134>1 - half")
        ledger = await daemon.ledger_when(lambda ledger: total(ledger) == 2)
        assert ledger["dead_lettered"] == {"incomplete_frame": 1}
        assert [event["message"] for event in sink.events] == ["whole"]


async def test_a_frame_that_does_not_end_in_time_costs_its_connection(tmp_path):
    """Its sender is named; a connection that is merely idle stays."""
    async with collecting(tmp_path, listener={"frame_timeout": "200ms"}) as (daemon, _):
        idle_reader, idle = await asyncio.open_connection(*daemon.address("tcp"))
        reader, slow = await asyncio.open_connection(*daemon.address("tcp"))
        slow.write(b"500 <134>1 - half")
        assert await reader.read() == b""
        ledger = await daemon.ledger_when(lambda ledger: total(ledger) == 1)
        assert ledger["dead_lettered"] == {"incomplete_frame": 1}
        line = await daemon.logged("connection rejected")
        assert (line["reason"], line["peer"]) == ("frame_timeout", "127.0.0.1")
        metrics = await daemon.metrics()
        assert metrics['collector_connections{listener="tcp"}'] == 1
        slow.close()
        idle.write(counted(syslog("still here")))
        await idle.drain()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1)
        idle.close()
        assert await idle_reader.read() == b""


async def test_a_wrong_framing_is_named_once_per_connection(tmp_path):
    """The log says what was expected and what came; no text is lost."""
    async with collecting(tmp_path, listener={"framing": "octet-counted"}) as (daemon, sink):
        await send(daemon.address("tcp"), (syslog("a") + b"\n") * 3)
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 3)
        lines = [line for line in daemon.lines if line["event"] == "framing mismatch"]
        assert len(lines) == 1
        assert lines[0]["problem"].startswith("octet count expected, got ")
        assert lines[0]["peer"] == "127.0.0.1"
        assert [event["message"] for event in sink.events] == ["a"] * 3


async def test_two_thousand_connections_are_bounded_and_those_within_served(tmp_path):
    """What is beyond the limits is refused with its reason."""
    limits = {"max_connections": 1500, "max_connections_per_source": 1400}
    async with collecting(tmp_path, listener=limits) as (daemon, _), AsyncExitStack() as stack:
        address = daemon.address("tcp")
        writers = []
        for _ in range(2000):
            _, writer = await asyncio.open_connection(*address)
            stack.callback(writer.close)
            writers.append(writer)
        key = 'collector_connections_rejected_total{listener="tcp",reason="%s"}'
        async with asyncio.timeout(30):
            while (await daemon.metrics()).get(key % "max_connections_per_source") != 600:
                await asyncio.sleep(0.05)
        assert (await daemon.metrics())['collector_connections{listener="tcp"}'] == 1400
        for writer in writers[:1400]:
            writer.write(counted(syslog("m")))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1400)
        assert ledger["received"] == 1400


async def test_other_networks_are_not_let_in(tmp_path):
    """A connection is refused, a datagram is received and rejected."""
    others = {"allowed_sources": ["192.0.2.0/24"]}
    local = {"host": "127.0.0.1", "port": 0, **others}
    listeners = [
        {"name": "tcp", "transport": "tcp", **local},
        {"name": "udp", "transport": "udp", **local},
    ]
    async with collecting(tmp_path, listeners=listeners) as (daemon, _):
        reader, writer = await asyncio.open_connection(*daemon.address("tcp"))
        with suppress(ConnectionResetError):  # as good as an orderly end
            assert await reader.read() == b""
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(syslog("x"), daemon.address("udp"))
        ledger = await daemon.ledger_when(lambda ledger: total(ledger) == 1)
        assert ledger["rejected"] == {"source_not_allowed": 1}
        metrics = await daemon.metrics()
        key = 'collector_connections_rejected_total{listener="tcp",reason="source_not_allowed"}'
        assert metrics[key] == 1


async def test_one_listener_serves_both_families(tmp_path):
    """On `::`; an IPv4 sender is known by its IPv4 address."""
    both = {"host": "::", "port": 0}
    settings = {
        "listeners": [
            {"name": "tcp", "transport": "tcp", **both},
            {"name": "udp", "transport": "udp", **both},
        ],
        "intakes": [
            {"name": "four", "parser": "raw", "sources": ["127.0.0.1"]},
            {"name": "six", "parser": "raw", "sources": ["::1"]},
        ],
    }
    async with collecting(tmp_path, **settings) as (daemon, sink):
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            await send((host, daemon.address("tcp")[1]), f"tcp {host}\n".encode())
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(f"udp {host}".encode(), (host, daemon.address("udp")[1]))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 4)
        metrics = await daemon.metrics()
    assert sorted(event["message"] for event in sink.events) == [
        "tcp 127.0.0.1",
        "tcp ::1",
        "udp 127.0.0.1",
        "udp ::1",
    ]
    for intake in ("four", "six"):
        assert metrics[f'collector_events_total{{intake="{intake}",outcome="ok"}}'] == 2


@pytest.mark.slow
async def test_a_sink_that_answers_503_for_a_while_costs_nothing(tmp_path, in_full):
    """Messages go on arriving meanwhile; all are delivered once it accepts."""
    seconds = 20 if in_full else 2
    async with collecting(tmp_path) as (daemon, sink):
        sink.answer = lambda _: 503
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        sent = 0
        while loop.time() < end:
            await send(daemon.address("tcp"), counted(*(syslog(f"{sent + n}") for n in range(50))))
            sent += 50
            await asyncio.sleep(0.05)
        ledger = await daemon.ledger_when(lambda ledger: ledger["received"] == sent)
        assert ledger["delivered"] == 0
        status, body = await daemon.get("/readyz")
        assert status == 200
        assert '"siem"' in body
        assert "503" in body
        assert (await daemon.metrics())['collector_sink_up{sink="siem"}'] == 0
        sink.answer = lambda _: 200
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == sent)
        assert sorted(int(event["message"]) for event in sink.events) == list(range(sent))
        metrics = await daemon.metrics()
        assert metrics['collector_sink_up{sink="siem"}'] == 1
        assert metrics['collector_sink_requests_total{code="503",sink="siem"}'] > 1


async def test_a_sink_that_answers_401_and_later_200_gets_everything(tmp_path):
    """A wrong token pauses the sink, with an error in the log."""
    async with collecting(tmp_path) as (daemon, sink):
        sink.answer = lambda _: 401
        await send(daemon.address("tcp"), counted(*(syslog(str(n)) for n in range(100))))
        line = await daemon.logged("sink paused until it accepts a probe")
        assert (line["level"], line["sink"]) == ("error", "siem")
        assert line["problem"].startswith("HTTP 401")
        assert (await daemon.status())["ledger"]["spooled"] == 100
        sink.answer = lambda _: 200
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        await daemon.logged("sink accepts again")
        assert [event["message"] for event in sink.events] == [str(n) for n in range(100)]


async def test_a_full_spool_makes_senders_wait_and_loses_nothing(tmp_path):
    """TCP is not read while the spool is full, and read again when there is room."""
    text = "z" * 1000
    count = 40_000
    settings = {"spool": {"max_bytes": "1MiB"}}
    async with collecting(tmp_path, sink_settings={"compression": "none"}, **settings) as (
        daemon,
        sink,
    ):
        sink.answer = lambda _: 503
        sending = asyncio.create_task(send(daemon.address("tcp"), counted(*[syslog(text)] * count)))
        await daemon.logged("spool full, listeners stop reading")
        held = (await daemon.status())["ledger"]
        await asyncio.sleep(0.3)
        assert (await daemon.status())["ledger"]["received"] == held["received"] < count
        assert not sending.done()
        status, body = await daemon.get("/readyz")
        assert status == 200
        assert '"spool"' in body
        sink.answer = lambda _: 200
        await sending
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == count)
        assert ledger["received"] == count


async def test_stopping_delivers_what_is_there(tmp_path):
    """SIGTERM right after sending: everything read arrives, exit code 0."""
    async with collecting(tmp_path, sink_settings={"batch": {"max_wait": "30s"}}) as (daemon, sink):
        await send(daemon.address("tcp"), counted(*(syslog(str(n)) for n in range(500))))
        assert await daemon.stop() == 0
        assert [event["message"] for event in sink.events] == [str(n) for n in range(500)]
        stopped = daemon.farewell
        assert (stopped["event"], stopped["level"]) == ("stopped", "info")
        assert (stopped["received"], stopped["delivered"]) == (500, 500)


async def test_what_cannot_be_delivered_within_the_grace_period_is_named(tmp_path):
    """The memory spool ends with the process; the ledger says what that cost."""
    async with collecting(tmp_path, shutdown_grace="300ms") as (daemon, sink):
        sink.answer = lambda _: 503
        await send(daemon.address("tcp"), counted(*(syslog(str(n)) for n in range(7))))
        await daemon.ledger_when(lambda ledger: ledger["spooled"] == 7)
        assert await daemon.stop() == 0
        stopped = daemon.farewell
        assert stopped["level"] == "error"
        assert stopped["dropped"] == {"shutdown": 7}


@pytest.mark.parametrize("max_wait", ["10ms", "1m"])
async def test_a_second_signal_ends_at_once(tmp_path, max_wait):
    """Whoever asks twice does not want to wait; what that costs is named, open batches too."""
    waiting = {"batch": {"max_wait": max_wait}}
    async with collecting(tmp_path, sink_settings=waiting, shutdown_grace="50s") as (daemon, sink):
        sink.answer = lambda _: 503
        await send(daemon.address("tcp"), counted(syslog("1")))
        await daemon.ledger_when(lambda ledger: ledger["spooled"] + ledger["in_memory"] == 1)
        daemon.process.terminate()
        await daemon.logged("stopping")
        assert await daemon.stop() == 1
        assert daemon.farewell["dropped"] == {"shutdown": 1}
        assert daemon.farewell["level"] == "error"


async def test_stopping_with_a_full_spool_delivers_once_the_sink_accepts(tmp_path):
    """Listeners that were waiting for room do not come back to life when there is some."""
    settings = {"spool": {"max_bytes": "64KiB"}, "shutdown_grace": "30s"}
    async with collecting(tmp_path, sink_settings={"compression": "none"}, **settings) as (
        daemon,
        sink,
    ):
        sink.answer = lambda _: 503
        await send(daemon.address("tcp"), counted(*[syslog("z" * 1000)] * 100))
        await daemon.logged("spool full, listeners stop reading")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(20):
                sender.sendto(syslog("udp"), daemon.address("udp"))
        daemon.process.terminate()
        await daemon.logged("stopping")
        sink.answer = lambda _: 200
        assert await daemon.ended() == 0
        assert daemon.farewell["event"] == "stopped"
        assert daemon.farewell["delivered"] == 120
        assert [event["message"] for event in sink.events].count("udp") == 20


async def test_a_batch_that_must_be_split_is_delivered_at_a_stop(tmp_path):
    """Its parts are waited for like any other batch."""
    waiting = {"batch": {"max_wait": "1m"}}
    async with collecting(tmp_path, sink_settings=waiting) as (daemon, sink):
        sink.answer = lambda events: 413 if len(events) > 7 else 200
        await send(daemon.address("tcp"), counted(*(syslog(str(n)) for n in range(100))))
        await daemon.ledger_when(lambda ledger: ledger["in_memory"] == 100)
        assert await daemon.stop() == 0
        assert sorted(int(event["message"]) for event in sink.events) == list(range(100))


async def test_connections_reset_before_they_are_accepted_are_no_matter(tmp_path):
    """Port probes leave no line in the log."""
    async with collecting(tmp_path) as (daemon, _):
        at_start = len(daemon.lines)
        linger = struct.pack("ii", 1, 0)
        for _ in range(300):
            with socket.create_connection(daemon.address("tcp")) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await send(daemon.address("tcp"), counted(syslog("after")))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1)
        told = [line for line in daemon.lines[at_start:] if line["level"] in ("warning", "error")]
        assert told == []
        assert (await daemon.metrics())['collector_connections{listener="tcp"}'] == 0
