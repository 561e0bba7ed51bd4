"""Several processes that are one daemon."""

import asyncio
import json
import os
import random
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import yaml

from collector.workers.member import REPORT_SECONDS
from tests.activation import Systemd
from tests.certificates import Authority
from tests.daemon import Daemon, imbalance
from tests.relp_sender import RelpSender
from tests.station import HEADER, KEY, Station, frames, send

SECONDS = 60
TCP = {"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}
UDP = {"name": "udp", "transport": "udp", "host": "127.0.0.1", "port": 0}
RELP = {"name": "relp", "transport": "relp", "host": "127.0.0.1", "port": 0}


@pytest.fixture
async def station(tmp_path):
    """Return a sink, and what starts daemons of two workers that deliver to it."""
    async with Station(tmp_path, workers=2) as made:
        yield made


class Senders:
    """Connections that stay until the test is over."""

    def __init__(self):
        self._writers = []

    async def connect(self, daemon, listener="tcp", **more):
        reader, writer = await asyncio.open_connection(*daemon.address(listener), **more)
        self._writers.append(writer)
        return reader, writer

    async def send(self, daemon, numbers, listener="tcp", **more):
        """Send messages over a connection of their own."""
        _, writer = await self.connect(daemon, listener, **more)
        writer.write(frames(numbers))
        await writer.drain()
        return writer

    async def close(self):
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def senders():
    made = Senders()
    yield made
    await made.close()


async def ended(reader):
    """Wait for the daemon to end a connection."""
    async with asyncio.timeout(SECONDS):
        with suppress(ConnectionError):
            await reader.read()
    return True


async def status_when(daemon, condition):
    """Wait until the status is as asked, and return it; the ledger balances at every look."""
    async with asyncio.timeout(SECONDS):
        while True:
            status = await daemon.status()
            assert imbalance(status["ledger"]) == 0
            if condition(status):
                return status
            await asyncio.sleep(0.05)


async def ready_when(daemon, wanted):
    """Wait until `/readyz` says what is wanted; what it says may be a second old."""
    async with asyncio.timeout(SECONDS):
        while json.loads((await daemon.get("/readyz"))[1]) != wanted:
            await asyncio.sleep(0.05)


def both_run(status):
    return all(worker["pid"] for worker in status["workers"])


def connections(status):
    return [worker["connections"] for worker in status["workers"]]


def is_alive(pid):
    """Say whether a process runs: one whose parent has not noticed its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pids):
    async with asyncio.timeout(SECONDS):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.05)


def datagrams(address, numbers):
    """Send each message from a port of its own, so that the kernel deals them."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for number in numbers:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(f"{HEADER}{number} ".encode(), address)


# Dealing.


async def test_connections_are_dealt_evenly(station, senders):
    """Eight to two workers, four each; what they bring is delivered, and all of it counted."""
    async with station.daemon() as daemon:
        for place in range(8):
            await senders.send(daemon, range(place * 100, place * 100 + 100))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 800)
        assert ledger["received"] == 800
        status = await daemon.status()
        assert connections(status) == [4, 4]
        assert [worker["ledger"]["received"] for worker in status["workers"]] == [400, 400]
        (listener,) = status["listeners"]
        assert (listener["connections"], listener["messages"]) == (8, 800)
        assert (listener["host"], listener["port"]) == daemon.address("tcp")
        metrics = await daemon.metrics()
        assert metrics['collector_messages_received_total{listener="tcp"}'] == 800
        assert metrics["collector_worker_restarts_total"] == 0
        assert sorted(station.numbers) == [*range(800)]
        assert await daemon.stop() == 0
        assert daemon.farewell["delivered"] == 800


async def test_places_that_become_free_are_given_away_first(station, senders):
    """Who has the fewest connections gets the next."""
    async with station.daemon() as daemon:
        writers = [await senders.send(daemon, range(n, n + 1)) for n in range(4)]
        await status_when(daemon, lambda status: connections(status) == [2, 2])
        for writer in writers[::2]:  # those of the first worker
            writer.close()
        await status_when(daemon, lambda status: sum(connections(status)) == 2)
        for number in range(2):
            await senders.send(daemon, range(10 + number, 11 + number))
        await status_when(daemon, lambda status: connections(status) == [2, 2])


