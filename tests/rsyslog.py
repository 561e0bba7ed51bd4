"""rsyslogd as a forwarder: what it is sent over TCP, it passes on as it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from tests.peers import require_rsyslogd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.daemon import Daemon
    from tests.station import Station

SECONDS = 30.0

# Room for everything that a test sends while nothing can be passed on, so that no message is thrown
# away and no input held up.
_CONFIG = """
global(
  workDirectory="{directory}"
  parser.escapeControlCharactersOnReceive="off"
  maxMessageSize="64k"
  {options}
)
main_queue(queue.type="LinkedList" queue.size="500000" queue.timeoutEnqueue="600000")
module(load="imtcp")
{modules}
{ways}
"""
_WAY = """
template(name="{name}" type="list") {{
{template}
}}
input(
  type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{directory}/{name}.port"
  ruleset="{name}"
)
ruleset(name="{name}") {{
  {action}
}}
"""
# The template of the Sekoia.io forwarder.
_KEYED = """
  constant(value="<") property(name="pri") constant(value=">1 ")
  property(name="timestamp" dateFormat="rfc3339") constant(value=" ")
  property(name="hostname") constant(value=" ")
  property(name="app-name") constant(value=" ")
  property(name="procid")
  constant(value=" LOG [SEKOIA@53288 intake_key=\\"{key}\\"] ")
  property(name="msg")
  constant(value="{end}")
"""


class Rsyslog:
    """Runs while used as an asynchronous context manager, each of its inputs on a free port.

    Args:
        directory: its own, for settings, state and log.
        actions: by name of an input, what is done with its messages, as `action` returns it.
        keys: by name of an input, the intake key that is added.
        options: for `global()`.
        modules: what must be installed besides rsyslogd, and the parameters it is loaded with.
        end: what each message ends with.
    """

    def __init__(
        self,
        directory: Path,
        actions: Mapping[str, Mapping[str, str]],
        keys: Mapping[str, str],
        *,
        options: Mapping[str, str] | None = None,
        modules: Mapping[str, Mapping[str, str]] | None = None,
        end: str = "",
    ) -> None:
        self._directory = directory
        self._log = directory / "rsyslog.log"
        self._modules = modules or {}
        ways = (
            _WAY.format(
                name=name,
                template=_KEYED.format(key=keys[name], end=end),
                directory=directory,
                action=f"action({_parameters({'template': name, **parameters})})",
            )
            for name, parameters in actions.items()
        )
        loads = (
            f"module({_parameters({'load': name, **parameters})})"
            for name, parameters in self._modules.items()
            if not name.startswith("lm")  # rsyslog loads libraries by itself
        )
        self._config = _CONFIG.format(
            directory=directory,
            options=_parameters(options or {}),
            modules="\n".join(loads),
            ways="".join(ways),
        )
        self._names = tuple(actions)
        self.ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "rsyslog.conf"
        config.write_text(self._config)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                require_rsyslogd(*self._modules),
                *("-n", "-f", str(config), "-i", str(self._directory / "rsyslog.pid")),
                stderr=log,
            )
        try:
            self.ports = await self._listening()
        except BaseException:
            await self._kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # Asked to stop, it would still try to pass on what a test wanted to be refused.
        await self._kill()

    @property
    def log(self) -> str:
        """What rsyslog itself has said so far."""
        return self._log.read_text()

    async def said(self, *words: str) -> str:
        """Wait until the log has a line with some words, and return that line."""
        async with asyncio.timeout(SECONDS):
            while True:
                for line in self.log.splitlines():
                    if all(word in line for word in words):
                        return line
                await asyncio.sleep(0.05)

    async def _listening(self) -> dict[str, int]:
        """Wait for all inputs; return their ports by name."""
        files = [self._directory / f"{name}.port" for name in self._names]
        async with asyncio.timeout(SECONDS):
            while not all(file.exists() and file.read_text() for file in files):
                assert self._process.returncode is None, self.log
                await asyncio.sleep(0.02)
        return {file.stem: int(file.read_text()) for file in files}

    async def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def connect(self, name: str) -> asyncio.StreamWriter:
        """Connect to an input; rsyslog tells its port a moment before it listens there."""
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                else:
                    return writer

    async def send(self, name: str, messages: Iterable[str]) -> None:
        """Send messages to an input, counting octets; it takes them as fast as it likes."""
        writer = await self.connect(name)
        for message in messages:
            octets = message.encode()
            writer.write(b"%d %b" % (len(octets), octets))
            await writer.drain()
        writer.close()
        await writer.wait_closed()


def forward(
    kind: str, address: tuple[str, int], parameters: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return an action that forwards for as long as it takes, looking every second.

    Args:
        kind: `omfwd`, which then counts octets over TCP, or `omrelp`.
        address: where to.
        parameters: others, or those that are to be different.
    """
    host, port = address
    tcp = {"protocol": "tcp", "TCP_Framing": "octet-counted"} if kind == "omfwd" else {}
    return {
        "type": kind,
        "target": host,
        "port": str(port),
        **tcp,
        "action.resumeRetryCount": "-1",
        "action.resumeInterval": "1",
        **(parameters or {}),
    }


def numbered(numbers: Iterable[int]) -> Iterator[str]:
    """Yield messages that rsyslog takes apart and puts together again."""
    return (f"<134>1 2026-01-02T03:04:05.678Z edr app - - - {number}" for number in numbers)


async def assert_all_arrive(
    station: Station, daemon: Daemon, rsyslog: Rsyslog, messages: int
) -> None:
    """Have so many numbered messages sent by the input `all`; each arrives once and in order."""
    await rsyslog.send("all", numbered(range(messages)))
    ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] >= messages)
    assert ledger["received"] == messages
    assert station.numbers == list(range(messages))


def _parameters(values: Mapping[str, str]) -> str:
    return " ".join(f'{name}="{value}"' for name, value in values.items())
