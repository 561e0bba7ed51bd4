"""`collector send` as the sender, over every encrypted and answered transport."""

import sys

import pytest

from tests.certificates import Authority
from tests.peers import run
from tests.station import KEY, Station

COUNT = 500


def send(daemon, *options, ends_with=0):
    """Run the command towards the listener, with a count of sample events."""
    host, port = daemon.address("syslog")
    return run(
        *(sys.executable, "-m", "collector", "send", "--to", f"{host}:{port}"),
        *("--key", KEY, "--count", str(COUNT), *options),
        ends_with=ends_with,
    )


def listener(transport, authority=None):
    settings = {"name": "syslog", "transport": transport, "host": "127.0.0.1", "port": 0}
    if authority is not None:
        server = authority.server()
        settings["tls"] = {
            "cert_file": str(server.cert_file),
            "key_file": str(server.key_file),
            "client_ca_file": str(authority.ca_file),
        }
    return settings


@pytest.mark.parametrize("transport", ["tls", "relp"])
async def test_everything_arrives_over_tls(tmp_path, transport):
    """With a certificate of its own, which the collector asks for."""
    authority = Authority(tmp_path)
    shown = authority.issue("sender.example", name="sender")
    options = [
        *("--transport", transport, "--tls", "--ca-file", str(authority.ca_file)),
        *("--cert-file", str(shown.cert_file), "--key-file", str(shown.key_file)),
    ]
    listeners = [listener("relp" if transport == "relp" else "tcp", authority)]
    async with Station(tmp_path, listeners=listeners) as station, station.daemon() as daemon:
        assert f"sent {COUNT} messages" in await send(daemon, *options)
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == COUNT)
        assert ledger["received"] == COUNT


async def test_what_relp_says_was_accepted_was_received_before(tmp_path):
    """Without waiting for anything more."""
    async with (
        Station(tmp_path, listeners=[listener("relp")]) as station,
        station.daemon() as daemon,
    ):
        assert f"accepted {COUNT}" in await send(daemon, "--transport", "relp")
        assert (await daemon.status())["ledger"]["received"] == COUNT
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == COUNT)


@pytest.mark.parametrize("transport", ["tls", "relp"])
async def test_a_sender_without_the_certificate_that_is_asked_for_is_told(tmp_path, transport):
    authority = Authority(tmp_path)
    listeners = [listener("relp" if transport == "relp" else "tcp", authority)]
    options = ["--transport", transport, "--tls", "--ca-file", str(authority.ca_file)]
    async with Station(tmp_path, listeners=listeners) as station, station.daemon() as daemon:
        assert "cannot send to" in await send(daemon, *options, ends_with=1)
        await daemon.logged("connection rejected", reason="tls_no_client_certificate")
        assert (await daemon.status())["ledger"]["received"] == 0
