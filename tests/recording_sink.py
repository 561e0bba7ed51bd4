"""A sink that writes down what comes, as a process of its own, and what it wrote.

    python -m tests.recording_sink FILE SECONDS

Prints its port, accepts everything, and ends with its standard input. Each event is a line of FILE
SECONDS before its request is answered: who delivered it, the sender, the number and the id of the
event. Messages are `SENDER NUMBER ...`; who delivers says so in the header `DELIVERER`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

import orjson
import uvloop
from aiohttp import web

from tests.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DELIVERER: Final = "X-Deliverer"

LOOK_SECONDS: Final = 0.05


class RecordingSink(HttpServer):
    """Writes down each event.

    Args:
        file: where to.
        seconds: between that and the answer.
    """

    def __init__(self, file: TextIO, seconds: float) -> None:
        super().__init__()
        self._file = file
        self._seconds = seconds

    async def _post(self, request: web.Request) -> web.Response:
        deliverer = request.headers[DELIVERER]
        for line in (await request.read()).splitlines():
            event = orjson.loads(line)
            sender, number, _ = event["message"].split(" ", 2)
            self._file.write(f"{deliverer} {sender} {number} {event['event']['id']}\n")
        self._file.flush()
        await asyncio.sleep(self._seconds)
        return web.Response()


class Arrival(NamedTuple):
    """An event at the sink.

    Attributes:
        deliverer: who posted it.
        identifier: its id, as a number.
    """

    deliverer: str
    identifier: int


class Again(NamedTuple):
    """An event at the sink that had been there before.

    Attributes:
        sender: whose message it is.
        number: which one.
        before: how it came first.
        now: how it came this time.
    """

    sender: str
    number: int
    before: Arrival
    now: Arrival


class Arrivals:
    """What a recording sink wrote, read as it grows.

    Args:
        file: its file.
        url: where it takes events.

    Attributes:
        first: by sender and number, how each event came first; in that order.
        again: what came once more.
        accepted: by deliverer, how many events it was told are accepted, each as often as it came.
    """

    def __init__(self, file: Path, url: str) -> None:
        self._file = file
        self._read = 0
        self.url = url
        self.first: dict[str, dict[int, Arrival]] = {}
        self.again: list[Again] = []
        self.accepted: Counter[str] = Counter()

    def look(self) -> int:
        """Read what has come since the last look; return how many different events there are."""
        for line in self._lines():
            deliverer, sender, number, identifier = line.split(" ")
            now = Arrival(sys.intern(deliverer), int(identifier, 16))
            self.accepted[now.deliverer] += 1
            before = self.first.setdefault(sender, {}).setdefault(int(number), now)
            if before is not now:
                self.again.append(Again(sender, int(number), before, now))
        return sum(map(len, self.first.values()))

    def _lines(self) -> list[str]:
        """Return new lines that are complete."""
        with self._file.open() as file:
            file.seek(self._read)
            text = file.read()
        complete = text[: text.rfind("\n") + 1]
        self._read += len(complete)  # all of it is ASCII
        return complete.splitlines()

    @property
    def identifiers(self) -> set[int]:
        """The ids of all events."""
        return {arrival.identifier for found in self.first.values() for arrival in found.values()}

    async def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition of what has arrived.

        Raises:
            TimeoutError: it did not come true.
        """
        async with asyncio.timeout(seconds):
            while self.look() >= 0 and not condition():
                await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def recording_sink(directory: Path, seconds: float = 0.0) -> AsyncIterator[Arrivals]:
    """Run a recording sink.

    Args:
        directory: where it writes.
        seconds: between the moment when events are written down and the answer.
    """
    file = directory / "arrivals"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.recording_sink", str(file), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield Arrivals(file, f"http://127.0.0.1:{port}/")
    finally:
        process.stdin.close()
        await process.wait()


async def serve(path: Path, seconds: float) -> None:
    """Serve until standard input ends."""
    with path.open("w") as file:
        async with RecordingSink(file, seconds) as sink:
            sys.stdout.write(f"{sink.port}\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
