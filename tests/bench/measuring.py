"""One measurement: a program, a load, a way to send it, and what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from tests.bench.processes import busy_seconds, cpu_seconds, peak_octets, written_octets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.bench.programs import Address, Program

# A program that has delivered nothing for so long has lost what is missing: each of them gathers
# and retries for less.
PATIENCE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05
# For what a program does after a delivery: deleting, closing.
REST_SECONDS: Final = 0.4

WARM_UP_SHARE: Final = 0.1
"""How many messages are sent before, as a share of those that count."""

UDP_SOURCES: Final = 16


@dataclass(frozen=True, slots=True)
class Way:
    """How messages are sent.

    Attributes:
        connections: how many, over TCP; 0 for UDP.
        rate: messages a second over UDP, from `UDP_SOURCES` ports; 0 for TCP.
    """

    connections: int
    rate: int = 0

    def __str__(self) -> str:
        return f"tcp-{self.connections}" if self.connections else f"udp-{self.rate}"

    @property
    def options(self) -> list[str]:
        """Those of `tests.bench.sender`."""
        if self.connections:
            return [f"--connections={self.connections}"]
        return [f"--sockets={UDP_SOURCES}", f"--rate={self.rate}"]


def read_way(text: str) -> Way:
    """Read a way as it is given on the command line: `tcp-8`, `udp-25000`.

    Raises:
        ValueError: it is none.
    """
    kind, _, number = text.partition("-")
    if kind in ("tcp", "udp") and number.isdigit() and int(number):
        return Way(int(number)) if kind == "tcp" else Way(0, int(number))
    raise ValueError(f"{text!r} is neither tcp-CONNECTIONS nor udp-RATE")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one run.

    Attributes:
        program: its name.
        load: the name of the load.
        way: how it was sent, as text.
        sent: how many messages.
        received: how many events the sink got.
        seconds: from the first octet sent to the last event at the sink.
        cpu_seconds: user and system of all processes of the program.
        peak_octets: the most memory that each of its processes had resident, summed.
        request_octets: mean octets of an event in the requests.
        written_octets: what the program had written to disks, per event.
        other_cores: how many cores were busy with something else than this run, or taken away by
            the host of a virtual machine.
    """

    program: str
    load: str
    way: str
    sent: int
    received: int
    seconds: float
    cpu_seconds: float
    peak_octets: int
    request_octets: float
    written_octets: float
    other_cores: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.received / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU microseconds per event; infinite if there was none."""
        return 1e6 * self.cpu_seconds / self.received if self.received else float("inf")

    @property
    def lost(self) -> int:
        """How many messages did not arrive; negative if some did so twice."""
        return self.sent - self.received


class SinkProcess:
    """The counting sink; see `tests.bench.sink`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    async def received(self) -> dict[str, Any]:
        """Return what it has received so far, as `Received` has it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        found: dict[str, Any] = json.loads(await reader.readexactly(length))
        writer.close()
        return found

    async def received_all(self, count: int) -> dict[str, Any]:
        """Return the same once so many events have come, or none for `PATIENCE_SECONDS`."""
        found, since = await self.received(), time.monotonic()
        while found["events"] < count and time.monotonic() - since < PATIENCE_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            before, found = found, await self.received()
            if found["events"] > before["events"]:
                since = time.monotonic()
        return found


@asynccontextmanager
async def counting_sink() -> AsyncIterator[SinkProcess]:
    """Run a counting sink."""
    async with _module("sink") as process:
        assert process.stdout is not None
        yield SinkProcess(process, int(await process.stdout.readline()))


@asynccontextmanager
async def _module(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module of this package as a process that is over by the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.bench.{name}", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        # Both end with their standard input. Killing one that has just ended would reap it behind
        # the back of asyncio, which says so.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def send(messages: Path, address: Address, count: int, way: Way) -> tuple[float, float]:
    """Send messages; return when that began (`time.monotonic`), and the sender's CPU seconds."""
    host, port = address
    arguments = [str(messages), host, str(port), str(count), *way.options]
    async with _module("sender", *arguments) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdout.readline()
        process.stdin.write(b"\n")
        answer = json.loads(await process.stdout.readline())
        return answer["began"], answer["cpu_seconds"]


