"""Several collectors that share a stream: receivers, deliverers, their senders and their sink.

Messages are `SENDER NUMBER ...` and have an id of their content, so that it can be told what is
missing, what came twice, and whether it was the same.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self

from collector.ledger import Ledger
from collector.roles import Role
from collector.syslog.relp_client import Client
from tests.daemon import Daemon, imbalance
from tests.peers import steady_port
from tests.recording_sink import DELIVERER
from tests.station import HEADER, KEY, noise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.recording_sink import Arrivals

SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05

WINDOW: Final = 1000
"""How many messages a sender sends before it waits for an answer."""

READ_OCTETS: Final = 256 * 1024
TICK_SECONDS: Final = 0.02
RECONNECT_SECONDS: Final = 0.1


class Feed:
    """A sender of numbered messages over RELP, which repeats what was not answered.

    It runs while used as an asynchronous context manager, and has one connection after the other.

    Args:
        name: its own, which its messages begin with.
        port: where it sends to.
        count: how many messages.
        rate: how many a second at most; None for as many as are taken.
        padding: octets of each besides.

    Attributes:
        answered: how many messages were answered, and so are safe: the first ones.
        repeated: messages that were sent more than once.
    """

    def __init__(
        self, name: str, port: int, count: int, *, rate: float | None = None, padding: int = 40
    ) -> None:
        self.name = name
        self.count = count
        self._port = port
        self._rate = rate
        self._padding = padding
        self._sent = 0
        self._furthest = 0
        self.answered = 0
        self.repeated: set[int] = set()

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def check(self) -> None:
        """Raise what the sending ended with, if it has."""
        if self._task.done():
            self._task.result()

    async def _run(self) -> None:
        while self.answered < self.count:
            with suppress(ConnectionError):
                await self._converse()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _converse(self) -> None:
        """Send over one connection until all is answered.

        Raises:
            ConnectionError: nobody listens, or the connection broke.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        client = Client(software="fleet,1")
        before = self._sent = self.answered
        try:
            writer.write(client.open())
            while self.answered < self.count:
                await self._hear(reader, client)
                self.answered = before + client.accepted
                if writer.is_closing():  # uvloop takes a write to it for a mistake
                    raise ConnectionError("the connection broke")
                if client.is_open:
                    self._send(writer, client)
        finally:
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, client: Client) -> None:
        """Read answers, if some come within a tick."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                data = await reader.read(READ_OCTETS)
                client.feed(data)
                if not data or client.ended:
                    raise ConnectionError("the receiver has ended the connection")
                assert client.broken is None, client.broken
                assert client.refused == 0, client.refusal

    def _send(self, writer: asyncio.StreamWriter, client: Client) -> None:
        """Send what is due: with a rate, what a tick amounts to at once."""
        due = min(self.count, self.answered + WINDOW)
        if self._rate is not None:
            ticks = (time.monotonic() - self._began) // TICK_SECONDS
            due = min(due, int(ticks * TICK_SECONDS * self._rate))
        if due <= self._sent:
            return
        numbers = range(self._sent, due)
        writer.write(b"".join(client.message(self.message(number)) for number in numbers))
        self.repeated |= {number for number in numbers if number < self._furthest}
        self._sent = due
        self._furthest = max(self._furthest, due)

    def message(self, number: int) -> bytes:
        """Return a message."""
        return f"{HEADER}{self.name} {number} {noise(number, self._padding)}".encode()


class Feeds:
    """The senders of a fleet, one for each receiver.

    Args:
        each: they.
    """

    def __init__(self, each: list[Feed]) -> None:
        self.each = each

    async def until(self, share: float, seconds: float = SECONDS) -> None:
        """Wait until all together were answered a share of what they are to send."""
        async with asyncio.timeout(seconds):
            while self.answered < share * self.count:
                for feed in self.each:
                    feed.check()
                await asyncio.sleep(LOOK_SECONDS)

    @property
    def answered(self) -> int:
        """How many messages are safe."""
        return sum(feed.answered for feed in self.each)

    @property
    def count(self) -> int:
        """How many messages are sent in all."""
        return sum(feed.count for feed in self.each)

    @property
    def numbers(self) -> dict[str, list[int]]:
        """The numbers of all messages, by sender."""
        return {feed.name: list(range(feed.count)) for feed in self.each}

    @property
    def repeated(self) -> set[tuple[str, int]]:
        """Sender and number of all messages that were sent more than once."""
        return {(feed.name, number) for feed in self.each for number in feed.repeated}


class Member:
    """A collector of a fleet, in all of its lives: it keeps its directory and its ports.

    Args:
        directory: for its settings and what waits with it; it is made.
        role: what it does.
        settings: of all members.

    Attributes:
        name: its own.
        daemon: its latest life.
        port: where it takes messages.
    """

    def __init__(self, directory: Path, role: Role, settings: dict[str, Any]) -> None:
        self.name = directory.name
        self.role = role
        self.port = steady_port()
        self._directory = directory
        self._settings = settings
        self._lives = 0
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Begin, or begin again."""
        self._lives += 1
        self._directory.mkdir(exist_ok=True)
        self.daemon = Daemon(self._directory, self._own_settings(), role=self.role)
        await self._running.enter_async_context(self.daemon)

    async def kill(self) -> None:
        """End at once, without a word to anybody."""
        self.daemon.process.kill()
        assert await self.daemon.ended() == -signal.SIGKILL
        await self._running.aclose()

    async def close(self) -> None:
        """End, if it runs, however."""
        await self._running.aclose()

    async def stop(self) -> None:
        """End as asked, which is to end well."""
        assert await self.daemon.stop() == 0
        await self._running.aclose()

    async def ledger(self) -> Ledger:
        """Return its accounts, which balance."""
        found = (await self.daemon.status())["ledger"]
        assert imbalance(found) == 0, (self.name, found)
        return read_ledger(found)

    async def stream(self) -> dict[str, Any]:
        """Return what it knows of the stream."""
        found: dict[str, Any] = (await self.daemon.status())["spool"]["stream"]
        return found

    async def degraded(self) -> list[dict[str, str]]:
        """Return what it says is not as it should be."""
        found: list[dict[str, str]] = (await self.daemon.status())["degraded"]
        return found

    async def until_degraded(self) -> None:
        """Wait until it says that its stream is away."""
        async with asyncio.timeout(SECONDS):
            while not any("stream" in entry.values() for entry in await self.degraded()):
                await asyncio.sleep(LOOK_SECONDS)

    async def until_well(self) -> None:
        """Wait until it says that nothing is wrong."""
        async with asyncio.timeout(SECONDS):
            while await self.degraded():
                await asyncio.sleep(LOOK_SECONDS)

    @property
    def life(self) -> str:
        """What it calls itself where it delivers."""
        return f"{self.name}.{self._lives}"

    def _own_settings(self) -> dict[str, Any]:
        """Return the settings of all with its own port, directory and name."""
        (sink,) = self._settings["sinks"]
        (listener,) = self._settings["listeners"]
        return {
            **self._settings,
            "listeners": [{**listener, "port": self.port}],
            "sinks": [{**sink, "headers": {DELIVERER: self.life}}],
            "spool": {**self._settings["spool"], "path": str(self._directory / "spool")},
        }


