"""What another worker brings: events a second of one worker and of several, by turns.

    python -m tests.bench.scaling [--workers 2] [--share 0.25] [--rounds 3]

Sender and sink take CPU time too, and on a machine with few cores they take it from the workers.
So that what is compared is the workers alone, each is held to the same share of a core (`quota`),
small enough that all of them, sender and sink have room beside each other. One worker is the daemon
as it is with `workers: 1`: one process. The supervisor of several is not held back, and is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import load as loads
from tests.bench.measuring import WARM_UP_SHARE, Result, Way, counting_sink, measure
from tests.bench.processes import tree
from tests.bench.programs import Job
from tests.bench.programs.collector import Collector
from tests.bench.quota import QuotaError, held_to
from tests.bench.sender import write_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGES = {"cybereason": 80_000, "harfanglab": 30_000, "mixed": 40_000}
"""How many are sent in a run of one worker with a quarter of a core: some seconds' worth."""


async def run(options: argparse.Namespace, workers: int, directory: Path) -> Result:
    """Run the daemon once.

    Raises:
        QuotaError: its workers cannot be held to a share.
    """
    messages = directory / "messages"
    count = round(MESSAGES[options.load] * workers * (4 * options.share or 4))
    async with counting_sink() as sink:
        with tempfile.TemporaryDirectory(dir=directory) as own:
            job = Job(options.load, "tcp", sink.port, Path(own), workers=workers)
            async with Collector(job) as daemon:
                processes = set(tree(daemon.process))
                if workers > 1:
                    processes.remove(daemon.process)
                with held_to(options.share, processes if options.share else ()):
                    result, _ = await measure(
                        daemon,
                        sink,
                        messages,
                        names=(f"{workers} workers", options.load),
                        way=Way(options.connections),
                        warm_up=max(1, round(count * WARM_UP_SHARE)),
                        count=count,
                    )
    print(
        f"  {options.load} {workers} workers: {result.rate:,.0f} events/s, "
        f"{result.cpu_microseconds:.1f} µs CPU, {result.lost} lost, "
        f"{result.other_cores:.2f} cores busy with something else",
        flush=True,
    )
    return result


def compare(options: argparse.Namespace, directory: Path) -> float:
    """Run all rounds; return the median of what several workers do to what one does.

    Raises:
        QuotaError: workers cannot be held to a share.
    """
    load = loads.generate(options.load, options.corpus)
    write_messages(directory / "messages", load.messages)
    ratios = []
    for number in range(options.rounds):
        order = (1, options.workers) if number % 2 == 0 else (options.workers, 1)
        rates = {count: asyncio.run(run(options, count, directory)).rate for count in order}
        ratios.append(rates[options.workers] / rates[1])
    return median(ratios)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 if workers cannot be held to a share."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choose = parser.add_argument
    choose("--workers", type=int, default=2)
    choose("--share", type=float, default=0.25, help="of a core, for each worker; 0: no bound")
    choose("--connections", type=int, default=8)
    choose("--load", choices=loads.LOADS, default="cybereason")
    choose("--rounds", type=int, default=3)
    choose("--corpus", type=int, default=loads.CORPUS_MESSAGES, help="different messages")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as directory:
        try:
            ratio = compare(options, Path(directory))
        except QuotaError as error:
            print(error)
            return 1
    held = f"each held to {options.share:g} of a core" if options.share else "not held back"
    print(f"{options.workers} workers, {held}: {ratio:.2f} times one")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