async def test_datagrams_go_to_all_workers(station):
    """Each worker reads a socket of its own; the kernel deals by sender."""
    async with station.daemon(listeners=[UDP]) as daemon:
        datagrams(daemon.address("udp"), range(200))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 200)
        status = await daemon.status()
        assert all(worker["ledger"]["received"] > 20 for worker in status["workers"])
        assert status["listeners"][0]["kernel_drops"] == 0
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(200)]


@pytest.mark.parametrize("host", ["::1", "::"])
async def test_ipv6_is_dealt_as_ipv4_is(station, senders, host):
    """Where a listener takes both, too."""
    listeners = [{**TCP, "host": host}, {**UDP, "host": host}]
    async with station.daemon(listeners=listeners) as daemon:
        for place in range(4):
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        port = daemon.address("udp")[1]
        datagrams(("::1", port), range(40, 100))
        if host == "::":
            datagrams(("127.0.0.1", port), range(100, 160))
        wanted = 160 if host == "::" else 100
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == wanted)
        status = await daemon.status()
        assert connections(status) == [2, 2]
        assert all(worker["ledger"]["received"] > 20 for worker in status["workers"])
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(wanted)]


async def test_a_port_of_another_daemon_is_not_shared(station, tmp_path):
    """Though its sockets may be shared among its workers."""
    async with station.daemon(listeners=[UDP]) as daemon:
        _, port = daemon.address("udp")
        (tmp_path / "other").mkdir()
        async with Station(
            tmp_path / "other", workers=2, listeners=[{**UDP, "port": port}]
        ) as other:
            code, text = await other.refused()
    assert code == 1
    assert "Address already in use" in text


async def test_a_path_for_datagrams_is_read_by_one_worker(station, tmp_path):
    """There can be no second socket at a path."""
    path = tmp_path / "log"
    listener = {"name": "log", "transport": "unix-datagram", "path": str(path), "intake": "any"}
    async with station.daemon(listeners=[listener]) as daemon:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for number in range(20):
                sender.sendto(b"<13>%d " % number, str(path))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 20)
        workers = (await daemon.status())["workers"]
        assert sorted(worker["ledger"]["received"] for worker in workers) == [0, 20]
        assert await daemon.stop() == 0
        assert not path.exists()


async def test_sockets_of_systemd_are_dealt_too(station, tmp_path):
    """Notifications are the supervisor's."""
    async with Systemd(tmp_path) as systemd:
        address = systemd.bind("udp", socket.SOCK_DGRAM)
        station.settings["listeners"] = [{**UDP, "port": address[1]}]
        async with systemd.daemon(tmp_path, station.config()) as daemon:
            await systemd.told("READY=1")
            datagrams(address, range(50))
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 50)
            assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(50)]


async def test_as_many_sockets_of_systemd_as_workers_are_dealt_to_each(station, tmp_path):
    """`ReusePort=` lets it bind more than one: nothing that comes in by any of them is lost."""
    async with Systemd(tmp_path) as systemd:
        address = ("127.0.0.1", 0)
        for name in ("udp", "udp-of-another"):
            bound = systemd.sockets[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
            address = bound.getsockname()
        station.settings["listeners"] = [{**UDP, "port": address[1]}]
        async with systemd.daemon(tmp_path, station.config()) as daemon:
            await systemd.told("READY=1")
            datagrams(address, range(100))
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
            workers = (await daemon.status())["workers"]
            assert all(worker["ledger"]["received"] > 20 for worker in workers)
            assert await daemon.stop() == 0
            events = {line["event"] for line in daemon.lines}
            assert not {event for event in events if event.startswith("no listener fits")}
    assert sorted(station.numbers) == [*range(100)]


async def test_workers_speak_tls_and_relp(station, senders, tmp_path):
    """What a sender says after it has connected is between it and a worker."""
    authority = Authority(tmp_path)
    issued = authority.server()
    tls = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    context = ssl.create_default_context(cafile=authority.ca_file)
    async with station.daemon(listeners=[{**TCP, "tls": tls}, RELP]) as daemon:
        for place in range(4):
            numbers = range(place * 10, place * 10 + 10)
            await senders.send(daemon, numbers, ssl=context, server_hostname="localhost")
        for place in range(4, 8):
            numbers = range(place * 10, place * 10 + 10)
            async with RelpSender(daemon.address("relp")) as sender:
                await sender.send(f"{HEADER}{number} ".encode() for number in numbers)
                assert sender.client.accepted == 10
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 80)
        metrics = await daemon.metrics()
        expiry = 'collector_tls_certificate_expiry_timestamp_seconds{listener="tcp"}'
        assert 1.5e9 < metrics[expiry] < 1e11
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(80)]


