"""`collector doctor` beside a daemon: it finds it, does not disturb it and tells no secrets."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
import yaml

from tests.daemon import Daemon, free_port
from tests.fake_sink import FakeSink

KEY = "7c0e2b4f-aaaa-4bbb-8ccc-0123456789ab"
TOKEN = "the-bearer-token-of-the-sink"
ADMIN_TOKEN = "the-token-of-the-admin-server"


async def doctor(config, *options):
    """Run it; return its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector", "doctor", "-c", str(config), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def settings(tmp_path, sink):
    """Return settings with a secret of each kind."""
    token_file = tmp_path / "admin-token"
    token_file.write_text(ADMIN_TOKEN)
    token_file.chmod(0o600)
    local = {"host": "127.0.0.1"}
    return {
        "listeners": [
            {"name": "tcp", "transport": "tcp", "port": free_port(), **local},
            {"name": "udp", "transport": "udp", "port": free_port(), **local},
            {"name": "unix", "transport": "unix", "path": str(tmp_path / "syslog.sock")},
        ],
        "intakes": [{"name": "edr", "parser": "raw", "key": KEY}],
        "sinks": [
            {
                "name": "siem",
                "url": f"{sink.url}?key=query-secret",
                "auth": {"bearer": {"token": TOKEN}},
                "headers": {"X-Key": "header-secret"},
            }
        ],
        "admin": {"port": free_port(), "token_file": str(token_file)},
        "spool": {"type": "sqlite", "path": str(tmp_path / "spool")},
    }


async def test_a_daemon_that_runs_is_found_and_left_alone(tmp_path):
    """Its places and its spool are its own; the sink gets no event."""
    async with FakeSink() as sink:
        async with Daemon(tmp_path, settings(tmp_path, sink)) as daemon:
            daemon.headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            before = (await daemon.status())["ledger"]
            code, output, _ = await doctor(daemon.file, "--format", "json")
            assert (await daemon.status())["ledger"] == before
            assert await daemon.stop() == 0
        assert sink.requests == []
    found = [json.loads(line) for line in output.splitlines()]
    by_place = {(item["where"], item["subject"]): item for item in found}
    for number, setting in enumerate(("port", "port", "path")):
        item = by_place[f"listeners[{number}].{setting}", "listener"]
        assert item["level"] == "ok"
        assert item["found"].endswith("is held by the collector that runs")
    assert "runs and answers" in by_place["admin.port", "admin"]["found"]
    assert [item["level"] for item in found if item["where"] == "spool.path"][-1] == "ok"
    assert by_place["sinks[0].url", "sink siem"]["level"] in {"ok", "note"}
    assert code == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_daemon_that_wants_a_token_from_us_is_no_error(tmp_path, host):
    """Off loopback it may have none itself, and then tells nobody."""
    async with FakeSink() as sink:
        config = settings(tmp_path, sink)
        config["admin"]["host"] = host
        if host == "0.0.0.0":
            del config["admin"]["token_file"]
        async with Daemon(tmp_path, config) as daemon:
            mine = tmp_path / "mine.yaml"
            config["admin"].pop("token_file", None)
            mine.write_text(yaml.safe_dump(config))
            code, output, _ = await doctor(mine, "--format", "json")
            assert await daemon.stop() == 0
    found = [json.loads(line) for line in output.splitlines()]
    told = [item for item in found if "cannot tell whether it is the running" in item["found"]]
    places = [item["where"] for item in told]
    listeners = ["listeners[0].port", "listeners[1].port", "listeners[2].path"]
    assert places == ["spool.path", "admin.token_file", *listeners]
    assert {item["level"] for item in told} == {"warning"}
    assert f"(process {daemon.process.pid})" in told[1]["found"]
    assert code == 0


async def test_no_secret_is_shown(tmp_path):
    """Neither of the settings nor of the files they name, whatever the sink repeats."""
    secrets = (KEY, TOKEN, ADMIN_TOKEN, "query-secret", "header-secret")
    async with FakeSink(answer=lambda _: 401) as sink:
        config = tmp_path / "collector.yaml"
        config.write_text(yaml.safe_dump(settings(tmp_path, sink)))
        for options in ((), ("--format", "json"), ("--send-test",)):
            _, output, errors = await doctor(config, *options)
            for secret in secrets:
                assert secret not in output + errors


async def test_a_sink_that_refuses_us_is_an_error(tmp_path):
    """With the setting that is behind it."""
    async with FakeSink(answer=lambda _: 401) as sink:
        config = tmp_path / "collector.yaml"
        config.write_text(yaml.safe_dump(settings(tmp_path, sink)))
        code, output, _ = await doctor(config, "--send-test", "--format", "json")
    (found,) = [
        item for line in output.splitlines() if (item := json.loads(line))["level"] == "error"
    ]
    assert code == 1
    assert found["where"] == "sinks[0].auth"
    assert "auth.bearer" in found["advice"]
