"""A spool on disk: what has been committed survives the process, the machine and a full disk.

Fresh batches are delivered from memory; those that wait for long are left on disk and read back in
order. What is written when is the `Writer`'s part.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import structlog

from collector import board
from collector.board import Post
from collector.courses import watch
from collector.logs import Reports
from collector.spool import (
    EVICTED,
    EXPIRED,
    PURGED,
    QUARANTINED,
    SPOOL_FULL,
    Backlog,
    Batch,
    Letter,
    Share,
    files,
)
from collector.spool.adoption import NO_NOTES, Adoption, settle_own
from collector.spool.bounds import UNBOUNDED
from collector.spool.lanes import Lanes
from collector.spool.opening import Opening
from collector.spool.store import Outcome, Store, is_damage, stored_size
from collector.spool.writer import RETRY_SECONDS, Writer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from collector.ledger import Ledger
    from collector.spool.adoption import Merge
    from collector.spool.bounds import Bounds
    from collector.spool.lanes import Lane
    from collector.spool.letters import Choice
    from collector.spool.pending import Pending
    from collector.spool.requests import Request

MIB: Final = 1024 * 1024

# What may wait to be written, and how much of what waits for sinks stays in memory, to be next.
MAX_PENDING_OCTETS: Final = 4 * MIB
WINDOW_OCTETS: Final = 4 * MIB

# How many windows a lane may fill together with what was taken: batches that a sink holds back do
# not keep it from others, unless they are many.
MAX_WINDOWS: Final = 4

# When the write-ahead log is moved into the file.
LOG_OCTETS: Final = 4 * MIB

PROGRESS_SECONDS: Final = 1.0
HOUSEKEEPING_SECONDS: Final = 1.0
EXPIRY_SECONDS: Final = 600.0

# Why the listeners may have to wait, apart from a spool that is full.
_BEHIND: Final = "behind"
_DISK: Final = "disk"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Tail:
    """What of a lane is where.

    Attributes:
        batches: how many are on disk alone.
        after: the place behind which these stand.
        octets_in_memory: what the others take.
        octets_ready: what those of them take that have not been taken.
        is_read: whether some are being read.
        apart: places behind `after` whose batches are not among these: they were adopted.
        oldest: when the first batch was received that the file held at start; None if none did.
    """

    batches: int = 0
    after: int = 0
    octets_in_memory: int = 0
    octets_ready: int = 0
    is_read: bool = False
    apart: set[int] = field(default_factory=set)
    oldest: float | None = None

    def pass_by(self, place: int) -> None:
        """Note that what is on disk alone stands behind a place."""
        self.after = place
        if self.apart:
            self.apart = {other for other in self.apart if other > place}


class SqliteSpool:
    """Batches and dead letters in a SQLite file.

    `start` must be called first.

    Args:
        directory: where the file is; one spool at a time uses it.
        max_bytes: how much may wait, files of SQLite included.
        shares: the share of each sink.
        ledger: accounts of the process; `start` fills in what the file knows.
        synchronous: `full` or `normal`.
        bounds: how many dead letters are kept.
        max_age: for how many seconds each is kept.
        post: the place of the process among the workers.
        merge: what makes one note of two, by the name of the note.

    Attributes:
        on_requests: is given what the command line has asked for.
        on_failure: is called if a mistake of ours has ended what writes it.
    """

    on_disk: ClassVar = True

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        shares: Mapping[str, Share],
        ledger: Ledger,
        *,
        synchronous: str = "full",
        bounds: Bounds = UNBOUNDED,
        max_age: float = float("inf"),
        post: Post | None = None,
        merge: Mapping[str, Merge] = NO_NOTES,
    ) -> None:
        self.max_bytes = max_bytes
        self.on_requests: Callable[[list[Request]], Awaitable[None]] | None = None
        self.on_failure: Callable[[], None] | None = None
        self._directory = directory
        self._ledger = ledger
        self._max_age = max_age
        self._post = post = post or Post.alone()
        self._bounds = bounds
        self._merge = merge
        log_octets = min(LOG_OCTETS, max_bytes // 16 // post.count)
        self._max_pending = min(MAX_PENDING_OCTETS, max_bytes // 16 // post.count)
        # The log may be as long as its bound and the transaction that exceeds it; the reserve has
        # room for it, so that a full disk does not keep it from being moved into the file.
        self._max_log = log_octets + self._max_pending
        self._lanes = Lanes(self._bound(shares), shares, stored_size, post.board)
        self.gate = self._lanes.gate
        self.gates = self._lanes.gates()
        self._window = window_of(shares)
        self._tails = {sink: _Tail() for sink in shares}
        self._reserve = files.Reserve(directory, self._max_log, post.number)
        self._opening = Opening(directory, synchronous, log_octets, bounds, post.number)
        self._writer = Writer(self._opening, self._reserve, self)
        self._abandoned: list[Path] = []
        self._reports = Reports(log)
        self._number = 0
        self._in_memory_at_last_write = 0
        self._last_accounts: dict[str, Any] = {}
        self._notes: dict[str, bytes] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reads: set[asyncio.Task[None]] = set()

    def _bound(self, shares: Mapping[str, Share]) -> int:
        """Return how many octets of batches may wait."""
        largest_batch = max((share.largest_batch for share in shares.values()), default=0)
        # A batch exceeds the bound, and another is under way, when the gate closes.
        bound = self.max_bytes - 2 * self._post.count * (self._max_log + largest_batch)
        return max(bound, self.max_bytes // 4)

    def reshape(self, shares: Mapping[str, Share]) -> None:
        """Have these sinks from now on; what waits for others stays, and is gone for now.

        What is in memory stays there, whatever the window is now.
        """
        self._lanes.reshape(shares, self._bound(shares))
        self.gates = self._lanes.gates()
        self._window = window_of(shares)
        for sink in shares:
            self._tails.setdefault(sink, _Tail())
            self._read_ahead(self._lanes[sink])

    # Life.

    async def start(self) -> None:
        """Lock the directory, open the file and learn what is in it.

        Raises:
            files.LockedError: another process uses the directory.
            store.NewerVersionError: a newer version wrote the file.
            OSError: the directory cannot be used.
            sqlite3.Error: the file cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._lock = files.Lock(self._directory, self._post.number)
        telling = self._loop.create_task(self._tell_progress(), name="spool progress")
        try:
            self._reserve.release()
            await self._writer.open()
            if self._post.number == 0:
                await self._adopt()
            else:
                await self._writer.on_thread(lambda: settle_own(self._writer.store))
            await self._learn()
            await self._writer.look_for_room()
        except BaseException:
            self._lock.release()
            raise
        finally:
            telling.cancel()
        self._tasks = [
            self._loop.create_task(self._writer.run(), name="spool writer"),
            self._loop.create_task(self._keep_house(), name="spool housekeeping"),
        ]
        for task in self._tasks:
            watch(task, self._fail, "spool failed, please report it")

    async def _tell_progress(self) -> None:
        """Tell how long the writer's thread has worked: large files take it long to go through."""
        progress = self._post.board.column(board.PROGRESS)
        before = self._writer.worked()
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            worked = self._writer.worked()
            progress.add(worked > before)
            before = worked

    async def _adopt(self) -> None:
        """Take over the files of workers that there are no longer."""
        store, course = self._writer.store, Adoption(self._opening, self._merge)
        first = self._post.count
        self._abandoned = await self._writer.on_thread(lambda: course.adopt_all(store, first))

    async def _learn(self) -> None:
        """Take the accounts and the backlog over from the file."""
        known = await self._writer.on_thread(self._writer.store.summary)
        self._ledger.restore(known.accounts)
        self._ledger.dead_lettered.update(known.letters)
        for waiting in known.waiting:
            lane = self._lanes.lane(waiting.sink)
            self._lanes.count(lane, waiting.batches, waiting.events, waiting.octets)
            self._tails[waiting.sink] = _Tail(waiting.batches, oldest=waiting.oldest)
            self._ledger.spooled += waiting.events
        self._number = known.last_number
        self._notes = known.notes
        if not known.is_clean:
            self._in_memory_at_last_write = known.accounts.get("in_memory", 0)
            log.warning(
                "the last process did not end well",
                in_memory_at_last_write=self._in_memory_at_last_write,
            )
        for sink in self.gone():
            log.warning(
                "events wait for a sink that is not configured",
                sink=sink,
                events=self._lanes[sink].events,
            )
        self._lanes.tell()
        self._lanes.check()
        await self._writer.on_thread(self._writer.store.mark_in_use)

    def _fail(self) -> None:
        """Take in nothing more: a mistake of ours has ended what writes it."""
        self._writer.in_trouble = True
        self._lanes.obstruct(_DISK)
        if self.on_failure is not None:
            self.on_failure()

    async def close(self) -> int:
        """Write what is there, and close the file; return how many copies could not be written."""
        writer = self._writer
        writer.close()
        run, housekeeper = self._tasks
        for task in (housekeeper, *self._reads):
            task.cancel()
        ends = await asyncio.gather(run, housekeeper, *self._reads, return_exceptions=True)
        lost = writer.pending.copies_in_memory()
        if lost:
            self._ledger.in_memory -= lost
            self._ledger.dropped["shutdown"] += lost
        # Where deliveries could not be noted, the file is not as the ledger has it.
        is_as_accounted = ends[0] is None and not writer.pending.has_settled
        await writer.close_file(
            self.accounts(writer.writing, writer.pending) if is_as_accounted else None
        )
        self._lock.release()
        return lost

    # What comes in and goes out.

    def put(self, batch: Batch) -> None:
        """Take over a batch whose copies are in memory; it is dropped if settings ask for that."""
        if not self._lanes.admits(batch):
            self._ledger.in_memory -= batch.events
            self._ledger.dropped[SPOOL_FULL] += batch.events
            return
        if not batch.number:
            self.number_batch(batch)
        self._lanes.add(batch)
        self._writer.pending.put(batch)
        self._wake_writer()

    def admits(self, batch: Batch) -> bool:
        """Say whether `put` would keep a batch, and not drop it."""
        return self._lanes.admits(batch)

    def number_batch(self, batch: Batch) -> None:
        """Give a batch its number and its place in the order of arrival before it is put."""
        self._number += 1
        batch.number = batch.place = self._number

    def skip_to(self, number: int) -> None:
        """Give no lower numbers than this one."""
        self._number = max(self._number, number)

    @property
    def last_number(self) -> int:
        """The last number that was given to a batch, or the one that `skip_to` was told."""
        return self._number

    def adopt(self, batch: Batch) -> None:
        """Take over a batch that is durable elsewhere until it is durable here; it is taken.

        It comes in whatever bounds say, and counts as spooled at once. Of its sink there is no
        batch that has a number and has not been put.
        """
        self.number_batch(batch)
        lane = self._lanes.lane(batch.sink)
        tail = self._tails.setdefault(batch.sink, _Tail())
        if lane.batches == len(lane.held):
            tail.pass_by(batch.place)
        else:  # others are on disk alone, or will be: it is not to be read with them
            tail.apart.add(batch.place)
        self._lanes.add(batch).held[batch.number] = batch
        tail.octets_in_memory += batch.size
        self._writer.pending.batches[batch.number] = batch
        self._ledger.spooled += batch.events
        self._wake_writer()

    def adopt_letters(self, letters: Sequence[Letter]) -> None:
        """Keep dead letters made of what is durable elsewhere until they are durable here."""
        for letter in letters:
            self._ledger.dead_lettered[letter.reason] += 1
        self._writer.pending.bury(letters)
        self._wake_writer()

    def set_aside(self, letter: Letter) -> None:
        """Take over a dead letter whose copy is in memory."""
        self._writer.pending.set_aside(letter)
        self._wake_writer()

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call back once all that was put and set aside so far has been written."""
        writer = self._writer
        if writer.pending:
            writer.pending.callbacks.append(callback)
        elif writer.writing:
            writer.writing.callbacks.append(callback)
        else:
            callback()

    async def flushed(self) -> None:
        """Write all that was asked for so far, and wait until that is done."""
        done = asyncio.Event()
        self.when_durable(done.set)
        self._writer.wake()
        await done.wait()

    async def take(self, sink: str) -> Batch:
        """Wait for the next batch for `sink`; it stays in the spool until finished or buried."""
        lane = self._lanes[sink]
        self._read_ahead(lane)
        batch = await lane.ready.get()
        self._count_taken(lane, batch)
        return batch

    def take_if(self, sink: str, fits: Callable[[Batch], bool]) -> Batch | None:
        """Return the next batch for `sink` as `take` does, if it is ready and fits."""
        lane = self._lanes[sink]
        batch = lane.ready.get_if(fits)
        if batch is not None:
            self._count_taken(lane, batch)
        return batch

    def _count_taken(self, lane: Lane, batch: Batch) -> None:
        self._tails[lane.sink].octets_ready -= batch.size
        self._read_ahead(lane)

    def finish(self, batch: Batch, rest: Sequence[Batch] = ()) -> None:
        """Let go of a batch that its sink has accepted, but for `rest`, which counts as taken."""
        delivered = batch.events - sum(part.events for part in rest)
        self.replace((batch,), rest)
        self._ledger.spooled -= delivered
        self._ledger.delivered += delivered
        self._lanes.reopen()

    def hand_over(self, batch: Batch) -> None:
        """Let go of a batch that is durable in a stream."""
        self.replace((batch,), ())
        self._ledger.spooled -= batch.events
        self._ledger.handed_over += batch.events
        self._lanes.reopen()

    def replace(self, batches: Sequence[Batch], parts: Sequence[Batch]) -> None:
        """Put parts that hold the same events in the place of batches; they count as taken."""
        lane = self._lanes.exchange(batches, parts)
        tail = self._tails[lane.sink]
        pending = self._writer.pending
        for part in parts:
            self._number += 1
            part.number = self._number
            lane.held[part.number] = part
            tail.octets_in_memory += part.size
            pending.batches[part.number] = part
        for batch in batches:
            del lane.held[batch.number]
            tail.octets_in_memory -= batch.size
            pending.remove(batch.number)
        self._writer.wake_soon()
        self._read_ahead(lane)

    def postpone(self, batch: Batch) -> None:
        """Put a batch that was taken back, behind others."""
        self._lanes[batch.sink].ready.put_nowait(batch)
        self._tails[batch.sink].octets_ready += batch.size

    def relinquish(self, batch: Batch, seconds: float) -> bool:
        """Return False: there are no others."""
        del batch, seconds
        return False

    def resume(self, sink: str) -> None:
        """Do nothing: no sink is left alone."""

    def give_back(self, sink: str) -> None:
        """Put all batches of `sink` that were taken and are not done with back in their places.

        All that is on disk alone stands behind them.
        """
        self._lanes[sink].give_back()
        tail = self._tails[sink]
        tail.octets_ready = tail.octets_in_memory

    def bury(self, batch: Batch, letters: Sequence[Letter]) -> None:
        """Keep the events of a batch as dead letters, one for each, and let go of the batch."""
        self._ledger.spooled -= batch.events
        self.adopt_letters(letters)
        self.replace((batch,), ())
        self._lanes.reopen()

    def release(self, letters: Sequence[Letter]) -> None:
        """Let go of dead letters whose copies are on their way again.

        That is written together with the batches that were put in the same turn of the loop.
        """
        self._writer.pending.released |= {letter.number: letter.reason for letter in letters}
        self._writer.wake()

    def note(self, name: str, value: bytes) -> None:
        """Keep something small beside the batches, in the place of what had this name before.

        It is written together with what comes in a moment; what is as it was, not at all.
        """
        if self._notes.get(name) != value:
            self._notes[name] = self._writer.pending.notes[name] = value
            self._writer.wake_soon()

    def noted(self, name: str) -> bytes | None:
        """Return what was last noted under a name, by an earlier process too; None if nothing."""
        return self._notes.get(name)

    def _wake_writer(self) -> None:
        """Have the writer go on, and the listeners wait while it is too far behind."""
        self._writer.wake()
        self._regulate()

    def _regulate(self) -> None:
        octets = self._writer.pending.octets + self._writer.writing.octets
        if octets > self._max_pending:
            self._lanes.obstruct(_BEHIND)
        elif octets <= self._max_pending // 2:
            self._lanes.clear(_BEHIND)

    # What the writer asks.

    def accounts(self, written: Pending, left: Pending) -> dict[str, Any]:
        """Return the accounts to be stored: as they are once `written` is, and `left` is not.

        They leave out what is in memory, as that is lost with the process. A dead letter that is
        replayed is in memory and, until its row is deleted, a dead letter too.
        """
        accounts = self._ledger.stored(self._ledger.in_memory - written.copies_in_memory())
        accounts["received"] += len(left.released)
        return accounts

    def written(self, written: Pending, outcome: Outcome) -> None:
        """Account for what has become durable, and for dead letters that are no more.

        What was replayed when it had been given up is received once more (`Store.commit`).
        """
        ledger = self._ledger
        ledger.in_memory -= written.copies_in_memory()
        for number, batch in written.batches.items():
            if number in written.incoming:
                ledger.spooled += batch.events
                self._enqueue(batch)
        for letter in written.letters:
            ledger.dead_lettered[letter.reason] += 1
        self._forget(EVICTED)(outcome.evicted)
        ledger.received += outcome.missed.total()
        ledger.dead_lettered.update(outcome.missed)
        self._regulate()

    def cannot_write(self, pending: Pending) -> None:
        """Drop what settings drop when there is no room, and let senders wait for the rest."""
        ledger, dropped = self._ledger, 0
        for number in list(pending.incoming):
            batch = pending.batches[number]
            if self._lanes[batch.sink].share.when_full == "drop":
                pending.discard(batch)
                self._lanes.remove(batch)
                dropped += batch.events
        if dropped:
            ledger.in_memory -= dropped
            ledger.dropped[SPOOL_FULL] += dropped
            self._reports.error("dropped", "spool cannot be written, events are dropped")
        if any(self._lanes[sink].share.when_full == "block" for sink in self.gates):
            self._lanes.obstruct(_DISK)
        else:
            self._lanes.clear(_DISK)
            discarded = pending.discard_letters()
            if discarded:
                ledger.in_memory -= discarded
                ledger.dropped[EVICTED] += discarded
        self._lanes.reopen()
        self._regulate()

    def can_write(self) -> None:
        """Let senders go on."""
        self._lanes.clear(_DISK)

    def began_anew(self, pending: Pending) -> None:
        """Put what is in memory into a new, empty file, and account for what is not."""
        ledger = self._ledger
        before = ledger.spooled + ledger.dead_lettered.total()
        pending.removed.clear()
        pending.released.clear()
        pending.notes |= self._notes
        ledger.dead_lettered.clear()
        ledger.dead_lettered.update(letter.reason for letter in pending.buried)
        ledger.spooled = 0
        for lane in self._lanes:
            self._tails[lane.sink].batches = 0
            pending.batches |= {
                number: batch
                for number, batch in lane.held.items()
                if number not in pending.incoming
            }
            ledger.spooled += sum(batch.events for batch in lane.held.values())
        self._lanes.recount(pending.batches.values())
        lost = before - ledger.spooled - ledger.dead_lettered.total()
        ledger.dropped[QUARANTINED] += lost
        log.error("what only the damaged file held is not delivered", events=lost)
        self._writer.wake()

    def _enqueue(self, batch: Batch) -> None:
        """Have a durable batch delivered: from memory if it is soon next, else from disk."""
        lane, tail = self._lanes[batch.sink], self._tails[batch.sink]
        if tail.batches or not self._has_place(tail, self._window - batch.size):
            tail.batches += 1
            self._read_ahead(lane)
        else:
            self._hold(lane, tail, batch)

    def _forget(self, account: str) -> Callable[[Counter[str]], None]:
        """Return what accounts for dead letters that are no more."""

        def forget(counts: Counter[str]) -> None:
            if counts:
                self._ledger.dead_lettered.subtract(counts)
                self._ledger.dropped[account] += counts.total()

        return forget

    # Reading back.

    def _read_ahead(self, lane: Lane) -> None:
        """Read what is next of a lane, if it is on disk alone and there is room for it."""
        tail = self._tails[lane.sink]
        if tail.batches and not tail.is_read and self._has_place(tail, self._window // 2):
            tail.is_read = True
            task = self._loop.create_task(self._read(lane, tail), name=f"spool read {lane.sink}")
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    def _has_place(self, tail: _Tail, octets: int) -> bool:
        """Say whether no more than so many octets of a lane are ready, and not too many taken."""
        is_full = tail.octets_in_memory > MAX_WINDOWS * self._window
        return tail.octets_ready <= octets and not is_full

    async def _read(self, lane: Lane, tail: _Tail) -> None:
        """Read a part of what a lane has on disk alone."""
        store, after, found = self._writer.store, tail.after, list[Batch]()
        try:
            found = await self._writer.on_thread(
                lambda: store.fetch(lane.sink, after, self._window // 2)
            )
        except sqlite3.Error as error:
            await self._overcome(store, error)
        fresh = [batch for batch in found if batch.place not in tail.apart]
        for batch in fresh:
            self._hold(lane, tail, batch)
        if found:
            tail.pass_by(found[-1].place)
        tail.batches -= len(fresh)
        tail.is_read = False
        if not fresh:
            self._read_ahead(lane)

    async def _overcome(self, store: Store, error: sqlite3.Error) -> None:
        """Do what can be done about a file that cannot be read."""
        if is_damage(error):
            with suppress(sqlite3.Error, OSError):  # the writer reports it, and tries again
                await self._writer.damaged(store, str(error))
        elif not store.is_closed:  # else it has been found damaged meanwhile
            self._reports.error("read", "spool cannot be read", problem=str(error))
        await asyncio.sleep(RETRY_SECONDS)

    def _hold(self, lane: Lane, tail: _Tail, batch: Batch) -> None:
        """Keep a batch in memory, next in line."""
        lane.held[batch.number] = batch
        lane.ready.put_nowait(batch)
        tail.octets_in_memory += batch.size
        tail.octets_ready += batch.size
        tail.pass_by(batch.place)

    # What the command line asks for.

    async def choose_letters(self, choice: Choice, after: int, limit: int) -> list[Letter]:
        """Return dead letters in order of their numbers; none that have been released.

        Args:
            choice: which.
            after: the number behind which they stand.
            limit: how many at most.
        """
        writer = self._writer
        while found := await writer.on_thread(
            partial(writer.store.choose_letters, choice, after, limit)
        ):
            released = writer.pending.released.keys() | writer.writing.released.keys()
            if letters := [letter for letter in found if letter.number not in released]:
                return letters
            after = found[-1].number
        return []

    async def purge(self, choice: Choice) -> Counter[str]:
        """Delete dead letters; return how many, by reason."""
        writer = self._writer
        return await writer.job(lambda: writer.store.purge(choice), self._forget(PURGED))

    async def hand_over_letters(self, numbers: Sequence[int]) -> None:
        """Let go of dead letters that are durable in a stream (`Store.hand_over_letters`)."""
        writer, ledger = self._writer, self._ledger

        def account(deleted: Counter[str]) -> None:
            ledger.dead_lettered.subtract(deleted)
            ledger.handed_over += len(numbers)
            ledger.received += len(numbers) - deleted.total()

        await writer.job(lambda: writer.store.hand_over_letters(numbers), account)

    async def waiting_requests(self) -> list[Request]:
        """Return what the command line has asked for and nobody has answered."""
        return await self._writer.on_thread(self._writer.store.waiting_requests)

    async def answer(self, number: int, state: str, answer: Mapping[str, Any]) -> None:
        """Note how far a request has come.

        Args:
            number: of the request.
            state: `waiting` while it is carried out, `done` or `failed`.
            answer: for the one who asked.
        """
        writer = self._writer
        await writer.job(lambda: writer.store.answer(number, state, answer))

    async def _keep_house(self) -> None:
        """Note the accounts, give room back, let dead letters expire, look for requests."""
        writer, due = self._writer, 0.0
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            self._lanes.reopen()  # other workers may have made room
            accounts = self._ledger.as_dict()
            if accounts != self._last_accounts:  # also of what never reaches the spool
                self._last_accounts = accounts
                writer.pending.accounts_changed = True
                writer.wake()
            store = writer.store
            try:
                if await writer.on_thread(store.is_missing):
                    await writer.restore()
                    store = writer.store
                await writer.on_thread(store.vacuum)
                if self._bounds.exceeded():
                    await writer.job(
                        lambda: writer.store.evict(),  # noqa: PLW0108 - it may be another by then
                        self._forget(EVICTED),
                    )
                if self._loop.time() >= due:
                    due = self._loop.time() + EXPIRY_SECONDS
                    await writer.job(
                        lambda: writer.store.expire(self._max_age), self._forget(EXPIRED)
                    )
                found = await self.waiting_requests()
                if found and self.on_requests is not None:
                    await self.on_requests(found)
            except (sqlite3.Error, OSError) as error:
                self._reports.warning("housekeeping", "spool not tidied up", problem=str(error))
                if isinstance(error, sqlite3.Error) and is_damage(error):
                    await self._overcome(store, error)

    # What is asked of it.

    def backlog(self, sink: str) -> Backlog:
        """Say what waits for `sink`, batches in flight included."""
        if sink not in self._lanes:
            return Backlog(0, 0, 0.0)
        lane = self._lanes[sink]
        oldest = min((batch.received for batch in lane.held.values()), default=None)
        if oldest is None and self._tails[sink].batches:
            oldest = self._tails[sink].oldest
        return self._lanes.backlog(sink, oldest)

    def gone(self) -> list[str]:
        """Name the sinks that batches wait for although they are not configured."""
        return self._lanes.gone()

    def sinks(self) -> list[str]:
        """Name the sinks that are configured, or were, or that something waits for."""
        return [lane.sink for lane in self._lanes]

    def batches(self, sink: str) -> int:
        """Return how many batches wait for a sink, those included that are taken."""
        return self._lanes[sink].batches if sink in self._lanes else 0

    def wind_down(self) -> None:
        """Do nothing: there are no others."""

    async def emptied(self) -> None:
        """Wait until every batch of a configured sink is finished or buried."""
        await self._lanes.emptied()

    def disk_free(self) -> int | None:
        """Return how many octets the file system has left; None if it does not say."""
        return files.free_octets(self._directory)

    def quarantined(self) -> int:
        """Return how many octets damaged files take."""
        return files.quarantined_octets(self._directory)

    @property
    def in_trouble(self) -> bool:
        """Whether the file cannot be written at present."""
        return self._writer.in_trouble

    @property
    def full(self) -> bool:
        """Whether listeners wait since `max_bytes` wait already."""
        return self._lanes.full

    def degraded(self) -> list[dict[str, str]]:
        """Say what does not work as it should, with the reason; for everybody to read."""
        found = self._lanes.degraded()
        if self._writer.in_trouble:
            found.append({"spool": "disk", "reason": "cannot be written, see the log"})
        reason = "left by a former worker, its events wait, see the log"
        return [*found, *({"spool": path.name, "reason": reason} for path in self._abandoned)]

    def has_room(self, sinks: Collection[str], part: float) -> bool:
        """Say whether no more than a part of the bounds is taken, those of some sinks included."""
        return self._lanes.has_room(sinks, part)

    def status(self) -> dict[str, Any]:
        """Return what `/api/status` has of it."""
        return {
            **self._lanes.status(),
            "max_bytes": self.max_bytes,
            "path": str(self._directory),
            "disk_free": self.disk_free(),
            "quarantined": self.quarantined(),
            "in_memory_at_last_write": self._in_memory_at_last_write,
        }


def window_of(shares: Mapping[str, Share]) -> int:
    """Return how many octets of what waits for each sink stay in memory, to be next."""
    return max(MIB, WINDOW_OCTETS // max(1, len(shares)))
