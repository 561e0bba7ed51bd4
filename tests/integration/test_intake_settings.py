"""What a running daemon adds to events, and which of them go where."""

import asyncio
import re
import socket
from contextlib import asynccontextmanager

import pytest

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

KEY = "the-key-of-the-test"
LOCAL = {"host": "127.0.0.1", "port": 0}
FAST = {"batch": {"max_wait": "10ms"}, "concurrency": 1}
KEYED = f'<134>1 - - - - - [SEKOIA@53288 intake_key="{KEY}"] %b'.encode()


@asynccontextmanager
async def collecting(directory, intake, only, **settings):
    """Run a daemon with two sinks, the second of which is choosy."""
    async with FakeSink() as everything, FakeSink() as alerts:
        config = {
            "listeners": [
                {"name": "udp", "transport": "udp", **LOCAL, "timezone": "Europe/Paris"},
                {"name": "bound", "transport": "tcp", **LOCAL, "intake": "edr", "framing": "lf"},
            ],
            "intakes": [{"name": "edr", "parser": "cybereason", "key": KEY, **intake}],
            "sinks": [
                {"name": "everything", "url": everything.url, **FAST},
                {"name": "alerts", "url": alerts.url, **FAST, "only": only},
            ],
            **settings,
        }
        async with Daemon(directory, config) as daemon:
            yield daemon, everything, alerts


def cef(event_class, name, extension="", before=""):
    """Return a message as a relay sends it, with a header of RFC 5424."""
    data = f'[SEKOIA@53288 intake_key="{KEY}"][meta sequenceId="7"]'
    header = f"<134>1 2026-01-02T03:04:05 relay forwarder 42 - {data}"
    payload = f"CEF:0|Cybereason|Cybereason|1.0|{event_class}|{name}|5|{extension}"
    return f"{before}{header} {payload}".encode()


def send(daemon, *messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, daemon.address("udp"))


async def test_events_are_completed_and_selected_as_the_settings_say(tmp_path):
    """Fields, envelope and filters; the ledger has an account for each copy that went nowhere."""
    intake = {
        "profile": "ecs",
        "envelope": ["syslog", "received", "source"],
        "fields": {
            "labels.site": "paris",
            "organization": {"name": "ACME"},
            "event.severity": 99,
            "tags": ["edr", "truncated"],
        },
        "drop": [
            {"name": "heartbeats", "field": "event.action", "prefix": "Heart"},
            {"name": "unreadable", "field": "error.code", "equals": "not_cef"},
        ],
    }
    only = [
        {"name": "kind", "field": "event.kind", "equals": "alert"},
        {"name": "code", "field": "event.code", "in": [3, 4]},
    ]
    async with collecting(tmp_path, intake, only) as (daemon, everything, alerts):
        send(
            daemon,
            cef(1, "Malop Created", "rt=1700000000000 duser=alice"),
            cef(3, "Malop Machine", before="345 "),
            cef(6, "Malop User Added"),
            cef(6, "Heartbeat"),
            KEYED % b"nonsense",
        )
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 5)
        assert ledger["received"] == ledger["copies"] == 5
        assert ledger["dropped"] == {
            "filter:heartbeats": 2,
            "filter:unreadable": 2,
            "only:alerts": 1,
        }
        by_name = {event["event"]["action"]: event for event in everything.events}
        assert sorted(by_name) == ["Malop Created", "Malop Machine", "Malop User Added"]
        assert [event["event"]["action"] for event in alerts.events] == [
            "Malop Created",
            "Malop Machine",
        ]
        created = by_name["Malop Created"]
        assert created["event"]["type"] == ["info"]
        assert created["event"]["severity"] == 99
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", created["event"]["created"])
        assert created["labels"] == {"site": "paris"}
        assert created["organization"] == {"name": "ACME"}
        assert created["tags"] == ["edr", "truncated"]
        assert created["log"]["source"] == {"address": "127.0.0.1"}
        assert created["log"]["syslog"] == {
            "priority": 134,
            "facility": {"code": 16, "name": "local0"},
            "severity": {"code": 6, "name": "Informational"},
            "version": "1",
            "timestamp": "2026-01-02T02:04:05.000000Z",
            "hostname": "relay",
            "appname": "forwarder",
            "procid": "42",
            "structured_data": {"meta": {"sequenceId": "7"}},
        }
        repaired = by_name["Malop Machine"]
        assert repaired["tags"] == [
            "repaired:octet_count",
            "timestamp:received",
            "edr",
            "truncated",
        ]
        assert repaired["@timestamp"] == repaired["event"]["created"]
        metrics = await daemon.metrics()
        repairs = {
            name: count
            for name, count in metrics.items()
            if name.startswith("collector_events_repaired_total") and count
        }
        assert repairs == {
            'collector_events_repaired_total{intake="edr",repair="octet_count"}': 1,
        }
        assert metrics['collector_events_dropped_total{reason="only:alerts"}'] == 1
        assert metrics['collector_events_dropped_total{reason="filter:heartbeats"}'] == 2
        assert metrics['collector_events_total{intake="edr",outcome="ok"}'] == 4
        assert KEY not in str([everything.events, alerts.events, daemon.lines])


