"""All workers; most of what they do together is shown by the integration tests."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from collector import board
from collector.board import Board
from collector.refusals import RefusedError, StartError
from collector.workers import crew, member
from collector.workers.crew import Crew, Order
from collector.workers.pulse import Pulse
from tests.unit.listeners.conftest import until


@pytest.fixture
async def made(monkeypatch):
    """Return a crew of fake workers, and how often something has changed for connections."""
    monkeypatch.setattr(member, "PROGRAM", "tests.fake_worker")
    changes = []
    made = Crew(2, lambda *_: None, lambda: changes.append(1))
    made.changes = changes
    yield made
    await made.break_off()


def order(**answer):
    """Return an order that fake workers answer as is said."""
    return Order({"answer": answer} if answer else {}, {})


async def test_all_start_by_one_order(made):
    await made.start(order(problem=""))
    assert [item.number for item in made.at_work] == [0, 1]
    assert made.changes


async def test_a_start_ends_with_the_first_that_cannot(made):
    """For the reason that it says."""
    with pytest.raises(StartError, match="the spool is taken"):
        await made.start(order(problem="the spool is taken"))
    assert made.at_work == []


async def test_a_worker_that_gets_no_further_does_not_start(made, monkeypatch):
    monkeypatch.setattr(crew, "STANDSTILL_SECONDS", 0.01)
    with pytest.raises(StartError, match="worker 0 does not get ready"):
        await made.start_one(made.members[0], order())


async def test_a_start_may_take_long_as_long_as_it_gets_further(made, monkeypatch):
    """It ends once it does not any more."""
    monkeypatch.setattr(crew, "STANDSTILL_SECONDS", 0.5)
    own = Board.attach(made._board_file, 1, made.board.columns).column(board.PROGRESS)
    starting = asyncio.ensure_future(made.start_one(made.members[0], order()))
    for _ in range(12):
        own.add(1)
        await asyncio.sleep(0.1)
    assert not starting.done()
    with pytest.raises(StartError, match="does not get ready"):
        await starting


async def test_a_worker_that_ends_while_it_starts_has_not_started(made):
    starting = asyncio.ensure_future(made.start_one(made.members[1], order()))
    await until(lambda: made.members[1].pid is not None)
    made.members[1].kill()
    with pytest.raises(StartError, match="worker 1 ended"):
        await starting


async def test_a_worker_that_hangs_is_killed(made, monkeypatch):
    """The others are left alone."""
    await made.start(order(problem=""))
    monkeypatch.setattr(crew, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(Pulse, "hangs", property(lambda self: self is made.members[1].pulse))
    with capture_logs() as lines:
        watching = asyncio.create_task(made.watch())
        assert await made.members[1].ended() == -signal.SIGKILL
        watching.cancel()
    assert lines[0] == {"event": "worker hangs, it is killed", "log_level": "error", "worker": 1}
    assert made.at_work == [made.members[0]]


async def test_a_worker_that_hangs_and_does_not_end_is_told_of_once(made, monkeypatch):
    """One that is killed while it waits for a disk ends once it has what it waits for."""
    await made.start(order(problem=""))
    monkeypatch.setattr(crew, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(Pulse, "hangs", property(lambda self: self is made.members[1].pulse))
    killed = made.members[1]._process
    monkeypatch.setattr(made.members[1], "_process", SimpleNamespace(returncode=None, kill=int))
    with capture_logs() as lines:
        watching = asyncio.create_task(made.watch())
        felt = len(made.changes)
        await until(lambda: len(made.changes) > felt + 5)
        watching.cancel()
    assert [line["event"] for line in lines] == ["worker hangs, it is killed"]
    made.members[1]._process = killed


async def test_a_worker_that_has_ended_is_started_again(made):
    """And not called dead before what it had is forgotten."""
    await made.start(order(problem=""))
    victim, dismissed = made.members[0], []

    async def replace(found):
        await made.start_again(found, order(problem=""))

    keeping = asyncio.create_task(made.keep(victim, dismissed.append, replace))
    os.kill(victim.pid, signal.SIGKILL)
    await until(lambda: victim.restarts == 1 and victim.is_running)
    keeping.cancel()
    assert dismissed == [victim]


async def test_one_that_cannot_start_again_ends(made):
    """It is tried anew after a pause, as after any end."""
    with capture_logs() as lines:
        await made.start_again(made.members[0], order(problem="the disk is gone"))
    assert await made.members[0].ended() == -signal.SIGKILL
    assert lines[0]["problem"] == "the disk is gone"


async def test_settings_that_one_cannot_go_by_are_refused(made):
    """In its words, or because it is gone."""
    await made.start(order(problem=""))
    await made.prepare(made.at_work, 0, order(problem=""))
    with pytest.raises(RefusedError, match="no such file"):
        await made.prepare(made.at_work, 1, order(problem="no such file"))
    gone = made.members[0]
    gone.kill()
    await gone.ended()
    with pytest.raises(RefusedError, match="worker 0 has ended meanwhile"):
        await made.prepare(made.members, 2, order(problem=""))


async def test_who_does_not_end_in_time_is_killed(made):
    """The fake ones never do: that is no good end."""
    await made.start(order(problem=""))
    assert await made.end("stop", 0.05)
    assert [item.exit_code for item in made.members] == 2 * [-signal.SIGKILL]
