"""What a parser costs: raw bytes in, encoded bytes out, in microseconds per event.

    python -m tests.bench.parsers [--profile documented|ecs] [--rounds N]

Beside each parser stands what reading and writing the same bytes costs by itself: orjson's
``loads`` and ``dumps`` for JSON, pycef for CEF. All of them take turns in one run, in CPU time, and
the best round of each counts; machines differ, so the ratio is the figure to look at.
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import TYPE_CHECKING

import orjson
import pycef

from collector import samples
from collector.parsers import PROFILES, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.parsers import Parser

REPEATS = 40


def normalize(parse: Parser, messages: Sequence[bytes]) -> None:
    """Do what the daemon does with a message, header aside."""
    for message in messages:
        orjson.dumps(parse(message.decode()))


def read_and_write_json(messages: Sequence[bytes]) -> None:
    """Read JSON and write it again."""
    for message in messages:
        orjson.dumps(orjson.loads(message))


def read_cef(messages: Sequence[bytes]) -> None:
    """Take CEF apart into a flat dict, without a thought of what it means."""
    for message in messages:
        pycef.parse(message.decode())


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU seconds of `REPEATS` calls."""
    start = time.process_time()
    for _ in range(REPEATS):
        work()
    return time.process_time() - start


def compare(work: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the best CPU seconds of each, taken in turns."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, each in work.items():
            found.setdefault(name, []).append(seconds(each))
    return {name: min(times) for name, times in found.items()}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--profile", choices=PROFILES, default="documented")
    options.add_argument("--rounds", type=int, default=30)
    arguments = options.parse_args()
    print(f"profile {arguments.profile}; µs of CPU per event, best of {arguments.rounds} rounds")
    for vendor, name, reference in (
        ("cybereason", "pycef", read_cef),
        ("harfanglab", "loads + dumps", read_and_write_json),
    ):
        messages = [sample.raw.encode() for sample in samples.load(vendor)]
        parser = build(vendor, arguments.profile)
        work = {
            vendor: functools.partial(normalize, parser, messages),
            name: functools.partial(reference, messages),
        }
        best = compare(work, arguments.rounds)
        events = REPEATS * len(messages)
        octets = sum(map(len, messages)) / len(messages)
        for each, taken in best.items():
            print(f"  {each:16} {taken / events * 1e6:8.1f} µs", end="")
            print(f"   ({octets:.0f} octets)" if each == vendor else "")
        print(f"  {'ratio':16} {best[vendor] / best[name]:8.2f}")


if __name__ == "__main__":
    main()