# Limits.


async def test_there_are_no_more_connections_than_one_daemon_may_have(station, senders):
    """However they are dealt."""
    async with station.daemon(listeners=[{**TCP, "max_connections": 3}]) as daemon:
        writers = [await senders.send(daemon, range(n, n + 1)) for n in range(3)]
        await status_when(daemon, lambda status: sum(connections(status)) == 3)
        reader, _ = await senders.connect(daemon)
        assert await ended(reader)
        status = await daemon.status()
        assert status["listeners"][0]["connections_rejected"] == {"max_connections": 1}
        writers[0].close()
        await status_when(daemon, lambda status: sum(connections(status)) == 2)
        await senders.send(daemon, range(3, 4))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 4)


@pytest.mark.parametrize("is_proxied", [False, True])
async def test_a_source_has_no_more_connections_than_it_may_have(station, senders, is_proxied):
    """Also where only a worker hears from a proxy whose connection it is."""
    listener = {**TCP, "max_connections_per_source": 3}
    if is_proxied:
        listener["proxy_protocol"] = ["127.0.0.1"]
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 514\r\n" if is_proxied else b""
    async with station.daemon(listeners=[listener]) as daemon:
        for number in range(5):
            reader, writer = await senders.connect(daemon)
            with suppress(ConnectionError):
                writer.write(header + frames(range(number, number + 1)))
                await writer.drain()
            if number < 3:
                await daemon.ledger_when(lambda ledger, n=number: ledger["delivered"] == n + 1)
            else:
                assert await ended(reader)
        status = await status_when(daemon, lambda status: sum(connections(status)) == 3)
        (found,) = status["listeners"]
        assert found["connections_rejected"] == {"max_connections_per_source": 2}
        assert sorted(connections(status)) == [1, 2]


async def test_a_rate_is_that_of_all_workers_together(station, senders):
    """What a second allows may come at once, over whatever connections."""
    intake = {"name": "any", "parser": "raw", "key": KEY}
    intake["max_rate"] = {"events_per_second": 1, "when_over": "drop"}
    intake["max_rate"]["events_per_second"] = 100
    async with station.daemon(intakes=[intake]) as daemon:
        for place in range(4):
            await senders.send(daemon, range(place * 100, place * 100 + 100))
        ledger = await daemon.ledger_when(lambda ledger: ledger["received"] == 400)
        assert 100 <= 400 - ledger["dropped"]["max_rate"] < 300


async def test_unfinished_handshakes_give_way_whoever_has_them(station, senders, tmp_path):
    """One more connection than there may be ends the oldest that says nothing."""
    issued = Authority(tmp_path).server()
    tls = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    async with station.daemon(listeners=[{**TCP, "tls": tls, "max_connections": 2}]) as daemon:
        readers = []
        for _ in range(4):
            reader, _ = await senders.connect(daemon)
            readers.append(reader)
            await status_when(daemon, lambda status: sum(connections(status)) > 0)
        assert await ended(readers[0])
        assert await ended(readers[1])
        status = await status_when(daemon, lambda status: sum(connections(status)) == 2)
        assert status["listeners"][0]["connections_rejected"] == {"max_handshakes": 2}


class Scarce(Daemon):
    """Has few descriptors, as have its workers."""

    limit = 100

    async def _start(self, *command):
        limit = ("sh", "-c", f'ulimit -n {self.limit}; exec "$@"', "sh")
        return await asyncio.create_subprocess_exec(
            *limit, *command, stderr=asyncio.subprocess.PIPE
        )


