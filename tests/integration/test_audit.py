"""Lines for the audit: who did what, always as JSON, whatever else the log is told to be."""

import asyncio
import json
import signal
import sys
from hashlib import sha256

from collector import __version__
from collector.logs import user
from tests.daemon import Daemon
from tests.station import KEY, Station, frames

QUIET = {"logging": {"format": "console", "level": "error"}}

BREAKING = """
from collector import cli
from collector.sinks.http import HttpSink

async def run(self):
    raise RuntimeError("a mistake of ours")

HttpSink.run = run
cli.main()
"""


class Quiet(Daemon):
    """A daemon that logs errors for people, so that it is not known where it listens."""

    async def __aenter__(self):
        self.configure(self._settings)
        self.process = await self._start(
            sys.executable, "-m", "collector", "run", "-c", str(self.file)
        )
        self._reader = asyncio.create_task(self._read_log())
        await self.logged("audit", action="start")
        return self


class Broken(Quiet):
    """A daemon whose deliveries fail of a mistake."""

    async def _start(self, *command):
        interpreter, _, _, *arguments = command
        return await super()._start(interpreter, "-c", BREAKING, *arguments)


def audited(lines, action):
    """Return the lines of an action: without their time, and each was logged as it should be."""
    found = [dict(line) for line in lines if line.get("action") == action]
    for line in found:
        assert line.pop("timestamp").endswith("Z")
        assert (line.pop("event"), line.pop("level"), line.pop("action")) == (
            "audit",
            "info",
            action,
        )
    return found


async def command(directory, *arguments):
    """Run a command; return its exit code and the lines of its stderr that are JSON."""
    process = await Daemon.execute(
        *(sys.executable, "-m", "collector", *arguments),
        *("-c", str(directory / "collector.yaml")),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    return process.returncode, [json.loads(x) for x in errors.splitlines() if x[:1] == b"{"]


async def test_the_life_of_a_daemon_is_told_whatever_the_log_is_to_be(tmp_path):
    """Its start, a reload that changes something, one that fails, files that change, its end."""
    async with (
        Station(tmp_path, **QUIET) as station,
        Quiet(tmp_path, station.config()) as daemon,
    ):
        first = sha256(daemon.file.read_bytes()).hexdigest()
        intakes = [{"name": "any", "parser": "raw", "key": "another-key"}]
        daemon.configure(station.config(intakes=intakes, shutdown_grace="1s"))
        second = sha256(daemon.file.read_bytes()).hexdigest()
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.logged("audit", action="reload", outcome="ok")
        daemon.file.write_text("listeners: 1")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.logged("audit", action="reload", outcome="failed")
        assert await daemon.stop() == 0
        start = {"actor": user(), "version": __version__, "config_sha256": first}
        assert audited(daemon.lines, "start") == [start]
        done, failed = audited(daemon.lines, "reload")
        assert done == {
            "actor": "signal",
            "outcome": "ok",
            "config_sha256": second,
            "changes": ["intakes[any].key: [***] -> [***]", "shutdown_grace: 200ms -> 1s"],
        }
        assert (failed["actor"], failed["config_sha256"]) == ("signal", second)
        assert "listeners: a number where a list is expected" in failed["problem"]
        assert audited(daemon.lines, "stop") == [{"actor": "signal", "exit_code": 0}]
        assert "[error    ] settings not reloaded" in daemon.text
        assert KEY not in daemon.text
        assert "another-key" not in daemon.text


async def test_a_stop_that_nobody_asked_for_is_told_as_such(tmp_path):
    """The exit code is 1, so that whoever looks after the daemon starts it again."""
    async with (
        Station(tmp_path, **QUIET) as station,
        Broken(tmp_path, station.config()) as daemon,
    ):
        assert await daemon.ended() == 1
        assert audited(daemon.lines, "stop") == [{"actor": "daemon", "exit_code": 1}]


async def test_what_the_command_line_has_the_daemon_do_is_told_with_who_asked(tmp_path):
    """By the daemon, when it begins and when it is done."""
    async with Station(tmp_path) as station:
        async with station.daemon(intakes=[]) as daemon:
            _, writer = await asyncio.open_connection(*daemon.address("tcp"))
            writer.write(frames(range(3)))
            writer.close()
            await daemon.ledger_when(lambda ledger: ledger["dead_lettered"])
            station.go_away()
            await daemon.reload(station.config(**QUIET))
            assert (await command(tmp_path, "dead-letters", "replay", "1", "2")) == (0, [])
            await daemon.ledger_when(lambda ledger: ledger["spooled"] == 2)
            (siem,) = station.config()["sinks"]
            other = [{**siem, "name": "other"}]
            await daemon.reload(station.config(sinks=other, **QUIET))
            assert (await command(tmp_path, "dead-letters", "bury", "--yes")) == (0, [])
            purge = ("dead-letters", "purge", "--reason", "buried")
            assert (await command(tmp_path, *purge)) == (0, [])
            assert await daemon.stop() == 0
        for action, result in (
            ("replay", {"replayed": 2, "kept": 0}),
            ("bury", {"buried": 2}),
            ("purge", {"purged": {"buried": 2}}),
        ):
            begun, done = audited(daemon.lines, action)
            assert (begun["actor"], begun["state"]) == (user(), "begun")
            assert (done["actor"], done["state"]) == (user(), "done")
            assert done["result"] == result
        assert audited(daemon.lines, "replay")[0]["arguments"]["numbers"] == [1, 2]
        assert audited(daemon.lines, "bury")[0]["arguments"] == {"sink": "siem"}


async def test_what_the_command_line_does_itself_is_told_on_its_stderr(tmp_path):
    """Where no daemon runs. Delivering what waits begins and ends with a line, too."""
    async with Station(tmp_path, **QUIET) as station:
        async with station.daemon(logging={}) as daemon:
            station.go_away()
            _, writer = await asyncio.open_connection(*daemon.address("tcp"))
            writer.write(frames(range(3)) + b"9 <134>lost")
            writer.close()
            await daemon.ledger_when(
                lambda ledger: ledger["spooled"] == 3 and ledger["dead_lettered"]
            )
            assert await daemon.stop() == 0
        daemon.configure(station.config())
        code, lines = await command(tmp_path, "dead-letters", "purge", "--yes")
        assert code == 0
        begun, done = audited(lines, "purge")
        assert (begun["actor"], begun["state"]) == (user(), "begun")
        assert done == {
            "actor": user(),
            "state": "done",
            "result": {"purged": {"unknown_intake": 1}},
        }
        station.come_back()
        code, lines = await command(tmp_path, "spool", "drain")
        assert code == 0
        assert audited(lines, "drain") == [
            {"actor": user(), "state": "begun", "spool": str(station.spool)},
            {"actor": user(), "state": "done", "result": {"waited": 3, "waiting": 0}},
        ]
        assert station.numbers == [0, 1, 2]
