"""Whether the daemon's memory stays what it is under a steady load.

    python -m tests.bench.soak [--minutes 15] [--workers 1] [--rate 6000] [--json FILE]

Messages of all vendors come at a steady rate over connections that are opened and closed all the
time, the spool is on disk, and the sink fails now and then: for some seconds it answers 503, or
breaks connections off. What each process of the daemon has resident is looked at every second; what
it grows by is the slope of a straight line through all that was seen after a warm-up, by least
squares. Exits with 1 if a process grows, or if messages are lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING, Any, Final

from collector.sending import octet_counted
from tests.bench import load as loads
from tests.bench.processes import cpu_seconds, resident_octets
from tests.bench.programs import Job
from tests.bench.programs.collector import ADMIN, settings
from tests.bench.sink import Connection, Received
from tests.bench.table import MIB, machine
from tests.daemon import Daemon, imbalance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.bench.programs import Address

LOAD: Final = "mixed"
TICK_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0
SHOW_SECONDS: Final = 60.0

LIFE_SECONDS: Final = 1.0, 20.0
"""How long a connection is open: between these."""

FAULT_SECONDS: Final = 2.0, 6.0
"""How long the sink fails each time, between these."""

PATIENCE_SECONDS: Final = 60.0
"""How long nothing is delivered until what is left counts as lost: more than a sink ever fails."""

WARM_UP_SECONDS: Final = 120.0
WARM_UP_SHARE: Final = 0.25
"""What is left out: so many seconds, or this share of a run that is short."""

EDGE_SECONDS: Final = 10.0
"""How much of either end is taken for the memory at the start and at the end."""

FLAT_MIB: Final = 0.25
"""What a process may grow by in a minute that counts as flat: as much may come of the ups and downs
of some MiB that batches cause, within ten minutes."""

TELLING_SECONDS: Final = 540.0
"""How long it must be watched after the warm-up for that to say something."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What became of one process's memory.

    Attributes:
        process: its name.
        start: MiB resident after the warm-up.
        end: the same at the end.
        peak: the most that was seen, also in the warm-up.
        slope: MiB a minute.
        is_flat: whether it does not grow; None where it was not watched for long enough to say.
    """

    process: str
    start: float
    end: float
    peak: float
    slope: float
    is_flat: bool | None

    def __str__(self) -> str:
        verdict = {True: "flat", False: "GROWS", None: "too short to say"}[self.is_flat]
        return (
            f"{self.process:12} start {self.start:6.1f} MiB, end {self.end:6.1f} MiB, "
            f"peak {self.peak:6.1f} MiB, {self.slope:+.3f} MiB/min: {verdict}"
        )


def trend(process: str, samples: Sequence[tuple[float, int]], warm_up: float) -> Trend | None:
    """Return what became of a process's memory.

    Args:
        process: its name.
        samples: seconds and octets resident, in order.
        warm_up: the seconds up to which samples do not count.

    Returns:
        None where less than two count.
    """
    counted = [(moment, octets / MIB) for moment, octets in samples if moment >= warm_up]
    if len(counted) <= 1:
        return None
    (first, _), (last, _) = counted[0], counted[-1]
    slope = 60 * linear_regression(*zip(*counted, strict=True)).slope
    return Trend(
        process,
        fmean(resident for moment, resident in counted if moment <= first + EDGE_SECONDS),
        fmean(resident for moment, resident in counted if moment >= last - EDGE_SECONDS),
        max(octets for _, octets in samples) / MIB,
        slope,
        slope < FLAT_MIB if last - first >= TELLING_SECONDS else None,
    )


@dataclass
class Sink(Received):
    """What a sink has received, and how it fails at present.

    Attributes:
        fault: `busy` answers 503, `broken` breaks off; empty while all is well.
        faults: how often it has failed.
        port: where it listens.
    """

    fault: str = ""
    faults: int = 0
    port: int = 0

    async def fail_at_times(self, every: float, draw: random.Random) -> None:
        """Fail for some seconds, again and again.

        Args:
            every: seconds between, on average.
            draw: for how long, and how.
        """
        while True:
            await asyncio.sleep(draw.uniform(0.5, 1.5) * every)
            self.fault = draw.choice(("busy", "broken"))
            self.faults += 1
            await asyncio.sleep(min(draw.uniform(*FAULT_SECONDS), every))
            self.fault = ""


class FailingConnection(Connection):
    """A connection to a sink that fails at times."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._sink = sink

    def _answer(self, head: bytes, body: bytes) -> None:
        if self._sink.fault == "broken":
            self._transport.abort()
        elif self._sink.fault:
            self._transport.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        else:
            super()._answer(head, body)


