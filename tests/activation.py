"""systemd as the daemon sees it: sockets that outlive it, and notifications that are read.

Run as a script it does what systemd does between fork and exec (sd_listen_fds(3)): it puts
descriptors where they belong, names them in the environment with its own process id, and becomes
the daemon.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.daemon import SECONDS, Daemon

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_DESCRIPTOR = 3
HIGH_DESCRIPTOR = 100
SO_RCVBUFFORCE = 33
BUFFER_OCTETS = 8 * 1024 * 1024


class Systemd:
    """Holds sockets and takes notifications, while used as an asynchronous context manager.

    Args:
        directory: where the notification socket goes.

    Attributes:
        sockets: by FileDescriptorName=, what daemons are handed over.
        messages: what daemons have notified so far.
    """

    def __init__(self, directory: Path) -> None:
        self.sockets: dict[str, socket.socket] = {}
        self.messages: list[str] = []
        self._address = directory / "notify"
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.bind(str(self._address))
        self._notifications.setblocking(False)
        asyncio.get_running_loop().add_reader(self._notifications, self._receive)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._notifications)
        for item in (self._notifications, *self.sockets.values()):
            item.close()

    def bind(self, name: str, kind: socket.SocketKind) -> tuple[str, int]:
        """Bind a socket to a free port of loopback; return its address."""
        bound = self.sockets[name] = socket.socket(socket.AF_INET, kind)
        bound.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            bound.listen()
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
            with suppress(PermissionError):  # ReceiveBuffer= of a socket unit does it, as root
                bound.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_OCTETS)
        return bound.getsockname()

    def daemon(
        self, directory: Path, settings: dict[str, Any], environ: Mapping[str, str] = {}
    ) -> Daemon:
        """Return a daemon that is started with the sockets.

        Args:
            directory: where its settings file goes.
            settings: its settings.
            environ: further variables, as WATCHDOG_USEC.
        """
        return _Activated(
            directory,
            settings,
            self.sockets,
            {**os.environ, **environ, "NOTIFY_SOCKET": str(self._address)},
        )

    async def told(self, message: str, *, times: int = 1) -> None:
        """Wait until daemons have notified something so many times."""
        async with asyncio.timeout(SECONDS):
            while self.messages.count(message) < times:
                self._changed.clear()
                await self._changed.wait()

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.messages.append(self._notifications.recv(65_536).decode())
                self._changed.set()


class _Activated(Daemon):
    """A daemon that is handed sockets."""

    def __init__(
        self,
        directory: Path,
        settings: dict[str, Any],
        sockets: Mapping[str, socket.socket],
        environ: Mapping[str, str],
    ) -> None:
        super().__init__(directory, settings)
        self._sockets = sockets
        self._environ = environ

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        descriptors = [item.fileno() for item in self._sockets.values()]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.activation"),
            *(":".join(self._sockets), ",".join(map(str, descriptors)), *command),
            stderr=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            env=self._environ,
            cwd=Path(__file__).parents[1],
        )


def become(names: str, descriptors: list[int], command: list[str]) -> None:
    """Become a command that finds descriptors where sd_listen_fds(3) has them.

    Args:
        names: of the descriptors, with colons between them.
        descriptors: those that this process was given.
        command: program and arguments.
    """
    # Out of the way first: one may be where another belongs.
    moved = [fcntl.fcntl(item, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR) for item in descriptors]
    for item in descriptors:
        os.close(item)
    for target, item in enumerate(moved, FIRST_DESCRIPTOR):
        os.dup2(item, target)
    variables = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(descriptors)),
        "LISTEN_FDNAMES": names,
    }
    os.execve(command[0], command, {**os.environ, **variables})


if __name__ == "__main__":
    become(sys.argv[1], [int(item) for item in sys.argv[2].split(",")], sys.argv[3:])
