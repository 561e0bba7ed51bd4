"""What a real Prometheus makes of the daemon with the rules and the dashboard of `deploy`."""

import asyncio
import math
import os
import re
import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from collector.roles import Role
from tests import promql
from tests.certificates import SERVER_NAMES, Authority
from tests.daemon import Daemon, free_port
from tests.fake_sink import FakeSink
from tests.nats import Nats
from tests.peers import require, steady_port
from tests.prometheus import DASHBOARD, Prometheus, panels, rules, substituted
from tests.station import noise
from tests.support import ROOT

PATIENCE = 60.0
LOCAL = {"host": "127.0.0.1", "port": 0}
RETRY = {"retry": {"initial": "20ms", "max": "100ms"}, "batch": {"max_wait": "10ms"}}
HURRIED = {
    "collector.sightings.CHECK_SECONDS": 1.0,
    "collector.workers.supervisor.CHECK_SECONDS": 1.0,
}
OF_A_STREAM = re.compile("collector_(stream|events_handed_over|events_taken_over)_")
DREAM = "CEF:0|Cybereason|Cybereason|1.0|1|Malop Dreamt|5|cs1=11.42 cs1Label=MalopId dreamt=yes"

EVERYWHERE = {
    ("CollectorKeepsDeadLetters", "firing", "reason=unknown_intake"),
    ("CollectorRefusesMessages", "firing", "listener=tcp reason=oversize"),
    ("CollectorUnknownFields", "firing", "intake=edr"),
    ("CollectorSenderSilent", "firing", "intake=quiet"),
    ("CollectorSpoolQuarantined", "firing", ""),
    ("CollectorSinkDown", "pending", "sink=down"),
    ("CollectorSinkDown", "pending", "sink=refusing"),  # until it has refused for two minutes
    ("CollectorSinkPaused", "pending", "sink=refusing"),
    ("CollectorParseFailures", "pending", "intake=broken"),
    ("CollectorCertificateEnds", "pending", "listener=tls"),
}
"""What is to be told of each collector, but for its name."""

# Of one.


def settings(directory, port, taking, refusing, workers):
    """Return the settings of a daemon that much is wrong with."""
    issued = Authority(directory).issue(*SERVER_NAMES, name="ending", valid_days=(-1, 10))
    tls = {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}
    small = {"max_message_bytes": 1024, "when_oversize": "reject"}
    urls = {
        "taking": taking.url,
        "refusing": refusing.url,
        "down": f"http://127.0.0.1:{free_port()}/",
    }
    return {
        "workers": workers,
        "listeners": [
            {"name": "tcp", "transport": "tcp", **LOCAL, **small},
            {"name": "udp", "transport": "udp", **LOCAL},
            {"name": "tls", "transport": "tcp", **LOCAL, "tls": tls},
        ],
        "intakes": [
            {"name": "edr", "parser": "cybereason", "key": "edr"},
            {"name": "broken", "parser": "cybereason", "key": "broken"},
            {"name": "changing", "parser": "raw", "key": ["changing", "old"]},
            {"name": "quiet", "parser": "raw", "key": "quiet", "expect_every": "1s"},
            {
                "name": "busy",
                "parser": "raw",
                "key": "busy",
                "max_rate": {"events_per_second": 1},
            },
        ],
        "sinks": [{"name": name, "url": url, **RETRY} for name, url in urls.items()],
        "spool": {"type": "sqlite", "path": str(directory / "spool"), "max_bytes": "64MiB"},
        "admin": {"port": port},
        "shutdown_grace": "200ms",
    }


@asynccontextmanager
async def collector(directory, taking, refusing, *, port=0, workers):
    """Run a daemon that finds a damaged file in its spool."""
    (directory / "spool").mkdir(parents=True)
    (directory / "spool" / "spool.db.damaged-20260102T030405Z").write_bytes(b"damaged")
    async with Daemon(directory, settings(directory, port, taking, refusing, workers)) as daemon:
        yield daemon


def message(key, text):
    line = f'<134>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()
    return b"%d %b" % (len(line), line)


async def send(daemon, *messages, listener="tcp"):
    """Send over a connection of its own, which a worker may lose."""
    with suppress(ConnectionError):
        _, writer = await asyncio.open_connection(*daemon.address(listener))
        writer.write(b"".join(messages))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def go_on(daemons):
    """Send under the old key of an intake, again and again."""
    while True:
        for daemon in daemons:
            await send(daemon, message("old", "hello"))
        await asyncio.sleep(0.1)


async def do_wrong(daemon):
    """Send what cannot be read, is not known, too long, too much, and in plain text for TLS."""
    await send(
        daemon,
        message("edr", DREAM),
        message("broken", "no CEF"),
        message("nobody's", "hello"),
        message("quiet", "hello"),
        message("quiet", 2000 * "x"),
        *(message("busy", "hello") for _ in range(5)),
    )
    await send(daemon, b"<134>1 - - - - - - hello\n", listener="tls")


async def kill_a_worker(daemon):
    worker = (await daemon.status())["workers"][0]
    os.kill(worker["pid"], signal.SIGKILL)


