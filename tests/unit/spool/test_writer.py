"""The writer: when it writes, and what it does when it cannot."""

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager, closing

import pytest

from collector.spool import files
from collector.spool.bounds import UNBOUNDED
from collector.spool.opening import Opening
from collector.spool.store import Group, Store
from collector.spool.writer import Writer
from tests.spools import batch_of, letter_of, stored_lines


class Owner:
    """Notes what it is told.

    Attributes:
        calls: names of what was called.
        pending: what was pending when it could not be written.
    """

    def __init__(self):
        self.calls = []
        self.pending = []

    def accounts(self, _written, _left):
        return {"received": 0}

    def written(self, written, outcome):
        assert outcome == (Counter(), Counter())
        self.calls.append(("written", sorted(written.batches)))

    def cannot_write(self, pending):
        self.calls.append("cannot write")
        self.pending = list(pending.batches)

    def can_write(self):
        self.calls.append("can write")

    def began_anew(self, _pending):
        self.calls.append("began anew")


class Failures:
    """Makes transactions fail.

    Attributes:
        commit: given each group, before it is committed; may raise.
        groups: those that were committed.
    """

    def __init__(self):
        self.commit = lambda _: None
        self.groups = []


@pytest.fixture
def failures(monkeypatch):
    failures, commit = Failures(), Store.commit

    def fail(store, group):
        failures.commit(group)
        outcome = commit(store, group)
        failures.groups.append(group)
        return outcome

    monkeypatch.setattr(Store, "commit", fail)
    monkeypatch.setattr("collector.spool.writer.RETRY_SECONDS", 0.001)
    monkeypatch.setattr("collector.spool.writer.REMOVAL_SECONDS", 0.001)
    return failures


@asynccontextmanager
async def running(directory, reserve=10_000):
    """Run a writer."""
    owner = Owner()
    opening = Opening(directory, "normal", 1 << 20, UNBOUNDED)
    writer = Writer(opening, files.Reserve(directory, reserve), owner)
    await writer.open()
    task = asyncio.create_task(writer.run())
    try:
        yield writer, owner
    finally:
        writer.close()
        async with asyncio.timeout(30):
            await task
        await writer.close_file({"received": 0})


def put(writer, *numbers):
    for number in numbers:
        batch = batch_of(number)
        batch.number = batch.place = number
        writer.pending.put(batch)
    writer.wake()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def full(_group):
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def full_for_new_copies(group):
    if group.batches or group.letters:
        full(group)


def malformed(_group):
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


async def test_the_thread_says_how_long_it_has_worked(tmp_path):
    """Time that it waits does not count."""
    async with running(tmp_path) as (writer, _):
        before = writer.worked()
        await writer.on_thread(lambda: time.sleep(0.02))
        waited = writer.worked() - before
        await writer.on_thread(lambda: sum(range(1_000_000)))
        assert writer.worked() - before - waited > waited


@pytest.mark.usefixtures("failures")
async def test_what_comes_together_is_written_together(tmp_path):
    """What comes meanwhile is written next."""
    meanwhile = threading.Event()
    async with running(tmp_path) as (writer, owner):
        commit = writer.store.commit
        writer.store.commit = lambda group: meanwhile.wait(30) and commit(group)
        put(writer, 1, 2)
        await until(lambda: writer.writing)
        put(writer, 3)
        put(writer, 4)
        meanwhile.set()
        await until(lambda: len(owner.calls) == 2)
    assert owner.calls[:2] == [("written", [1, 2]), ("written", [3, 4])]


async def test_what_is_removed_is_noted_with_what_comes_next(tmp_path, failures):
    """Or after a moment."""
    async with running(tmp_path) as (writer, _):
        put(writer, 1, 2)
        await until(lambda: failures.groups)
        writer.pending.remove(1)
        writer.wake_soon()
        put(writer, 3)
        await until(lambda: len(failures.groups) == 2)
        assert list(failures.groups[1].removed) == [1]
        writer.pending.remove(2)
        writer.wake_soon()
        await until(lambda: len(failures.groups) == 3)
    assert stored_lines(tmp_path) == [b"3"]


@pytest.mark.usefixtures("failures")
async def test_a_callback_that_fails_does_not_end_the_writer(tmp_path):
    """It is the loop's to report."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with running(tmp_path) as (writer, owner):
        writer.pending.callbacks.append(lambda: 1 / 0)
        put(writer, 1)
        await until(lambda: reported)
        put(writer, 2)
        await until(lambda: len(owner.calls) == 2)
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_what_cannot_be_written_is_tried_again(tmp_path, failures):
    """With all that came meanwhile, in order."""
    async with running(tmp_path) as (writer, owner):
        failures.commit = full
        put(writer, 1)
        await until(lambda: writer.in_trouble)
        assert owner.calls[0] == "cannot write"
        put(writer, 2)
        failures.commit = lambda _: None
        await until(lambda: not writer.in_trouble)
        await until(lambda: not writer.pending)
    written = [number for call in owner.calls if call[0] == "written" for number in call[1]]
    assert written == [1, 2]
    assert "can write" in owner.calls
    assert stored_lines(tmp_path) == [b"1", b"2"]


async def test_deliveries_are_noted_while_nothing_new_can_be_written(tmp_path, failures):
    """What comes in waits, and what was delivered is deleted."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1, 2)
        await until(lambda: owner.calls)
        failures.commit = full_for_new_copies
        put(writer, 3)
        await until(lambda: writer.in_trouble)
        writer.pending.remove(1)
        writer.wake_soon()
        await until(lambda: stored_lines(tmp_path) == [b"2"])
        assert writer.in_trouble
        failures.commit = lambda _: None


