"""The daemon under systemd: notifications, the watchdog, and sockets that outlive a restart."""

import asyncio
import signal
import socket
from itertools import count

from tests.activation import Systemd
from tests.fake_sink import FakeSink

# Between datagrams; the buffer holds those of many seconds.
PAUSE_SECONDS = 0.005


def settings(directory, url, listeners):
    return {
        "listeners": [
            {"name": name, "transport": transport, "host": host, "port": port}
            for name, (transport, (host, port)) in listeners.items()
        ],
        "intakes": [{"name": "any", "parser": "raw", "sources": ["127.0.0.1"]}],
        "sinks": [{"name": "siem", "url": url, "batch": {"max_wait": "10ms"}}],
        "spool": {"type": "sqlite", "path": str(directory / "spool")},
    }


def syslog(number):
    return b"<134>1 - - - - - - %d" % number


async def send_steadily(address, sent):
    """Send numbered datagrams until cancelled; `sent` holds how many went."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in count():
            sender.sendto(syslog(number), address)
            sent.append(number)
            await asyncio.sleep(PAUSE_SECONDS)


async def test_a_restart_under_a_steady_stream_loses_no_datagram(tmp_path):
    """What is sent meanwhile waits in the socket, which systemd holds."""
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        address = systemd.bind("syslog", socket.SOCK_DGRAM)
        config = settings(tmp_path, sink.url, {"syslog": ("udp", address)})
        sent = []
        sending = asyncio.create_task(send_steadily(address, sent))
        for _ in range(3):
            async with systemd.daemon(tmp_path, config) as daemon:
                assert daemon.address("syslog") == address
                known = len(sent)
                await sink.wait_until(lambda least=known: len(sink.events) > least)
                assert await daemon.stop() == 0
        async with systemd.daemon(tmp_path, config) as daemon:
            sending.cancel()
            await asyncio.wait([sending])
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == len(sent))
        assert sorted(int(event["message"]) for event in sink.events) == sent


async def test_a_connection_is_accepted_by_the_daemon_that_comes_next(tmp_path):
    """It is not refused while none runs."""
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        address = systemd.bind("anything", socket.SOCK_STREAM)
        config = settings(tmp_path, sink.url, {"tcp": ("tcp", address)})
        _, writer = await asyncio.open_connection(*address)
        writer.write(syslog(1) + b"\n")
        await writer.drain()
        async with systemd.daemon(tmp_path, config) as daemon:
            await sink.wait_until(lambda: len(sink.events) == 1)
            assert await daemon.stop() == 0
        writer.close()


async def test_a_socket_that_no_listener_takes_is_named_and_closed(tmp_path):
    """The listeners bind their own then."""
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        systemd.bind("spare", socket.SOCK_DGRAM)
        config = settings(tmp_path, sink.url, {"tcp": ("tcp", ("127.0.0.1", 0))})
        async with systemd.daemon(tmp_path, config) as daemon:
            line = await daemon.logged(
                "no listener fits a socket that systemd has handed over, it is closed"
            )
            assert line["name"] == "spare"


async def test_systemd_is_told_when_the_daemon_is_ready_and_when_it_stops(tmp_path):
    """Ready once it listens, and not before."""
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        address = systemd.bind("syslog", socket.SOCK_DGRAM)
        config = settings(tmp_path, sink.url, {"syslog": ("udp", address)})
        async with systemd.daemon(tmp_path, config) as daemon:
            await systemd.told("READY=1")
            assert (await daemon.get("/readyz"))[0] == 200
            assert "STOPPING=1" not in systemd.messages
            assert await daemon.stop() == 0
            await systemd.told("STOPPING=1")


async def test_systemd_is_told_of_the_beginning_and_the_end_of_a_reload(tmp_path):
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        address = systemd.bind("syslog", socket.SOCK_DGRAM)
        config = settings(tmp_path, sink.url, {"syslog": ("udp", address)})
        async with systemd.daemon(tmp_path, config) as daemon:
            await systemd.told("READY=1")
            daemon.process.send_signal(signal.SIGHUP)
            await systemd.told("READY=1", times=2)
            states = [message.partition("\n")[0] for message in systemd.messages]
            assert states.index("RELOADING=1") == states.index("READY=1") + 1


async def test_the_watchdog_is_fed_while_the_daemon_runs(tmp_path):
    """Also while it has nothing to do."""
    async with FakeSink() as sink, Systemd(tmp_path) as systemd:
        address = systemd.bind("syslog", socket.SOCK_DGRAM)
        config = settings(tmp_path, sink.url, {"syslog": ("udp", address)})
        async with systemd.daemon(tmp_path, config, {"WATCHDOG_USEC": "100000"}):
            await systemd.told("READY=1")
            await systemd.told("WATCHDOG=1", times=5)
