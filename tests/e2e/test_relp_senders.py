"""rsyslog's omrelp as the sender, plain and over TLS: everything arrives once."""

import pytest

from tests.certificates import Authority
from tests.rsyslog import Rsyslog, assert_all_arrive, forward, numbered
from tests.station import KEY, Station

MESSAGES = 2000
SENDER = "sender.example"


def relp(**settings):
    return {"name": "relp", "transport": "relp", "host": "127.0.0.1", "port": 0, **settings}


def forwarding(directory, daemon, tls=None, *, library="openssl"):
    """Return rsyslog with an omrelp with its default window.

    Args:
        tls: parameters for TLS; None for none.
        library: which speaks it.
    """
    module, parameters = {}, {}
    if tls is not None:
        module = {"tls.tlslib": library}
        parameters = {"tls": "on", "tls.authmode": "name", "tls.permittedPeer": "localhost", **tls}
    action = forward("omrelp", daemon.address("relp"), parameters)
    modules = {"omrelp": module}
    return Rsyslog(directory / "rsyslog", {"all": action}, {"all": KEY}, modules=modules)


def shown(issued):
    """Return the parameters by which omrelp shows a certificate."""
    return {"tls.mycert": str(issued.cert_file), "tls.myprivkey": str(issued.key_file)}


async def test_everything_arrives_once_and_in_order(tmp_path):
    async with (
        Station(tmp_path, listeners=[relp()]) as station,
        station.daemon() as daemon,
        forwarding(tmp_path, daemon) as rsyslog,
    ):
        await assert_all_arrive(station, daemon, rsyslog, MESSAGES)


async def test_tls_needs_no_certificate_of_the_sender(tmp_path):
    """Of librelp's libraries, GnuTLS without a certificate would have nobody show one."""
    authority = Authority(tmp_path)
    server = authority.server()
    tls = {"cert_file": str(server.cert_file), "key_file": str(server.key_file)}
    async with (
        Station(tmp_path, listeners=[relp(tls=tls)]) as station,
        station.daemon() as daemon,
        forwarding(tmp_path, daemon, {"tls.cacert": str(authority.ca_file)}) as rsyslog,
    ):
        await assert_all_arrive(station, daemon, rsyslog, MESSAGES)


@pytest.mark.parametrize("library", ["gnutls", "openssl"])
async def test_tls_with_certificates_on_both_sides(tmp_path, library):
    authority, theirs = Authority(tmp_path), Authority(tmp_path, "theirs")
    server = authority.server()
    tls = {
        "cert_file": str(server.cert_file),
        "key_file": str(server.key_file),
        "client_ca_file": str(theirs.ca_file),
        "allowed_names": [SENDER],
    }
    certificates = {
        "tls.cacert": str(authority.ca_file),
        **shown(theirs.issue(SENDER, name="sender")),
    }
    async with (
        Station(tmp_path, listeners=[relp(tls=tls)]) as station,
        station.daemon() as daemon,
        forwarding(tmp_path, daemon, certificates, library=library) as rsyslog,
    ):
        await assert_all_arrive(station, daemon, rsyslog, MESSAGES)


@pytest.mark.parametrize("when_oversize", ["truncate", "reject"])
async def test_a_message_that_is_too_long_stops_nobody(tmp_path, when_oversize):
    """Cut, it is answered as accepted; rejected, rsyslog forgets it. It does not come again."""
    listener = relp(max_message_bytes=1024, when_oversize=when_oversize)
    async with (
        Station(tmp_path, listeners=[listener]) as station,
        station.daemon() as daemon,
        forwarding(tmp_path, daemon) as rsyslog,
    ):
        some = list(numbered(range(100)))
        some[50] += " " + "z" * 20_000
        await rsyslog.send("all", some)
        expected = set(range(100)) - ({50} if when_oversize == "reject" else set())
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] >= len(expected))
        assert ledger["received"] == 100
        assert ledger["rejected"] == ({"oversize": 1} if when_oversize == "reject" else {})
        assert set(station.numbers) == expected