@asynccontextmanager
async def failing_sink(every: float, draw: random.Random) -> AsyncIterator[Sink]:
    """Run a sink that fails at times."""
    sink = Sink()
    server = await asyncio.get_running_loop().create_server(
        lambda: FailingConnection(sink), "127.0.0.1", 0
    )
    sink.port = server.sockets[0].getsockname()[1]
    failing = asyncio.create_task(sink.fail_at_times(every, draw))
    try:
        yield sink
    finally:
        failing.cancel()
        server.close()


class Sender:
    """One of those that send: over one connection after the other, at a steady rate.

    Args:
        address: where to.
        frames: what, by turns, octet-counted.
        rate: messages a second.
        draw: how long each connection is open, and where to begin.

    Attributes:
        sent: how many messages so far.
        connections: over how many connections.
    """

    def __init__(
        self, address: Address, frames: Sequence[bytes], rate: float, draw: random.Random
    ) -> None:
        self._address = address
        self._frames = frames
        self._rate = rate
        self._draw = draw
        self._first = draw.randrange(len(frames))
        self.sent = 0
        self.connections = 0

    async def send_until(self, end: float) -> None:
        """Send up to a moment of `time.monotonic`."""
        began = time.monotonic()
        while (now := time.monotonic()) < end:
            _, writer = await asyncio.open_connection(*self._address)
            self.connections += 1
            life = min(end, now + self._draw.uniform(*LIFE_SECONDS))
            while (now := time.monotonic()) < life:
                writer.write(self._due(now - began))
                await writer.drain()
                await asyncio.sleep(TICK_SECONDS)
            writer.close()
            await writer.wait_closed()

    def _due(self, seconds: float) -> bytes:
        """Return what is to be sent by now."""
        first = self._first + self.sent
        count = max(0, int(seconds * self._rate) - self.sent)
        self.sent += count
        frames = self._frames
        return b"".join(frames[at % len(frames)] for at in range(first, first + count))


@dataclass
class Watch:
    """Looks at what a process and its descendants have resident.

    Attributes:
        root: the first of them.
        samples: of each, by process id: seconds since the start, and octets.
    """

    root: int
    samples: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    async def look(self) -> None:
        """Look every second, and tell every minute."""
        began = shown = time.monotonic()
        while True:
            now = time.monotonic()
            for process, octets in resident_octets(self.root).items():
                self.samples.setdefault(process, []).append((now - began, octets))
            if now - shown >= SHOW_SECONDS:
                shown = now
                print(f"  {(now - began) / 60:5.1f} min  {self._now()}", flush=True)
            await asyncio.sleep(LOOK_SECONDS)

    def _now(self) -> str:
        """Return what each has now, for people."""
        last = (f"{self.name(each)} {found[-1][1] / MIB:.1f}" for each, found in self._living())
        return ", ".join(last) + " MiB"

    def _living(self) -> list[tuple[int, list[tuple[float, int]]]]:
        latest = max(found[-1][0] for found in self.samples.values())
        return [each for each in sorted(self.samples.items()) if each[1][-1][0] == latest]

    def name(self, process: int) -> str:
        """Return what a process is called."""
        if process == self.root:
            return "daemon" if len(self.samples) == 1 else "supervisor"
        return f"worker {process}"

    def trends(self, warm_up: float) -> list[Trend]:
        """Return what became of each, in order of their ids, that was there after the warm-up."""
        found = (trend(self.name(each), of, warm_up) for each, of in sorted(self.samples.items()))
        return [each for each in found if each is not None]


