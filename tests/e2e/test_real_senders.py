"""The documented samples, sent by real syslog programs, arrive at an HTTP sink as documented."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from collector import samples
from tests.daemon import Daemon
from tests.fake_sink import FakeSink
from tests.peers import require, run
from tests.rsyslog import Rsyslog, forward
from tests.support import assert_contains, expected_event

KEYS = {"cybereason": "c1be-key-of-the-test", "harfanglab": "4a4f-key-of-the-test"}
SAMPLES = samples.load("cybereason") + samples.load("harfanglab")


@asynccontextmanager
async def collecting(directory):
    """Run a daemon that routes by key on UDP and TCP and by port, and its sink."""
    async with FakeSink() as sink:
        settings = {
            "listeners": [
                {"name": "udp", "transport": "udp", "host": "127.0.0.1", "port": 0},
                {"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0},
                *(
                    {
                        "name": f"{vendor}-port",
                        "transport": "tcp",
                        "host": "127.0.0.1",
                        "port": 0,
                        "intake": vendor,
                    }
                    for vendor in KEYS
                ),
            ],
            "intakes": [
                {"name": vendor, "parser": vendor, "key": key} for vendor, key in KEYS.items()
            ],
            "sinks": [{"name": "siem", "url": sink.url, "batch": {"max_wait": "20ms"}}],
        }
        async with Daemon(directory, settings) as daemon:
            yield daemon, sink


async def assert_arrived(sink, daemon, sent, *, trimmed=False):
    """Each sample arrives once and as documented, and the ledger says so.

    With `trimmed` the line feed that one of them ends with was lost on the way: it is no part of a
    datagram's message, and rsyslog drops it too.
    """
    await sink.wait_until(lambda: len(sink.events) >= len(sent))
    by_message = {event["message"]: event for event in sink.events}
    assert len(by_message) == len(sink.events) == len(sent)
    for sample in sent:
        message = sample.raw.rstrip("\n") if trimmed else sample.raw
        assert_contains(by_message[message], {**expected_event(sample), "message": message})
    ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == len(sent))
    assert ledger["received"] == len(sent)
    assert ledger["rejected"] == {}


@pytest.mark.parametrize(
    ("listener", "options"), [("udp", ["--udp"]), ("tcp", ["--tcp", "--octet-count"])]
)
async def test_logger_delivers_every_sample(tmp_path, listener, options):
    """RFC 5424 with the key in the structured data, line feeds included."""
    logger = require("logger")
    async with collecting(tmp_path) as (daemon, sink):
        host, port = daemon.address(listener)
        for sample in SAMPLES:
            await run(
                logger,
                "--rfc5424",
                *options,
                "--server",
                host,
                "--port",
                str(port),
                "--size",
                "65000",
                "--sd-id",
                "SEKOIA@53288",
                "--sd-param",
                f'intake_key="{KEYS[sample.vendor]}"',
                "--",
                sample.raw,
            )
        await assert_arrived(sink, daemon, SAMPLES, trimmed=listener == "udp")


def forwarding(directory, address, framing):
    """Return rsyslog as a forwarder that adds the key of each vendor."""
    action = forward("omfwd", address, {"TCP_Framing": framing})
    end = "\\n" if framing == "traditional" else ""
    return Rsyslog(directory / "rsyslog", dict.fromkeys(KEYS, action), KEYS, end=end)


async def send_counted(port, *messages):
    """Send octet-counted messages to a port."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        octets = message.encode()
        writer.write(b"%d %b" % (len(octets), octets))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("framing", ["octet-counted", "traditional"])
async def test_rsyslog_delivers_every_sample_with_the_key_it_adds(tmp_path, framing):
    """As the Sekoia.io forwarder does; text with line feeds needs octet counts."""
    sent = [
        sample for sample in SAMPLES if framing == "octet-counted" or "\n" not in sample.raw.strip()
    ]
    async with (
        collecting(tmp_path) as (daemon, sink),
        forwarding(tmp_path, daemon.address("tcp"), framing) as rsyslog,
    ):
        for vendor in KEYS:
            await rsyslog.send(
                vendor,
                (
                    f"<134>1 2026-01-02T03:04:05.678Z edr {vendor} - - - {sample.raw}"
                    for sample in sent
                    if sample.vendor == vendor
                ),
            )
        await assert_arrived(sink, daemon, sent, trimmed=True)


async def test_cef_whose_prefix_a_relay_took_for_the_tag_is_cef_all_the_same(tmp_path):
    """The CEF Forwarder sends no syslog header, rsyslog makes `CEF:` the application's name."""
    sent = samples.load("cybereason")
    async with (
        collecting(tmp_path) as (daemon, sink),
        forwarding(tmp_path, daemon.address("tcp"), "octet-counted") as rsyslog,
    ):
        await rsyslog.send("cybereason", (sample.raw for sample in sent))
        await sink.wait_until(lambda: len(sink.events) >= len(sent))
        found = {event["event"]["code"]: event for event in sink.events}
        assert len(found) == len(sink.events) == len(sent)
        for sample in sent:
            expected = expected_event(sample)
            del expected["message"]
            assert_contains(found[expected["event"]["code"]], expected)


async def test_two_bound_ports_route_without_any_key(tmp_path):
    """What knows only host and port, as the CEF Forwarder does, is routed by the port."""
    async with collecting(tmp_path) as (daemon, sink):
        for vendor in KEYS:
            _, port = daemon.address(f"{vendor}-port")
            await send_counted(port, *(s.raw for s in SAMPLES if s.vendor == vendor))
        await assert_arrived(sink, daemon, SAMPLES)


async def test_one_port_routes_both_vendors_by_key(tmp_path):
    """One connection may carry both."""
    async with collecting(tmp_path) as (daemon, sink):
        _, port = daemon.address("tcp")
        await send_counted(
            port,
            *(
                f'<134>1 - - - - - [SEKOIA@53288 intake_key="{KEYS[s.vendor]}"] {s.raw}'
                for s in SAMPLES
            ),
        )
        await assert_arrived(sink, daemon, SAMPLES)
