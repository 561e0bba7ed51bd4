"""Processes of the collector without the second of imports that each would begin with.

A server, one for each process of pytest, imports the collector and waits; for each process that a
test asks for it forks itself, and its child does what `python -m collector ...` would do from there
on. What the child has of the server is what an import gives everybody: no thread, no open file, no
event loop. Its command line, as ps(1) shows it, is the server's. Drills, workers, what systemd
starts, what is measured and some of the tests end to end start the long way, as users' daemons do.

Order and answers are JSON. An order comes with four descriptors: those that become stdin, stdout
and stderr of the child, and a pipe on which its process id is told, and its exit code at its end.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

PIPE, DEVNULL = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL

# What a daemon and the commands import, those that they import late too.
MODULES = ("collector.cli", "collector.process", "collector.admin.client")
# More than the variables of any environment.
ORDER_OCTETS = 128 * 1024

Stream: TypeAlias = "int | Any | None"
"""PIPE, DEVNULL, something with a descriptor, or None: that of this process."""


class Process:
    """What tests use of `asyncio.subprocess.Process`, for a child of the server."""

    def __init__(
        self,
        pid: int,
        status: asyncio.StreamReader,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout
        self.stderr = stderr
        self._end = asyncio.create_task(self._ended(status))

    async def _ended(self, status: asyncio.StreamReader) -> None:
        self.returncode = int(await status.read())

    async def wait(self) -> int | None:
        """Wait for its end; return its exit code."""
        await asyncio.shield(self._end)
        return self.returncode

    async def communicate(self) -> tuple[bytes | None, bytes | None]:
        """Read all that it writes; return that of stdout and of stderr."""
        readers = (self.stdout, self.stderr)
        texts = await asyncio.gather(*(reader.read() for reader in readers if reader is not None))
        await self.wait()
        found = iter(texts)
        stdout, stderr = (None if reader is None else next(found) for reader in readers)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


async def start(
    interpreter: str,
    option: str,
    program: str,
    *arguments: str,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    cwd: Path | None = None,
    env: Mapping[str, str] = os.environ,
    constants: Mapping[str, float] = {},
) -> Process:
    """Start `python -m MODULE ...` or `python -c CODE ...`, as `create_subprocess_exec` would.

    Args:
        interpreter: the one that the tests run on; there is no other.
        option: -m or -c.
        program: the module or the code.
        arguments: of the program.
        stdin: as the others, but for PIPE.
        stdout: where it goes.
        stderr: where it goes.
        cwd: the working directory; None for that of this process.
        env: its environment.
        constants: what is another there, by module and name: so that what happens now and then
            happens soon. Processes that it starts have it as it is.
    """
    assert interpreter == sys.executable
    order = {
        "option": option,
        "command": [program, *arguments],
        "directory": str(cwd or Path.cwd()),
        "environment": dict(env),
        "constants": dict(constants),
    }
    status, told = os.pipe()
    streams = [_stream(item, n) for n, item in enumerate((stdin, stdout, stderr))]
    given = [theirs for _, theirs in streams] + [told]
    try:
        socket.send_fds(_door(), [json.dumps(order).encode()], given)
    finally:
        for item in given:
            os.close(item)
    _, output, errors = [await _reader(ours) for ours, _ in streams]
    answers = await _reader(status)
    assert answers is not None
    return Process(int(await answers.readline()), answers, output, errors)


def _stream(wanted: Stream, number: int) -> tuple[int | None, int]:
    """Return the end of a stream that is ours, if one is, and the one that is the child's."""
    if wanted == PIPE:
        return os.pipe()
    if wanted == DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    return None, os.dup(number if wanted is None else wanted.fileno())


class _UntilTheEnd(asyncio.StreamReaderProtocol):
    """Reads a pipe, and closes it once there is nothing more to come."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _reader(descriptor: int | None) -> asyncio.StreamReader | None:
    if descriptor is None:
        return None
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: _UntilTheEnd(reader), os.fdopen(descriptor, "rb", 0)
    )
    return reader


@cache
def _door() -> socket.socket:
    """Start the server; return where it takes orders, until this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ORDER_OCTETS)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver"], stdin=theirs, cwd=Path(__file__).parents[1]
        )

    def close() -> None:
        ours.close()
        server.wait()

    atexit.register(close)
    return ours


class _Server:
    """Forks, and says what becomes of its children."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._told: dict[int, int] = {}

    def serve(self) -> dict[str, Any] | None:
        """Take orders; return one in the child that is to carry it out, None at the end of them."""
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._door, ORDER_OCTETS, 4)
            if not data:
                return None
            if self._is_child(descriptors):
                order: dict[str, Any] = json.loads(data)
                return order

    def _is_child(self, descriptors: list[int]) -> bool:
        """Fork; return whether this is the child, which has nothing of the server's then."""
        *streams, told = descriptors
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
            self._door.detach()
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        else:
            for descriptor in streams:
                os.close(descriptor)
            self._told[pid] = told
            os.write(told, b"%d\n" % pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return pid == 0

    def _reap(self) -> None:
        while self._told:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            told = self._told.pop(pid)
            os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(told)


def carry_out(order: dict[str, Any]) -> None:
    """Do what Python does with its command line."""
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    # Those of the server know whether one can seek in what was theirs.
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(
            number,
            "w" if number else "r",
            buffering=1 if number == 2 else -1,
            encoding=stream.encoding,
            errors=stream.errors,
            closefd=False,
        )
        for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr))
    )
    for path, value in order["constants"].items():
        name, _, constant = path.rpartition(".")
        module = importlib.import_module(name)
        assert hasattr(module, constant), path
        setattr(module, constant, value)
    program, *arguments = order["command"]
    sys.argv[:] = [order["option"], *arguments]
    if order["option"] == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a thread would be missing in each child"
    order = _Server(socket.socket(fileno=os.dup(0))).serve()
    if order is not None:
        carry_out(order)
