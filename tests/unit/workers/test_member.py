"""A worker as its supervisor sees it."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from collector import board
from collector.board import MAX_COLUMNS, OCTETS, Board
from collector.ledger import Ledger
from collector.workers import columns
from collector.workers import member as member_module
from collector.workers.member import GoneError, Member
from tests.unit.listeners.conftest import until

SECONDS = 30.0


@pytest.fixture
def changes():
    """Return how often it has changed whether the worker takes connections."""
    return []


@pytest.fixture
async def member(monkeypatch, changes):
    """Return a worker that runs, and what it has said."""
    monkeypatch.setattr(member_module, "PROGRAM", "tests.fake_worker")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    memory = bytearray(3 * MAX_COLUMNS * OCTETS)
    shown = Board(memory, 0, {}, may_extend=True)
    shown.extend(columns.OF_WORKERS)
    member = Member(
        1, shown, lambda _, message: member.said.append(message), lambda: changes.append(1)
    )
    member.own = Board(memory, 2, shown.columns)
    member.said = []
    await member.launch()
    member.is_running = True
    yield member
    member.kill()
    await member.ended()


def families(value, kind="counter", name="c"):
    return [{"name": name, "help": "h", "type": kind, "samples": [[name, {}, value]]}]


async def says(member, **report):
    """Have a worker say how it is; the fake one says it when it is asked with it."""
    ask = member.ask

    async def ask_with(message, _seconds):
        return await ask({**message, "answer": report}, SECONDS)

    member.ask = ask_with
    await member.look()


async def test_a_question_is_answered(member):
    """Each by its own answer."""
    answers = await asyncio.gather(
        *(member.ask({"kind": "q", "answer": {"n": number}}, SECONDS) for number in range(9))
    )
    assert [answer["n"] for answer in answers] == [*range(9)]


async def test_a_descriptor_is_handed_over(member):
    """It is closed on this side."""
    descriptor = os.memfd_create("test")
    os.write(descriptor, b"content")
    member.tell({"kind": "read"}, descriptor)
    await until(lambda: member.said)
    assert member.said == [{"kind": "heard", "text": "content"}]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


async def test_who_does_not_answer_in_time_is_asked_in_vain(member):
    with pytest.raises(TimeoutError):
        await member.ask({"kind": "q"}, 0.05)


async def test_who_ends_answers_no_more(member):
    """The exit code is known, and nothing can be handed to it any more."""
    asking = asyncio.ensure_future(member.ask({"kind": "q"}, SECONDS))
    await asyncio.sleep(0)
    assert member.can_take
    assert member.exit_code is None
    member.tell({"kind": "exit", "code": 3})
    assert await member.ended() == member.exit_code == 3
    with pytest.raises(GoneError):
        await asking
    assert not member.is_running
    assert not member.can_take
    member.tell({"kind": "q"})


async def test_a_worker_that_has_gone_is_not_waited_for(member):
    """Nor one that can no longer be reached; what was to go along is closed."""
    member.tell({"kind": "close"})
    await until(lambda: not member.can_take)
    with pytest.raises(GoneError):
        await member.ask({"kind": "q", "answer": {}}, SECONDS)
    member.kill()
    await member.ended()
    descriptor = os.memfd_create("test")
    with pytest.raises(GoneError):
        await member.ask({"kind": "q", "answer": {}}, SECONDS, descriptor)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


async def test_a_worker_that_winds_down_is_given_nothing_any_more(member, changes):
    """Though it is there; its successor is not spared."""
    assert member.can_take
    member.tell({"kind": "say", "said": {"kind": "leaving"}})
    await until(lambda: changes)
    assert member.is_running
    assert not member.can_take
    assert member.degraded == [{"worker": "1", "reason": "is ending"}]
    member.kill()
    await member.ended()
    await member.launch()
    member.is_running = True
    assert member.can_take


async def test_a_worker_does_not_import_what_lies_in_the_current_directory(
    member, monkeypatch, tmp_path
):
    """It finds its code where its supervisor does."""
    for name in ("asyncio", "collector", "runpy", "tests"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    member.kill()
    await member.ended()
    await member.launch()
    assert (await member.ask({"kind": "q", "answer": {"n": 1}}, SECONDS))["n"] == 1


async def test_a_worker_is_killed_where_it_does_not_end(member):
    member.kill()
    assert await member.ended() == -signal.SIGKILL
    member.kill()


async def test_a_process_that_cannot_be_started_is_none(member, monkeypatch):
    """It can be tried again."""
    member.kill()
    await member.ended()
    monkeypatch.setattr(member_module.sys, "executable", "/nonexistent")
    with pytest.raises(FileNotFoundError):
        await member.launch()
    monkeypatch.undo()
    assert await member.ended() == -signal.SIGKILL


async def test_what_systemd_tells_the_daemon_is_not_for_its_workers(member):
    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{member.pid}/environ").read_bytes()


async def test_a_worker_says_how_it_is(member):
    """Until it has, nothing is known of it, and its accounts are empty."""
    assert member.ledger == Ledger().as_dict()
    ledger = {**Ledger().as_dict(), "received": 5}
    degraded = [{"sink": "s", "reason": "r"}]
    await says(member, status={"ledger": ledger}, degraded=degraded, families=families(5))
    assert member.ledger["received"] == 5
    assert member.degraded == degraded
    assert member.families == [[], families(5)]


async def test_a_worker_tells_its_metrics_where_they_are_wanted(member):
    """A page that looks every second does without; they stay as they were told last."""
    await says(member, status={}, degraded=[], families=families(5))
    del member.ask
    asked = []
    tell = member.tell
    member.tell = lambda message, *_: asked.append(message["families"]) or tell(message)
    await says(member, status={"ledger": {"received": 6}}, degraded=[])
    await member.look(families=True)
    assert asked == [False, True]
    assert member.ledger == {"received": 6}
    assert member.families == [[], families(5)]


async def test_of_a_worker_that_does_not_say_how_it_is_the_last_is_known(member, monkeypatch):
    """And that it does not."""
    degraded = [{"sink": "s", "reason": "r"}]
    await says(member, status={}, degraded=degraded, families=families(5))
    monkeypatch.setattr(member_module, "REPORT_SECONDS", 0.05)
    del member.ask
    await member.look()
    assert member.degraded == [*degraded, {"worker": "1", "reason": "does not answer"}]
    assert member.families == [[], families(5)]


async def test_what_a_worker_that_ended_has_counted_stays_counted(member):
    """What was the state of things is no longer counted twice, once there is a successor."""
    state = families(3, "gauge", "g")
    await says(member, status={}, degraded=[], families=[*families(5), *state])
    member.tell({"kind": "exit", "code": 0})
    await member.ended()
    member.bury()
    assert member.families == [families(5), state]
    assert member.degraded == [{"worker": "1", "reason": "has ended, it is started again"}]
    await member.launch()
    member.is_running = True
    del member.ask
    await says(member, status={}, degraded=[], families=[*families(2), *state])
    assert member.families == [families(5), [*families(2), *state]]
    member.bury()
    assert member.families == [families(7), state]


async def test_the_state_of_the_whole_keeps_what_a_worker_that_ended_had_counted(member):
    """And the worker that is started in its place has counted nothing yet."""
    counted = {"name": "l", "messages": 4, "rejected": {}, "truncated": 0}
    entry = {**counted, "connections_rejected": {}, "connections": 1}
    await says(member, status={"listeners": [entry]}, degraded=[])
    assert member.left == {}
    member.bury()
    assert member.left["listeners"]["l"]["messages"] == 4
    assert member.state["listeners"] == [{**entry, "messages": 0}]


async def test_what_a_worker_says_just_before_its_end_is_counted_once(member):
    """It is known when the worker is buried, though who asked goes on only then."""
    report = {"status": {}, "degraded": [], "families": families(5)}
    looking = asyncio.ensure_future(member.look())
    await asyncio.sleep(0)
    member._receive({"kind": "answer", "question": 0, **report}, -1)
    member.bury()
    await looking
    assert member.families == [families(5), []]


async def test_nobody_waits_for_a_worker_that_is_silent(member):
    """It is named, and gets nothing until it is heard again."""
    member.own.column(board.BEATS).add(1)
    now = member._loop.time()
    for passed in range(8):
        member.pulse.feel(now + passed / 4)
    assert not member.can_take
    await member.look()
    assert member.degraded == [{"worker": "1", "reason": "does not answer"}]
    member.own.column(board.BEATS).add(1)
    member.pulse.feel(now + 2)
    assert member.can_take
    await says(member, status={}, degraded=[], families=[])
    assert member.degraded == []


async def test_the_successor_of_a_worker_that_was_silent_is_not_said_to_be(member, monkeypatch):
    """Nor to have been killed."""
    monkeypatch.setattr(member_module, "REPORT_SECONDS", 0.05)
    await member.look()
    assert member.degraded == [{"worker": "1", "reason": "does not answer"}]
    member.kill()
    assert member.is_killed
    await member.ended()
    await member.launch()
    member.is_running = True
    assert member.degraded == []
    assert not member.is_killed


async def test_a_worker_says_how_many_connections_it_may_have(member, changes):
    """None before that; its successor says it anew."""
    assert member.room == 0
    member.tell({"kind": "say", "said": {"kind": "room", "connections": 7}})
    await until(lambda: changes)
    assert member.room == 7
    member.kill()
    await member.ended()
    await member.launch()
    assert member.room == 0


async def test_a_worker_that_can_keep_nothing_is_named(member):
    """Until it can, or has ended: its successor begins without the mark."""
    assert not member.is_hindered
    member.own.column(board.HINDERED).value = 1
    assert member.is_hindered
    reason = "cannot write its spool, others get the connections if they can"
    assert member.degraded == [{"worker": "1", "reason": reason}]
    member.kill()
    await member.ended()
    assert not member.is_hindered


async def test_how_far_a_start_has_come_is_seen(member):
    before = member.progress
    member.own.column(board.PROGRESS).add(2)
    assert member.progress == before + 2


async def test_who_dies_again_and_again_waits_longer(member, monkeypatch):
    """And not longer than there is patience; deaths of long ago are forgotten."""
    member.is_running = False
    assert member.degraded == [{"worker": "1", "reason": "has not started yet"}]
    pauses = [member.bury() for _ in range(12)]
    reason = "has ended 12 times within a minute, it is started again"
    assert member.degraded == [{"worker": "1", "reason": reason}]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == member_module.LONGEST_PAUSE_SECONDS
    monkeypatch.setattr(member_module, "DEATHS_SECONDS", 0.0)
    await asyncio.sleep(0.01)
    assert member.bury() == 0.1
