"""Brings the messages of one sink here, as many as are asked for.

A pull consumer sends what it is asked for to an inbox. A request is lost without a word when the
server that leads the consumer dies, so it asks for signs of life: where none comes for a while, the
request is made again, under another inbox, since the old one may be answered late.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import nats.errors
import orjson
import structlog

from collector.logs import Reports
from collector.stream import AwayError, MismatchError, Stored, StreamError, topology
from collector.stream.acknowledging import AckedDelivery
from collector.stream.asking import ApiError, forbids
from collector.stream.condition import Condition
from collector.stream.ending import end, watch
from collector.stream.wire import read_reply, size
from collector.stream.yielding import Concession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from collector.stream import Delivery
    from collector.stream.acknowledging import Acknowledger
    from collector.stream.asking import Asker

HEARTBEAT_SECONDS: Final = 1.0
"""How often the servers show that they have a request."""

SILENT_SECONDS: Final = 2.5 * HEARTBEAT_SECONDS
"""After how long without a sign of life a request is taken for lost."""

EXPIRY_SECONDS: Final = 30.0
"""How long the servers keep a request."""

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0
"""How long nothing is asked for after an error: twice as long each time."""

# Status codes of what is no message (NATS ADR-13): a sign of life, and the request's time is over.
_HEARTBEAT: Final = "100"
_EXPIRED: Final = "408"

# The next message is longer than what may still come. Of a message that is longer than all that was
# asked for, too; so one alone is asked for without such a bound.
_TOO_MUCH: Final = "409 Message Size Exceeds MaxBytes"

# Release 2.10 says so behind the last message, when more may be asked for already.
_COMPLETED: Final = "409 Batch Completed"

# As those of HTTP: nobody leads the servers, who would take their time for another answer too.
_UNAVAILABLE: Final = 503

_SILENCE: Final = "no sign of life"
_FORBIDDEN: Final = "forbidden"

# There is no such consumer, or nobody who leads it: the latter release 2.9 does not say, and of the
# former only who asks as it is deleted hears.
_GONE: Final = ("409 Consumer Deleted", "503", _SILENCE)

log = structlog.get_logger(__name__)


class _Request:
    """Messages that the servers were asked for.

    Attributes:
        subscription: to the inbox that they come to.
        asked: how many they were.
        left: how many have not come.
        end: why no more come, as the servers say; empty while they do.
    """

    __slots__ = ("asked", "end", "left", "subscription")

    subscription: Subscription

    def __init__(self) -> None:
        self.asked = self.left = 0
        self.end = ""

    @property
    def is_open(self) -> bool:
        """Whether something is to come."""
        return self.left > 0 and not self.end

    @property
    def is_well(self) -> bool:
        """Whether more comes, or may be asked for again at once."""
        return not self.end or self.end.startswith((_EXPIRED, _TOO_MUCH))

    def read_status(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of what is no message."""
        status = headers.get("Status", "")
        said = f"{status} {headers.get('Description', '')}"
        if status != _HEARTBEAT and said != _COMPLETED:
            self.end = said


