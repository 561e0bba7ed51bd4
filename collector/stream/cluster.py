"""The stream of batches and that of dead letters, on the servers that settings name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from collector.logs import Reports
from collector.stream import AwayError, Holdings, MismatchError, topology, wire
from collector.stream.acknowledging import Acknowledger
from collector.stream.aligning import MOST_ADDED
from collector.stream.asking import ApiError, Asker, ForbiddenError
from collector.stream.ending import end, watch
from collector.stream.leftovers import Leftovers, idle
from collector.stream.letters import StreamLetters
from collector.stream.link import GuardedClient, Link
from collector.stream.publishing import ObjectionError, Publisher
from collector.stream.pulling import Puller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.config import SpoolSettings
    from collector.stream import Consumer, Delivery, Letters

LARGEST_OCTETS: Final = 8 * 1024 * 1024
"""Octets of a message at most, whatever the servers allow."""

SPARE_OCTETS: Final = 1024
"""What is left free of the servers' `max_payload`, which closes the connection if exceeded."""

LEAST_OCTETS: Final = 64 * 1024
"""Octets that the servers must take in a message, or hardly a batch would go."""

USELESS_SECONDS: Final = 10.0
"""After how long another server is tried where the stream cannot be looked at by way of the one to
which we are connected: that one may have lost the others. An election takes less."""

SURVEY_SECONDS: Final = 1.0
"""How often the streams are looked at."""

CONSUMERS_SECONDS: Final = 2.0
"""How often the consumers are."""

SUBJECTS_PER_SECOND: Final = 5000
"""How many subjects may be listed, on the average: a look at more is taken less often."""

AGAIN_SECONDS: Final = 0.5
"""After how long a stream that was away is looked at again."""

HOPELESS_SECONDS: Final = 10.0
"""The same of one that somebody has to do something about."""

CLOSE_SECONDS: Final = 1.0
"""How long what is to be sent at the end may take."""

log = structlog.get_logger(__name__)


