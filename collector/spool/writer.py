"""The writer of a spool's file: gathers on the event loop, writes on a thread of its own.

A transaction begins as soon as the thread is free and holds all that came meanwhile, so that what
comes to an idle spool is durable at once and a busy one writes few, large transactions.

While the file cannot be written, what comes in waits, or is dropped. What was delivered or buried
is still noted, in room that was kept for it: otherwise a full disk would never have room again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import structlog

from collector.logs import Reports
from collector.spool import files
from collector.spool.pending import Pending
from collector.spool.store import Group, Outcome, Store, is_damage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from collector.spool.opening import Opening

# Deliveries are noted together with what is written next, or after this long.
REMOVAL_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class FullDiskError(Exception):
    """The disk has only the room left that is kept for noting deliveries."""


class Owner(Protocol):
    """Whose file it is: keeps the accounts of what is written."""

    def accounts(self, written: Pending, left: Pending) -> dict[str, Any]:
        """Return the accounts to be stored: as they are once `written` is, and `left` is not."""

    def written(self, written: Pending, outcome: Outcome) -> None:
        """Account for what has become durable, and for dead letters that are no more."""

    def cannot_write(self, pending: Pending) -> None:
        """Drop what settings drop when there is no room, and let senders wait for the rest."""

    def can_write(self) -> None:
        """Let senders go on."""

    def began_anew(self, pending: Pending) -> None:
        """Put what is in memory into a new, empty file, and account for what is not."""


class Writer:
    """Writes what is pending, transaction after transaction, for as long as `run` runs.

    Args:
        opening: opens the file.
        reserve: room on the disk for noting deliveries.
        owner: whose file it is.

    Attributes:
        store: the open file; on the writer's thread only (`on_thread`, `job`).
        pending: what the next transaction does; call `wake` after adding to it.
        writing: what the transaction under way does.
        in_trouble: whether the file cannot be written at present.
    """

    store: Store

    def __init__(self, opening: Opening, reserve: files.Reserve, owner: Owner) -> None:
        self.pending = Pending()
        self.writing = Pending()
        self.in_trouble = False
        self._opening = opening
        self._reserve = reserve
        self._owner = owner
        self._jobs: deque[Callable[[], Awaitable[None]]] = deque()
        self._awake = asyncio.Event()
        self._closing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._reports = Reports(log)
        self._clock: int | None = None

    async def open(self) -> None:
        """Open the file; raises as `Opening.open` does."""
        self._loop = asyncio.get_running_loop()
        self._clock = time.pthread_getcpuclockid(await self.on_thread(threading.get_ident))
        self.store = await self.on_thread(self._opening.open)

    def worked(self) -> float:
        """Return how much processor time the thread has used, in seconds."""
        return 0.0 if self._clock is None else time.clock_gettime(self._clock)

    async def look_for_room(self) -> None:
        """Find out whether the file can be written, before anything comes in; before `run`."""
        self.pending.accounts_changed = True
        await self._write()

    async def on_thread(self, work: Callable[[], _T]) -> _T:
        """Have something done on the writer's thread that changes no accounts."""
        return await self._loop.run_in_executor(self._thread, work)

    async def job(
        self, work: Callable[[], _T], account: Callable[[_T], None] = lambda _: None
    ) -> _T:
        """Have something done between two transactions.

        Args:
            work: what, on the writer's thread.
            account: moves copies in the ledger, before the next transaction takes the accounts.
        """
        done: asyncio.Future[_T] = self._loop.create_future()

        async def run() -> None:
            try:
                result = await self.on_thread(work)
            except Exception as error:  # noqa: BLE001 - it is the caller's
                if not done.cancelled():
                    done.set_exception(error)
                return
            account(result)
            if not done.cancelled():
                done.set_result(result)

        self._jobs.append(run)
        self.wake()
        return await done

    def wake(self) -> None:
        """Have what is pending written as soon as the thread is free."""
        self._awake.set()

    def wake_soon(self) -> None:
        """Have what is pending written together with what comes in a moment."""
        if self._timer is None:
            self._timer = self._loop.call_later(REMOVAL_SECONDS, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self.wake()

    def close(self) -> None:
        """Have `run` end once what is pending is written, or cannot be."""
        self._closing.set()
        self.wake()

    async def close_file(self, accounts: Mapping[str, Any] | None) -> None:
        """Close the file; after `run`.

        Args:
            accounts: with which the process ends; None if the file is not as they say.
        """
        with suppress(sqlite3.Error):  # what could not be written has been reported and accounted
            if accounts is None:
                await self.on_thread(self.store.close)
            else:
                await self.on_thread(lambda: self.store.end(accounts))
        self._thread.shutdown()

    async def run(self) -> None:
        """Write until closed."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            is_closing = self._closing.is_set()
            if self.pending or self.in_trouble:
                await self._write()
            while self._jobs:
                await self._jobs.popleft()()
            if is_closing:
                if self.in_trouble or not self.pending:
                    return
                self.wake()

    async def damaged(self, store: Store, problem: str) -> None:
        """Begin a new file: this one turned out to be damaged.

        It does nothing if that has been done meanwhile.
        """
        await self.job(partial(self._replace, store, problem), self._account_for_new_file)

    async def restore(self) -> None:
        """Write the file anew if it is no longer where it was; raises as `Opening.restore` does."""
        await self.job(self._restore)

    def _restore(self) -> None:
        if not self.store.is_closed and self.store.is_missing():
            self.store = self._opening.restore(self.store)

    def _replace(self, damaged: Store, problem: str) -> bool:
        """Move the file aside and open a new one; say whether that was to be done.

        If it fails, the file is closed and still `store`: it is tried again with the next
        transaction, which fails.
        """
        if damaged is not self.store:
            return False
        if not damaged.is_closed:
            self._opening.set_aside(damaged, problem)
        store = self._opening.open()
        try:
            store.mark_in_use()
        except BaseException:
            store.close()
            raise
        self.store = store
        return True

    def _account_for_new_file(self, is_new: bool) -> None:
        if is_new:
            self._owner.began_anew(self.pending)
            self.pending.accounts_changed = True
            self.wake()

    async def _write(self) -> None:
        """Write what is pending, or as much of it as can be."""
        self.writing, self.pending = self.pending, Pending()
        error = await self._commit(self._commit_with_room)
        if error is not None:
            error = await self._begin_anew_if_damaged(error)
        if error is not None:
            await self._make_do(error)
        elif self.in_trouble:
            self.in_trouble = False
            log.info("spool can be written again")
            self._owner.can_write()

    async def _commit(self, commit: Callable[[Group], Outcome]) -> Exception | None:
        """Write what `writing` holds; if something goes wrong, it is pending again.

        Args:
            commit: does it, on the writer's thread.

        Returns:
            What went wrong.
        """
        writing = self.writing
        group = Group(
            list(writing.batches.values()),
            writing.removed,
            [*writing.buried, *writing.letters],
            writing.released,
            self._owner.accounts(writing, self.pending),
            writing.notes,
        )
        try:
            outcome = await self.on_thread(lambda: commit(group))
        except Exception as error:  # noqa: BLE001 - whatever it is, what is pending is kept
            writing.add(self.pending)
            self.pending, self.writing = writing, Pending()
            return error
        self.writing = Pending()
        self._owner.written(writing, outcome)
        for callback in writing.callbacks:
            self._loop.call_soon(callback)
        return None

    def _commit_with_room(self, group: Group) -> Outcome:
        """Commit a group that may bring new copies; those leave the last of the room alone."""
        if self._closing.is_set():
            self._reserve.release()
        elif not self._reserve.keep(self.store.free_octets()):
            raise FullDiskError("the disk is full, but for what is kept for noting deliveries")
        return self.store.commit(group)

    async def _begin_anew_if_damaged(self, error: Exception) -> Exception | None:
        """Begin a new file if the error says that this one is damaged.

        Returns:
            What goes wrong still.
        """
        store = self.store
        is_damaged = isinstance(error, sqlite3.Error) and is_damage(error)
        if not is_damaged and not store.is_closed:
            return error
        try:
            is_new = await self.on_thread(partial(self._replace, store, str(error)))
        except Exception as another:  # noqa: BLE001 - it is reported, and tried again
            return another
        self._account_for_new_file(is_new)
        return None

    async def _make_do(self, error: Exception) -> None:
        """Write the little that can be written while not everything can; then wait a moment."""
        self.in_trouble = True
        path = self._opening.directory
        self._reports.error(
            "write",
            "spool cannot be written, it is tried again",
            problem=str(error) or type(error).__name__,
            path=str(path),
            disk_free=files.free_octets(path),
            exc_info=not isinstance(error, (sqlite3.Error, OSError, FullDiskError)),
        )
        self._owner.cannot_write(self.pending)
        if not await self._write_settled():
            await self.on_thread(self._make_room)
            await self._write_settled()
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._closing.wait()
        self.wake()

    async def _write_settled(self) -> bool:
        """Write what was delivered, taken apart or buried; say whether that went well."""
        if not self.pending.has_settled:
            return True
        self.writing = self.pending.take_settled()
        return await self._commit(self.store.commit) is None

    def _make_room(self) -> None:
        """Use the room that was kept, for what the write-ahead log holds in the first place.

        As soon as that is in the file, deliveries can be noted in the room that the log had.
        """
        self._reserve.release()
        with suppress(sqlite3.Error):
            self.store.checkpoint()
