"""`collector top`: in a pipe, and on a terminal."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import yaml
from aiohttp import web

from tests.calling import call
from tests.daemon import free_port
from tests.terminal import Terminal
from tests.unit.describe.test_status_picture import SINK, STATUS

TOP = ("top", "--interval", "0.2")


class FakeDaemon:
    """Answers `/api/status`.

    Attributes:
        status: what it says; None has it answer 503.
        is_stuck: whether it answers nobody.
        asked: how often it was asked.
    """

    def __init__(self):
        self.status = STATUS
        self.is_stuck = False
        self.asked = 0

    async def answer(self, _request):
        self.asked += 1
        while self.is_stuck:
            await asyncio.sleep(0.01)
        if self.status is None:
            return web.Response(status=503)
        return web.json_response(self.status)


@asynccontextmanager
async def running(tmp_path, port=0):
    """Run a fake daemon; yield it and a configuration that names it."""
    daemon = FakeDaemon()
    application = web.Application()
    application.add_routes([web.get("/api/status", daemon.answer)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield daemon, written(tmp_path, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def written(tmp_path, port):
    file = tmp_path / "collector.yaml"
    config = {
        "listeners": [{"name": "l", "transport": "tcp", "port": 0}],
        "intakes": [{"name": "i", "parser": "raw", "key": "the-key-of-the-test"}],
        "sinks": [{"name": "s", "url": "inbox:"}],
        "admin": {"port": port},
    }
    file.write_text(yaml.safe_dump(config))
    return file


async def top(config, *options):
    """Run it in a pipe; return its exit code, the lines of its stdout, and its stderr."""
    return await asyncio.to_thread(call, "top", "-c", str(config), *options)


async def test_in_a_pipe_it_shows_the_state_once(tmp_path):
    """Two looks make a rate."""
    async with running(tmp_path) as (daemon, config):
        code, lines, _ = await top(config, "--interval", "0.2")
    assert (code, daemon.asked) == (0, 2)
    assert lines[0].startswith("collector 1.2")
    (row,) = [line.split("\t") for line in lines if line.startswith("siem\t")]
    assert row[1:5] == ["up", "0", "80", "20"]


@pytest.mark.parametrize("status", [None, [], {"version": 1}, {**STATUS, "sinks": None}])
async def test_an_answer_that_is_none_is_exit_code_1(tmp_path, status):
    async with running(tmp_path) as (daemon, config):
        daemon.status = status
        code, lines, errors = await top(config, "--once", "--interval", "0.2")
    assert (code, lines) == (1, [])
    assert "503" in errors or "no collector of this version" in errors


async def test_a_daemon_that_does_not_run_is_exit_code_1(tmp_path):
    code, _, errors = await top(written(tmp_path, free_port()), "--once")
    assert code == 1
    assert "is the daemon running?" in errors


async def test_a_port_that_nobody_knows_is_wrong_usage(tmp_path):
    code, _, errors = await top(written(tmp_path, 0), "--once")
    assert code == 2
    assert "admin.port" in errors


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
async def test_on_a_terminal_it_goes_on_until_a_key(tmp_path, key):
    """And leaves the terminal as it was."""
    async with running(tmp_path) as (daemon, config), Terminal(*TOP, "-c", config) as terminal:
        await terminal.shows("siem")
        daemon.status = {**STATUS, "sinks": [{**SINK, "up": False, "problem": "HTTP 507"}]}
        await terminal.shows("HTTP 507")
        terminal.type(key)
        assert await terminal.ended() == 0
        assert terminal.is_as_before()


async def test_a_daemon_that_is_away_is_waited_for(tmp_path):
    """Until it is back."""
    async with running(tmp_path) as (daemon, config), Terminal(*TOP, "-c", config) as terminal:
        await terminal.shows("siem")
        daemon.status = None
        await terminal.shows("HTTP 503; trying again")
        daemon.status = {**STATUS, "version": "9.9"}
        await terminal.shows("collector 9.9")
        terminal.type(b"q")
        assert await terminal.ended() == 0


async def test_a_daemon_that_does_not_answer_is_named_while_it_is_asked(tmp_path):
    """Not after the time of an answer only; and q ends it meanwhile."""
    async with running(tmp_path) as (daemon, config), Terminal(*TOP, "-c", config) as terminal:
        await terminal.shows("siem")
        daemon.is_stuck = True
        await terminal.shows("does not answer; trying again")
        daemon.is_stuck = False
        terminal.forget()
        await terminal.shows("collector 1.2")
        daemon.is_stuck = True
        await terminal.shows("does not answer; trying again")
        terminal.type(b"q")
        assert await terminal.ended() == 0
        daemon.is_stuck = False


async def test_a_terminal_that_cannot_be_written_anew_gets_the_state_once(tmp_path):
    async with (
        running(tmp_path) as (_, config),
        Terminal(*TOP, "-c", config, kind="dumb") as terminal,
    ):
        assert await terminal.ended() == 0
        await terminal.shows("siem")


async def test_a_terminal_that_shrinks_gets_what_fits(tmp_path):
    async with running(tmp_path) as (_, config), Terminal(*TOP, "-c", config) as terminal:
        await terminal.shows("siem")
        assert "larger terminal" not in terminal.text
        terminal.resize(8, 60)
        await terminal.shows("more on a larger terminal")
        terminal.type(b"q")
        assert await terminal.ended() == 0