async def test_nobody_is_cut_off_while_workers_have_no_descriptors_left(station, senders):
    """Those who connect wait in the kernel; spool, sink and reports have what they need."""
    listener = {**TCP, "max_connections": 1000, "max_connections_per_source": 1000}
    async with Scarce(station.directory, station.config(listeners=[listener])) as daemon:
        for number in range(250):
            await senders.send(daemon, range(number, number + 1))
        await daemon.logged("cannot accept connections, no worker may have more open files")
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] > 50)
        assert status["ledger"]["delivered"] < 250
        (named,) = status["degraded"]
        assert named["listeners"] == "all"
        assert len(set(connections(status))) == 1
        await senders.close()
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 250)
        assert status["listeners"][0]["connections_rejected"] == {}
        await status_when(daemon, lambda status: connections(status) == [0, 0])
        said = {line["event"] for line in daemon.lines if line["level"] == "error"}
        assert said == {"cannot accept connections, no worker may have more open files"}
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(250)]


async def test_a_reload_cuts_nobody_off_where_workers_have_no_descriptors_left(station, senders):
    """It costs none for what workers have already; one that needs too many changes nothing."""
    listener = {**TCP, "max_connections": 1000, "max_connections_per_source": 1000}
    ports = [{**UDP, "name": f"udp{number}"} for number in range(62)]
    old = station.config(listeners=[listener, *ports[:30]])
    daemon = Scarce(station.directory, old)
    daemon.limit = 160
    async with daemon:
        for number in range(250):
            await senders.send(daemon, range(number, number + 1))
        await daemon.logged("cannot accept connections, no worker may have more open files")
        before = connections(await daemon.status())
        assert (await daemon.reload({**old, "shutdown_grace": "9s"}))[0] == 200
        assert connections(await daemon.status()) == before
        code, answer = await daemon.reload(station.config(listeners=[listener, *ports]))
        assert code == 422
        assert "LimitNOFILE" in answer["problem"]
        assert connections(await daemon.status()) == before
        datagrams(daemon.address("udp0"), range(250, 260))
        await senders.close()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 260)
        status = await daemon.status()
        assert [worker["restarts"] for worker in status["workers"]] == [0, 0]
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(260)]


async def test_workers_that_can_have_no_connection_do_not_start(station):
    """It is said how many files they need."""
    file = station.directory / "collector.yaml"
    file.write_text(yaml.safe_dump({**station.config(), "admin": {"port": 0}}))
    command = (sys.executable, "-m", "collector", "run", "-c", str(file))
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'ulimit -n 44; exec "$@"', "sh", *command), stderr=asyncio.subprocess.PIPE
    )
    _, text = await process.communicate()
    assert process.returncode == 1
    assert b"a worker may have 44 open files, and needs" in text


# Workers that end.


async def test_a_worker_that_dies_is_started_again_and_its_spool_delivered(station, senders):
    """The other goes on; counters do not go back, and the log and the page say what happened."""
    station.go_away()
    async with station.daemon() as daemon:
        await senders.send(daemon, range(100))
        await senders.send(daemon, range(100, 200))
        before = await status_when(daemon, lambda status: status["ledger"]["spooled"] == 200)
        messages = 'collector_messages_received_total{listener="tcp"}'
        assert (await daemon.metrics())[messages] == 200
        victim, other = (worker["pid"] for worker in before["workers"])
        os.kill(victim, signal.SIGKILL)
        line = await daemon.logged("worker ended, it is started again", worker=0)
        assert line["exit_code"] == -signal.SIGKILL
        after = await status_when(
            daemon, lambda status: both_run(status) and status["workers"][0]["restarts"] == 1
        )
        assert after["workers"][0]["pid"] not in {victim, other}
        assert after["workers"][1]["pid"] == other
        assert after["ledger"]["received"] == after["ledger"]["spooled"] == 200
        assert [entry["messages"] for entry in after["listeners"]] == [200]
        assert [entry["events"]["ok"] for entry in after["intakes"]] == [200]
        metrics = await daemon.metrics()
        assert metrics[messages] == 200
        assert metrics["collector_worker_restarts_total"] == 1
        station.come_back()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 200)
        await senders.send(daemon, range(200, 210))
        await status_when(daemon, lambda status: connections(status) == [1, 1])
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 210)
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(210)]


