"""What connections cost that say nothing, and what others feel of them.

    python -m tests.bench.crowd [--idle 5000] [--encrypted 1000] [--seconds 10]

Prints the daemon's memory per idle connection, plain and with TLS; its processor time while nothing
happens, with and without them; and percentiles of how long two honest senders wait: one whose
message goes over a new TLS connection, from connecting until the sink has it, and one that waits
for RELP's answer, which comes once the message is on disk. They are asked before the crowd is there
and then within it, with 500 slow senders, 1,000 unfinished handshakes and 500 connections that do
not say whose they are to a listener for proxies.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from tests.crowds import Crowd, allow_files, cpu_seconds, drip, open_files, resident_bytes
from tests.house import House, housed
from tests.relp_sender import RelpSender
from tests.station import HEADER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SLOW, UNFINISHED, UNNAMED = 500, 1000, 500
PAUSE_SECONDS = 0.02
KIB, MIB = 1024, 1024 * 1024


async def run(idle: int, encrypted: int, seconds: float) -> None:
    """Run a daemon, have the crowd come, and print what it does."""
    allow_files(idle + encrypted + SLOW + UNFINISHED + UNNAMED)
    with tempfile.TemporaryDirectory() as directory:
        async with housed(Path(directory), listener={"frame_timeout": "5m"}) as house:
            await house.visit("first", 100)
            show(house, "at first")
            await waits(house, "before", seconds)
            await rest(house, seconds)
            with Crowd() as crowd:
                await come(house, crowd, "tcp", idle)
                await rest(house, seconds)
                await come(house, crowd, "tls", encrypted)
                await rest(house, seconds)
                await crowd.connect(house.address("tls"), UNFINISHED)
                await crowd.connect(house.address("proxied"), UNNAMED)
                slow = await crowd.connect(house.address("tcp"), SLOW)
                dripping = asyncio.create_task(drip(slow, b"500 " + HEADER.encode()))
                show(house, "with all of them")
                await waits(house, "within", seconds)
                dripping.cancel()
            await house.until_counted(0, "connections")
            show(house, "when all are gone")


def show(house: House, when: str) -> None:
    """Print what the daemon has now."""
    resident = resident_bytes(house.process) / MIB
    print(
        f"  {when:20} {resident:6.1f} MiB resident, {open_files(house.process)} files", flush=True
    )


async def come(house: House, crowd: Crowd, way: str, count: int) -> None:
    """Open idle connections and print what each takes."""
    before = resident_bytes(house.process)
    await crowd.connect(house.address(way), count, house.context if way == "tls" else None)
    await house.until_counted(count, "connections", listener=way)
    each = (resident_bytes(house.process) - before) / count / KIB
    show(house, f"{count} idle, {way}")
    print(f"  {'':20} {each:6.1f} KiB for each of them", flush=True)


async def rest(house: House, seconds: float) -> None:
    """Do nothing, and print the processor time that the daemon takes for it."""
    before = cpu_seconds(house.process)
    await asyncio.sleep(seconds)
    share = (cpu_seconds(house.process) - before) / seconds
    print(f"  {'':20} {share:6.2%} of a core while nothing happens", flush=True)


async def waits(house: House, when: str, seconds: float) -> None:
    """Print how long honest senders wait."""

    async def by_tls(text: str) -> None:
        await house.send("tls", [text])
        await house.arrived([text])

    async with RelpSender(house.address("relp")) as sender:

        async def by_relp(text: str) -> None:
            await sender.send([f"{HEADER}{text}".encode()])

        for way, send in (("tls", by_tls), ("relp", by_relp)):
            found = await measured(send, f"{when} {way}", seconds)
            percentiles = [1e3 * percentile for percentile in quantiles(found, n=100)]
            print(
                f"  {when}, {way:12} p50 {percentiles[49]:6.1f} ms, p99 {percentiles[98]:6.1f} ms"
                f" of {len(found)} messages",
                flush=True,
            )


async def measured(
    send: Callable[[str], Awaitable[None]], course: str, seconds: float
) -> list[float]:
    """Send one message after the other; return how long each took."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await send(f"{course} {len(found)}")
        found.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_SECONDS)
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--encrypted", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    asyncio.run(run(options.idle, options.encrypted, options.seconds))


if __name__ == "__main__":
    main()
