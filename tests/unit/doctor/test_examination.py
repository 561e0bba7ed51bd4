"""The course of the examination."""

import socket
import time

import pytest
from aiohttp import web

from collector.doctor import examination, volumes
from collector.doctor.examination import examine
from collector.roles import Role
from tests.daemon import free_port
from tests.unit.doctor.conftest import KEY, config_of


async def look(role=Role.ALL, **sections):
    config = config_of(**sections)
    return await examine(config, role, send_test=False, seconds=3.0)


def by_subject(findings):
    found = {}
    for finding in findings:
        found.setdefault(finding.subject, []).append(finding)
    return found


async def test_everything_is_looked_at(tmp_path):
    """And nothing is left behind."""
    found = by_subject(
        await look(
            spool={"path": str(tmp_path / "spool")},
            admin={"port": free_port()},
            sinks=[{"name": "siem", "url": "inbox:"}],
        )
    )
    for subject in ("clock", "versions", "kernel", "open files", "memory", "workers", "spool"):
        assert subject in found
    for subject in ("disk", "admin", "listener", "intake key", "sink siem"):
        assert subject in found
    assert list(tmp_path.iterdir()) == []
    assert found["admin"][0].level == "ok"


async def test_sinks_come_last_in_the_order_of_the_settings(tmp_path):
    sinks = [
        {"name": name, "url": "inbox:" if name == "a" else "http://x.invalid"} for name in "ab"
    ]
    found = await look(spool={"path": str(tmp_path)}, admin={"port": 0}, sinks=sinks)
    assert [finding.subject for finding in found[-2:]] == ["sink a", "sink b"]


async def test_what_a_role_does_not_do_needs_nothing(tmp_path):
    """No sink for a receiver, no address for a deliverer."""
    sections = {
        "spool": {"path": str(tmp_path)},
        "admin": {"port": 0},
        "sinks": [{"name": "siem", "url": "inbox:"}],
    }
    receiver = by_subject(await look(Role.RECEIVE, **sections))
    deliverer = by_subject(await look(Role.DELIVER, **sections))
    assert ("sink siem" in receiver, "sink siem" in deliverer) == (False, True)
    assert ("listener" in receiver, "listener" in deliverer) == (True, False)


async def test_a_stream_that_nobody_serves_is_an_error(tmp_path):
    spool = {"type": "jetstream", "path": str(tmp_path), "servers": "nats://127.0.0.1:1"}
    found = by_subject(await look(spool=spool, admin={"port": 0}))
    assert [finding.level for finding in found["stream"]] == ["error"]


async def test_a_port_that_is_taken_is_found(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listener = {"name": "l", "transport": "tcp", "host": "127.0.0.1", "port": port}
        found = by_subject(
            await look(listeners=[listener], spool={"path": str(tmp_path)}, admin={"port": 0})
        )
    assert found["listener"][0].level == "error"


@pytest.mark.parametrize(
    "answer",
    [
        {"some": "thing"},
        [],
        3,
        {"version": "1", "listeners": [3], "intakes": [], "spool": {}},
        {"version": "1", "listeners": [], "intakes": [{"name": 1}], "spool": {}},
        {"version": 1, "listeners": [], "intakes": [], "spool": {}},
        {"version": "1", "listeners": [], "intakes": [], "spool": None},
    ],
)
async def test_another_server_in_the_place_of_ours_is_an_error(tmp_path, answer):
    async def page(_request):
        return web.json_response(answer)

    application = web.Application()
    application.add_routes([web.get("/{path:.*}", page)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        admin = {"port": runner.addresses[0][1]}
        sinks = [{"name": "siem", "url": "inbox:"}]
        found = by_subject(await look(spool={"path": str(tmp_path)}, admin=admin, sinks=sinks))
    finally:
        await runner.cleanup()
    assert found["admin"][0].level == "error"
    assert "no collector" in found["admin"][0].found


async def test_a_disk_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    """Nor is anything else asked of it."""
    monkeypatch.setattr(examination, "DISK_SECONDS", 0.05)
    monkeypatch.setattr(volumes, "look_at", lambda _: time.sleep(2))
    sinks = [{"name": "siem", "url": "inbox:"}]
    found = by_subject(await look(spool={"path": str(tmp_path)}, admin={"port": 0}, sinks=sinks))
    (spool,) = found["spool"]
    assert spool.level == "error"
    assert "has not answered" in spool.found


async def test_what_check_warns_of_is_told():
    found = by_subject(
        await look(
            intakes=[{"name": "edr", "parser": "raw", "key": KEY, "sources": "192.0.2.1"}],
            sinks=[
                {
                    "name": "siem",
                    "url": "http://x.invalid",
                    "auth": {"bearer": {"token": "the-token-of-the-test"}},
                }
            ],
            spool={"type": "memory"},
            admin={"port": 0},
        )
    )
    assert any("plain http" in finding.found for finding in found["settings"])
    assert found["spool"][0].level == "warning"
