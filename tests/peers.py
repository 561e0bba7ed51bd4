"""The real programs that tests are run against, and what to do where one is missing."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from pathlib import Path

import pytest

from collector.parsers.shapes import compiled

RSYSLOG_MODULES = "rsyslog/{}.so"  # in a directory of libraries


def require(program: str) -> str:
    """Return where a program is; skip without it, unless it must be there."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        _missing(program)
    return path


def require_rsyslogd(*modules: str) -> str:
    """Return where rsyslogd is; skip without it or one of its modules, as `require` does."""
    path = require("rsyslogd")
    for module in modules:
        name = RSYSLOG_MODULES.format(module)
        if not any((*Path("/usr/lib").glob(name), *Path("/usr/lib").glob(f"*/{name}"))):
            _missing(f"rsyslog's module {module}")
    return path


def require_kernel() -> None:
    """Skip where the kernel of shapes was not built, as `require` does."""
    if not compiled.IS_THERE:
        _missing("the kernel of shapes")


def _missing(what: str) -> None:
    if os.environ.get("COLLECTOR_TEST_REQUIRE_PEERS"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


async def run(*command: str, ends_with: int | None = 0) -> str:
    """Run a program with no input; return what it wrote, on stdout and stderr.

    Args:
        command: the program and its arguments.
        ends_with: the exit code that it must have; None for any.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert ends_with is None or process.returncode == ends_with, text
    return text


def steady_port() -> int:
    """Return a free port for who must come back to the same one.

    Those that the kernel gives to outgoing connections begin at 32768 (ip(7)): one of them may be
    taken as soon as it is free, even by the client that looks for its server there.
    """
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