async def test_an_intake_may_add_next_to_nothing(tmp_path):
    """Neither a time of receipt nor a date that the vendor did not give; the id is always there."""
    intake = {"envelope": [], "timestamp_fallback": False}
    only = [{"name": "dated", "field": "@timestamp", "exists": True}]
    async with collecting(tmp_path, intake, only) as (daemon, everything, alerts):
        _, writer = await asyncio.open_connection(*daemon.address("bound"))
        line = b"12 CEF:0|Cybereason|Cybereason|1.0|6|Malop User Added|5|"
        writer.write(line + b"\n" + line + b"rt=1700000000000\n")
        writer.close()
        await writer.wait_closed()
        ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] == 3)
        assert ledger["dropped"] == {"only:alerts": 1}
        undated, dated = everything.events
        assert undated["tags"] == dated["tags"] == ["repaired:octet_count"]
        assert "@timestamp" not in undated
        assert "created" not in undated["event"]
        assert undated["event"]["id"] < dated["event"]["id"]
        assert alerts.events == [dated]


async def test_what_cannot_be_parsed_may_be_kept_as_a_dead_letter(tmp_path):
    """No sink gets it; the others of its connection are served."""
    intake = {"on_parse_error": "dead_letter"}
    async with collecting(tmp_path, intake, []) as (daemon, everything, alerts):
        send(daemon, cef(6, "one"), KEYED % b"nonsense", KEYED % b"CEF:0|cut", cef(6, "two"))
        ledger = await daemon.ledger_when(
            lambda ledger: ledger["delivered"] == 4 and ledger["received"] == 4
        )
        assert ledger["dead_lettered"] == {"parse_error": 2}
        assert ledger["copies"] == 2
        for sink in (everything, alerts):
            assert [event["event"]["action"] for event in sink.events] == ["one", "two"]
        metrics = await daemon.metrics()
        letters = 'collector_events_dead_lettered_total{intake="edr",reason="parse_error"}'
        assert metrics[letters] == 2
        assert metrics['collector_dead_letters{reason="parse_error"}'] == 2
        assert metrics['collector_events_total{intake="edr",outcome="pipeline_error"}'] == 2
        line = await daemon.logged("message cannot be parsed, kept as a dead letter")
        assert line["intake"] == "edr"


@pytest.mark.parametrize("when_over", ["drop", "dead_letter"])
async def test_a_flood_of_one_intake_is_held_to_its_rate(tmp_path, when_over):
    """What is beyond it is counted, or kept; other senders do not notice."""
    intake = {"max_rate": {"events_per_second": 10, "when_over": when_over}}
    async with collecting(tmp_path, intake, []) as (daemon, everything, _):
        count = 1000
        messages = [cef(6, str(number)) for number in range(count)]
        _, writer = await asyncio.open_connection(*daemon.address("bound"))
        writer.write(b"".join(message + b"\n" for message in messages))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        ledger = await daemon.ledger_when(
            lambda ledger: ledger["received"] == count and not ledger["in_memory"]
        )
        account = "dropped" if when_over == "drop" else "dead_lettered"
        beyond = ledger[account]["max_rate"]
        assert set(ledger["dropped"]) | set(ledger["dead_lettered"]) == {"max_rate"}
        assert 10 <= count - beyond < count / 2
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 2 * (count - beyond))
        names = [event["event"]["action"] for event in everything.events]
        assert names[:10] == [str(number) for number in range(10)]


async def test_a_message_that_is_sent_again_may_have_the_same_id(tmp_path):
    """By datagram or connection, to every sink; another message has another one."""
    async with collecting(tmp_path, {}, [], identity="content") as (daemon, everything, alerts):
        send(daemon, cef(6, "one"), cef(6, "two"), cef(6, "one"))
        _, writer = await asyncio.open_connection(*daemon.address("bound"))
        writer.write(cef(6, "one") + b"\n")
        writer.close()
        await writer.wait_closed()
        await daemon.ledger_when(lambda ledger: ledger["delivered"] == 8)
        found = {(e["event"]["action"], e["event"]["id"]) for e in everything.events}
        assert found == {(e["event"]["action"], e["event"]["id"]) for e in alerts.events}
        assert len(found) == 2
        assert len(everything.events) == 4