async def measure(
    program: Program,
    sink: SinkProcess,
    messages: Path,
    *,
    names: tuple[str, str],
    way: Way,
    warm_up: int,
    count: int,
) -> tuple[Result, str]:
    """Measure a program that has just been started.

    Args:
        program: takes messages.
        sink: where it delivers.
        messages: a file of `tests.bench.sender.write_messages`.
        names: of the program and of the load.
        way: how they are sent.
        warm_up: how many messages are sent before.
        count: how many are sent then.

    Returns:
        The result, and the first event that the sink got.
    """
    await send(messages, program.address, warm_up, way)
    first = await sink.received_all(warm_up)
    await asyncio.sleep(REST_SECONDS)
    before = _taken(program, sink)
    began, sender = await send(messages, program.address, count, way)
    last = await sink.received_all(first["events"] + count)
    await asyncio.sleep(REST_SECONDS)
    of_program, written, of_sink, of_harness, of_all, elapsed = (
        after - earlier for after, earlier in zip(_taken(program, sink), before, strict=True)
    )
    received = last["events"] - first["events"]
    return Result(
        *names,
        way=str(way),
        sent=count,
        received=received,
        seconds=max(last["last"] - began, 1e-9),
        cpu_seconds=of_program,
        peak_octets=peak_octets(program.process),
        request_octets=(last["octets"] - first["octets"]) / max(received, 1),
        written_octets=written / max(received, 1),
        other_cores=max(0.0, (of_all - of_program - of_sink - of_harness - sender) / elapsed),
    ), last["sample"]


def _taken(program: Program, sink: SinkProcess) -> tuple[float, ...]:
    """Return CPU seconds and octets written of the program; CPU seconds of the sink, of us and of
    the machine; and the time.
    """
    ours = os.times()
    return (
        cpu_seconds(program.process),
        written_octets(program.process),
        cpu_seconds(sink.process.pid),
        ours.user + ours.system,
        busy_seconds(),
        time.monotonic(),
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of the rounds of a program with a load sent in a way: medians, and the worst loss.

    Attributes:
        program: its name.
        load: the name of the load.
        way: how it was sent.
        rounds: how many runs.
        rate: events a second.
        cpu_microseconds: CPU microseconds per event.
        best_cpu_microseconds: the least of all rounds: what others do on the machine only adds.
        peak_octets: memory.
        written_octets: per event.
        sent: messages of a run.
        lost: the most that one run lost.
        other_cores: the most cores that were busy with something else.
        rate_ratio: events a second to those of the reference in the same round; None without one.
        cpu_ratio: CPU time per event of this program to the reference's.
    """

    program: str
    load: str
    way: str
    rounds: int
    rate: float
    cpu_microseconds: float
    best_cpu_microseconds: float
    peak_octets: float
    written_octets: float
    sent: int
    lost: int
    other_cores: float
    rate_ratio: float | None
    cpu_ratio: float | None


def summarize(results: Sequence[Result], reference: str) -> list[Summary]:
    """Summarize runs, in the order of their first appearance.

    Args:
        results: of all rounds; the runs of each program, load and way in the order of rounds.
        reference: the program that the others are compared with, round by round.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.load, result.way, result.program), []).append(result)
    return [
        _summary(group, groups.get((load, way, reference), []))
        for (load, way, _), group in groups.items()
    ]


def _summary(group: Sequence[Result], reference: Sequence[Result]) -> Summary:
    pairs = list(zip(group, reference, strict=False))  # the last round may not be over
    return Summary(
        program=group[0].program,
        load=group[0].load,
        way=group[0].way,
        rounds=len(group),
        rate=median(result.rate for result in group),
        cpu_microseconds=median(result.cpu_microseconds for result in group),
        best_cpu_microseconds=min(result.cpu_microseconds for result in group),
        peak_octets=median(result.peak_octets for result in group),
        written_octets=median(result.written_octets for result in group),
        sent=group[0].sent,
        lost=max(result.lost for result in group),
        other_cores=max(result.other_cores for result in group),
        rate_ratio=median(own.rate / other.rate for own, other in pairs) if pairs else None,
        cpu_ratio=(
            median(own.cpu_microseconds / other.cpu_microseconds for own, other in pairs)
            if pairs
            else None
        ),
    )
