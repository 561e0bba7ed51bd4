"""How much of the disk events take while their sink is away.

    python -m tests.bench.sizing [--rates 10 100 1000 0] [--compressions gzip zstd none]

Messages are sent over one TCP connection to a daemon whose sink does not listen. Prints, for each
vendor, the octets that the spool counts for an event, by rate (0 for as fast as it goes) and by the
sink's `compression`. An event takes less where more of them share a batch: they are compressed
together, and a batch is closed after `batch.max_wait` (200 ms) or at `batch.max_events` (1,000).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.load import KEYS, Load, generate
from tests.bench.programs import Job
from tests.bench.programs.collector import ADMIN, settings
from tests.daemon import Daemon, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS: Final = 20
"""How long messages are sent at a rate, but for the bounds of how many."""

FEWEST, MOST = 200, 20_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 100, 1000, 0])
    parser.add_argument("--compressions", nargs="+", default=["gzip", "zstd", "none"])
    parser.add_argument("--most", type=int, default=MOST, help="messages at one rate")
    options = parser.parse_args(arguments)
    print("| load | message | events/s |", " | ".join(options.compressions), "|")
    print("|---|---:|---:|" + "---:|" * len(options.compressions))
    for vendor in KEYS:
        for rate in options.rates:
            wanted = max(FEWEST, rate * SECONDS) if rate else MOST
            load = generate(vendor, min(wanted, options.most))
            found = [asyncio.run(measure(load, rate, how)) for how in options.compressions]
            octets = " | ".join(f"{each:,.0f}" for each in found)
            print(f"| {vendor} | {load.octets:,.0f} | {rate or 'most'} | {octets} |", flush=True)


async def measure(load: Load, rate: int, compression: str) -> float:
    """Send messages to a daemon whose sink is away; return the octets of the spool for each.

    Args:
        load: what is sent, each message once.
        rate: messages a second; 0 for as fast as the daemon takes them.
        compression: that of the sink.
    """
    count = len(load.messages)
    with tempfile.TemporaryDirectory() as directory:
        job = Job(load.name, "tcp", free_port(), Path(directory), "disk", compression=compression)
        async with Daemon(Path(directory), settings(job), defaults=ADMIN) as daemon:
            _, writer = await asyncio.open_connection(*daemon.address("in"))
            begin = time.perf_counter()
            for number, message in enumerate(load.messages):
                if rate:
                    await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
                writer.write(b"%d %b" % (len(message), message))
                await writer.drain()
            await daemon.ledger_when(lambda ledger: ledger["spooled"] >= count)
            octets: int = (await daemon.status())["spool"]["octets"]
            writer.close()
    return octets / count


if __name__ == "__main__":
    main()