@dataclass
class Report:
    """What came of a run.

    Attributes:
        minutes: how long messages were sent.
        sent: how many.
        received: how many events the sink counted; some may have come twice.
        faults: how often the sink failed.
        connections: how many there were.
        cpu_microseconds: of the daemon, per event.
        imbalance: by how much its ledger does not balance at the end.
        left: how many copies were not delivered then.
        warm_up: seconds that do not count.
        trends: what became of each process's memory.
        samples: what was seen of each, by its name: seconds and octets.
    """

    minutes: float
    sent: int
    received: int
    faults: int
    connections: int
    cpu_microseconds: float
    imbalance: int
    left: int
    warm_up: float
    trends: list[Trend]
    samples: dict[str, list[tuple[float, int]]]

    @property
    def is_lossless(self) -> bool:
        """Whether everything that was sent was delivered and accounted for."""
        return self.received >= self.sent and not self.imbalance and not self.left

    @property
    def has_grown(self) -> bool:
        """Whether a process was seen to grow."""
        return any(each.is_flat is False for each in self.trends)

    def __str__(self) -> str:
        rate = self.sent / self.minutes / 60
        outcome = "nothing" if self.is_lossless else "SOMETHING"
        lines = (
            f"{self.sent:,} messages in {self.minutes:.1f} min, {rate:,.0f} a second",
            f"{self.connections:,} connections, {self.cpu_microseconds:.1f} µs CPU per message",
            f"the sink failed {self.faults} times and got {self.received:,} events",
            f"{outcome} is lost",
        )
        return "\n".join((", ".join(lines[:2]), "; ".join(lines[2:]), *map(str, self.trends)))


async def run(options: argparse.Namespace, directory: Path) -> Report:
    """Run a daemon under load for as long as is asked for."""
    draw = random.Random(options.seed)
    messages = loads.generate(LOAD, options.corpus, options.seed).messages
    frames = [octet_counted(message) for message in messages]
    async with failing_sink(options.faults_every, draw) as sink:
        job = Job(LOAD, "tcp", sink.port, directory, workers=options.workers)
        async with Daemon(directory, settings(job), defaults=ADMIN) as daemon:
            watch, process = Watch(daemon.process.pid), daemon.process.pid
            looking = asyncio.create_task(watch.look())
            rate = options.rate / options.connections
            address = daemon.address("in")
            senders = [Sender(address, frames, rate, draw) for _ in range(options.connections)]
            before, end = cpu_seconds(process), time.monotonic() + 60 * options.minutes
            await asyncio.gather(*(sender.send_until(end) for sender in senders))
            looking.cancel()
            sent = sum(sender.sent for sender in senders)
            ledger = await settled(daemon, sent)
            taken = cpu_seconds(process) - before
            assert await daemon.stop() == 0
    warm_up = min(WARM_UP_SECONDS, 60 * options.minutes * WARM_UP_SHARE)
    return Report(
        options.minutes,
        sent,
        sink.events,
        sink.faults,
        sum(sender.connections for sender in senders),
        1e6 * taken / max(sent, 1),
        imbalance(ledger),
        ledger["in_memory"] + ledger["spooled"],
        warm_up,
        watch.trends(warm_up),
        {watch.name(each): found for each, found in watch.samples.items()},
    )


async def settled(daemon: Daemon, sent: int) -> dict[str, Any]:
    """Return the ledger once everything is delivered, or nothing more has been for a while."""
    ledger: dict[str, Any] = (await daemon.status())["ledger"]
    since = time.monotonic()
    while ledger["delivered"] < sent and time.monotonic() - since < PATIENCE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        before, ledger = ledger["delivered"], (await daemon.status())["ledger"]
        if ledger["delivered"] > before:
            since = time.monotonic()
    return ledger


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="collector-soak-", dir=options.directory) as directory:
        report = asyncio.run(run(options, Path(directory)))
    facts = machine()
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(report)
    if options.json is not None:
        found = {
            "machine": facts,
            "options": {name: str(value) for name, value in vars(options).items()},
            **asdict(report),
        }
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(report.has_grown or not report.is_lossless)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.soak", description=(__doc__ or "").partition("\n")[0]
    )
    choose = parser.add_argument
    choose("--minutes", type=float, default=15.0)
    choose("--workers", type=int, default=1)
    choose("--rate", type=float, default=6000.0, help="messages a second")
    choose("--connections", type=int, default=8, help="open at a time")
    choose("--faults-every", type=float, default=30.0, metavar="SECONDS", help="of the sink")
    choose("--corpus", type=int, default=loads.CORPUS_MESSAGES, help="different messages")
    choose("--seed", type=int, default=1)
    choose("--json", type=Path, metavar="FILE", help="write what was seen there too")
    choose("--directory", type=Path, help="on the disk to be written to; otherwise a temporary one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