# What Prometheus makes of it.


def ports_of(*names):
    """Draw a port for each admin server; return them, and what is scraped."""
    drawn = set()
    while len(drawn) < len(names):
        drawn.add(steady_port())
    ports = dict(zip(names, drawn, strict=True))
    return ports, {name: f"127.0.0.1:{port}" for name, port in ports.items()}


async def told(prometheus, expected):
    """Wait until exactly these alerts are there."""
    found = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while (found := await prometheus.alerts()) != expected:
                await asyncio.sleep(0.2)
    assert found == expected


async def shown(prometheus, expression, condition):
    """Wait until what an expression results in is as asked: a scrape may be missed."""
    found = []
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not condition(found := await prometheus.query(expression)):
                await asyncio.sleep(0.5)
    assert condition(found), (expression, found)


async def assert_rules_are_sound(prometheus):
    """Each was evaluated, without an error, and what alerts say is whole."""
    groups = (await prometheus.ask("rules"))["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    names = sorted(rule.get("alert") or rule["record"] for rule in rules())
    assert sorted(rule["name"] for rule in found) == names
    assert {(rule["health"], rule.get("lastError", "")) for rule in found} == {("ok", "")}
    for alert in (await prometheus.ask("alerts"))["alerts"]:
        assert "<error" not in str(alert["annotations"]), alert


async def assert_accounts_balanced(prometheus):
    """They did at each scrape, also while a worker was dead."""
    for function in ("min_over_time", "max_over_time"):
        found = await prometheus.query(f"{function}(instance:collector_ledger_imbalance:sum[1h])")
        assert [value for _, value in found] == [0, 0]


async def assert_workers_are_one(prometheus):
    """What is told of two workers is what is told of one."""
    for expression in (
        'collector_senders_silent{intake="quiet"} == 1',
        'collector_sink_paused{sink="refusing"} == 1',
        'collector_degraded{part="sink"} >= 2',
        'collector_degraded{part="intake"} == 1',
        "collector_spool_writable == 1",
        "collector_config_last_reload_successful == 1",
    ):
        await shown(prometheus, expression, lambda found: len(found) == 2)


async def names_looked_at(prometheus):
    """Return every series that a rule or a query of the dashboard names, but for recorded ones."""
    expressions = [rule["expr"] for rule in rules()]
    values = await prometheus.variables()
    expressions += [
        substituted(target["expr"], values) for panel in panels() for target in panel["targets"]
    ]
    return {name for item in expressions for name in promql.names(item) if ":" not in name}


async def scraped_names(prometheus, instance):
    return {*await prometheus.ask("label/__name__/values", match=f'{{instance="{instance}"}}')}


async def assert_all_is_there(prometheus, instances):
    """Every series that a rule or a query of the dashboard names has been scraped.

    But for those of a stream, which these daemons do without.
    """
    named = {name for name in await names_looked_at(prometheus) if not OF_A_STREAM.match(name)}
    assert len(named) > 50
    found = [await scraped_names(prometheus, instance) for instance in instances]
    assert named - set().union(*found) == set()


async def assert_all_of_a_stream_is_there(prometheus, instances):
    """At each member: what rules, the dashboard and the README name."""
    named = await names_looked_at(prometheus)
    named |= set(re.findall(r"`(collector_\w+)", (ROOT / "README.md").read_text()))
    named = {name for name in named if OF_A_STREAM.match(name)}
    assert len(named) == 10
    for instance in instances:
        assert named - await scraped_names(prometheus, instance) == set()


def has_numbers(found):
    return any(not math.isnan(value) for _, value in found)


async def assert_panels_show_something(prometheus, *, of_a_stream):
    """Each query has a result, of numbers: those of a stream, or the others."""
    values = await prometheus.variables()
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    queries += [item["expr"] for item in DASHBOARD["annotations"]["list"]]
    chosen = [query for query in queries if bool(OF_A_STREAM.search(query)) is of_a_stream]
    assert chosen
    for expression in chosen:
        await shown(prometheus, substituted(expression, values), has_numbers)


def assert_no_trouble(prometheus):
    for trouble in ("level=error", "Evaluating rule failed", "Error on ingesting"):
        assert trouble not in prometheus.log


async def test_it_says_what_is_wrong_and_nothing_else_and_every_panel_shows_something(
    tmp_path, hurried
):
    """With one worker and with two, one of which is killed."""
    hurried(HURRIED)
    ports, targets = ports_of("one", "two")
    async with (
        Prometheus(tmp_path, targets) as prometheus,
        FakeSink() as taking,
        FakeSink(lambda _: 401) as refusing,
        collector(tmp_path / "one", taking, refusing, port=ports["one"], workers=1) as one,
        collector(tmp_path / "two", taking, refusing, port=ports["two"], workers=2) as two,
    ):
        expected = {
            (name, state, f"{instance} {labels}".strip())
            for name, state, labels in EVERYWHERE
            for instance in targets
        }
        expected.add(("CollectorOldKeyInUse", "pending", "intake=changing slot=1"))
        await prometheus.scraped(2)
        going_on = asyncio.create_task(go_on((one, two)))
        await asyncio.gather(do_wrong(one), do_wrong(two))
        await told(prometheus, expected)
        await kill_a_worker(two)
        await told(prometheus, {*expected, ("CollectorWorkerRestarted", "firing", "two")})
        await assert_rules_are_sound(prometheus)
        await assert_accounts_balanced(prometheus)
        await assert_workers_are_one(prometheus)
        await assert_all_is_there(prometheus, targets)
        await assert_panels_show_something(prometheus, of_a_stream=False)
        going_on.cancel()
    assert_no_trouble(prometheus)


# Of several that share a stream.

STREAM_OCTETS = 1024 * 1024


class Slow(FakeSink):
    """Has requests wait until it is quick; refuses an event that says so."""

    def __init__(self):
        super().__init__(self._wait)
        self.is_quick = asyncio.Event()

    async def _wait(self, events):
        await self.is_quick.wait()
        return 400 if "refuse me" in {event["message"] for event in events} else 200

    async def __aexit__(self, *exception):
        self.is_quick.set()
        await super().__aexit__(*exception)


def member(directory, port, role, nats, sinks):
    """Return a daemon of a role whose sinks get every event."""
    directory.mkdir()
    stream = {"servers": list(nats.urls), "replicas": 1, "max_bytes": STREAM_OCTETS}
    stream["max_age"] = "1d"
    given = {
        "listeners": [{"name": "tcp", "transport": "tcp", **LOCAL}],
        "intakes": [{"name": "any", "parser": "raw", "key": "any"}],
        "sinks": [{"name": name, "url": sink.url, **RETRY} for name, sink in sinks.items()],
        "spool": {"type": "jetstream", "path": str(directory / "spool"), **stream},
        "dead_letters": {"max_bytes": "1MiB"},
        "admin": {"port": port},
    }
    return Daemon(directory, given, role=role)


async def fill(client, receiver, part):
    """Send until the stream is as full as that."""
    stream = client.jetstream()
    while (await stream.stream_info("collector")).state.bytes < part * STREAM_OCTETS:
        before = (await receiver.status())["ledger"]["handed_over"]
        await send(receiver, message("any", noise(before, 10_000)))
        await receiver.ledger_when(lambda ledger, n=before: ledger["handed_over"] == n + 2)


async def test_it_says_what_is_wrong_with_a_stream_and_nothing_else(tmp_path):
    """A sink takes nothing, the stream fills and is emptied, its servers end.

    Another sink takes no more than that one, but has taken something before.
    """
    ports, targets = ports_of("receiver", "deliverer")
    async with (
        Prometheus(tmp_path, targets) as prometheus,
        Nats(tmp_path / "nats") as nats,
        Slow() as stuck,
        Slow() as slow,
        AsyncExitStack() as members,
    ):
        receiver, deliverer = [
            await members.enter_async_context(
                member(tmp_path / name, port, role, nats, {"stuck": stuck, "slow": slow})
            )
            for (name, port), role in zip(ports.items(), (Role.RECEIVE, Role.DELIVER), strict=True)
        ]
        slow.is_quick.set()
        await prometheus.scraped(2)
        await told(prometheus, set())
        await send(receiver, message("any", "refuse me"), message("any", "hello"))
        await deliverer.ledger_when(lambda ledger: ledger["delivered"] == 1)
        await deliverer.ledger_when(lambda ledger: bool(ledger["handed_over"]))
        slow.is_quick.clear()
        kept = ("CollectorKeepsDeadLetters", "firing", "deliverer intake=any reason=refused")
        filling = {
            kept,
            ("CollectorStreamNotTaken", "pending", "sink=stuck"),
            ("CollectorStreamFilling", "pending", ""),
        }
        async with nats.client() as client:
            await fill(client, receiver, 0.75)
            await told(prometheus, filling)
            await fill(client, receiver, 0.92)
        await told(prometheus, {*filling, ("CollectorStreamFull", "pending", "")})
        await assert_rules_are_sound(prometheus)
        await assert_accounts_balanced(prometheus)
        await assert_all_of_a_stream_is_there(prometheus, targets)
        await assert_panels_show_something(prometheus, of_a_stream=True)
        slow.is_quick.set()
        stuck.is_quick.set()
        await told(prometheus, {kept})
        await nats.kill()
        away = {("CollectorStreamAway", "pending", instance) for instance in targets}
        await told(prometheus, {kept, *away})
    assert_no_trouble(prometheus)


# Whatever it is scraped from.


@pytest.mark.parametrize("workers", [1, 2])
async def test_promtool_has_nothing_to_say_about_what_is_exported(tmp_path, workers):
    """Names, types and help texts are as Prometheus wants them."""
    async with (
        FakeSink() as sink,
        collector(tmp_path / "daemon", sink, sink, workers=workers) as daemon,
    ):
        await do_wrong(daemon)
        await sink.wait_until(lambda: bool(sink.events))
        exported = (await daemon.get("/metrics"))[1]
    process = await asyncio.create_subprocess_exec(
        *(require("promtool"), "check", "metrics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(exported.encode())
    assert (process.returncode, said.decode()) == (0, "")
