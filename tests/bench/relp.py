"""How fast one omrelp with its default window is: rsyslog to a daemon with its spool on disk.

    python -m tests.bench.relp [--messages N] [--rounds N]

Messages of 80 octets, and the documented Cybereason events. rsyslog is given all of them first,
while nobody listens; then the daemon starts. Prints messages per second from the first that the
daemon received to the last that it has answered (which it does once they are on disk), and CPU
microseconds per message of the daemon (user and system). rsyslog and the sink run beside the daemon
on the same machine, so that the rate is that of all three together.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from collector import samples
from tests.bench.measuring import counting_sink
from tests.daemon import Daemon
from tests.peers import steady_port
from tests.rsyslog import Rsyslog, forward

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-of-the-intake"
HEADER = "<134>1 2026-01-02T03:04:05.678Z edr app - - - "
SHORT_OCTETS = 80


def short(count: int) -> Iterator[str]:
    """Yield messages of `SHORT_OCTETS`."""
    return (f"{HEADER}{number}".ljust(SHORT_OCTETS, "z") for number in range(count))


def cybereason(count: int) -> Iterator[str]:
    """Yield the documented events, over and over."""
    events = itertools.cycle(samples.load("cybereason"))
    return (HEADER + sample.raw for sample in itertools.islice(events, count))


KINDS = {"short": (short, "raw"), "cybereason": (cybereason, "cybereason")}


async def measure(kind: str, count: int) -> None:
    """Run rsyslog and the daemon once, and print what they did."""
    messages, parser = KINDS[kind]
    port = steady_port()
    action = forward("omrelp", ("127.0.0.1", port))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            counting_sink() as sink,
            Rsyslog(
                directory / "rsyslog", {"all": action}, {"all": KEY}, modules={"omrelp": {}}
            ) as rsyslog,
        ):
            await rsyslog.send("all", messages(count))
            settings = {
                "listeners": [
                    {"name": "relp", "transport": "relp", "host": "127.0.0.1", "port": port}
                ],
                "intakes": [{"name": "edr", "parser": parser, "key": KEY}],
                "sinks": [{"name": "sink", "url": f"http://127.0.0.1:{sink.port}/"}],
                "spool": {"type": "sqlite", "path": f"{directory}/spool"},
            }
            async with Daemon(directory, settings) as daemon:
                before = await daemon.metrics()
                first = await daemon.ledger_when(lambda ledger: ledger["received"] > 0)
                began = time.perf_counter()
                await daemon.ledger_when(
                    lambda ledger: ledger["received"] >= count and not ledger["in_memory"]
                )
                seconds = time.perf_counter() - began
                ledger = await daemon.ledger_when(lambda ledger: ledger["delivered"] >= count)
                after = await daemon.metrics()
    assert ledger["received"] == count, ledger
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    print(
        f"  {kind:10} {(count - first['received']) / seconds:7,.0f} messages/s "
        f"{cpu / count * 1e6:6.1f} µs CPU",
        flush=True,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for kind, _ in itertools.product(KINDS, range(options.rounds)):
        asyncio.run(measure(kind, options.messages))


if __name__ == "__main__":
    main()
