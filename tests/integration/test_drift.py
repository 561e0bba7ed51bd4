"""Drift of what senders send, from the socket to the metric, the status and the command."""

import asyncio
import json
import sys

import yaml

from collector import samples
from tests.daemon import Daemon
from tests.fake_sink import FakeSink

CEF = "CEF:0|Cybereason|Cybereason|1.0|{}|Malop Dreamt|5|cs1=11.42 cs1Label=MalopId{}"


def settings(sink):
    local = {"transport": "tcp", "host": "127.0.0.1", "port": 0}
    return {
        "listeners": [
            {"name": vendor, "intake": vendor, **local} for vendor in ("cybereason", "harfanglab")
        ],
        "intakes": [{"name": name, "parser": name} for name in ("cybereason", "harfanglab")],
        "sinks": [{"name": "siem", "url": sink.url, "batch": {"max_wait": "10ms"}}],
    }


async def send(address, *payloads):
    """Send messages, octet-counted, over one connection."""
    _, writer = await asyncio.open_connection(*address)
    for payload in payloads:
        message = f"<134>1 - - - - - - {payload}".encode()
        writer.write(b"%d %b" % (len(message), message))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def drift_command(directory, config, daemon):
    """Run `collector drift` against a daemon; return its exit code and its lines."""
    address = (await daemon.logged("admin server listening"))["url"]
    file = directory / "asking.yaml"
    file.write_text(yaml.safe_dump({**config, "admin": {"port": int(address.rpartition(":")[2])}}))
    process = await Daemon.execute(
        *(sys.executable, "-m", "collector", "drift", "-c", str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().splitlines()


async def test_what_is_new_is_counted_listed_and_shown(tmp_path):
    """The documented messages hold nothing new; a new field, type, class and family do."""
    async with FakeSink() as sink:
        config = settings(sink)
        async with Daemon(tmp_path, config) as daemon:
            sent = 0
            for vendor in ("cybereason", "harfanglab"):
                payloads = [sample.raw for sample in samples.load(vendor)]
                await send(daemon.address(vendor), *payloads)
                sent += len(payloads)
            await daemon.ledger_when(lambda ledger: ledger["delivered"] == sent)
            assert (await daemon.status())["drift"] == []
            code, lines = await drift_command(tmp_path, config, daemon)
            assert (code, len(lines)) == (0, 1)

            network = next(s.raw for s in samples.load("harfanglab") if s.name == "network")
            changed = json.loads(network)
            changed |= {"dport": {"tcp": 1}, "log_type": "telepathy", "brand_new": "Secret-1"}
            await send(
                daemon.address("cybereason"),
                CEF.format("99", ""),
                CEF.format("6", " cs2=Secret-2 cs2Label=BrandNew"),
                CEF.format("6", " cs2=Secret-2 cs2Label=BrandNew"),
            )
            await send(daemon.address("harfanglab"), json.dumps(changed))
            sent += 4
            ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == sent)
            drift = (await daemon.status())["drift"]
            metrics = await daemon.metrics()
            code, lines = await drift_command(tmp_path, config, daemon)
            shown = str(drift) + str(lines) + str(daemon.lines) + str(metrics)

    assert ledger["received"] == sent
    found = {(e["intake"], e["kind"], e["field"]): (e["count"], e["sample"]) for e in drift}
    assert found == {
        ("cybereason", "family", "DeviceEventClassID=99"): (1, "text 99"),
        ("cybereason", "field", "BrandNew"): (2, "text xxxxxx-9"),
        ("harfanglab", "family", "log_type=telepathy"): (1, "text xxxxxxxxx"),
        ("harfanglab", "field", "brand_new"): (1, "text xxxxxx-9"),
        ("harfanglab", "type", "dport"): (1, "object of 1"),
    }
    for (intake, _, field), (count, _) in found.items():
        name = f'collector_unmapped_fields_total{{field="{field}",intake="{intake}"}}'
        assert metrics[name] == count
    assert code == 0
    assert {tuple(line.split("\t")[:3]) for line in lines[1:]} == {*found}
    assert "Secret" not in shown


async def test_hostile_messages_are_delivered_and_keep_it_small(tmp_path):
    """Names without end, of any length and with any character."""
    hostile = [
        json.dumps({f"name{n}": n for n in range(5000)}),
        json.dumps({"x" * 100_000: 1, "\x1b[31m\x00\n": 1, "log_type": "\u202e" * 1000}),
        json.dumps({"agent": [[[]]] * 1000, "log_type": {"a": 1}, "alert_subtype": [1]}),
        *(json.dumps({f"new{n}-{m}": "x" for n in range(50)}) for m in range(20)),
    ]
    async with FakeSink() as sink, Daemon(tmp_path, settings(sink)) as daemon:
        await send(daemon.address("harfanglab"), *hostile)
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == len(hostile))
        drift = (await daemon.status())["drift"]
        metrics = await daemon.metrics()
    assert len(drift) <= 203
    assert all(len(entry["field"]) <= 100 and entry["field"].isprintable() for entry in drift)
    assert sum(name.startswith("collector_unmapped_fields_total") for name in metrics) <= 201
    assert metrics['collector_unmapped_fields_total{field="(other)",intake="harfanglab"}'] > 0
