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

from aiohttp import web

from collector import samples
from tests.bench.throughput import SPOOLS
from tests.daemon import Daemon
from tests.http_server import HttpServer

BURST_SECONDS = 0.01
MARK = " sentAt="


class TimingSink(HttpServer):
    """Accepts everything and notes how long each event took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        now = time.time()
        for line in body.splitlines():
            sent = json.loads(line)["message"].rpartition(MARK)[2]
            self.seconds.append(now - float(sent))
        return web.Response()


async def measure(rate: int, seconds: float, spool: str) -> None:
    """Run the daemon once and print how long events took."""
    raw = [sample.raw for sample in samples.load("cybereason")]
    burst = round(rate * BURST_SECONDS)
    with tempfile.TemporaryDirectory() as directory:
        async with TimingSink() as sink:
            settings = {
                "listeners": [
                    {
                        "name": "tcp",
                        "transport": "tcp",
                        "host": "127.0.0.1",
                        "port": 0,
                        "intake": "cybereason",
                    }
                ],
                "intakes": [{"name": "cybereason", "parser": "cybereason"}],
                "sinks": [{"name": "sink", "url": sink.url}],
                "spool": SPOOLS[spool] | {"path": f"{directory}/spool"},
            }
            async with Daemon(Path(directory), settings) as daemon:
                _, writer = await asyncio.open_connection(*daemon.address("tcp"))
                count, due = 0, time.perf_counter()
                end = due + seconds
                while due < end:
                    now = time.time()
                    for number in range(count, count + burst):
                        text = f"<134>1 - - - - - - {raw[number % len(raw)]}{MARK}{now}"
                        writer.write(f"{len(text.encode())} {text}".encode())
                    await writer.drain()
                    count += burst
                    due += BURST_SECONDS
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                writer.close()
                await daemon.ledger_when(lambda ledger: ledger["delivered"] >= count)
    milliseconds = [1e3 * percentile for percentile in quantiles(sink.seconds, n=100)]
    print(
        f"  spool {spool:14} p50 {milliseconds[49]:5.0f} ms, p99 {milliseconds[98]:5.0f} ms"
        f" of {len(sink.seconds)} events at {rate}/s",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    for spool in SPOOLS:
        asyncio.run(measure(options.rate, options.seconds, spool))


if __name__ == "__main__":
    main()
