"""What is told of all processes together; most of it is shown by the integration tests."""

import asyncio

from collector.workers import picture
from collector.workers.picture import Looks


async def test_all_who_ask_at_once_share_a_look(monkeypatch):
    """An older one may be good enough; who leaves takes it from nobody."""
    looks, may_end = [], asyncio.Event()

    class Slow:
        async def look(self):
            looks.append(self)
            await may_end.wait()

    shared = Looks([Slow(), Slow()])
    first, *others = [asyncio.ensure_future(ask()) for ask in 2 * [shared.now, shared.lately]]
    await asyncio.sleep(0.01)
    first.cancel()
    may_end.set()
    await asyncio.gather(*others)
    assert len(looks) == 2
    await shared.lately()
    assert len(looks) == 2
    await shared.now()
    assert len(looks) == 4
    monkeypatch.setattr(picture, "LOOK_SECONDS", -1.0)
    await shared.lately()
    assert len(looks) == 6
