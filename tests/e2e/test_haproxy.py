"""HAProxy in front: who is behind it counts as the sender, for every check and figure."""

import asyncio
import ssl

import pytest

from tests.certificates import Authority
from tests.haproxy import haproxy
from tests.rsyslog import Rsyslog, forward
from tests.station import HEADER, KEY, Station, frames

PROXY, SENDER, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"


def behind_proxy(transport="tcp", **settings):
    return {
        "name": "proxied",
        "transport": transport,
        "host": "127.0.0.1",
        "port": 0,
        "proxy_protocol": [f"{PROXY}/32"],
        **settings,
    }


async def send_from(source, address, data, **options):
    """Connect from an address and send; nothing is read."""
    _, writer = await asyncio.open_connection(*address, local_addr=(source, 0), **options)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def assert_seen(daemon, *sources):
    """These, and no others, are who the intake's messages came from."""
    (intake,) = (await daemon.status())["intakes"]
    assert sorted(seen["source"] for seen in intake["last_seen"]) == sorted(sources)


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
async def test_the_sender_behind_the_proxy_is_who_is_let_in_and_seen(tmp_path, option):
    """Neither version of the protocol costs a message; the proxy itself may not send here."""
    listener = behind_proxy(allowed_sources=[f"{SENDER}/32"])
    async with (
        Station(tmp_path, listeners=[listener]) as station,
        station.daemon() as daemon,
        haproxy(tmp_path, daemon.address("proxied"), option) as front,
    ):
        await send_from(STRANGER, front, frames(range(10)))
        line = await daemon.logged("connection rejected", reason="source_not_allowed")
        assert line["peer"] == STRANGER
        await send_from(SENDER, front, frames(range(100, 200)))
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert ledger["received"] == 100
        assert station.numbers == list(range(100, 200))
        await assert_seen(daemon, SENDER)


async def test_a_proxy_without_the_header_is_refused(tmp_path):
    async with (
        Station(tmp_path, listeners=[behind_proxy()]) as station,
        station.daemon() as daemon,
        haproxy(tmp_path, daemon.address("proxied"), "") as front,
    ):
        await send_from(SENDER, front, frames(range(1)))
        line = await daemon.logged("connection rejected", reason="proxy_header")
        assert line["peer"] == PROXY
        assert (await daemon.status())["ledger"]["received"] == 0


async def test_health_checks_of_the_proxy_are_no_refusals(tmp_path):
    """They come with the header too, and say nothing more."""
    option = "send-proxy-v2 check inter 20ms check-send-proxy"
    async with (
        Station(tmp_path, listeners=[behind_proxy()]) as station,
        station.daemon() as daemon,
        haproxy(tmp_path, daemon.address("proxied"), option) as front,
    ):
        await send_from(SENDER, front, frames(range(100)))
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert [line for line in daemon.lines if line["event"] == "connection rejected"] == []
        await assert_seen(daemon, SENDER)


async def test_tls_through_the_proxy_begins_after_its_header(tmp_path):
    """The proxy passes on what it cannot read."""
    authority = Authority(tmp_path)
    server = authority.server()
    tls = {
        "cert_file": str(server.cert_file),
        "key_file": str(server.key_file),
        "client_ca_file": str(authority.ca_file),
        "allowed_names": ["sender.example"],
    }
    context = ssl.create_default_context(cafile=authority.ca_file)
    shown = authority.issue("sender.example", name="sender")
    context.load_cert_chain(shown.cert_file, shown.key_file)
    async with (
        Station(tmp_path, listeners=[behind_proxy(tls=tls)]) as station,
        station.daemon() as daemon,
        haproxy(tmp_path, daemon.address("proxied")) as front,
    ):
        await send_from(SENDER, front, frames(range(100)), ssl=context)
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 100)
        assert station.numbers == list(range(100))
        await assert_seen(daemon, SENDER)


async def test_relp_through_the_proxy_is_answered(tmp_path):
    async with (
        Station(tmp_path, listeners=[behind_proxy("relp")]) as station,
        station.daemon() as daemon,
        haproxy(tmp_path, daemon.address("proxied")) as front,
    ):
        action = forward("omrelp", front, {"localClientIP": SENDER})
        async with Rsyslog(
            tmp_path / "rsyslog", {"all": action}, {"all": KEY}, modules={"omrelp": {}}
        ) as rsyslog:
            header = "<134>1 2026-01-02T03:04:05.678Z edr app - - -"
            await rsyslog.send("all", (f"{header} {number}" for number in range(500)))
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 500)
        assert ledger["received"] == 500
        await assert_seen(daemon, SENDER)


async def test_the_header_of_somebody_who_is_no_proxy_is_data(tmp_path):
    """It is a message like any other, here one without a key; what it says is not believed."""
    header = f"PROXY TCP4 {SENDER} {PROXY} 40000 514\r\n".encode()
    async with (
        Station(tmp_path, listeners=[behind_proxy()]) as station,
        station.daemon() as daemon,
    ):
        address = daemon.address("proxied")
        await send_from(STRANGER, address, header + f"{HEADER}1\n".encode())
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 1)
        assert ledger["received"] == 2
        assert ledger["dead_lettered"] == {"unknown_intake": 1}
        await assert_seen(daemon, STRANGER)