def read_ledger(accounts: dict[str, Any]) -> Ledger:
    """Return the accounts of `/api/status` as they were."""
    counted = ("rejected", "dead_lettered", "dropped")
    return Ledger(**{**accounts, **{name: Counter(accounts[name]) for name in counted}})


class Fleet:
    """Receivers and deliverers; `running_fleet` starts and ends them.

    Args:
        directory: for all that they write.
        settings: of all members.
        receivers: how many.
        deliverers: how many.
    """

    def __init__(
        self, directory: Path, settings: dict[str, Any], *, receivers: int, deliverers: int
    ) -> None:
        self.receivers = [
            Member(directory / f"receiver-{n}", Role.RECEIVE, settings) for n in range(receivers)
        ]
        self.deliverers = [
            Member(directory / f"deliverer-{n}", Role.DELIVER, settings) for n in range(deliverers)
        ]

    @property
    def members(self) -> list[Member]:
        """All of them."""
        return [*self.receivers, *self.deliverers]

    async def ledger(self) -> Ledger:
        """Return the sum of all accounts; each balances, and so do all together."""
        total = Ledger()
        for member in self.members:
            add(total, await member.ledger())
        assert total.imbalance() == 0
        return total

    async def until_settled(self) -> Ledger:
        """Wait until no member has anything left to do; return the sum of all accounts.

        A server of release 2.9 that was killed may list messages for ever that are dealt with. It
        takes a member some looks to see that nobody waits for them.
        """
        end = time.monotonic() + SECONDS
        while True:
            total = await self.ledger()
            streams = [await member.stream() for member in self.members]
            is_idle = not (total.in_memory or total.spooled)
            in_hand = sum(sum(stream["in_hand"].values()) for stream in streams)
            if is_idle and not in_hand and not all(stream["events"] for stream in streams):
                return total
            assert time.monotonic() < end, (total, streams)
            await asyncio.sleep(LOOK_SECONDS)


