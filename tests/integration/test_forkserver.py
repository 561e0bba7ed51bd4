"""What the other tests here fork is what `python -m collector` starts."""

import asyncio
import json
import os
import sys

import pytest

from tests import forkserver

PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
WAYS = (asyncio.create_subprocess_exec, forkserver.start)

# All that a process has of whoever started it.
SELF = """
import json, os, signal, sys, threading
status = dict(line.split(":\\t") for line in open("/proc/self/status"))
print(json.dumps({
    "arguments": sys.argv,
    "name": __name__,
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "parents": [os.getpgrp(), os.getsid(0)],
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "signals": {name: status[name] for name in ("SigBlk", "SigIgn", "SigCgt")},
    "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGCHLD)],
    "threads": [threading.active_count(), status["Threads"]],
    "streams": [
        [item.encoding, item.errors, item.line_buffering]
        for item in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "input": sys.stdin.read(),
}))
sys.exit(7)
"""


async def ran(start, *arguments, **options):
    """Run a program; return its exit code, its stdout and its stderr."""
    process = await start(sys.executable, *arguments, **PIPES, **options)
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_a_program_finds_all_as_it_would(tmp_path, monkeypatch):
    """Arguments, directory, environment, descriptors, signals, streams; its exit code is told."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    options = {
        "cwd": tmp_path,
        "env": {**os.environ, "ANOTHER": "value"},
        "stdin": asyncio.subprocess.DEVNULL,
    }
    found = [await ran(start, "-c", SELF, "one", "two", **options) for start in WAYS]
    codes, outputs, errors = zip(*found, strict=True)
    assert codes == (7, 7)
    assert errors == ("", "")
    executed, forked = map(json.loads, outputs)
    # Who executes may leave further ones open; the one that is not a stream is the list itself.
    assert forked.pop("descriptors") == ["0", "1", "2", "3"]
    del executed["descriptors"]
    assert forked == executed


@pytest.mark.parametrize(
    "arguments", [["--version"], ["check", "-c", "nowhere"], ["no-command"]], ids=" ".join
)
async def test_a_command_says_the_same(arguments):
    """And ends the same way."""
    executed, forked = [await ran(start, "-m", "collector", *arguments) for start in WAYS]
    assert forked == executed


async def test_a_program_that_is_killed_is_told_as_such():
    """Minus the signal, as the processes of asyncio."""
    process = await forkserver.start(sys.executable, "-c", "import time; time.sleep(60)")
    process.kill()
    assert await process.wait() == -9
