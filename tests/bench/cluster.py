"""What a stream that several daemons share costs, beside a file that one has.

    python -m tests.bench.cluster [--loads cybereason harfanglab] [--rounds 3] [--json FILE]

By turns, the same messages go through one daemon with its spool on disk, and through a receiver, a
cluster of three nats-servers and a deliverer. All of them, the sender and the sink share the
machine, so that the events per second are those of all together; what each part takes of a
processor for an event is its own. Prints medians of the rounds, and what all parts of the cluster
take together in units of what the one daemon does in the same round. A last run of each sends at a
steady rate and says how long events take from socket to sink.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from collector.roles import Role
from tests.bench import load as loads
from tests.bench.latency import TimingSink, send_marked
from tests.bench.measuring import REST_SECONDS, WARM_UP_SHARE, Way, counting_sink, send
from tests.bench.processes import busy_seconds, cpu_seconds, peak_octets, written_octets
from tests.bench.programs import Job
from tests.bench.programs.collector import ADMIN, settings
from tests.bench.sender import write_messages
from tests.bench.table import MIB, machine
from tests.daemon import Daemon
from tests.nats import Nats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from tests.bench.latency import Percentiles
    from tests.bench.measuring import SinkProcess
    from tests.bench.programs import Address

    Parts = dict[str, tuple[int, ...]]

MESSAGES: Final = {"cybereason": 100_000, "harfanglab": 40_000, "mixed": 60_000}
"""How many are sent in a run."""

STREAM: Final = "bench"
BROKERS: Final = 3
CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class System:
    """What takes messages and delivers them.

    Attributes:
        address: where it takes them.
        parts: the processes of each of its parts, by name.
    """

    address: Address
    parts: Parts


@asynccontextmanager
async def single(job: Job) -> AsyncIterator[System]:
    """Run one daemon with its spool on disk."""
    async with Daemon(job.directory, settings(job), defaults=ADMIN) as daemon:
        yield System(daemon.address("in"), {"daemon": (daemon.process.pid,)})


@asynccontextmanager
async def cluster(job: Job) -> AsyncIterator[System]:
    """Run a receiver, a cluster of brokers, and a deliverer."""
    async with Nats(job.directory / "brokers", BROKERS) as brokers:
        receiver, deliverer = (_member(job, brokers, role) for role in (Role.RECEIVE, Role.DELIVER))
        async with receiver, deliverer:
            leader = await brokers.leader(STREAM)
            processes = list(brokers.processes)
            parts = {
                "receiver": (receiver.process.pid,),
                "deliverer": (deliverer.process.pid,),
                "broker that leads": (processes.pop(leader),),
                "other brokers": tuple(processes),
            }
            yield System(receiver.address("in"), parts)


def _member(job: Job, brokers: Nats, role: Role) -> Daemon:
    directory = job.directory / role
    directory.mkdir()
    spool = {
        "type": "jetstream",
        "servers": list(brokers.urls),
        "stream": STREAM,
        "replicas": BROKERS,
        "max_bytes": "1GiB",
        "path": str(directory / "spool"),
    }
    return Daemon(directory, {**settings(job), "spool": spool}, defaults=ADMIN, role=role)


SYSTEMS: Final[dict[str, Callable[[Job], AbstractAsyncContextManager[System]]]] = {
    "sqlite": single,
    "jetstream": cluster,
}
REFERENCE: Final = "sqlite"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a part took.

    Attributes:
        cpu_microseconds: user and system, for each event.
        peak_octets: the most memory that each of its processes had resident, summed.
        written_octets: what it had written to disks, for each event.
    """

    cpu_microseconds: float
    peak_octets: float
    written_octets: float


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run.

    Attributes:
        system: a key of `SYSTEMS`.
        load: the name of the load.
        sent: how many messages.
        received: how many events the sink got.
        seconds: from the first octet sent to the last event at the sink.
        request_octets: mean octets of an event in the requests, compressed.
        parts: what each part took, by name.
        other_cores: how many cores were busy with something else, sender, sink and whoever measures
            included.
    """

    system: str
    load: str
    sent: int
    received: int
    seconds: float
    request_octets: float
    parts: dict[str, Taken]
    other_cores: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.received / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU microseconds per event of all parts."""
        return sum(part.cpu_microseconds for part in self.parts.values())


async def measure(
    name: str, system: System, sink: SinkProcess, messages: Path, *, load: str, count: int
) -> Run:
    """Send messages to a system that has just been started.

    Args:
        name: a key of `SYSTEMS`.
        system: takes messages.
        sink: where it delivers.
        messages: a file of `tests.bench.sender.write_messages`.
        load: its name.
        count: how many are sent, after a warm-up.
    """
    way, warm_up = Way(CONNECTIONS), max(1, round(count * WARM_UP_SHARE))
    await send(messages, system.address, warm_up, way)
    first = await sink.received_all(warm_up)
    await asyncio.sleep(REST_SECONDS)
    before, busy, begin = _taken(system.parts), busy_seconds(), time.monotonic()
    began, _ = await send(messages, system.address, count, way)
    last = await sink.received_all(first["events"] + count)
    await asyncio.sleep(REST_SECONDS)
    after, elapsed = _taken(system.parts), time.monotonic() - begin
    received = last["events"] - first["events"]
    own = sum(after[part][0] - before[part][0] for part in after)
    return Run(
        name,
        load,
        count,
        received,
        max(last["last"] - began, 1e-9),
        (last["octets"] - first["octets"]) / max(received, 1),
        {
            part: Taken(
                1e6 * (cpu - before[part][0]) / max(received, 1),
                sum(map(peak_octets, system.parts[part])),
                (written - before[part][1]) / max(received, 1),
            )
            for part, (cpu, written) in after.items()
        },
        max(0.0, (busy_seconds() - busy - own) / elapsed),
    )


