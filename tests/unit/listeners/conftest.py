"""What the listeners' tests share: a pipeline that remembers, and settings."""

import asyncio

import pytest

from collector.backpressure import Gate
from collector.config import parse
from collector.metrics import ListenerStats
from collector.routing import Router


class Pipeline:
    """Remembers what it is fed, told to reject and to keep incomplete.

    What is fed goes to a sink whose gate the test may close.
    """

    def __init__(self):
        self.fed = []
        self.rejected = []
        self.incomplete = []
        self.gate = Gate()
        self._changed = asyncio.Event()

    def feed(self, frames, origin):
        self.fed += [(frame, origin.peer) for frame in frames]
        self._changed.set()
        return {self.gate} if self.gate.closed else ()

    def reject(self, origin, reason, count=1):
        self.rejected += [(reason, origin.peer)] * count
        self._changed.set()

    def keep_incomplete(self, frame, origin):
        self.incomplete.append((frame, origin.peer))
        self._changed.set()

    @property
    def frames(self):
        return [frame for frame, _ in self.fed]

    async def until(self, condition):
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def pipeline():
    return Pipeline()


@pytest.fixture
def stats():
    return ListenerStats("l")


@pytest.fixture
def router():
    return Router([], keys={}, bound={"l": "bound"}, sources=[])


@pytest.fixture
def listener_settings():
    """Return a function that makes a listener's settings from YAML."""

    def make(transport, more=""):
        text = f"""
listeners: [{{name: l, transport: {transport}, host: 127.0.0.1, port: 0, intake: i{more}}}]
intakes: [{{name: i, parser: raw}}]
sinks: [{{name: s, url: "http://127.0.0.1/"}}]
"""
        return parse(text, source="test", environ={}).listeners[0]

    return make