class Cluster:
    """Connects, keeps the streams as settings have them, publishes and pulls.

    It is what `collector.stream.Stream` promises, whose words are not repeated here.

    Args:
        settings: of the spool.
        letters_max_bytes: octets of dead letters that the stream of them may hold.
        member: what this daemon is called among those that share the stream.
    """

    def __init__(self, settings: SpoolSettings, letters_max_bytes: int, member: str) -> None:
        self.is_up = False
        self.is_connected = False
        self.problem = "not connected yet"
        self.holdings: Holdings | None = None
        self.letter_holdings: Holdings | None = None
        self.on_change: Callable[[], None] = _ignore
        self.on_holdings: Callable[[], None] = _ignore
        self.on_failure: Callable[[], None] = _ignore
        self._settings = settings
        self._asker = Asker()
        self.largest = self._asker.largest
        self.letters: Letters = StreamLetters(self._asker, settings.stream)
        self._publisher = Publisher(self._asker)
        self._acknowledger = Acknowledger(self._asker, self._fail)
        self._batch_keeper = topology.Keeper.of_batches(
            self._asker, settings, partial(wire.events_by_sink, settings.stream)
        )
        self._letter_keeper = topology.Keeper.of_letters(
            self._asker,
            settings,
            letters_max_bytes,
            partial(wire.letters_by_reason, settings.stream),
        )
        self._link = Link(
            settings,
            f"collector {member}",
            on_up=self._connected,
            on_down=self._disconnected,
            on_error=self._told,
        )
        self._client: GuardedClient | None = None
        self._pullers: dict[str, Puller] = {}
        self._redelivered: dict[str, int] = {}
        self._listed: Mapping[str, int] = {}  # events by sink, those that are left over too
        self._leftovers = Leftovers()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()  # when the streams are to be looked at again
        self._useful_at = self._due  # when a look at them last said something
        self._rescheduled = asyncio.Event()
        self._first_word: asyncio.Future[MismatchError | None] = self._loop.create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._reports = Reports(log)

    async def start(self, patience: float) -> None:
        """Connect and see to the streams; that goes on beside after `patience` seconds."""
        runs = {
            "connection": self._link.run(),
            "streams": self._watch_streams(),
            "consumers": self._watch_consumers(),
        }
        self._tasks = [
            self._loop.create_task(run, name=f"stream: {name}") for name, run in runs.items()
        ]
        for task in self._tasks:
            watch(task, self._fail)
        await asyncio.wait([self._first_word], timeout=patience)
        if self._first_word.done() and (mismatch := self._first_word.result()):
            await self.close()
            raise mismatch

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a message on most of the servers."""
        try:
            await self._publisher.publish(subject, headers, body)
        except ObjectionError:
            raise  # the stream is there, and takes others
        except AwayError as error:
            self._failed(error)
            raise

    def consumer(
        self, sink: str, *, is_ordered: bool, on_delivery: Callable[[Delivery], None]
    ) -> Consumer:
        """Return what brings a sink's messages here, in the place of what did so before."""
        self.drop_consumer(sink)
        puller = self._pullers[sink] = Puller(
            self._asker,
            self._acknowledger,
            self._settings.stream,
            topology.consumer(self._settings, sink, is_ordered=is_ordered),
            on_delivery,
            on_failure=self._fail,
        )
        if self._client is not None:
            puller.bind(self._client)
        return puller

    def drop_consumer(self, sink: str) -> None:
        """Bring no more messages of a sink here."""
        puller = self._pullers.pop(sink, None)
        if puller is not None:
            task = self._loop.create_task(puller.close(), name=f"stream: end of {sink}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            watch(task, self._fail)

    async def close(self) -> None:
        """Send what is to be sent, within a second, and disconnect."""
        for sink in tuple(self._pullers):
            self.drop_consumer(sink)
        until = self._loop.time() + (CLOSE_SECONDS if self._client else 0.0)
        if self._ending:
            await asyncio.wait(self._ending, timeout=until - self._loop.time())
        await self._acknowledger.close(until - self._loop.time())
        await end([*self._tasks, *self._ending])
        self._asker.unbind("the daemon ends")
        self.is_up = self.is_connected = False
        self.problem = "closed"

    async def _connected(self, client: GuardedClient) -> None:
        await self._asker.bind(client)
        self._client = client
        self.largest = min(client.max_payload - SPARE_OCTETS, LARGEST_OCTETS)
        self._asker.largest = self.largest + MOST_ADDED
        for puller in self._pullers.values():
            puller.bind(client)
        self.is_connected = True
        self._useful_at = self._loop.time()
        self._look_in(0)

    def _disconnected(self, problem: str) -> None:
        self._client = None
        self.is_connected = False
        self._asker.unbind(problem)
        for puller in self._pullers.values():
            puller.unbind()
        self._down(problem)

    def _told(self, error: str) -> None:
        """Learn what a server says of us, as that we may not do something."""
        self._reports.warning("told", "a server objects", error=error)
        self._asker.forbid(error)
        for puller in self._pullers.values():
            puller.forbid(error)

    def _fail(self) -> None:
        """Tell whoever cares that a part of this has failed."""
        self.on_failure()

    def _failed(self, error: AwayError) -> None:
        """Learn that a message was not stored: the next look at the stream says how it is."""
        if self._client is not None:
            self._look_in(HOPELESS_SECONDS if isinstance(error, ForbiddenError) else AGAIN_SECONDS)
            self._down(str(error))

    def _down(self, problem: str) -> None:
        self.problem = problem
        self._reports.warning("down", "the stream is away", problem=problem)
        if self.is_up:
            self.is_up = False
            self.on_change()

    def _up(self) -> None:
        self.problem = ""
        if not self.is_up:
            self.is_up = True
            for puller in self._pullers.values():
                puller.be_patient()
            leader = self.holdings.leader if self.holdings else ""
            log.info("the stream is there", stream=self._settings.stream, leader=leader)
            self.on_change()

    def _look_in(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._rescheduled.set()

    async def _watch_streams(self) -> None:
        """Look at the streams again and again: make them, check them, and see what they hold."""
        while True:
            client = await self._until_due()
            try:
                subjects = await self._look(client)
            except MismatchError as mismatch:
                self._look_in(HOPELESS_SECONDS)
                self._down(str(mismatch))
                self._tell_first(mismatch)
            except (AwayError, ApiError) as error:
                self._look_in(AGAIN_SECONDS)
                self._down(str(error))
                self._leave_if_useless(client)
            except Exception:
                log.exception("a look at the stream failed, please report it")
                self._look_in(HOPELESS_SECONDS)
                self._down("a look at the stream failed; the log has the details")
            else:
                self._look_in(SURVEY_SECONDS + subjects / SUBJECTS_PER_SECOND)
                self._useful_at = self._loop.time()
                self._up()
                self.on_holdings()
                self._tell_first(None)

    def _leave_if_useless(self, client: GuardedClient) -> None:
        """Have the next server be tried, if there is one, where nothing is heard by way of this."""
        is_useless = self._loop.time() - self._useful_at > USELESS_SECONDS
        if is_useless and len(self._settings.servers) > 1:
            client.leave(f"{client.server_name} does not see to the stream")

    async def _until_due(self) -> GuardedClient:
        """Wait until the streams are to be looked at, and there is a connection."""
        while True:
            self._rescheduled.clear()
            rest = self._due - self._loop.time()
            if rest <= 0 and self._client is not None:
                return self._client
            with suppress(TimeoutError):
                async with asyncio.timeout(rest if self._client else None):
                    await self._rescheduled.wait()

    def _tell_first(self, mismatch: MismatchError | None) -> None:
        """Let `start` know what came of the first look."""
        if not self._first_word.done():
            self._first_word.set_result(mismatch)

    async def _look(self, client: GuardedClient) -> int:
        """See to both streams; return how many subjects of them were listed."""
        if self.largest < LEAST_OCTETS:
            raise MismatchError(
                f"the servers accept {client.max_payload} octets a message (max_payload),"
                f" {LEAST_OCTETS + SPARE_OCTETS} are needed"
            )
        subjects = 0
        said = []
        for look in (self._look_at_batches, self._look_at_letters):
            try:
                subjects += await look(client)
            except MismatchError as mismatch:
                said.append(str(mismatch))
        if said:
            raise MismatchError("; ".join(said))
        return subjects

    async def _look_at_batches(self, client: GuardedClient) -> int:
        holdings, subjects = await self._batch_keeper.survey(client.server_name)
        self._listed = holdings.events
        self.holdings = holdings._replace(
            events=self._leftovers.waiting(holdings.leader, holdings.events),
            redelivered=self._redelivered,
        )
        return subjects

    async def _look_at_letters(self, client: GuardedClient) -> int:
        try:
            self.letter_holdings, subjects = await self._letter_keeper.survey(client.server_name)
        except AwayError:
            if self.letter_holdings is None:
                raise
            # Its servers elect one by themselves, which is not to hold up batches.
            self.letter_holdings = self.letter_holdings._replace(leader="")
            return 0
        return subjects

    async def _watch_consumers(self) -> None:
        """See how often messages were delivered, and that consumers stay as settings want them."""
        while True:
            await asyncio.sleep(CONSUMERS_SECONDS)
            if not self.is_up:
                continue
            try:
                self._learn(await topology.consumers(self._asker, self._settings.stream))
            except (AwayError, ApiError) as error:
                log.debug("the consumers are not known", error=str(error))
            except Exception:
                log.exception("a look at the consumers failed, please report it")

    def _learn(self, consumers: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in what the servers know of the consumers, by name."""
        self._redelivered = {
            wire.sink_of(name): int(one.get("num_redelivered") or 0)
            for name, one in consumers.items()
        }
        self._find_leftovers({wire.sink_of(name): n for name, n in idle(consumers).items()})
        for sink, puller in self._pullers.items():
            if one := consumers.get(wire.token(sink)):
                puller.check(one.get("config") or {})

    def _find_leftovers(self, idle_sinks: Mapping[str, int]) -> None:
        leader = self.holdings.leader if self.holdings else ""
        for sink in self._leftovers.learn(leader, self._listed, idle_sinks):
            self._reports.warning(
                f"leftovers {sink}",
                "the stream still lists messages that are dealt with, as nats-server 2.9 does",
                sink=sink,
                events=self._listed.get(sink),
                leader=leader,
            )


def _ignore() -> None:
    """Do nothing: nobody has asked to be called."""