async def test_datagrams_wait_for_a_worker_that_is_started_again(station):
    """In the socket, which the supervisor keeps open."""
    async with station.daemon(listeners=[UDP]) as daemon:
        for worker in (await status_when(daemon, both_run))["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        datagrams(daemon.address("udp"), range(100))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(100)]


async def test_those_who_connect_while_no_worker_is_there_wait(station, senders):
    """In the kernel; the daemon is not ready meanwhile, and says which workers are missing."""
    async with station.daemon() as daemon:
        for worker in (await status_when(daemon, both_run))["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        for number in range(2):
            await daemon.logged("worker ended, it is started again", worker=number)
        code, text = await daemon.get("/readyz")
        if code == 503:
            assert {entry["worker"] for entry in json.loads(text)["degraded"]} == {"0", "1"}
        for place in range(4):
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 40)
        assert (await daemon.get("/readyz"))[0] == 200


async def test_a_worker_that_does_not_answer_is_named_and_spared(station, senders):
    """What it has said last is shown, and nobody waits for it; the other has the connections."""
    async with station.daemon() as daemon:
        for place in range(2):
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 20)
        victim = status["workers"][0]["pid"]
        os.kill(victim, signal.SIGSTOP)
        try:
            named = {"worker": "0", "reason": "does not answer"}
            await ready_when(daemon, {"ready": True, "degraded": [named]})
            await silent(daemon)
            for place in range(2, 6):
                await senders.send(daemon, range(place * 10, place * 10 + 10))
            status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 60)
            assert status["workers"][0]["ledger"]["delivered"] == 10
            assert connections(status) == [1, 5]
        finally:
            os.kill(victim, signal.SIGCONT)
        await status_when(daemon, lambda status: status["degraded"] == [])
        places = count(6)
        while (held := connections(await daemon.status()))[0] < held[1]:
            place = next(places)
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        assert min(held) >= 5
        sent = 10 * next(places)
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == sent)
        assert await daemon.stop() == 0


async def silent(daemon):
    """Wait until the daemon no longer waits for a worker that does not answer."""
    async with asyncio.timeout(SECONDS):
        while True:
            began = time.monotonic()
            await daemon.status()
            if time.monotonic() - began < REPORT_SECONDS:
                return


@pytest.mark.slow
async def test_a_worker_that_hangs_is_killed_and_what_it_kept_delivered(station, senders, hurried):
    """Its successor takes connections again."""
    hurried({"collector.workers.pulse.HANG_SECONDS": 1.0})
    station.go_away()
    async with station.daemon() as daemon:
        for place in range(2):
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        status = await status_when(daemon, lambda status: status["ledger"]["spooled"] == 20)
        os.kill(status["workers"][0]["pid"], signal.SIGSTOP)
        await daemon.logged("worker hangs, it is killed", worker=0)
        station.come_back()
        await status_when(daemon, lambda status: status["workers"][0]["restarts"] == 1)
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 20)
        await senders.send(daemon, range(20, 30))
        status = await status_when(daemon, lambda status: connections(status) == [1, 1])
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 30)
        assert await daemon.stop() == 0
    assert sorted(station.numbers) == [*range(30)]