class Puller:
    """Brings messages, as `collector.stream.Consumer` has it.

    Args:
        asker: asks the servers.
        acknowledger: says what is said of deliveries.
        stream: the name of the stream.
        wanted: the consumer as settings want it, in the form of the API.
        on_delivery: is given each message.
        on_failure: is called if a mistake of ours has ended it.
    """

    def __init__(
        self,
        asker: Asker,
        acknowledger: Acknowledger,
        stream: str,
        wanted: Mapping[str, Any],
        on_delivery: Callable[[Delivery], None],
        *,
        on_failure: Callable[[], None],
    ) -> None:
        self._asker = asker
        self._acknowledger = acknowledger
        self._stream = stream
        self._name = wanted["name"]
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._name}"
        self._concession = Concession(wanted)
        self._is_known = not self._concession.is_needed  # how others have made the consumer
        self._on_delivery = on_delivery
        self._on_failure = on_failure
        self._client: Client | None = None
        self._request: _Request | None = None
        self._due = 0  # messages that we were asked for and that have not come
        self._room = 0  # octets that they may have
        self._wish: tuple[int, int] | None = None  # what was asked for since the last one came
        self._loop = asyncio.get_running_loop()
        self._is_there = False  # the consumer, as wanted
        self._condition = Condition(stream, self._name, self._loop.time)
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._reports = Reports(log)
        self._task = self._loop.create_task(self._run(), name=f"stream: {self._name}")
        watch(self._task, on_failure)

    @property
    def problem(self) -> str:
        """Why nothing comes, or why what comes stays in the stream."""
        return self._condition.problem

    def ask(self, count: int, octets: int) -> None:
        """Have some messages come, unless some are asked for."""
        if self._due > 0:
            self._wish = count, octets
            return
        self._due, self._room = count, octets
        self._changed.set()

    def withdraw(self) -> None:
        """Have none come; what is under way goes back."""
        self._due, self._wish = 0, None
        self._end_request()

    def bind(self, client: Client) -> None:
        """Use a connection from now on; what is due is asked for there."""
        self._client, self._request = client, None
        self._is_there = False
        self._condition.be_patient()
        self._changed.set()

    def be_patient(self) -> None:
        """Take it for no problem for a while that nothing comes: the stream was away."""
        self._condition.be_patient()

    def forbid(self, error: str) -> None:
        """Learn of an error that the servers told; a request that they do not permit has ended."""
        if self._request is not None and forbids(error, self._next):
            self._request.end = _FORBIDDEN
            self._changed.set()

    def unbind(self) -> None:
        """Use the connection no longer."""
        self._client = self._request = None
        self._changed.set()

    def check(self, found: Mapping[str, Any]) -> None:
        """Have the consumer made as wanted where it is not, and no other member objects.

        Args:
            found: the consumer as the servers have it.
        """
        self._concession.learn(found, self._loop.time())
        differing = topology.differing(self._concession.settings, found)
        if self._is_there and differing:
            self._reports.warning(
                "differs",
                "a consumer is not as settings want it, making it so",
                consumer=self._name,
                settings=differing,
            )
            self._is_there = False
            self._end_request()

    async def close(self) -> None:
        """Bring none any more."""
        self.withdraw()
        await end([self._task])
        try:
            await asyncio.gather(*self._closing)
        finally:
            await end(tuple(self._closing))

    async def _run(self) -> None:
        """Keep a request with the servers while something is due."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            client = await self._until_due()
            if await self._bring(client):
                pause = FIRST_PAUSE_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _bring(self, client: Client) -> bool:
        """Ask for what is due, and wait until it has come, or none of it comes any more.

        Returns:
            Whether all is well.
        """
        try:
            if not self._is_there:
                await self._make()
            request = await self._asked(client)
            await self._hear(request)
        except (StreamError, nats.errors.Error) as error:
            self._condition.failed(error)
        else:
            if request.end == _FORBIDDEN:
                self._condition.forbidden(self._next)
            elif not request.is_well:
                self._condition.missed(request.end.strip())
            return request.is_well
        return False

    async def _make(self) -> None:
        """Make the consumer, or change it; what it is now is asked once, and told from then on.

        Raises:
            MismatchError: it is there, and what differs cannot be changed.
            AwayError or ApiError: as `topology.create_consumer` does.
        """
        if not self._is_known:
            found = await topology.consumers(self._asker, self._stream)
            config = found.get(self._name, {}).get("config") or {}
            self._concession.learn(config, self._loop.time())
            self._is_known = True
        try:
            await topology.create_consumer(self._asker, self._stream, self._concession.settings)
        except ApiError as error:
            said = [] if error.code == _UNAVAILABLE else await self._fixed_differences()
            if said:
                raise MismatchError(f"consumer {self._name}: {'; '.join(said)}") from error
            raise
        self._is_there = True

    async def _fixed_differences(self) -> list[str]:
        """Say what cannot be changed in the consumer; nothing where that is not known either.

        The servers name one setting, and not the one that matters: of a push consumer
        `max_waiting`, which it does not have.
        """
        with suppress(AwayError, ApiError):
            found = await topology.consumers(self._asker, self._stream)
            config = found.get(self._name, {}).get("config") or {}
            return topology.fixed_differences(self._concession.settings, config)
        return []

    async def _until_due(self) -> Client:
        while self._client is None or self._due <= 0:
            self._changed.clear()
            await self._changed.wait()
            self._condition.be_patient()
        return self._client

    async def _asked(self, client: Client) -> _Request:
        """Ask for what is due, under the inbox that there is if nothing comes there any more."""
        request = self._request
        if request is None:
            request = _Request()
            request.subscription = await client.subscribe(
                client.new_inbox(),
                cb=partial(self._heard, request),
                pending_bytes_limit=0,  # beyond which nats-py would drop messages
            )
            self._request = request
        request.asked = request.left = self._due
        request.end = ""
        wanted = {
            "batch": request.left,
            "expires": round(EXPIRY_SECONDS * topology.NANOSECONDS),
            "idle_heartbeat": round(HEARTBEAT_SECONDS * topology.NANOSECONDS),
        }
        if request.left > 1:
            wanted["max_bytes"] = self._room
        await client.publish(
            self._next,
            orjson.dumps(wanted),
            request.subscription.subject,
        )
        return request

    async def _hear(self, request: _Request) -> None:
        """Wait until all that was asked for has come, or none of it comes any more."""
        try:
            while request is self._request and request.is_open and self._due > 0:
                self._changed.clear()
                async with asyncio.timeout(SILENT_SECONDS):
                    await self._changed.wait()
        except TimeoutError:
            request.end = _SILENCE
        if request is self._request and request.left > 0 and request.end != _TOO_MUCH:
            self._end_request()
        if request.end.startswith(_GONE):
            self._is_there = False
        if request.end == _TOO_MUCH:
            self._ask_for_less(request)

    def _ask_for_less(self, request: _Request) -> None:
        """Go on where the next message is longer than what may come: by what was asked since."""
        if self._due <= 0:
            return
        if request.left == request.asked:
            self._due = 1
        else:
            self._due, self._room = self._wish or (0, 0)
        self._wish = None

    async def _heard(self, request: _Request, message: Msg) -> None:
        self._changed.set()
        try:
            sequence, moment = read_reply(message.reply)
        except ValueError:
            request.read_status(message.headers or {})
            self._note_life(request)
            return
        self._note_life(request)
        stored = Stored(sequence, message.subject, message.headers or {}, message.data, moment)
        delivery = AckedDelivery(
            stored, message.reply, self._acknowledger, self._condition.acknowledged
        )
        if self._due <= 0:
            delivery.nak(0)
            return
        self._due -= 1
        self._room -= size(stored.headers, stored.body)
        self._wish = None
        request.left -= 1
        if self._room <= 0 < self._due:
            self.withdraw()
        self._on_delivery(delivery)

    def _note_life(self, request: _Request) -> None:
        """Learn that the servers have a request, from what came of it."""
        if request is self._request and request.is_well:
            self._condition.lives()

    def _end_request(self) -> None:
        """Have no more come of what was asked for; what is under way still does."""
        request, self._request = self._request, None
        self._changed.set()
        if request is not None:
            task = self._loop.create_task(
                _drain(request.subscription), name=f"stream: end of a request of {self._name}"
            )
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            watch(task, self._on_failure)


async def _drain(subscription: Subscription) -> None:
    with suppress(nats.errors.Error):  # the connection was lost, and so it has ended
        await subscription.drain()  # type: ignore[no-untyped-call]
