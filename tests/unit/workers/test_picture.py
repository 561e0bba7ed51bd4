"""What is told of all processes together; most of it is shown by the integration tests."""

import asyncio
from types import SimpleNamespace

from collector.ledger import Ledger
from collector.metrics import Stats
from collector.workers import picture
from collector.workers.merging import counts_left
from collector.workers.picture import Looks, Picture
from tests.unit.workers.test_merging import intake, listener, sink, state


async def test_all_who_ask_at_once_share_a_look(monkeypatch):
    """An older one may be good enough; who leaves takes it from nobody."""
    looks, may_end = [], asyncio.Event()

    async def look():
        looks.append(look)
        await may_end.wait()

    shared = Looks([look, look])
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


async def test_what_has_come_and_gone_is_that_of_all_workers():
    """Of those that have ended too, which told their metrics with it."""
    asked = []

    async def look(*, families=False):
        asked.append(families)

    left = counts_left({}, state(sinks=[sink(delivered=100)]))
    members = [
        SimpleNamespace(look=look, state=state(), left={}),
        SimpleNamespace(look=look, state=state(listeners=[listener(messages=6)]), left=left),
        SimpleNamespace(look=look, state={}, left={}),
    ]
    seen = await Picture(members, None, None, Stats(Ledger())).counts()
    events = 3 * sum(intake()["events"].values())
    assert seen == {("listener", "tcp"): 8, ("intake", "edr"): events, ("sink", "siem"): 102}
    assert asked == [True] * 3
