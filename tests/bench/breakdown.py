"""Where the microseconds go: CPU time per event of each stage of the daemon, and the floor.

    python -m tests.bench.breakdown [--messages N] [--rounds N] [--spool disk|memory]

The first table is of a daemon that runs, with a clock at its seams (`tests.bench.instrumented`):
one TCP connection, a counting sink. Beside each vendor stands the floor: the same messages with the
parser `raw`, which only wraps them. The second is of stages taken alone, one message after the
other: the general way, which is what a message costs whose shape the daemon does not know, and the
compiled way from the text to the encoded event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector import frames
from collector.events.envelope import Arrival, Receipt, finisher
from collector.events.translation import translator as translator_of
from collector.parsers import PARSERS, build
from collector.syslog.message import KeyName
from tests.bench import load as loads
from tests.bench.instrumented import BATCHING, FRAMING, HTTP, PIPELINE, RESTART
from tests.bench.measuring import REST_SECONDS, WARM_UP_SHARE, Way, counting_sink, send
from tests.bench.processes import cpu_seconds, first_thread_seconds
from tests.bench.programs import Job
from tests.bench.programs.collector import ADMIN, settings
from tests.bench.sender import write_messages
from tests.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.measuring import SinkProcess
    from tests.bench.programs import Spool

MESSAGES: Final = {"cybereason": 60_000, "harfanglab": 25_000}
SAMPLE: Final = 2000
REPEATS: Final = 5

_NOON: Final = datetime(2026, 1, 2, 12, tzinfo=UTC)
ARRIVAL: Final = Arrival(
    32 * "0", b"", (), Receipt(_NOON, "2026-01-02T12:00:00.000000Z", UTC, "192.0.2.1")
)
"""How a message came, where that does not matter."""

_STAGES: Final = {
    FRAMING: "framing",
    PIPELINE: "header, routing, parsing, encoding",
    BATCHING: "batching",
    HTTP: "HTTP",
    "loop": "reading sockets, event loop, spool's bookkeeping",
    "threads": "other threads: spool's writer",
    "all": "all",
}


class InstrumentedDaemon(Daemon):
    """A daemon with a clock at each seam."""

    @property
    def clock_file(self) -> Path:
        """What the stages took, once it has ended."""
        return self.file.with_name("clock.json")

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        python, _, _, *arguments = command
        return await super()._start(
            python, "-m", "tests.bench.instrumented", str(self.clock_file), *arguments
        )


async def run(vendor: str, parser: str | None, count: int, spool: Spool) -> dict[str, float]:
    """Run the daemon once; return the microseconds per event of each stage."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_messages(directory / "messages", loads.generate(vendor).messages)
        async with counting_sink() as sink:
            job = Job(vendor, "tcp", sink.port, directory, spool=spool)
            daemon = InstrumentedDaemon(directory, settings(job, parser), defaults=ADMIN)
            async with daemon:
                process, warm_up = daemon.process.pid, max(1, int(count * WARM_UP_SHARE))
                await deliver(daemon, sink, warm_up, warm_up)
                daemon.process.send_signal(RESTART)
                await asyncio.sleep(REST_SECONDS)
                before = first_thread_seconds(process), cpu_seconds(process)
                await deliver(daemon, sink, count, warm_up + count)
                after = first_thread_seconds(process), cpu_seconds(process)
                assert await daemon.stop() == 0, daemon.text
            found = json.loads(daemon.clock_file.read_text())
    loop, everything = after[0] - before[0], after[1] - before[1]
    found["loop"] = loop - sum(found.values())
    found["threads"] = everything - loop
    found["all"] = everything
    return {stage: 1e6 * seconds / count for stage, seconds in found.items()}


async def deliver(daemon: Daemon, sink: SinkProcess, count: int, total: int) -> None:
    """Have the daemon deliver messages, and rest until it has nothing left to do.

    Args:
        daemon: takes them; the file of the messages is beside its settings.
        sink: where they arrive.
        count: how many are sent.
        total: how many the sink has then.
    """
    messages = daemon.file.with_name("messages")
    await send(messages, daemon.address("in"), count, Way(1))
    await sink.received_all(total)
    await asyncio.sleep(REST_SECONDS)


def alone(vendor: str) -> dict[str, float]:
    """Return the microseconds per event of stages taken alone, the best of some rounds."""
    messages = loads.generate(vendor, SAMPLE).messages
    key_name = KeyName()
    texts = [frames.read(message, key_name)[1] for message in messages]
    decode, parse = PARSERS[vendor].decode, build(vendor)
    events = [parse(text) for text in texts]
    header = _best(lambda message: frames.read(message, key_name), messages)
    decoding, parsing = _best(decode, texts), _best(parse, texts)
    return {
        "header and intake key": header,
        "decoding CEF or JSON": decoding,
        "mapping": parsing - decoding,
        "encoding": _best(orjson.dumps, events),
        "the last three, compiled": _compiled(vendor, texts),
    }


def _compiled(vendor: str, texts: Sequence[str]) -> float:
    """Return the microseconds per event of a translator that knows their shapes; 0 without one."""
    known = PARSERS[vendor]
    translator = translator_of(known, "documented", build(vendor), finisher())
    if translator is None:
        return 0.0
    for text in texts:
        translator.translate(text.encode(), ARRIVAL)
    messages = [text.encode() for text in texts]
    return _best(lambda message: translator.translate(message, ARRIVAL), messages)


def _best(work: Callable[[Any], object], values: Sequence[Any]) -> float:
    """Return the CPU microseconds that one call takes."""
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        for value in values:
            work(value)
        found.append(time.process_time() - began)
    return 1e6 * min(found) / len(values)


def show(title: str, columns: dict[str, dict[str, float]], names: dict[str, str]) -> None:
    """Print a table in Markdown of microseconds, a column for each of some runs."""
    width = max(map(len, [title, *names.values()]))
    print(f"| {title.ljust(width)} | {' | '.join(columns)} |")
    print(f"| {'-' * width} | {' | '.join('-' * (len(name) - 1) + ':' for name in columns)} |")
    for stage, name in names.items():
        cells = (f"{found.get(stage, 0.0):.1f}".rjust(len(run)) for run, found in columns.items())
        print(f"| {name.ljust(width)} | {' | '.join(cells)} |")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.breakdown", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--messages", type=int, help="of a run; otherwise some seconds' worth")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--spool", choices=("disk", "memory"), default="disk")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for vendor, count in MESSAGES.items():
            for name, parsed_by in ((vendor, None), (f"{vendor}, raw", "raw")):
                found = asyncio.run(
                    run(vendor, parsed_by, options.messages or count, options.spool)
                )
                runs.setdefault(name, []).append(found)
    columns = {
        name: {stage: median(each.get(stage, 0.0) for each in found) for stage in _STAGES}
        for name, found in runs.items()
    }
    show("CPU µs per event, the daemon", columns, _STAGES)
    print()
    stages = {vendor: alone(vendor) for vendor in MESSAGES}
    show("CPU µs per message, stages taken alone", stages, {name: name for name in stages[vendor]})


if __name__ == "__main__":
    main()
