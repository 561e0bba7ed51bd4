"""Servers of NATS on loopback, with JetStream: one, or a cluster of three.

Names of streams: a stream that is deleted and made again under its name is dead after a restart of
all servers of release 2.9. So each test has servers, or at least names, of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from nats.aio.client import Client

from tests.peers import require, steady_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECONDS: Final = 60.0

# The servers of a cluster beside each other are not to take both processors from what is tested.
NICENESS: Final = 5

SERVER: Final = """
server_name: {name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{store}", max_memory_store: 16MB, max_file_store: {store_bytes} }}
"""
CLUSTER: Final = """
cluster {{ name: test, listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""


class Nats:
    """Servers, which run while it is used as an asynchronous context manager.

    A server that is killed and started again has its port and its streams.

    Args:
        directory: where settings, logs and streams go; it is made.
        nodes: how many; a single one is no cluster, and its streams have one replica.
        more: settings of each besides, as of TLS or of authorization.
        store_bytes: how much the streams of a server may reserve.
        scheme: of its URLs.

    Attributes:
        urls: of all.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 1,
        *,
        more: str = "",
        store_bytes: str = "8GB",
        scheme: str = "nats",
    ) -> None:
        self._directory = directory
        self._more = more
        self._store_bytes = store_bytes
        ports: set[int] = set()
        while len(ports) < 3 * nodes:
            ports.add(steady_port())
        drawn = list(ports)
        self._ports, self._routes = drawn[:nodes], drawn[nodes : 2 * nodes]
        self._monitors = drawn[2 * nodes :]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.urls = tuple(f"{scheme}://127.0.0.1:{port}" for port in self._ports)

    async def __aenter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        try:
            self.start()
            await self.ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def start(self, *which: int) -> None:
        """Start servers that do not run, all without arguments; `ready` waits for them."""
        program = require("nats-server")
        for n in which or range(len(self._ports)):
            assert n not in self._processes, f"server {n} runs"
            with self.log(n).open("ab") as log:
                self._processes[n] = subprocess.Popen(
                    ["nice", "-n", str(NICENESS), program, "-c", str(self._configure(n))],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "GOMAXPROCS": "2"},
                )

    async def kill(self, *which: int, with_signal: int = signal.SIGKILL) -> None:
        """End servers, all without arguments, and wait for their end.

        Args:
            which: their numbers.
            with_signal: SIGTERM lets them hand over what they lead.
        """
        ending = [self._processes.pop(n) for n in which or tuple(self._processes)]
        for process in ending:
            process.send_signal(with_signal)
        for process in ending:
            await asyncio.to_thread(process.wait, SECONDS)

    def pause(self, n: int) -> None:
        """Stop a server where it is: its connections stay, and nothing answers."""
        process = self._processes[n]
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # until it has stopped

    def resume(self, n: int) -> None:
        """Let a paused server go on."""
        self._processes[n].send_signal(signal.SIGCONT)

    def reconfigure(self, more: str) -> None:
        """Have all servers read other settings besides: they do so a moment later."""
        self._more = more
        for n, process in self._processes.items():
            self._configure(n)
            process.send_signal(signal.SIGHUP)

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of those that run, in the order of their numbers."""
        return tuple(process.pid for _, process in sorted(self._processes.items()))

    def log(self, n: int = 0) -> Path:
        """Return the file that holds what a server wrote, in all of its lives."""
        return self._directory / f"n{n}.log"

    def _configure(self, n: int) -> Path:
        text = SERVER.format(
            name=f"n{n}",
            port=self._ports[n],
            monitor=self._monitors[n],
            store=self._directory / f"n{n}",
            store_bytes=self._store_bytes,
        )
        if len(self._ports) > 1:
            routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in self._routes)
            text += CLUSTER.format(route=self._routes[n], routes=routes)
        file = self._directory / f"n{n}.conf"
        file.write_text(text + self._more)
        return file

    async def ready(self) -> None:
        """Wait until each server that runs is healthy, and a cluster has somebody who leads it.

        Streams that were there before may have nobody yet who leads them.
        """
        async with asyncio.timeout(SECONDS):
            while not all([await self._is_ready(n) for n in self._processes]):
                await asyncio.sleep(0.05)

    async def _is_ready(self, n: int) -> bool:
        assert self._processes[n].poll() is None, self.log(n).read_text()
        try:
            known = await self._ask(n, "jsz")
        except aiohttp.ClientError:
            return False
        if len(self._ports) == 1:
            return True
        return bool(known.get("meta_cluster", {}).get("leader"))

    async def leader(self, stream: str, consumer: str = "") -> int:
        """Wait until a stream, or one of its consumers, is led; return the number of who does."""
        async with asyncio.timeout(SECONDS):
            while True:
                for n in tuple(self._processes):
                    if await self._leader_by(n, stream, consumer) == f"n{n}":
                        return n
                await asyncio.sleep(0.05)

    async def _leader_by(self, n: int, stream: str, consumer: str) -> str | None:
        """Return who leads it as one server knows it: each knows that of itself best."""
        try:
            known = await self._ask(n, "jsz?streams=true&consumers=true")
        except (aiohttp.ClientError, TimeoutError):
            return None
        for account in known.get("account_details", []):
            for found in account.get("stream_detail", []):
                if found["name"] != stream:
                    continue
                if not consumer:
                    return _leader(found, len(self._ports))
                for one in found.get("consumer_detail", []):
                    if one["name"] == consumer:
                        return _leader(one, len(self._ports))
        return None

    async def connections(self, n: int = 0) -> list[dict[str, Any]]:
        """Return what a server knows of each of its connections: `name`, `in_msgs` and so on."""
        found: list[dict[str, Any]] = (await self._ask(n, "connz"))["connections"]
        return found

    async def _ask(self, n: int, path: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{self._monitors[n]}/{path}") as response,
        ):
            answer: dict[str, Any] = await response.json()
            return answer

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Client]:
        """Connect somebody else, who looks on or interferes.

        Args:
            options: of `Client.connect`.
        """
        client = Client()
        await client.connect(list(self.urls), allow_reconnect=False, **options)
        try:
            yield client
        finally:
            await client.close()


def _leader(found: dict[str, Any], nodes: int) -> str | None:
    return "n0" if nodes == 1 else found.get("cluster", {}).get("leader")
