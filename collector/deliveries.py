"""Deliveries to the sinks of the settings, which may change while the daemon runs.

A change takes three steps. `Deliveries.plan` does all that can fail, and has no effect. `adopt`
takes the plan over in one turn of the event loop: from then on batches are made as it says.
`settle` has the sinks at work follow: those of which nothing changed go on, others make way.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import aiohttp

from collector.batching import Batcher
from collector.certificates import MAX_PEM_OCTETS, TlsError
from collector.config import ShareSettings
from collector.courses import watch
from collector.metrics import SinkStats
from collector.settings.files import FileError, read_beginning
from collector.sinks.credentials import request_headers
from collector.sinks.encoders import PlainBodies
from collector.sinks.formats import format_of
from collector.sinks.http import HttpSink
from collector.sinks.recoding import recode
from collector.sinks.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from collector.config import IntakeSettings, SinkSettings, SinkTls
    from collector.metrics import Stats
    from collector.sinks.formats import Format
    from collector.sinks.recoding import EventOf
    from collector.spool import Batch, Share, Spool

# For requests in flight when their sink changes: most are answered within a moment, and what is
# given up may arrive twice.
RETIREMENT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class SinkPlan:
    """What one sink is to be, with everything that was read for it.

    Attributes:
        settings: the sink's settings.
        form: the form in which it wants events.
        headers: of every request, credentials included.
        tls: what aiohttp's `ssl` takes.
        certificates: a digest of the files that `tls` was made of.
    """

    settings: SinkSettings
    form: Format
    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | bool
    certificates: bytes

    def continues(self, earlier: SinkPlan) -> bool:
        """Say whether what is at work by an earlier plan of the sink can go on by this one."""
        is_same = _at_work(self.settings) == _at_work(earlier.settings)
        return is_same and self.certificates == earlier.certificates


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What all deliveries are to be.

    Attributes:
        sinks: by name, in the order of the settings.
        intakes: by name.
        shares: of the spool, by sink.
    """

    sinks: Mapping[str, SinkPlan] = field(default_factory=dict)
    intakes: Mapping[str, IntakeSettings] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Delivery:
    """A sink at work.

    Attributes:
        plan: by which it works.
        sink: delivers.
        session: its HTTP client.
        task: runs it.
        is_retiring: whether it is to end.
    """

    plan: SinkPlan
    sink: HttpSink
    session: aiohttp.ClientSession
    task: asyncio.Task[None]
    is_retiring: bool = False

    def can_follow(self, plan: SinkPlan | None) -> bool:
        """Say whether it can go on by a plan; None if its sink is gone."""
        return not self.is_retiring and plan is not None and plan.continues(self.plan)

    def follow(self, plan: SinkPlan) -> None:
        """Go on by a plan that can be followed."""
        self.plan = plan
        self.sink.refresh(plan.form, plan.headers)

    async def ended(self) -> None:
        """Wait for the end of the task, then close its connections."""
        await asyncio.wait([self.task])
        await self.session.close()