def _taken(parts: Parts) -> dict[str, tuple[float, int]]:
    """Return CPU seconds and octets written of each part so far."""
    return {
        name: (sum(map(cpu_seconds, processes)), sum(map(written_octets, processes)))
        for name, processes in parts.items()
    }


async def run(name: str, load: str, count: int, directory: Path) -> Run:
    """Start a system, measure it, and end it."""
    async with counting_sink() as sink:
        with tempfile.TemporaryDirectory(dir=directory) as own:
            async with SYSTEMS[name](_job(load, sink.port, Path(own))) as system:
                found = await measure(name, system, sink, directory / load, load=load, count=count)
    took = ", ".join(f"{part} {taken.cpu_microseconds:.1f}" for part, taken in found.parts.items())
    print(
        f"  {load} {name}: {found.rate:,.0f} events/s, µs CPU: {took}; "
        f"{found.sent - found.received} lost",
        flush=True,
    )
    return found


async def latency(name: str, rate: int, seconds: float, directory: Path) -> Percentiles:
    """Send to a system at a steady rate; return how long events took to the sink."""
    with tempfile.TemporaryDirectory(dir=directory) as own:
        async with TimingSink() as sink:
            job = _job("cybereason", sink.port, Path(own))
            async with SYSTEMS[name](job) as system:
                count = await send_marked(system.address, rate, seconds)
                await sink.wait_until(lambda: len(sink.seconds) >= count)
    return sink.percentiles()


def _job(load: str, sink: int, directory: Path) -> Job:
    return Job(load, "tcp", sink, directory, compression="gzip")


def render(runs: Sequence[Run]) -> str:
    """Return a table in Markdown: each row a part of a system with a load, medians of its runs.

    Under `× CPU` is what all parts of a system took, in units of `REFERENCE` in the same round.
    """
    headings = ("load", "spool", "part", "events/s", "CPU µs/event", "MiB", "written", "× CPU")
    rows = [headings, ("---",) * 3 + ("---:",) * 5]
    for load, name in dict.fromkeys((run.load, run.system) for run in runs):
        group = [run for run in runs if (run.load, run.system) == (load, name)]
        rows += [
            (load, name, part, "", *_cells([run.parts[part] for run in group]), "")
            for part in group[0].parts
        ]
        rate = median(run.rate for run in group)
        cpu = median(run.cpu_microseconds for run in group)
        ratio = _ratio(group, [run for run in runs if (run.load, run.system) == (load, REFERENCE)])
        rows.append((load, name, "all", f"{rate:,.0f}", f"{cpu:.1f}", "", "", ratio))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(taken: Sequence[Taken]) -> tuple[str, str, str]:
    cpu = median(each.cpu_microseconds for each in taken)
    octets = median(each.peak_octets for each in taken)
    written = median(each.written_octets for each in taken)
    return f"{cpu:.1f}", f"{octets / MIB:.0f}", f"{written:,.0f}"


def _ratio(group: Sequence[Run], reference: Sequence[Run]) -> str:
    pairs = zip(group, reference, strict=False)  # the last round may not be over
    ratios = [own.cpu_microseconds / other.cpu_microseconds for own, other in pairs]
    return f"{median(ratios):.2f}" if ratios else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 1 if messages were lost."""
    options = _options(arguments)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as name:
        directory = Path(name)
        for load in options.loads:
            corpus = loads.generate(load, options.corpus)
            print(f"{load}: messages of {corpus.octets:.0f} octets", flush=True)
            write_messages(directory / load, corpus.messages)
        for number in range(options.rounds):
            for load in options.loads:
                for system in list(SYSTEMS)[:: 1 if number % 2 == 0 else -1]:
                    count = options.messages or MESSAGES[load]
                    runs.append(asyncio.run(run(system, load, count, directory)))
        found = {
            system: asyncio.run(latency(system, options.rate, options.seconds, directory))
            for system in SYSTEMS
        }
    print(f"\n{render(runs)}\n")
    for system, percentiles in found.items():
        print(f"{system} at {options.rate} events/s: {percentiles}")
    if options.json is not None:
        report = {"machine": machine(), "runs": [asdict(each) for each in runs]}
        options.json.write_text(json.dumps(report, indent=2))
    return int(any(each.received < each.sent for each in runs))


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choose = parser.add_argument
    choose("--loads", nargs="+", choices=loads.LOADS, default=["cybereason", "harfanglab"])
    choose("--messages", type=int, help="in a run")
    choose("--rounds", type=int, default=3)
    choose("--corpus", type=int, default=loads.CORPUS_MESSAGES, help="different messages")
    choose("--rate", type=int, default=2000, help="messages a second, for the latency")
    choose("--seconds", type=float, default=10.0, help="for the latency")
    choose("--json", type=Path, help="where to write all results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
