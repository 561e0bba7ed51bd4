"""Asks whether the addresses of listeners can be bound, and who holds those that cannot."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.doctor.waiting import beside
from collector.listeners.sockets import bind

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROCESSES: Final = Path("/proc")

# Columns of /proc/net/tcp and its like (proc(5)), and the state of a socket that listens.
_LOCAL, _STATE, _INODE = 1, 3, 9
_LISTENS: Final = "0A"

_TABLES: Final = {
    socket.SOCK_DGRAM: ("net/udp", "net/udp6"),
    socket.SOCK_STREAM: ("net/tcp", "net/tcp6"),
}

NO_NAME: Final = "no such name or address"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port; as text `name (process 12)`.

    Attributes:
        name: of its program.
        process: its number.
        group: the number of its process group.
    """

    name: str
    process: int
    group: int

    def __str__(self) -> str:
        """Name it."""
        return f"{self.name} (process {self.process})"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of binding an address.

    Attributes:
        problem: what the system says; empty if it was bound, for a moment.
        number: of the error (errno(3)); 0 for none.
        holder: the process that has it; None if that is not to be seen.
        address: what is in use, where the host was a name too; empty otherwise.
    """

    problem: str = ""
    number: int = 0
    holder: Holder | None = None
    address: str = ""


async def try_address(host: str, port: int, kind: socket.SocketKind, seconds: float) -> Attempt:
    """Bind an address and let go of it; nobody can connect meanwhile.

    Args:
        host: a name or an address.
        port: the port.
        kind: `SOCK_DGRAM` or `SOCK_STREAM`.
        seconds: that it may take to look up a name.
    """
    address = ""
    try:
        address = await _address_of(host, seconds)
        (await bind(address, port, kind)).close()
    except TimeoutError:
        return Attempt(f"no answer to the name in {seconds:g} s", errno.EADDRNOTAVAIL)
    except (socket.gaierror, UnicodeError):
        return Attempt(NO_NAME, errno.EADDRNOTAVAIL)
    except OSError as error:
        number = error.errno or 0
        if number == errno.EADDRINUSE:
            return Attempt(os.strerror(number), number, holder_of(port, kind), address)
        return Attempt(os.strerror(number) if number else str(error), number)
    return Attempt()


async def _address_of(host: str, seconds: float) -> str:
    """Return the address that a name is bound by: the first, as the daemon takes it."""
    with suppress(ValueError):
        ip_address(host)
        return host
    found = await beside(
        lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE),
        seconds,
    )
    return str(found[0][4][0])


def try_path(path: Path, kind: socket.SocketKind) -> Attempt:
    """Look whether a path can be bound; it is not, since that would leave something behind."""
    number, problem = _served(path, kind), ""
    if number:
        problem = os.strerror(number)
    elif not path.parent.is_dir():
        number, problem = errno.ENOENT, f"there is no directory {path.parent}"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        number, problem = errno.EACCES, f"nothing can be made in {path.parent}"
    return Attempt(problem, number)


def _served(path: Path, kind: socket.SocketKind) -> int:
    """Return the error (errno(3)) of what is in the way at a path; 0 if nothing is.

    What a process that is gone has left is removed when the daemon starts.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return errno.EEXIST
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.setblocking(False)
            probe.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        return 0
    except BlockingIOError:  # its queue is full, so there is one
        return errno.EADDRINUSE
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EADDRINUSE


def holder_of(port: int, kind: socket.SocketKind, processes: Path = _PROCESSES) -> Holder | None:
    """Return the process that has a port; None where it is not to be seen, as another user's.

    Args:
        port: the port.
        kind: `SOCK_DGRAM` or `SOCK_STREAM`.
        processes: where the system tells of processes.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port, kind, processes)}
    for process in processes.iterdir() if inodes else ():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):  # it is another user's, or has ended
            for file in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(file.readlink()) in inodes:
                        return _holder(process)
    return None


def _holder(process: Path) -> Holder:
    """Read who a process is.

    Raises:
        OSError: it has ended.
    """
    name = (process / "comm").read_text().strip()
    # The name stands in it too, in parentheses, and may hold any character: proc_pid_stat(5).
    _, _, rest = (process / "stat").read_text().rpartition(")")
    _state, _parent, group, *_ = rest.split()
    return Holder(name, int(process.name), int(group))


def _inodes(port: int, kind: socket.SocketKind, processes: Path) -> Iterator[str]:
    """Yield the inodes of sockets that are bound to a port."""
    for table in _TABLES[kind]:
        with suppress(OSError):
            for line in (processes / table).read_text().splitlines()[1:]:
                fields = line.split()
                is_held = kind == socket.SOCK_DGRAM or fields[_STATE] == _LISTENS
                if is_held and int(fields[_LOCAL].rpartition(":")[2], 16) == port:
                    yield fields[_INODE]
