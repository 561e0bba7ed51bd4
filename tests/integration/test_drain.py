"""Delivering what waits without listening: the last events of a machine that is to go."""

import asyncio
import json
import signal
import sys

from collector.logs import user
from tests.daemon import Daemon
from tests.fake_sink import FakeSink


def settings(directory, url, **sink):
    return {
        "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "intakes": [{"name": "any", "parser": "raw", "sources": ["127.0.0.1"]}],
        "sinks": [{"name": "siem", "url": url, "retry": {"initial": "20ms"}, **sink}],
        "spool": {"type": "sqlite", "path": str(directory / "spool")},
        "shutdown_grace": "200ms",
    }


async def leave_behind(directory, sink, count):
    """Have a daemon receive events that its sink does not take, and stop."""
    sink.answer = lambda _: 503
    async with Daemon(directory, settings(directory, sink.url)) as daemon:
        _, writer = await asyncio.open_connection(*daemon.address("tcp"))
        writer.writelines(b"<134>1 - - - - - - %d\n" % number for number in range(count))
        await writer.drain()
        writer.close()
        await daemon.ledger_when(lambda ledger: ledger["spooled"] == count)
        assert await daemon.stop() == 0
    sink.answer = lambda _: 200


async def start_drain(directory):
    return await Daemon.execute(
        *(sys.executable, "-m", "collector", "spool", "drain"),
        *("-c", str(directory / "collector.yaml")),
        stderr=asyncio.subprocess.PIPE,
    )


def audited(log):
    """Return the lines of a drain that are for the audit, which say who asked for it."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
    found = [line for line in lines if line.get("action") == "drain"]
    assert {line["actor"] for line in found} == {user()}
    return found


async def test_what_waits_is_delivered_in_order_and_the_command_ends(tmp_path):
    async with FakeSink() as sink:
        await leave_behind(tmp_path, sink, 500)
        drain = await start_drain(tmp_path)
        _, log = await drain.communicate()
        assert drain.returncode == 0, log
        assert [event["message"] for event in sink.events] == [str(n) for n in range(500)]
        assert b"listening" not in log.replace(b"admin server listening", b"")
        assert [line["state"] for line in audited(log)] == ["begun", "done"]
        assert audited(log)[1]["result"] == {"waited": 500, "waiting": 0}


async def test_a_drain_that_is_interrupted_leaves_the_rest_where_it_is(tmp_path):
    """Its exit code says so; another one, or the daemon, goes on."""
    async with FakeSink() as sink:
        await leave_behind(tmp_path, sink, 50)
        sink.answer = lambda _: 503
        before = len(sink.requests)
        drain = await start_drain(tmp_path)
        await sink.wait_until(lambda: len(sink.requests) > before + 1)
        drain.send_signal(signal.SIGTERM)
        _, log = await drain.communicate()
        assert drain.returncode == 1
        assert [line["state"] for line in audited(log)] == ["begun", "failed"]
        assert audited(log)[1]["result"] == {"waited": 50, "waiting": 50}
        sink.answer = lambda _: 200
        again = await start_drain(tmp_path)
        await again.communicate()
        assert again.returncode == 0
        assert len(sink.events) == 50


async def test_a_running_daemon_is_not_disturbed(tmp_path):
    """It has the file, and delivers by itself."""
    async with FakeSink() as sink, Daemon(tmp_path, settings(tmp_path, sink.url)) as daemon:
        drain = await start_drain(tmp_path)
        _, log = await drain.communicate()
        assert drain.returncode == 1
        assert b"is in use by process %d" % daemon.process.pid in log