@pytest.mark.slow
async def test_workers_that_are_killed_under_load_lose_nothing_that_relp_has_confirmed(
    station, in_full
):
    """What a sender was not told is safe it sends again, so that it may be doubled."""
    moments, confirmed = random.Random(), set()

    async def feed(daemon, first):
        for number in range(first, first + 100_000, 20):
            numbers = range(number, number + 20)
            messages = [f"{HEADER}{number} ".encode() for number in numbers]
            while True:
                try:
                    async with RelpSender(daemon.address("relp")) as sender:
                        while True:
                            await sender.send(messages)
                            confirmed.update(numbers)
                            numbers = range(numbers.stop, numbers.stop + 20)
                            messages = [f"{HEADER}{number} ".encode() for number in numbers]
                except ConnectionError:
                    await asyncio.sleep(0.01)

    async with station.daemon(listeners=[RELP]) as daemon:
        feeds = [asyncio.create_task(feed(daemon, place * 1_000_000)) for place in range(3)]
        for kill in range(20 if in_full else 4):
            await asyncio.sleep(moments.uniform(0.3, 1.0))
            status = await status_when(daemon, both_run)
            os.kill(status["workers"][kill % 2]["pid"], signal.SIGKILL)
        await asyncio.sleep(0.5)
        for task in feeds:
            task.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)
        await status_when(
            daemon,
            lambda status: (
                both_run(status) and not status["ledger"]["spooled"] + status["ledger"]["in_memory"]
            ),
        )
        assert await daemon.stop() == 0
    assert len(confirmed) > 100
    assert confirmed <= set(station.numbers)


async def test_workers_wind_down_when_their_supervisor_is_killed(station, senders):
    """What they have received is on disk; the next daemon delivers it."""
    station.go_away()
    async with station.daemon() as daemon:
        for place in range(4):
            await senders.send(daemon, range(place * 100, place * 100 + 100))
        status = await status_when(daemon, lambda status: status["ledger"]["spooled"] == 400)
        daemon.process.kill()
        await daemon.process.wait()
        await gone(worker["pid"] for worker in status["workers"])
    station.come_back()
    async with station.daemon() as daemon:
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 400)
        assert ledger["received"] == 400
    assert sorted(station.numbers) == [*range(400)]


# The end.


async def test_a_stop_delivers_what_is_there(station, senders):
    """All workers end, and the last line adds up what they have done."""
    async with station.daemon(shutdown_grace="10s") as daemon:
        pids = [worker["pid"] for worker in (await status_when(daemon, both_run))["workers"]]
        for place in range(4):
            await senders.send(daemon, range(place * 1000, place * 1000 + 1000))
        await daemon.ledger_when(lambda ledger: ledger["received"] == 4000)
        assert await daemon.stop() == 0
        assert daemon.farewell["event"] == "stopped"
        assert daemon.farewell["delivered"] == 4000
        assert not any(map(is_alive, pids))
    assert sorted(station.numbers) == [*range(4000)]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stop_takes_in_what_came_before(station, workers):
    """From those who have connected, too, and whom nobody has accepted."""
    async with station.daemon(workers=workers, shutdown_grace="10s") as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        for number in range(100):
            with socket.create_connection(daemon.address("tcp")) as sender:
                sender.sendall(frames(range(number, number + 1)))
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert await daemon.ended() == 0
        assert daemon.farewell["delivered"] == 100
    assert sorted(station.numbers) == [*range(100)]


async def test_a_signal_to_the_whole_group_is_a_stop_like_any_other(station, senders):
    """As systemd sends it, and a terminal: workers leave signals to their supervisor."""
    async with station.daemon() as daemon:
        workers = (await status_when(daemon, both_run))["workers"]
        await senders.send(daemon, range(100))
        await daemon.ledger_when(lambda ledger: ledger["received"] == 100)
        for worker in workers:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(worker["pid"], number)
        assert await daemon.stop() == 0
        assert daemon.farewell["received"] == 100


async def test_a_second_signal_ends_at_once(station, senders):
    """Though there is something left to deliver, for which there would be time."""
    station.go_away()
    async with station.daemon(shutdown_grace="1h") as daemon:
        pids = [worker["pid"] for worker in (await status_when(daemon, both_run))["workers"]]
        await senders.send(daemon, range(10))
        await daemon.ledger_when(lambda ledger: ledger["spooled"] == 10)
        daemon.process.send_signal(signal.SIGTERM)
        await daemon.logged("stopping", worker=0)
        assert await daemon.stop() == 1
        assert not any(map(is_alive, pids))


