"""The drill as a user runs it: a command in a terminal, beside a daemon that it leaves alone."""

import asyncio
import json
import os
import signal
import sys

import pytest
import yaml

from tests.daemon import Daemon
from tests.fake_sink import FakeSink

COMMAND = [sys.executable, "-m", "collector", "drill"]


def settings(directory, url):
    return {
        "listeners": [{"name": "in", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
        "intakes": [{"name": "text", "parser": "raw", "key": "the-key"}],
        "sinks": [{"name": "siem", "url": url, "retry": {"initial": "50ms", "max": "200ms"}}],
        "spool": {"type": "sqlite", "path": str(directory / "spool"), "max_bytes": "64MiB"},
    }


async def start(directory, *options):
    """Start a drill whose files go below a directory of the test."""
    (directory / "temporary").mkdir()
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        *options,
        cwd=directory,
        env={**os.environ, "TMPDIR": str(directory / "temporary")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_drill_touches_neither_the_running_daemon_nor_its_sink_nor_its_spool(tmp_path):
    """The settings are those of the running daemon; a second one could not open its spool."""
    async with FakeSink() as sink:
        tree = settings(tmp_path, sink.url)
        async with Daemon(tmp_path, tree) as daemon:
            (tmp_path / "users.yaml").write_text(yaml.safe_dump(tree))
            options = ["-c", "users.yaml", "--for", "1s", "--kill", "--format", "json"]
            drill = await start(tmp_path, *options)
            stdout, stderr = await drill.communicate()
            assert drill.returncode == 0, stderr.decode()
            assert (await daemon.status())["ledger"]["received"] == 0
        assert sink.requests == []
    verdict = json.loads(stdout)
    assert verdict["passed"]
    assert verdict["delivered"] > 500
    assert verdict["lost"] == verdict["never_received"]
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_the_embedded_default_can_be_tried_without_its_keys(tmp_path, monkeypatch):
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    drill = await start(tmp_path, "--for", "1s", "--sink-status", "reset")
    stdout, stderr = await drill.communicate()
    assert drill.returncode == 0, stderr.decode()
    assert "passed: nothing is lost" in stdout.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_drill_removes_everything(tmp_path, number):
    drill = await start(tmp_path, "--for", "1h")
    while not list((tmp_path / "temporary").glob("*/spool/*")):
        assert drill.returncode is None
        await asyncio.sleep(0.01)
    drill.send_signal(number)
    _, stderr = await drill.communicate()
    assert drill.returncode == 130
    assert "interrupted" in stderr.decode()
    assert list((tmp_path / "temporary").iterdir()) == []
