"""Senders on the same machine, by sockets in the file system, and senders that speak IPv6."""

import socket

import pytest

from tests.peers import require, run
from tests.rsyslog import Rsyslog, forward
from tests.station import KEY, Station

STRUCTURED_DATA = ("--rfc5424", "--sd-id", "SEKOIA@53288", "--sd-param", f'intake_key="{KEY}"')


@pytest.mark.parametrize(("transport", "kind"), [("unix", "--tcp"), ("unix-datagram", "--udp")])
async def test_logger_delivers_to_a_socket_in_the_file_system(tmp_path, transport, kind):
    """Its header for local sockets has neither host name nor key: the listener has its intake."""
    logger = require("logger")
    path = tmp_path / "log"
    listeners = [{"name": "log", "transport": transport, "path": str(path), "intake": "any"}]
    async with Station(tmp_path, listeners=listeners) as station, station.daemon() as daemon:
        for number in range(5):
            await run(logger, "--socket", str(path), kind, "--", str(number))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5)
        assert ledger["received"] == 5
        assert sorted(station.numbers) == list(range(5))
        assert await daemon.stop() == 0
    assert not path.exists()


def listener(transport):
    return {"name": "six", "transport": transport, "host": "::1", "port": 0}


@pytest.fixture
def _loopback6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")


async def assert_arrived(station, daemon, count):
    ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == count)
    assert ledger["received"] == count
    assert sorted(station.numbers) == list(range(count))
    (intake,) = (await daemon.status())["intakes"]
    assert [seen["source"] for seen in intake["last_seen"]] == ["::1"]


@pytest.mark.usefixtures("_loopback6")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_logger_delivers_over_ipv6(tmp_path, transport):
    logger = require("logger")
    async with (
        Station(tmp_path, listeners=[listener(transport)]) as station,
        station.daemon() as daemon,
    ):
        host, port = daemon.address("six")
        server = ("--server", host, "--port", str(port), f"--{transport}")
        for number in range(5):
            await run(logger, *server, *STRUCTURED_DATA, "--", str(number))
        await assert_arrived(station, daemon, 5)


@pytest.mark.usefixtures("_loopback6")
async def test_rsyslog_delivers_relp_over_ipv6(tmp_path):
    async with (
        Station(tmp_path, listeners=[listener("relp")]) as station,
        station.daemon() as daemon,
    ):
        action = forward("omrelp", daemon.address("six"))
        async with Rsyslog(
            tmp_path / "rsyslog", {"all": action}, {"all": KEY}, modules={"omrelp": {}}
        ) as rsyslog:
            header = "<134>1 2026-01-02T03:04:05.678Z edr app - - -"
            await rsyslog.send("all", (f"{header} {number}" for number in range(100)))
            await assert_arrived(station, daemon, 100)
