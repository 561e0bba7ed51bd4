"""How fast the daemon is: one TCP connection, octet counting, to a counting HTTP sink.

    python -m tests.bench.throughput [--messages N] [--vendor cybereason|harfanglab|all]

Runs with the spool in memory and on disk by turns. Prints events per second from the first octet
sent to the last event delivered, CPU microseconds per event of the daemon (user and system), octets
it wrote to the disk per event, its memory, and in the end the ratio of the rates. Sender and sink
run beside the daemon on the same machine, so that the rate is that of all three together; the CPU
time per event is the daemon's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path

from aiohttp import web

from collector import samples
from tests.daemon import Daemon
from tests.http_server import HttpServer

KEYS = {"cybereason": "key-of-cybereason", "harfanglab": "key-of-harfanglab"}
CHUNK_OCTETS = 256 * 1024
SPOOLS = {
    "memory": {"type": "memory"},
    "sqlite, full": {"type": "sqlite", "synchronous": "full"},
    "sqlite, normal": {"type": "sqlite", "synchronous": "normal"},
}


class CountingSink(HttpServer):
    """Accepts everything and looks at nothing."""

    auto_decompress = False

    async def _post(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response()


def stream(vendors: list[str], count: int) -> list[bytes]:
    """Return `count` octet-counted messages, joined into chunks of about `CHUNK_OCTETS`."""
    frames = []
    for sample in itertools.chain.from_iterable(samples.load(vendor) for vendor in vendors):
        data = f'[SEKOIA@53288 intake_key="{KEYS[sample.vendor]}"]'
        header = f"<134>1 2026-01-02T03:04:05.678Z edr {sample.vendor} - - {data} "
        message = (header + sample.raw).encode()
        frames.append(b"%d %b" % (len(message), message))
    chunks, chunk, size = [], [], 0
    for frame in itertools.islice(itertools.cycle(frames), count):
        chunk.append(frame)
        size += len(frame)
        if size >= CHUNK_OCTETS:
            chunks.append(b"".join(chunk))
            chunk, size = [], 0
    return [*chunks, b"".join(chunk)]


async def measure(vendors: list[str], count: int, compression: str, spool: str) -> float:
    """Run the daemon once and print what it did; return the events per second."""
    chunks = stream(vendors, count)
    with tempfile.TemporaryDirectory() as directory:
        async with CountingSink() as sink:
            settings = {
                "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
                "intakes": [
                    {"name": vendor, "parser": vendor, "key": KEYS[vendor]} for vendor in vendors
                ],
                "sinks": [{"name": "sink", "url": sink.url, "compression": compression}],
                "spool": SPOOLS[spool] | {"path": f"{directory}/spool"},
            }
            async with Daemon(Path(directory), settings) as daemon:
                before = await daemon.metrics()
                began = time.perf_counter()
                _, writer = await asyncio.open_connection(*daemon.address("tcp"))
                for chunk in chunks:
                    writer.write(chunk)
                    await writer.drain()
                writer.close()
                ledger = await daemon.ledger_when(
                    lambda ledger: ledger["delivered"] + sum(ledger["dropped"].values()) >= count
                )
                seconds = time.perf_counter() - began
                after = await daemon.metrics()
                written = octets_written(daemon.process.pid)
    assert ledger["delivered"] == count, ledger
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    memory = after["process_resident_memory_bytes"] / 2**20
    print(
        f"  spool {spool:14} {count / seconds:8,.0f} events/s {cpu / count * 1e6:7.1f} µs CPU "
        f"{written / count:6.0f} octets written per event {memory:5.0f} MiB resident",
        flush=True,
    )
    return count / seconds


def octets_written(process: int) -> int:
    """Return what a process had written to disks (proc(5), `write_bytes`)."""
    lines = Path(f"/proc/{process}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--vendor", choices=[*KEYS, "all"], default="cybereason")
    parser.add_argument("--compression", choices=["none", "gzip"], default="gzip")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    vendors = list(KEYS) if options.vendor == "all" else [options.vendor]
    octets = sum(map(len, stream(vendors, 1000))) / 1000
    print(f"{'+'.join(vendors)}, {octets:.0f} octets, sink {options.compression}")
    rates: dict[str, list[float]] = {spool: [] for spool in SPOOLS}
    for _ in range(options.rounds):
        for spool, seen in rates.items():
            run = measure(vendors, options.messages, options.compression, spool)
            seen.append(asyncio.run(run))
    best = {spool: max(seen) for spool, seen in rates.items()}
    for spool in SPOOLS:
        print(f"  {spool}: {best[spool] / best['memory']:.2f} of the rate in memory")


if __name__ == "__main__":
    main()