async def test_what_a_worker_cannot_start_with_ends_the_start(station):
    """As for one process: the spool is another daemon's."""
    async with station.daemon() as daemon:
        await status_when(daemon, both_run)
        code, text = await station.refused()
    assert code == 1
    assert "spool.path" in text.splitlines()[-1]


# Other settings.


async def test_a_reload_is_one_for_all(station, senders):
    """Workers that begin later go by it, too."""
    async with station.daemon() as daemon:
        await senders.send(daemon, range(10))
        await senders.send(daemon, range(10, 20))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 20)
        settings = station.config(
            listeners=[{**TCP, "max_message_bytes": "2KiB"}, UDP],
            intakes=[{"name": "other", "parser": "raw", "key": KEY}],
        )
        code, answer = await daemon.reload(settings)
        assert code == 200
        assert "listeners[udp]: absent -> present" in answer["changes"]
        await daemon.logged("listening", listener="udp")
        await senders.send(daemon, range(20, 30))
        datagrams(daemon.address("udp"), range(30, 130))
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 130)
        assert sum(connections(status)) == 3
        assert [intake["name"] for intake in status["intakes"]] == ["other"]
        assert all(worker["ledger"]["received"] > 30 for worker in status["workers"])
        os.kill(status["workers"][1]["pid"], signal.SIGKILL)
        await status_when(
            daemon, lambda status: both_run(status) and status["workers"][1]["restarts"]
        )
        await senders.send(daemon, range(130, 140))
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 140)
        metrics = await daemon.metrics()
        digest = status["config_sha256"]
        assert [name for name in metrics if name.startswith("collector_config_info")] == [
            f'collector_config_info{{sha256="{digest}"}}'
        ]
        assert metrics['collector_config_reloads_total{outcome="ok"}'] == 1
        assert await daemon.stop() == 0
    assert set(station.numbers) == {*range(140)}  # what was just delivered may be twice


async def test_a_reload_that_cannot_be_changes_nothing(station, senders):
    """Whether the file is wrong or an address is taken; connections stay."""
    async with station.daemon() as daemon:
        await senders.send(daemon, range(10))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            other = {"name": "other", "transport": "tcp", "host": "127.0.0.1", "port": port}
            code, answer = await daemon.reload(station.config(listeners=[TCP, UDP, other]))
            assert code == 422
            assert "Address already in use" in answer["problem"]
        daemon.file.write_text("listeners: []")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.logged_when(
            lambda line: (
                line["event"] == "audit"
                and line["action"] == "reload"
                and line["actor"] == "signal"
            )
        )
        await senders.send(daemon, range(10, 20))
        status = await status_when(daemon, lambda status: status["ledger"]["delivered"] == 20)
        assert [listener["name"] for listener in status["listeners"]] == ["tcp"]
        assert sum(connections(status)) == 2
        assert await daemon.stop() == 0


async def test_a_listener_that_is_gone_has_taken_in_what_was_sent(station, senders):
    """By all workers; its address is free then."""
    async with station.daemon(listeners=[TCP, UDP]) as daemon:
        address = daemon.address("udp")
        datagrams(address, range(50))
        for place in range(5, 9):
            await senders.send(daemon, range(place * 10, place * 10 + 10))
        port = {**TCP, "name": "new"}
        assert (await daemon.reload(station.config(listeners=[port])))[0] == 200
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 90)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(address)
        await senders.send(daemon, range(90, 100), listener="new")
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert await daemon.stop() == 0


async def test_another_number_of_workers_needs_a_restart(station):
    async with station.daemon() as daemon:
        code, answer = await daemon.reload(station.config(workers=3))
        assert (code, answer["needs_restart"]) == (200, ["workers"])
        status = await status_when(daemon, both_run)
        assert len(status["workers"]) == 2
        os.kill(status["workers"][0]["pid"], signal.SIGKILL)
        await status_when(
            daemon, lambda status: both_run(status) and status["workers"][0]["restarts"]
        )
        assert await daemon.stop() == 0


async def test_one_worker_is_no_supervisor(station):
    """It is the daemon itself."""
    async with station.daemon(workers=1) as daemon:
        await send(daemon, range(10))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 10)
        assert "workers" not in await daemon.status()