async def test_the_reserve_is_used_for_deliveries_alone(tmp_path, failures, monkeypatch):
    """What comes in has to wait, or nothing could be deleted some day."""
    reserve = tmp_path / files.RESERVE
    async with running(tmp_path) as (writer, owner):
        put(writer, 1, 2)
        await until(lambda: owner.calls)
        assert reserve.exists()
        with monkeypatch.context() as patch:
            patch.setattr(files, "free_octets", lambda _: 0)
            put(writer, 3)
            await until(lambda: writer.in_trouble)
            assert reserve.exists()
            failures.commit = lambda group: full(group) if reserve.exists() else None
            writer.pending.remove(1)
            writer.wake()
            await until(lambda: stored_lines(tmp_path) == [b"2"])
            assert not reserve.exists()
            assert owner.pending == [3]
        failures.commit = lambda _: None
        await until(lambda: not writer.in_trouble and not writer.pending)
        assert reserve.exists()
    assert stored_lines(tmp_path) == [b"2", b"3"]


async def test_closing_uses_the_last_of_the_room(tmp_path, failures, monkeypatch):
    """Better than to lose what is in memory."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1)
        await until(lambda: owner.calls)
        monkeypatch.setattr(files, "free_octets", lambda _: 0)
        put(writer, 2)
        await until(lambda: writer.in_trouble)
    assert stored_lines(tmp_path) == [b"1", b"2"]
    assert failures.groups


async def test_closing_ends_also_when_nothing_can_be_written(tmp_path, failures):
    """What was pending still is."""
    async with running(tmp_path) as (writer, _):
        failures.commit = full
        put(writer, 1)
        writer.pending.set_aside(letter_of())
    assert writer.pending.copies_in_memory() == 2
    assert stored_lines(tmp_path) == []


async def test_trouble_ends_though_nothing_is_pending(tmp_path, failures):
    """Nobody may come to wake the writer while senders wait for it."""
    async with running(tmp_path) as (writer, owner):
        failures.commit = full
        put(writer, 1)
        await until(lambda: writer.in_trouble)
        writer.pending.discard(writer.pending.batches[1])
        failures.commit = lambda _: None
        await until(lambda: not writer.in_trouble)
        assert owner.calls[-1] == "can write"


async def test_a_file_that_turns_out_to_be_damaged_is_replaced(tmp_path, failures):
    """Once; what is pending goes into the new one."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1)
        await until(lambda: owner.calls)
        damaged = writer.store
        failures.commit = lambda group: malformed(group) if writer.store is damaged else None
        put(writer, 2)
        await until(lambda: "began anew" in owner.calls)
        await until(lambda: not writer.pending)
        await writer.damaged(damaged, "malformed")
        assert owner.calls.count("began anew") == 1
        assert writer.store is not damaged
    assert stored_lines(tmp_path) == [b"2"]
    assert len(files.databases(tmp_path)) == 2


@pytest.mark.usefixtures("failures")
async def test_a_file_found_damaged_in_reading_is_replaced_too(tmp_path):
    """The accounts are written into the new one at once."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1)
        await until(lambda: owner.calls)
        await writer.damaged(writer.store, "malformed")
        await until(lambda: owner.calls[-1] == ("written", []))
        assert await writer.on_thread(writer.store.accounts) == {"received": 0}
        assert not await writer.on_thread(writer.store.is_clean)


async def test_a_new_file_that_cannot_be_opened_is_tried_again(tmp_path, failures, monkeypatch):
    """Until then nothing is given up."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1)
        await until(lambda: owner.calls)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "mark_in_use", lambda _: full(None))
            failures.commit = malformed
            put(writer, 2)
            await until(lambda: writer.in_trouble)
            failures.commit = lambda _: None
            assert "began anew" not in owner.calls
        await until(lambda: "began anew" in owner.calls)
        await until(lambda: not writer.pending)
    assert stored_lines(tmp_path) == [b"2"]
    assert len(files.databases(tmp_path)) == 2


@pytest.mark.usefixtures("failures")
async def test_a_job_is_done_between_transactions(tmp_path):
    """Its result is accounted for before the next one."""
    async with running(tmp_path) as (writer, owner):
        put(writer, 1)
        result = await writer.job(
            lambda: writer.store.waiting()[0].events, lambda _: owner.calls.append("job")
        )
        assert result == 1
        put(writer, 2)
        await until(lambda: len(owner.calls) == 3)
    assert owner.calls == [("written", [1]), "job", ("written", [2])]


@pytest.mark.usefixtures("failures")
async def test_a_job_that_fails_is_its_callers_affair(tmp_path):
    """The writer goes on; so it does if the caller has gone."""
    async with running(tmp_path) as (writer, owner):
        with pytest.raises(ZeroDivisionError):
            await writer.job(lambda: 1 / 0)
        impatient = asyncio.ensure_future(writer.job(lambda: 1 / 0))
        await asyncio.sleep(0)
        impatient.cancel()
        put(writer, 1)
        await until(lambda: owner.calls)


async def test_a_file_that_is_not_as_the_accounts_say_keeps_its_own(tmp_path, failures):
    """It is not closed as one that is."""
    with closing(Store(tmp_path)) as store:
        store.mark_in_use()
        store.commit(Group(accounts={"received": 7}))
    opening = Opening(tmp_path, "normal", 1 << 20, UNBOUNDED)
    writer = Writer(opening, files.Reserve(tmp_path, 0), Owner())
    await writer.open()
    await writer.close_file(None)
    with closing(Store(tmp_path)) as store:
        assert store.accounts() == {"received": 7}
        assert not store.is_clean()
    assert len(failures.groups) == 1
