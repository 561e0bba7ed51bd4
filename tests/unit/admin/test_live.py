"""How things are, told to those who look."""

import asyncio

import orjson
import pytest

from collector.admin import live
from collector.admin.history import History
from collector.admin.live import Live

EDR = ("intake", "edr")


class Stream:
    """Keeps what is sent."""

    def __init__(self):
        self.sent = asyncio.Queue()

    async def send(self, event, data):
        self.sent.put_nowait((event, orjson.loads(data) if isinstance(data, bytes) else data))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(live, "TOLD_SECONDS", 0.02)


class Asked:
    """A daemon that counts how often it is asked."""

    def __init__(self):
        self.times = 0

    async def status(self):
        self.times += 1
        return {"times": self.times}


async def next_of(stream, name):
    """Return the next event of a name."""
    while True:
        event, data = await asyncio.wait_for(stream.sent.get(), 5)
        if event == name:
            return data


async def test_a_page_is_told_the_past_then_how_it_goes_on():
    """Each point once."""
    history, asked, stream = History(), Asked(), Stream()
    history.note({EDR: 0}, wall=0.0, steady=0.0)
    history.note({EDR: 10}, wall=5.0, steady=5.0)
    telling = asyncio.ensure_future(Live(asked.status, history).tell(stream))
    event, data = await stream.sent.get()
    assert event == "history"
    assert data["series"] == [{"kind": "intake", "name": "edr", "values": [2.0]}]
    assert await stream.sent.get() == ("status", {"times": 1})
    history.note({EDR: 25}, wall=10.0, steady=10.0)
    assert await next_of(stream, "point") == {
        "ends": 10.0,
        "seconds": 5.0,
        "values": [{"kind": "intake", "name": "edr", "value": 3.0}],
    }
    await next_of(stream, "status")
    history.note({EDR: 25}, wall=15.0, steady=15.0)
    assert (await next_of(stream, "point"))["ends"] == 15.0
    telling.cancel()


async def test_many_pages_cost_what_one_does():
    """The daemon is asked once for all of them."""
    asked = Asked()
    told = Live(asked.status, History())
    pages = [Stream() for _ in range(10)]
    telling = [asyncio.ensure_future(told.tell(page)) for page in pages]
    found = [await next_of(page, "status") for page in pages]
    assert found == [{"times": 1}] * 10
    for task in telling:
        task.cancel()


async def test_nobody_is_asked_while_nobody_looks():
    """Nothing goes on when the last page is gone; the next one finds nothing that is old."""
    asked, stream = Asked(), Stream()
    told = Live(asked.status, History())
    telling = asyncio.ensure_future(told.tell(stream))
    while asked.times < 3:
        await next_of(stream, "status")
    telling.cancel()
    await asyncio.wait([telling])
    seen = asked.times
    await asyncio.sleep(5 * live.TOLD_SECONDS)
    assert asked.times == seen
    stream = Stream()
    telling = asyncio.ensure_future(told.tell(stream))
    assert await next_of(stream, "status") == {"times": seen + 1}
    telling.cancel()
