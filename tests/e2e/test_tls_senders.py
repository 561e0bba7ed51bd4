"""Real senders over TLS: who is let in, and why the others are not."""

from contextlib import asynccontextmanager

import pytest

from tests.certificates import Authority
from tests.peers import require, run
from tests.rsyslog import Rsyslog, assert_all_arrive, forward, numbered
from tests.station import KEY, Station

SENDER = "sender.example"
MESSAGES = 200
DRIVERS = ("gtls", "ossl")


class Certified:
    """Two authorities: ours, for the collector, and theirs, for its senders."""

    def __init__(self, directory):
        self.ours = Authority(directory, "ours")
        self.theirs = Authority(directory, "theirs")
        server = self.ours.server()
        self.plain = {"cert_file": str(server.cert_file), "key_file": str(server.key_file)}
        self.mutual = {
            **self.plain,
            "client_ca_file": str(self.theirs.ca_file),
            "allowed_names": [SENDER],
        }

    def sender(self):
        return self.theirs.issue(SENDER, name="sender")


@pytest.fixture
def certified(tmp_path):
    return Certified(tmp_path)


@asynccontextmanager
async def listening(directory, tls, *, transport="tcp"):
    """Run a daemon with one listener, and its sink."""
    listener = {"name": "syslog", "transport": transport, "host": "127.0.0.1", "port": 0}
    if tls is not None:
        listener["tls"] = tls
    async with (
        Station(directory, listeners=[listener]) as station,
        station.daemon() as daemon,
    ):
        yield daemon, station


def forwarding(directory, daemon, driver, authority, certificate=None):
    """Return rsyslog with an omfwd over TLS.

    Args:
        driver: `gtls` or `ossl`.
        authority: whom it trusts.
        certificate: what it shows; None for nothing.
    """
    parameters = {
        "StreamDriver": driver,
        "StreamDriverMode": "1",
        "StreamDriverAuthMode": "x509/name",
        "StreamDriverPermittedPeers": "localhost",
        "StreamDriver.CAFile": str(authority.ca_file),
    }
    if certificate is not None:
        parameters["StreamDriver.CertFile"] = str(certificate.cert_file)
        parameters["StreamDriver.KeyFile"] = str(certificate.key_file)
    return Rsyslog(
        directory / "rsyslog",
        {"all": forward("omfwd", daemon.address("syslog"), parameters)},
        {"all": KEY},
        modules={f"lmnsd_{driver}": {}},
    )


