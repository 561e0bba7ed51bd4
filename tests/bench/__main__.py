"""Compare the daemon with syslog-ng and rsyslog doing the nearest equal job.

    python -m tests.bench [--quick] [--json FILE] [--fetch]

Each program is started anew for each run, with a counting HTTP sink, and gets the same messages.
The order of the programs changes with each round. `raw` is the daemon with a parser that only wraps
the message: everything but parsing. `syslog-ng-lean`, on request, leaves the message as it came out
of its events. What each program does is said in `tests/bench/programs`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench import load as loads
from tests.bench.measuring import (
    WARM_UP_SHARE,
    Result,
    Way,
    counting_sink,
    measure,
    read_way,
    summarize,
)
from tests.bench.programs import Job, Program, UnavailableError, packages
from tests.bench.programs.collector import Collector
from tests.bench.programs.rsyslog import Rsyslog
from tests.bench.programs.syslog_ng import SyslogNg
from tests.bench.sender import write_messages
from tests.bench.table import machine, render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAMS: Final[dict[str, Callable[[Job, Path], Program]]] = {
    "collector": lambda job, _: Collector(job),
    "raw": lambda job, _: Collector(job, "raw"),
    "syslog-ng": SyslogNg,
    "rsyslog": Rsyslog,
    "syslog-ng-lean": lambda job, found: SyslogNg(job, found, with_message=False),
}
COMPARED: Final = ("collector", "raw", "syslog-ng", "rsyslog")
REFERENCE: Final = "collector"
WAYS: Final = ("tcp-1", "tcp-8", "udp-25000")

MESSAGES: Final = {"cybereason": 100_000, "harfanglab": 40_000, "mixed": 60_000}
"""How many are sent in a run: some seconds' worth."""

_QUICK: Final[dict[str, Any]] = {
    "rounds": 1,
    "loads": ["cybereason", "harfanglab"],
    "ways": [Way(1)],
    "share": 0.5,
}
_FULL: Final[dict[str, Any]] = {
    "rounds": 2,
    "loads": list(loads.LOADS),
    "ways": [read_way(way) for way in WAYS],
    "share": 1.0,
}
# Over UDP what is to be shown is that nothing is lost: one load shows it.
_UDP_LOAD: Final = "cybereason"


class Bench:
    """Runs what was asked for and gathers the results.

    Args:
        options: the command line.
        directory: for messages, settings and what waits.
    """

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self._options = options
        self._directory = directory
        self._unavailable: set[str] = set()
        self.results: list[Result] = []
        self.samples: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    async def run(self) -> None:
        """Run everything."""
        options = self._options
        for name in options.loads:
            load = loads.generate(name, options.corpus, options.seed)
            print(f"{name}: {len(load.messages)} messages of {load.octets:.0f} octets", flush=True)
            write_messages(self._directory / name, load.messages)
        for number in range(options.rounds):
            programs = options.programs if number % 2 == 0 else options.programs[::-1]
            for name in options.loads:
                for way in options.ways:
                    if way.connections or name == _UDP_LOAD or options.loads == [name]:
                        for program in programs:
                            await self._measure(program, name, way)

    async def _measure(self, program: str, load: str, way: Way) -> None:
        """Run a program once; tell if it is not there."""
        options = self._options
        if program in self._unavailable:
            return
        count = options.messages or int(MESSAGES[load] * options.share)
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            async with counting_sink() as sink:
                job = Job(
                    load,
                    "tcp" if way.connections else "udp",
                    sink.port,
                    Path(directory),
                    spool=options.spool,
                    compression=options.compression,
                    workers=options.workers,
                    profile=options.profile,
                )
                try:
                    async with PROGRAMS[program](job, options.packages) as running:
                        self.versions[program] = running.version
                        result, sample = await measure(
                            running,
                            sink,
                            self._directory / load,
                            names=(program, load),
                            way=way,
                            warm_up=max(1, int(count * WARM_UP_SHARE)),
                            count=count,
                        )
                except UnavailableError as error:
                    self._unavailable.add(program)
                    print(f"  {program}: {error}", flush=True)
                    return
        self.results.append(result)
        self.samples.setdefault(f"{program}, {load}", sample)
        print(
            f"  {load} {way} {program}: {result.rate:,.0f} events/s, "
            f"{result.cpu_microseconds:.1f} µs CPU, {result.lost} lost",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 if messages were lost over TCP."""
    options = _options(arguments)
    if options.fetch:
        packages.fetch(options.packages)
        return 0
    with tempfile.TemporaryDirectory(prefix="collector-bench-", dir=options.directory) as directory:
        bench = Bench(options, Path(directory))
        asyncio.run(bench.run())
    summaries = summarize(bench.results, REFERENCE)
    facts = machine() | bench.versions
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print(render(summaries))
    if options.show_events:
        print("\n".join(f"{name}: {sample}" for name, sample in bench.samples.items()))
    if options.json is not None:
        report = {
            "machine": facts,
            "options": {name: str(value) for name, value in vars(options).items()},
            "summaries": [asdict(summary) for summary in summaries],
            "runs": [asdict(result) for result in bench.results],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(any(run.lost > 0 and run.way.startswith("tcp") for run in bench.results))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0]
    )
    choose = parser.add_argument
    choose("--quick", action="store_true", help="one round, TCP alone, fewer messages: a minute")
    choose("--programs", nargs="+", choices=PROGRAMS, default=list(COMPARED))
    choose("--loads", nargs="+", choices=loads.LOADS)
    choose("--ways", nargs="+", type=read_way, help="tcp-CONNECTIONS or udp-RATE (messages/s)")
    choose("--rounds", type=int)
    choose("--messages", type=int, help="messages of a run; otherwise some seconds' worth")
    choose("--corpus", type=int, default=loads.CORPUS_MESSAGES, help="different messages")
    choose("--seed", type=int, default=1, help="of the messages")
    choose("--workers", type=int, default=1, help="of the daemon")
    choose("--spool", choices=("disk", "memory"), default="disk", help="of all programs")
    choose("--compression", choices=("none", "gzip", "zstd"), default="none", help="the daemon's")
    choose("--profile", choices=("documented", "ecs"), default="documented", help="the daemon's")
    choose("--json", type=Path, metavar="FILE", help="write the results there too")
    choose("--show-events", action="store_true", help="print an event of each program")
    choose("--directory", type=Path, help="on the disk to be written to; otherwise a temporary one")
    choose("--packages", type=Path, default=packages.DIRECTORY, help="where --fetch unpacks")
    choose("--fetch", action="store_true", help=f"get what is missing: {packages.HOW}")
    options = parser.parse_args(arguments)
    for name, value in (_QUICK if options.quick else _FULL).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    options.packages = options.packages.expanduser().resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
