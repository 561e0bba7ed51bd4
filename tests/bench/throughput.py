"""How fast the daemon is: one TCP connection, octet counting, to a counting HTTP sink.

    python -m tests.bench.throughput [--messages N] [--vendor cybereason|harfanglab|all]

Prints events per second from the first octet sent to the last event delivered, CPU microseconds
per event of the daemon (user and system), its memory, and the ledger. Sender and sink run beside
the daemon on the same machine, so that the rate is that of all three together; the CPU time per
event is the daemon's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import Self

from aiohttp import web

from collector import samples
from tests.daemon import Daemon

KEYS = {"cybereason": "key-of-cybereason", "harfanglab": "key-of-harfanglab"}
CHUNK_OCTETS = 256 * 1024


class CountingSink:
    """Accepts everything and looks at nothing."""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.add_routes([web.post("/", self._post)])
        self._runner = web.AppRunner(application, access_log=None, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

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


async def measure(vendors: list[str], count: int, compression: str) -> None:
    """Run the daemon once and print what it did."""
    chunks = stream(vendors, count)
    with tempfile.TemporaryDirectory() as directory:
        async with CountingSink() as sink:
            settings = {
                "listeners": [{"name": "tcp", "transport": "tcp", "host": "127.0.0.1", "port": 0}],
                "intakes": [
                    {"name": vendor, "parser": vendor, "key": KEYS[vendor]} for vendor in vendors
                ],
                "sinks": [{"name": "sink", "url": sink.url, "compression": compression}],
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
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    memory = after["process_resident_memory_bytes"] / 2**20
    octets = sum(map(len, chunks)) / count
    print(f"{'+'.join(vendors)}, {count} events of {octets:.0f} octets, sink {compression}")
    print(f"  {count / seconds:,.0f} events/s, {cpu / count * 1e6:.1f} µs CPU per event")
    print(f"  {memory:.0f} MiB resident, ledger {ledger}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--vendor", choices=[*KEYS, "all"], default="cybereason")
    parser.add_argument("--compression", choices=["none", "gzip"], default="gzip")
    options = parser.parse_args()
    vendors = list(KEYS) if options.vendor == "all" else [options.vendor]
    asyncio.run(measure(vendors, options.messages, options.compression))


if __name__ == "__main__":
    main()
