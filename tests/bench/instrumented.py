"""The daemon with a clock at each of its seams, for `tests.bench.breakdown`.

    python -m tests.bench.instrumented FILE run -c SETTINGS

What is timed is called once for a read or a batch and not for a message, so that the clocks take
next to nothing. `FILE` gets the seconds of each stage as JSON when the daemon has ended; `RESTART`
sets the clocks to 0.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collector.batching import Batcher
from collector.cli import main
from collector.pipeline import Pipeline
from collector.sinks.exchange import Exchange
from collector.syslog.framing import Framer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

FRAMING: Final = "framing"
PIPELINE: Final = "pipeline"
BATCHING: Final = "batching"
HTTP: Final = "http"

SEAMS: Final[dict[str, tuple[type, str]]] = {
    FRAMING: (Framer, "feed"),
    PIPELINE: (Pipeline, "feed"),
    BATCHING: (Batcher, "flush"),
}
_POST: Final = (Exchange, "post")

RESTART: Final = signal.SIGUSR1
"""Sent when what came so far was only to warm up."""


class Clock:
    """Says how much CPU time each stage took, without the stages that it called.

    Attributes:
        nanoseconds: by stage.
    """

    def __init__(self) -> None:
        self.nanoseconds: defaultdict[str, int] = defaultdict(int)
        self._nested = 0
        self._thread = threading.get_ident()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, timed; calls on other threads are not."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self._thread:
                return function(*args, **kwargs)
            began, outer = time.thread_time_ns(), self._nested
            self._nested = 0
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.thread_time_ns() - began
                self.nanoseconds[stage] += taken - self._nested
                self._nested = outer + taken

        return call

    def timed_coroutine(
        self, stage: str, function: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Any]:
        """Do the same for a coroutine function: what it takes while it waits is not its own."""

        def call(*args: Any, **kwargs: Any) -> _Steps:
            inner = function(*args, **kwargs)
            return _Steps(self.timed(stage, inner.send), self.timed(stage, inner.throw))

        return call


class _Steps:
    """Runs a coroutine step by step, each by a function that is timed."""

    def __init__(self, send: Callable[[Any], Any], throw: Callable[[BaseException], Any]) -> None:
        self._send = send
        self._throw = throw

    def __await__(self) -> Generator[Any, Any, Any]:
        step, value = self._send, None
        while True:
            try:
                awaited = step(value)
            except StopIteration as end:
                return end.value
            try:
                step, value = self._send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's to see
                step, value = self._throw, error


def instrument(clock: Clock) -> None:
    """Put the clock at the seams."""
    for stage, (owner, name) in SEAMS.items():
        setattr(owner, name, clock.timed(stage, getattr(owner, name)))
    owner, name = _POST
    setattr(owner, name, clock.timed_coroutine(HTTP, getattr(owner, name)))


def run(file: Path) -> None:
    """Run the command line of the daemon; write down what its stages took."""
    clock = Clock()
    instrument(clock)
    signal.signal(RESTART, lambda *_: clock.nanoseconds.clear())
    try:
        main()
    finally:
        seconds = {stage: taken / 1e9 for stage, taken in clock.nanoseconds.items()}
        file.write_text(json.dumps(seconds))


if __name__ == "__main__":
    run(Path(sys.argv.pop(1)))
