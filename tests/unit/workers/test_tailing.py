"""The live tail of several workers."""

import asyncio
from contextlib import aclosing

import structlog

from collector.tail import Tailed, Wanted
from collector.workers.tailing import MAX_QUEUED, Tails, Watching

WANTED = Wanted(intake="edr", text="x")


class Worker:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def tell(self, message):
        self.told.append(message)


def shown(number, *messages, skipped=0):
    return {"kind": "tail", "number": number, "messages": list(messages), "skipped": skipped}


async def test_all_workers_watch_and_are_shown_as_one():
    """Until nobody follows any more."""
    workers = [Worker(), Worker()]
    tails = Tails(lambda: workers)
    async with aclosing(tails.follow(WANTED)) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        for worker in workers:
            assert worker.told == [
                {
                    "kind": "watch",
                    "number": 0,
                    "wanted": {"intake": "edr", "outcome": "", "text": "x"},
                }
            ]
        tails.hear(shown(0, {"raw": "a"}))
        tails.hear(shown(0, {"raw": "b"}, skipped=3))
        assert await first == Tailed([{"raw": "a"}], 0)
        assert await anext(following) == Tailed([{"raw": "b"}], 3)
    for worker in workers:
        assert worker.told[-1] == {"kind": "watch no more", "number": 0}
    tails.hear(shown(0, {"raw": "late"}))  # it may be on its way


async def test_a_worker_that_is_started_again_watches_too():
    """What the others do."""
    tails = Tails(list)
    async with aclosing(tails.follow(WANTED)) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        worker = Worker()
        tails.begin(worker)
        assert [message["kind"] for message in worker.told] == ["watch"]
        tails.hear(shown(0))
        await first
    tails.begin(worker)
    assert len(worker.told) == 1


async def test_what_nobody_takes_is_counted():
    """A page that hangs does not fill the memory of the supervisor."""
    tails = Tails(list)
    async with aclosing(tails.follow(WANTED)) as following:
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        for _ in range(MAX_QUEUED):
            tails.hear(shown(0, {}))
        tails.hear(shown(0, {}, {}, skipped=5))
        assert (await first).skipped == 7
        assert (await anext(following)).skipped == 0


async def until(holds):
    """Let others go on until a condition holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


class Source:
    """A worker's own tail, which yields what the test says."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.wanted = None
        self.asked = 0
        self.is_closed = False

    async def follow(self, wanted):
        self.wanted = wanted
        try:
            while True:
                self.asked += 1
                yield await self.queue.get()
        finally:
            self.is_closed = True


async def test_a_worker_tells_what_it_watches():
    """Until it is told to stop."""
    source, told = Source(), asyncio.Queue()
    watching = Watching(source.follow, told.put_nowait, lambda: False)
    for _ in range(2):  # it is told again if it started just then
        watching.obey({"kind": "watch", "number": 4, "wanted": WANTED.as_json()})
    source.queue.put_nowait(Tailed([{"raw": "a"}], 2))
    assert await told.get() == shown(4, {"raw": "a"}, skipped=2)
    assert source.wanted == WANTED
    watching.obey({"kind": "watch no more", "number": 4})
    watching.obey({"kind": "watch no more", "number": 4})
    await until(lambda: source.is_closed)


async def test_what_matters_more_goes_first():
    """While the supervisor does not read, messages are skipped, and counted."""
    source, told, congested = Source(), asyncio.Queue(), True
    watching = Watching(source.follow, told.put_nowait, lambda: congested)
    watching.obey({"kind": "watch", "number": 0, "wanted": WANTED.as_json()})
    source.queue.put_nowait(Tailed([{}, {}], 1))
    await until(lambda: source.asked == 2)
    assert told.empty()
    congested = False
    source.queue.put_nowait(Tailed([{"raw": "a"}], 0))
    assert await told.get() == shown(0, {"raw": "a"}, skipped=3)
    watching.obey({"kind": "watch no more", "number": 0})


async def test_a_watch_that_fails_is_logged_and_can_be_begun_again():
    """Nobody waits for its task."""
    source, told = Source(), asyncio.Queue()

    async def failing(wanted):
        async for _ in source.follow(wanted):
            yield None  # which is nothing that can be shown

    watching = Watching(failing, told.put_nowait, lambda: False)
    with structlog.testing.capture_logs() as lines:
        for asked in (1, 2):
            watching.obey({"kind": "watch", "number": 0, "wanted": WANTED.as_json()})
            source.queue.put_nowait(Tailed([], 0))
            await until(lambda asked=asked: len(lines) == asked)
    assert [(line["event"], line["task"]) for line in lines] == [
        ("task failed, please report it", "tail")
    ] * 2
    assert isinstance(lines[0]["exc_info"], TypeError)
