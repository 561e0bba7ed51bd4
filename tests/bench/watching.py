"""What it costs the daemon that somebody looks: its status page, and its live tail beside.

    python -m tests.bench.watching [--rates 0 1000 5000] [--workers 1 2] [--rounds 9] [--seconds 10]

Cybereason messages over one TCP connection at a steady rate, in a burst each 10 ms, or none at all.
The same daemon is measured in turns while nobody looks, while one page is told how things are
(`/api/live`), and while one is told that and what comes besides (`/api/tail`). Prints the processor
time of the daemon's processes in per cent of a core while nobody looks, and by how much it is more
while somebody does: the median of the differences within each round, and the least and the most.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import aiohttp

from tests.bench.load import generate
from tests.bench.measuring import counting_sink
from tests.bench.processes import run_seconds
from tests.bench.programs import Job
from tests.bench.programs.collector import ADMIN, settings
from tests.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

BURST_SECONDS: Final = 0.01
SETTLE_SECONDS: Final = 1.0
"""For what has just changed to go its usual way."""

READERS: Final = {
    "nobody": (),
    "page": ("/api/live",),
    "page and tail": ("/api/live", "/api/tail"),
}
"""What is read meanwhile, by the name of a turn; the others are compared with the first."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was found of one turn over all rounds, in cores.

    Attributes:
        readers: name of the turn.
        base: the median while nobody looks.
        more: how much more it is in each round.
        octets: that the readers were sent per second, the median.
        rate: messages a second that were sent, the least of all rounds: a machine that has other
            things to do keeps the sender from its work as well.
    """

    readers: str
    base: float
    more: Sequence[float]
    octets: float
    rate: float

    def __str__(self) -> str:
        least, most = min(self.more), max(self.more)
        return (
            f"{self.base:7.2%} of a core while nobody looks, {self.readers:13} "
            f"{median(self.more):+7.2%} ({least:+.2%} to {most:+.2%}), "
            f"{self.octets / 1024:6.1f} KiB/s to read, {self.rate:.0f} events/s at the least"
        )


@dataclass(slots=True)
class Count:
    """How much there was so far."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What was found of one turn.

    Attributes:
        cores: that the daemon took.
        octets: that the readers were sent per second.
        rate: messages a second that were sent.
    """

    cores: float
    octets: float
    rate: float


async def measure(rate: int, workers: int, rounds: int, seconds: float, corpus: int) -> list[Cost]:
    """Run the daemon once; return what each turn cost."""
    messages = generate("cybereason", corpus).messages
    turns: dict[str, list[Turn]] = {name: [] for name in READERS}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = await stack.enter_async_context(counting_sink())
        job = Job("cybereason", "tcp", sink.port, directory, "disk", compression="gzip")
        wanted = {**settings(job), "workers": workers}
        daemon = await stack.enter_async_context(Daemon(directory, wanted, defaults=ADMIN))
        sent = await stack.enter_async_context(_sending(daemon, messages, rate))
        names = list(READERS)
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                turns[name].append(await _turn(daemon, name, sent, seconds))
    base, *others = names
    return [_cost(name, turns[base], turns[name]) for name in others]


def _cost(name: str, base: Sequence[Turn], turns: Sequence[Turn]) -> Cost:
    return Cost(
        name,
        median(turn.cores for turn in base),
        [turn.cores - other.cores for turn, other in zip(turns, base, strict=True)],
        median(turn.octets for turn in turns),
        min(turn.rate for turn in (*base, *turns)),
    )


async def _turn(daemon: Daemon, name: str, sent: Count, seconds: float) -> Turn:
    """Have the readers of a turn look for so long."""
    async with _reading(daemon, READERS[name]) as read:
        await asyncio.sleep(SETTLE_SECONDS)
        before = _taken(daemon, read, sent)
        await asyncio.sleep(seconds)
        after = _taken(daemon, read, sent)
    *found, elapsed = (now - then for now, then in zip(after, before, strict=True))
    return Turn(*(value / elapsed for value in found))


def _taken(daemon: Daemon, read: Count, sent: Count) -> tuple[float, float, float, float]:
    """Return processor time, octets read and messages sent so far, and the time."""
    return run_seconds(daemon.process.pid), read.number, sent.number, time.perf_counter()


@asynccontextmanager
async def _reading(daemon: Daemon, paths: Sequence[str]) -> AsyncIterator[Count]:
    """Read streams of the daemon meanwhile."""
    read = Count()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(daemon.admin_url, timeout=timeout) as session:
        tasks = [asyncio.create_task(_read(session, path, read)) for path in paths]
        try:
            yield read
        finally:
            for task in tasks:
                assert not task.done(), task  # it goes on as long as somebody reads
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(session: aiohttp.ClientSession, path: str, read: Count) -> None:
    async with session.get(path) as response:
        response.raise_for_status()
        async for octets in response.content.iter_any():
            read.number += len(octets)


@asynccontextmanager
async def _sending(daemon: Daemon, messages: Sequence[bytes], rate: int) -> AsyncIterator[Count]:
    """Send so many messages a second meanwhile."""
    _, writer = await asyncio.open_connection(*daemon.address("in"))
    sent = Count()
    task = asyncio.create_task(_send(writer, messages, rate, sent))
    try:
        yield sent
    finally:
        assert rate == 0 or not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def _send(
    writer: asyncio.StreamWriter, messages: Sequence[bytes], rate: int, sent: Count
) -> None:
    if rate == 0:
        return
    burst, due = max(1, round(rate * BURST_SECONDS)), time.perf_counter()
    while True:
        for number in range(sent.number, sent.number + burst):
            message = messages[number % len(messages)]
            writer.write(b"%d %b" % (len(message), message))
        await writer.drain()
        sent.number += burst
        due += BURST_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="+", default=[0, 1000, 5000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--corpus", type=int, default=5000, help="different messages")
    options = parser.parse_args(arguments)
    for workers in options.workers:
        for rate in options.rates:
            print(f"{rate} events/s, {workers} process{'es' if workers > 1 else ''}:", flush=True)
            found = measure(rate, workers, options.rounds, options.seconds, options.corpus)
            for cost in asyncio.run(found):
                print(f"  {cost}", flush=True)


if __name__ == "__main__":
    main()
