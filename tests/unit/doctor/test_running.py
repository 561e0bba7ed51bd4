"""Asking the daemon that may run."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from collector.config import AdminSettings
from collector.doctor.ports import Holder
from collector.doctor.running import Daemon, ask_daemon

SECONDS = 10.0
STATUS = {"version": "1", "listeners": [], "intakes": [], "spool": {}}


@asynccontextmanager
async def answering(answer):
    """Have something answer in the place of the admin server; yield the settings of that."""
    application = web.Application()
    application.add_routes([web.get("/api/status", answer)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield AdminSettings(port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_a_collector_says_what_it_has():
    async def answer(_request):
        return web.json_response(STATUS)

    async with answering(answer) as admin:
        assert await ask_daemon(admin, SECONDS) == Daemon(STATUS)


@pytest.mark.parametrize(
    ("status", "is_closed"), [(401, True), (403, True), (429, True), (404, False), (500, False)]
)
async def test_one_that_wants_a_token_is_closed(status, is_closed):
    """It may be the collector; what answers anything else is none."""

    async def answer(_request):
        return web.Response(status=status)

    async with answering(answer) as admin:
        found = await ask_daemon(admin, SECONDS)
    assert (found.status, found.is_closed) == (None, is_closed)
    assert f"HTTP {status}" in found.problem


async def test_a_token_that_can_no_longer_be_read_leaves_it_closed(tmp_path):
    """It is not asked without one."""
    admin = AdminSettings.model_construct(
        host="127.0.0.1", port=9, token_file=tmp_path / "missing", token=None
    )
    found = await ask_daemon(admin, SECONDS)
    assert found.is_closed
    assert "missing" in found.problem


async def test_nobody_there_is_not_closed():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    found = await ask_daemon(AdminSettings(port=port), SECONDS)
    assert not found.is_closed
    assert "refused" in found.problem
    assert await ask_daemon(AdminSettings(port=0), SECONDS) == Daemon()


async def test_one_that_hangs_is_not_waited_for():
    async def answer(_request):
        await asyncio.sleep(2)
        return web.json_response(STATUS)

    async with answering(answer) as admin:
        found = await ask_daemon(admin, 0.05)
    assert found == Daemon(problem="no answer in 0.05 seconds")


@pytest.mark.parametrize(
    ("holder", "place", "may"),
    [
        (None, None, True),
        (Holder("collector", 5, 5), None, True),
        (None, Holder("rsyslogd", 7, 7), True),
        (Holder("collector", 5, 5), Holder("python3", 6, 5), True),
        (Holder("collector", 5, 5), Holder("rsyslogd", 7, 7), False),
    ],
)
def test_a_closed_one_may_hold_what_nobody_else_is_seen_to_hold(holder, place, may):
    """Processes of one daemon are one group."""
    assert Daemon(is_closed=True, holder=holder).may_hold(place) is may