async def assert_refused(daemon, reason, *problem):
    """Wait for a refusal in the log; it is counted, and nothing was received."""
    line = await daemon.logged("connection rejected", reason=reason)
    assert (line["listener"], line["peer"]) == ("syslog", "127.0.0.1")
    for words in problem:
        assert words in line["problem"]
    rejected = {
        name: value
        for name, value in (await daemon.metrics()).items()
        if name.startswith("collector_connections_rejected_total") and value
    }
    label = f'{{listener="syslog",reason="{reason}"}}'
    assert rejected.keys() == {f"collector_connections_rejected_total{label}"}
    assert (await daemon.status())["ledger"]["received"] == 0


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_without_a_certificate_is_let_in_where_none_is_asked_for(
    tmp_path, certified, driver
):
    async with (
        listening(tmp_path, certified.plain) as (daemon, station),
        forwarding(tmp_path, daemon, driver, certified.ours) as rsyslog,
    ):
        await assert_all_arrive(station, daemon, rsyslog, MESSAGES)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_with_a_certificate_and_an_allowed_name_is_let_in(
    tmp_path, certified, driver
):
    async with (
        listening(tmp_path, certified.mutual) as (daemon, station),
        forwarding(tmp_path, daemon, driver, certified.ours, certified.sender()) as rsyslog,
    ):
        await assert_all_arrive(station, daemon, rsyslog, MESSAGES)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_without_the_certificate_that_is_asked_for_is_refused(
    tmp_path, certified, driver
):
    async with (
        listening(tmp_path, certified.mutual) as (daemon, _),
        forwarding(tmp_path, daemon, driver, certified.ours) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_no_client_certificate", "showed no certificate")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_whose_authority_we_do_not_know_is_refused(tmp_path, certified, driver):
    stranger = Authority(tmp_path, "stranger").issue(SENDER, name="sender")
    async with (
        listening(tmp_path, certified.mutual) as (daemon, _),
        forwarding(tmp_path, daemon, driver, certified.ours, stranger) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_unknown_ca", "certificate is refused")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_whose_certificate_has_expired_is_refused(tmp_path, certified, driver):
    expired = certified.theirs.expired(SENDER)
    async with (
        listening(tmp_path, certified.mutual) as (daemon, _),
        forwarding(tmp_path, daemon, driver, certified.ours, expired) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_certificate_expired", "has expired")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_sender_with_another_name_is_refused(tmp_path, certified, driver):
    other = certified.theirs.issue("other.example", name="other")
    async with (
        listening(tmp_path, certified.mutual) as (daemon, _),
        forwarding(tmp_path, daemon, driver, certified.ours, other) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_name_not_allowed", "other.example")


async def test_a_sender_that_does_not_know_our_authority_says_so_with_openssl(tmp_path, certified):
    async with (
        listening(tmp_path, certified.plain) as (daemon, _),
        forwarding(tmp_path, daemon, "ossl", certified.theirs) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_refused_by_peer", "does not accept", "unknown ca")


async def test_a_sender_that_does_not_know_our_authority_just_leaves_with_gnutls(
    tmp_path, certified
):
    """It looks at our certificate after the handshake, and tells nobody but its own log."""
    async with (
        listening(tmp_path, certified.plain) as (daemon, _),
        forwarding(tmp_path, daemon, "gtls", certified.theirs) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await rsyslog.said("not permitted to talk to peer", "signer not found")
        assert (await daemon.status())["ledger"]["received"] == 0


async def test_a_sender_that_speaks_tls_1_1_alone_is_refused(tmp_path, certified):
    """Whatever its security level, without which OpenSSL 3 would not even try."""
    openssl = require("openssl")
    async with listening(tmp_path, certified.plain) as (daemon, _):
        await run(
            *(openssl, "s_client", "-connect", at(daemon)),
            *("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
            ends_with=1,
        )
        await assert_refused(daemon, "tls_version", "no version of TLS that is accepted")


async def test_plain_text_on_a_tls_port_is_refused(tmp_path, certified):
    logger = require("logger")
    async with listening(tmp_path, certified.plain) as (daemon, _):
        host, port = daemon.address("syslog")
        await run(logger, "--tcp", "--server", host, "--port", str(port), "--", "hello")
        await assert_refused(daemon, "tls_plain_text", "not TLS")


async def test_relp_in_plain_text_on_a_tls_port_is_refused(tmp_path, certified):
    async with listening(tmp_path, certified.plain, transport="relp") as (daemon, _):
        action = forward("omrelp", daemon.address("syslog"))
        ways = ({"all": action}, {"all": KEY})
        async with Rsyslog(tmp_path / "rsyslog", *ways, modules={"omrelp": {}}) as rsyslog:
            await rsyslog.send("all", numbered(range(1)))
            await assert_refused(daemon, "tls_plain_text", "not TLS")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_tls_on_a_plain_port_is_refused(tmp_path, certified, driver):
    async with (
        listening(tmp_path, None) as (daemon, _),
        forwarding(tmp_path, daemon, driver, certified.ours) as rsyslog,
    ):
        await rsyslog.send("all", numbered(range(1)))
        await assert_refused(daemon, "tls_on_plain_port")


async def test_tls_on_a_plain_relp_port_is_refused(tmp_path):
    openssl = require("openssl")
    async with listening(tmp_path, None, transport="relp") as (daemon, _):
        await run(openssl, "s_client", "-connect", at(daemon), ends_with=1)
        await assert_refused(daemon, "tls_on_plain_port")


def at(daemon):
    host, port = daemon.address("syslog")
    return f"{host}:{port}"
