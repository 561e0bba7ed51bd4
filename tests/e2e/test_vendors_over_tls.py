"""The two vendors as they come over TLS, with the key in the structured data."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from collector import samples
from tests.certificates import Authority
from tests.daemon import Daemon
from tests.fake_sink import FakeSink
from tests.rsyslog import Rsyslog, forward
from tests.support import assert_contains, expected_event

KEYS = {"cybereason": "c1be-key-of-the-test", "harfanglab": "4a4f-key-of-the-test"}


@asynccontextmanager
async def collecting(directory, authority):
    """Run a daemon that takes both vendors on one port over TLS, and its sink."""
    server = authority.server()
    async with FakeSink() as sink:
        listener = {
            "name": "tls",
            "transport": "tcp",
            "host": "127.0.0.1",
            "port": 0,
            "tls": {"cert_file": str(server.cert_file), "key_file": str(server.key_file)},
        }
        settings = {
            "listeners": [listener],
            "intakes": [
                {"name": vendor, "parser": vendor, "key": key} for vendor, key in KEYS.items()
            ],
            "sinks": [{"name": "siem", "url": sink.url, "batch": {"max_wait": "20ms"}}],
        }
        async with Daemon(directory, settings) as daemon:
            yield daemon, sink


async def assert_arrived(sink, daemon, sent):
    """Each sample arrives once and as documented; the message is as its last sender had it."""
    await sink.wait_until(lambda: len(sink.events) >= len(sent))
    ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == len(sent))
    assert ledger["received"] == len(sent)
    found = {event["message"].strip().removeprefix("CEF:"): event for event in sink.events}
    for sample in sent:
        expected = expected_event(sample)
        del expected["message"]
        assert_contains(found.pop(sample.raw.strip().removeprefix("CEF:")), expected)
    assert found == {}


@pytest.mark.parametrize("framing", ["octet-counted", "lf"])
async def test_harfanglab_sends_over_tls_with_the_key_in_the_structured_data(tmp_path, framing):
    authority = Authority(tmp_path)
    sent = [s for s in samples.load("harfanglab") if framing != "lf" or "\n" not in s.raw.strip()]
    async with collecting(tmp_path, authority) as (daemon, sink):
        context = ssl.create_default_context(cafile=authority.ca_file)
        _, writer = await asyncio.open_connection(*daemon.address("tls"), ssl=context)
        for sample in sent:
            message = (
                "<134>1 2026-01-02T03:04:05.678Z hurukai hlab 1 - "
                f'[SEKOIA@53288 intake_key="{KEYS["harfanglab"]}"] {sample.raw.strip()}'
            ).encode()
            counted = b"%d %b" % (len(message), message)
            writer.write(counted if framing == "octet-counted" else message + b"\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await assert_arrived(sink, daemon, sent)


async def test_a_sekoia_io_forwarder_is_pointed_at_us_instead(tmp_path):
    """It has the authority's certificate for all its forwarding, and rsyslog eats `CEF:`."""
    authority = Authority(tmp_path)
    vendors = {vendor: samples.load(vendor) for vendor in KEYS}
    parameters = {
        "StreamDriver": "gtls",
        "StreamDriverMode": "1",
        "StreamDriverAuthMode": "x509/name",
        "StreamDriverPermittedPeers": "localhost",
    }
    async with collecting(tmp_path, authority) as (daemon, sink):
        action = forward("omfwd", daemon.address("tls"), parameters)
        async with Rsyslog(
            tmp_path / "rsyslog",
            dict.fromkeys(KEYS, action),
            KEYS,
            options={"defaultNetstreamDriverCAFile": str(authority.ca_file)},
            modules={"lmnsd_gtls": {}},
            end="\\n",
        ) as rsyslog:
            await rsyslog.send("cybereason", (sample.raw for sample in vendors["cybereason"]))
            header = "<134>1 2026-01-02T03:04:05.678Z hurukai hlab 1 - - "
            await rsyslog.send(
                "harfanglab", (header + sample.raw for sample in vendors["harfanglab"])
            )
            await assert_arrived(sink, daemon, [s for sent in vendors.values() for s in sent])
