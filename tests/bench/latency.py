"""How long an event takes from socket to sink, at a steady rate.

    python -m tests.bench.latency [--rate 5000] [--seconds 10]

Cybereason messages over one TCP connection, in a burst each 10 ms; each carries the time at which
it was sent. Prints percentiles of the time until its batch has arrived at the sink, for each spool.
With `batch.max_wait` at 200 ms and 1,000 events in a batch, most of that time is waiting for the
batch to fill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple, get_args

from aiohttp import web

from tests.bench.load import CORPUS_MESSAGES, generate
from tests.bench.programs import Job, Spool
from tests.bench.programs.collector import ADMIN, settings
from tests.daemon import Daemon
from tests.http_server import HttpServer

if TYPE_CHECKING:
    from tests.bench.programs import Address

BURST_SECONDS = 0.01
MARK = b" sentAt="


class Percentiles(NamedTuple):
    """How long events took, in seconds.

    Attributes:
        events: how many.
        half: half of them at most.
        most: 99 of 100 at most.
    """

    events: int
    half: float
    most: float

    def __str__(self) -> str:
        return f"p50 {1e3 * self.half:5.0f} ms, p99 {1e3 * self.most:5.0f} ms of {self.events}"


class TimingSink(HttpServer):
    """Accepts everything and notes how long each event took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def percentiles(self) -> Percentiles:
        """Return how long the events took that have come."""
        found = quantiles(self.seconds, n=100)
        return Percentiles(len(self.seconds), found[49], found[98])

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        now = time.time()
        for line in body.splitlines():
            sent = json.loads(line)["message"].rpartition(MARK.decode())[2]
            self.seconds.append(now - float(sent))
        self._tell()
        return web.Response()


async def send_marked(address: Address, rate: int, seconds: float) -> int:
    """Send messages at a steady rate, each with the time at which it is sent; return how many."""
    messages = generate("cybereason", min(CORPUS_MESSAGES, round(rate * seconds))).messages
    burst = round(rate * BURST_SECONDS)
    _, writer = await asyncio.open_connection(*address)
    count, due = 0, time.perf_counter()
    end = due + seconds
    while due < end:
        now = time.time()
        for number in range(count, count + burst):
            text = b"%b%b%.6f" % (messages[number % len(messages)], MARK, now)
            writer.write(b"%d %b" % (len(text), text))
        await writer.drain()
        count += burst
        due += BURST_SECONDS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    writer.close()
    return count


async def measure(rate: int, seconds: float, spool: Spool) -> None:
    """Run the daemon once and print how long events took."""
    with tempfile.TemporaryDirectory() as directory:
        async with TimingSink() as sink:
            job = Job("cybereason", "tcp", sink.port, Path(directory), spool, compression="gzip")
            async with Daemon(Path(directory), settings(job), defaults=ADMIN) as daemon:
                count = await send_marked(daemon.address("in"), rate, seconds)
                await daemon.ledger_when(lambda ledger: ledger["delivered"] >= count)
    print(f"  spool {spool:6} {sink.percentiles()} at {rate}/s", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    for spool in get_args(Spool):
        asyncio.run(measure(options.rate, options.seconds, spool))


if __name__ == "__main__":
    main()