class Deliveries:
    """The batchers and sinks of one daemon.

    There is none until a plan was adopted.

    Args:
        spool: where batches wait; it must have been started before a plan is adopted.
        stats: its `sinks` are those of the plan that was adopted last.
        event_of: reads a raw message again, for batches that are to be made anew.
        on_failure: called when a mistake of ours has ended a delivery.
        mask: replaces intake keys in what sinks say.
        delivers: whether to post to sinks; else events are made in their forms for those who do,
            and nothing is read that is needed to reach them.
    """

    def __init__(
        self,
        spool: Spool,
        stats: Stats,
        event_of: EventOf,
        on_failure: Callable[[], None],
        mask: Callable[[str], str] = str,
        *,
        delivers: bool = True,
    ) -> None:
        self._spool = spool
        self._stats = stats
        self._event_of = event_of
        self._on_failure = on_failure
        self._mask = mask
        self._delivers = delivers
        self._plan = Plan()
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._plain_bodies = PlainBodies()
        # Connections that a change of settings ends bring what they had sent by the earlier ones.
        self._former: list[Batcher] = []
        self._deliveries: dict[str, _Delivery] = {}
        self._settling = asyncio.Lock()
        self._is_stopping = False

    # Changing.

    def plan(
        self,
        sinks: Iterable[SinkSettings],
        intakes: Iterable[IntakeSettings],
        shares: Mapping[str, Share],
    ) -> Plan:
        """Prepare everything that can fail; nothing changes, and no event loop is needed.

        Args:
            sinks: the settings of all sinks.
            intakes: the settings of all intakes.
            shares: the share that each sink has of the spool.

        Raises:
            FileError: a file of secrets or certificates cannot be used; the text names it.
        """
        known = {intake.name: intake for intake in intakes}
        plan = _planned if self._delivers else _without_access
        return Plan({sink.name: plan(sink, known.values()) for sink in sinks}, known, shares)

    def adopt(self, plan: Plan) -> None:
        """Take a plan over; call `settle` after it.

        Intakes are to be built anew from `batcher` and `form` in the same turn of the event loop:
        what the earlier batchers hold is closed now. Who still adds to them is to be gone, or to
        use those of the plan, when `forget_former` is called.
        """
        self._spool.reshape(plan.shares)
        self.flush()
        self._former += self._batchers.values()
        self._batchers.clear()
        self._plan = plan
        known, delay = self._stats.sinks, self._stats.ingest_to_delivery
        self._stats.sinks = {name: known.get(name) or SinkStats(name, delay) for name in plan.sinks}
        for name, delivery in self._deliveries.items():
            planned = plan.sinks.get(name)
            if planned is not None and delivery.can_follow(planned):
                delivery.follow(planned)

    async def settle(self) -> None:
        """End the sinks that are gone or changed, then start those that are missing.

        It takes as long as the requests that are in flight to the former, at most
        `RETIREMENT_SECONDS`; the others are not held up. Where it is cancelled, or another plan is
        adopted meanwhile, it is to be called again.
        """
        async with self._settling, asyncio.TaskGroup() as sinks:
            for name in {**self._deliveries, **self._plan.sinks}:
                sinks.create_task(self._settle(name))

    async def _settle(self, name: str) -> None:
        delivery = self._deliveries.get(name)
        if delivery is not None and not delivery.can_follow(self._plan.sinks.get(name)):
            delivery.is_retiring = True
            await delivery.sink.retire(RETIREMENT_SECONDS)
            await delivery.ended()
            self._spool.give_back(name)
            del self._deliveries[name]
        planned = self._plan.sinks.get(name)
        if planned is None or name in self._deliveries or self._is_stopping:
            return
        if self._delivers:
            self._deliveries[name] = self._started(planned)

    def _started(self, plan: SinkPlan) -> _Delivery:
        settings = plan.settings
        session = _session(plan)
        sink = HttpSink(
            settings,
            form=plan.form,
            spool=self._spool,
            session=session,
            headers=plan.headers,
            rng=random.SystemRandom(),
            stats=self._stats.sinks[settings.name],
            dead_lettered=self._stats.dead_lettered,
            recode=lambda batch: self._recoded(batch, delivery.plan),
            mask=self._mask,
        )
        task = asyncio.get_running_loop().create_task(sink.run(), name=f"sink {sink.name}")
        # A daemon that only collects is of no use.
        watch(task, self._on_failure, "delivery failed, please report it")
        delivery = _Delivery(plan, sink, session, task)
        return delivery

    def _recoded(self, batch: Batch, plan: SinkPlan) -> list[Batch]:
        codec = plan.settings.compression
        return recode(batch, plan.form, codec, self._plan.intakes, self._event_of)

    # What intakes are made of.

    def form(self, sink: str) -> Format:
        """Return the form in which a sink wants events."""
        return self._plan.sinks[sink].form

    def batcher(self, sink: str, intake: str) -> Batcher:
        """Return what gathers an intake's documents for a sink."""
        plan = self._plan.sinks[sink]
        name = (sink, intake if plan.form.per_intake else "")
        if name not in self._batchers:
            limits = plan.settings.batch
            self._batchers[name] = Batcher(
                sink,
                form=plan.form,
                codec=plan.settings.compression,
                max_events=limits.max_events,
                max_bytes=limits.max_bytes,
                max_wait=limits.max_wait,
                spool=self._spool,
                ledger=self._stats.ledger,
                loop=asyncio.get_running_loop(),
                plain_bodies=self._plain_bodies,
            )
        return self._batchers[name]

    @property
    def batchers(self) -> Collection[Batcher]:
        """All there are at any time, whatever is adopted."""
        return self._batchers.values()

    def flush(self) -> None:
        """Close every open batch."""
        for batcher in (*self._batchers.values(), *self._former):
            batcher.flush()

    def forget_former(self) -> None:
        """Close the batches of earlier plans for good: nobody adds to them any more."""
        self.flush()
        self._former.clear()

    # What is asked of them.

    @property
    def sinks(self) -> list[HttpSink]:
        """Those at work, in the order of the settings; not those that are gone and about to end."""
        names = [name for name in self._plan.sinks if name in self._deliveries]
        return [self._deliveries[name].sink for name in names]

    def waiting(self) -> int:
        """Return how many copies wait for sinks that are configured."""
        return sum(self._spool.backlog(name).events for name in self._plan.sinks)

    # The end.

    def hurry(self) -> None:
        """Make the most of the time before a stop: wait less for sinks that fail."""
        for delivery in self._deliveries.values():
            delivery.sink.hurry()

    async def stop(self) -> None:
        """End all deliveries at once; what was not answered stays in the spool."""
        self._is_stopping = True
        for delivery in self._deliveries.values():
            delivery.task.cancel()
        async with self._settling:
            await asyncio.gather(*(delivery.ended() for delivery in self._deliveries.values()))


def _planned(sink: SinkSettings, intakes: Iterable[IntakeSettings]) -> SinkPlan:
    form = format_of(sink, intakes)
    # Before they are used: should one be replaced meanwhile, the next plan finds it changed.
    certificates = _digest(sink.tls)
    return SinkPlan(sink, form, request_headers(sink, form), client_context(sink.tls), certificates)


def _without_access(sink: SinkSettings, intakes: Iterable[IntakeSettings]) -> SinkPlan:
    """Return a plan for a sink that others post to: what its events look like."""
    return SinkPlan(sink, format_of(sink, intakes), {}, tls=False, certificates=b"")


def _digest(tls: SinkTls | None) -> bytes:
    """Return a digest of the files that TLS is to use; raises TlsError."""
    digest = blake2b()
    if tls is not None:
        for setting in ("ca_file", "cert_file", "key_file"):
            content = _content(setting, getattr(tls, setting))
            digest.update(b"%d:%b" % (len(content), content))
    return digest.digest()


def _content(setting: str, path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return read_beginning(path, MAX_PEM_OCTETS)
    except FileError as error:
        raise TlsError(setting, path, error.reason) from error


def _at_work(settings: SinkSettings) -> SinkSettings:
    """Return settings without what concerns its batches before they are in the spool alone."""
    return settings.model_copy(update={"spool": ShareSettings(), "only": ()})


def _session(plan: SinkPlan) -> aiohttp.ClientSession:
    proxy = plan.settings.proxy
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=plan.settings.timeout),
        connector=aiohttp.TCPConnector(limit=plan.settings.concurrency, ssl=plan.tls),
        proxy=None if proxy is None else proxy.get_secret_value(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