def add(total: Ledger, more: Ledger) -> None:
    """Add accounts to others."""
    total.dead_lettered.update(more.dead_lettered)
    total.in_memory += more.in_memory
    total.spooled += more.spooled
    total.restore(more.as_dict())


def fleet_settings(
    servers: Iterable[str], arrivals: Arrivals, *, is_ordered: bool = False, **spool: Any
) -> dict[str, Any]:
    """Return what all members of a fleet have in common.

    Args:
        servers: URLs of the cluster.
        arrivals: what the sink has.
        is_ordered: whether the sink asks for order.
        spool: further settings of the spool.
    """
    return {
        "listeners": [{"name": "relp", "transport": "relp", "host": "127.0.0.1"}],
        "intakes": [{"name": "any", "parser": "raw", "key": KEY}],
        "sinks": [
            {
                "name": "siem",
                "url": arrivals.url,
                "concurrency": 1 if is_ordered else 4,
                "batch": {"max_wait": "20ms"},
                "retry": {"initial": "50ms", "max": "500ms"},
            }
        ],
        "identity": "content",
        "spool": {
            "type": "jetstream",
            "servers": list(servers),
            "max_bytes": "2GiB",
            "ack_wait": "2s",
            **spool,
        },
        "admin": {"port": 0},
        "shutdown_grace": "1s",
    }


@asynccontextmanager
async def running_fleet(
    directory: Path, settings: dict[str, Any], *, receivers: int = 2, deliverers: int = 2
) -> AsyncIterator[Fleet]:
    """Run a fleet."""
    fleet = Fleet(directory, settings, receivers=receivers, deliverers=deliverers)
    async with AsyncExitStack() as stack:
        for member in fleet.members:
            stack.push_async_callback(member.close)
        await asyncio.gather(*(member.start() for member in fleet.members))
        yield fleet


@asynccontextmanager
async def feeding(fleet: Fleet, count: int, *, rate: float | None = None) -> AsyncIterator[Feeds]:
    """Send to each receiver.

    Args:
        fleet: whose receivers.
        count: how many messages to each.
        rate: how many a second to each, at most; None for as many as are taken.
    """
    async with AsyncExitStack() as stack:
        feeds = [
            await stack.enter_async_context(
                Feed(f"to-{member.name}", member.port, count, rate=rate)
            )
            for member in fleet.receivers
        ]
        yield Feeds(feeds)
