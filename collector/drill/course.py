"""The course of a drill: load, a fault while the load goes on, recovery, verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from collector.drill import settings
from collector.drill.daemon import PrivateDaemon
from collector.drill.load import Load
from collector.drill.sink import Fault, PrivateSink
from collector.drill.verdict import Facts, Ledger, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.config import Config
    from collector.drill.settings import Transport

# How long the load runs before the fault, and after it.
LEAD_SECONDS = 3.0
TAIL_SECONDS = 2.0

POLL_SECONDS = 0.25

# Looks at the ledger that must agree before a drill is over: datagrams may still be on their way.
CALM_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen.

    Attributes:
        fault: how the sink fails.
        fault_seconds: for how long.
        rate: messages per second.
        transport: how they are sent.
        kill: whether the daemon is killed in the middle of the fault and started again.
        patience_seconds: how long to wait for everything to arrive.
    """

    fault: Fault
    fault_seconds: float
    rate: float
    transport: Transport
    kill: bool
    patience_seconds: float

    @property
    def load_seconds(self) -> float:
        """How long messages are sent."""
        return LEAD_SECONDS + self.fault_seconds + TAIL_SECONDS


class Glance(NamedTuple):
    """How a drill is going.

    Attributes:
        phase: what is happening.
        seconds: since the load began.
        sent: messages so far.
        delivered: copies that arrived.
        waiting: copies that wait; None where the daemon is away.
    """

    phase: str
    seconds: float
    sent: int
    delivered: int
    waiting: int | None


def run(
    file: Path | None,
    plan: Plan,
    *,
    watch: Callable[[Glance], None],
    note: Callable[[str], None],
) -> Verdict:
    """Run a drill, on an event loop of its own.

    Whatever ends it, its daemon is gone then and so are its files.

    Args:
        file: the user's settings; None for the embedded default.
        plan: what is to happen.
        watch: called several times a second.
        note: called with what the user should know beforehand.

    Raises:
        ConfigError: the settings cannot be used.
        DrillError: the private daemon does not start, or does not answer.
        KeyboardInterrupt: SIGINT or SIGTERM.
    """
    try:
        return asyncio.run(_run(file, plan, watch, note))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _run(
    file: Path | None, plan: Plan, watch: Callable[[Glance], None], note: Callable[[str], None]
) -> Verdict:
    drill = asyncio.current_task()
    if drill is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drill.cancel)
    tree, source = settings.read(file)
    with tempfile.TemporaryDirectory(prefix="collector-drill-") as name:
        directory = Path(name)
        async with PrivateSink() as sink:
            private = settings.private(tree, directory=directory, sink_url=sink.url)
            config = settings.checked(
                private, source=source, transport=plan.transport, environ=os.environ
            )
            for text in settings.notes(tree, config, directory):
                note(text)
            sink.stand_in(config)
            daemon_file = settings.write(private, directory)
            async with PrivateDaemon(daemon_file, len(config.listeners)) as daemon:
                # The next start, if there is one, is on the same ports.
                ports = [port for _, port in daemon.addresses.values()]
                settings.keep_ports(private, ports, daemon.admin.port)
                settings.write(private, directory)
                return await _Course(plan, config, sink, daemon, watch).run()


class _Course:
    """One drill, once everything it needs is there."""

    def __init__(
        self,
        plan: Plan,
        config: Config,
        sink: PrivateSink,
        daemon: PrivateDaemon,
        watch: Callable[[Glance], None],
    ) -> None:
        self._plan = plan
        self._config = config
        self._sink = sink
        self._daemon = daemon
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._load = Load(config, transport=plan.transport, rate=plan.rate)
        self._most_waiting = 0
        self._spool_was_full = False
        self._before_kill: Ledger | None = None

    async def run(self) -> Verdict:
        plan = self._plan
        listener = settings.target(self._config, plan.transport).name
        self._began = self._loop.time()
        self._sending = self._loop.create_task(self._load.run(self._daemon.addresses[listener]))
        try:
            await self._pass("before the fault", LEAD_SECONDS)
            await self._fail()
            self._fault_ended = self._loop.time()
            self._sink.arrivals.fault_ends(self._load.sent)
            await self._pass("after the fault", TAIL_SECONDS)
            self._load.stop()
            ledger = await self._settle()
        finally:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        return judge(self._facts(), ledger, self._before_kill)

    async def _fail(self) -> None:
        """Have the sink fail, and the daemon die in the middle of it if that is asked for."""
        plan = self._plan
        await self._sink.fail(plan.fault)
        if plan.kill:
            await self._pass("fault", plan.fault_seconds / 2)
            await self._kill()
            await self._pass("fault", plan.fault_seconds / 2)
        else:
            await self._pass("fault", plan.fault_seconds)
        await self._sink.recover()

    async def _kill(self) -> None:
        ledger = await self._look("kill")
        if self._config.spool.type == "memory":
            self._before_kill = ledger
        await self._daemon.kill()
        self._show("restart", None)
        await self._daemon.start()

    async def _pass(self, phase: str, seconds: float) -> None:
        """Let time pass and watch."""
        end = self._loop.time() + seconds
        while (rest := end - self._loop.time()) > 0:
            await self._look(phase)
            await asyncio.sleep(min(POLL_SECONDS, rest))

    async def _settle(self) -> Ledger:
        """Wait until everything has arrived, or the patience is over; return the ledger then."""
        end = self._loop.time() + self._plan.patience_seconds
        calm, seen = 0, None
        while True:
            ledger = await self._look("recovery")
            is_over = self._sending.done() and not _waiting(ledger) and ledger == seen
            calm, seen = calm + 1 if is_over else 0, ledger
            if calm == CALM_LOOKS or self._loop.time() >= end:
                return ledger
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, phase: str) -> Ledger:
        """Look at the ledger and tell how things are going."""
        if self._sending.done():
            self._sending.result()  # an error of the sender ends the drill
        status = await self._daemon.status()
        ledger: Ledger = status["ledger"]
        waiting = _waiting(ledger)
        self._spool_was_full |= status["spool"]["full"]
        self._most_waiting = max(self._most_waiting, waiting)
        self._show(phase, waiting)
        return ledger

    def _show(self, phase: str, waiting: int | None) -> None:
        arrived = self._sink.arrivals.delivered
        seconds = self._loop.time() - self._began
        self._watch(Glance(phase, seconds, self._load.sent, arrived, waiting))

    def _facts(self) -> Facts:
        arrivals = self._sink.arrivals
        return Facts(
            transport=self._plan.transport,
            sent=self._load.sent,
            copies=self._load.copies,
            delivered=arrivals.delivered,
            duplicated=arrivals.duplicated,
            most_waiting=self._most_waiting,
            spool_was_full=self._spool_was_full,
            first_acceptance_seconds=self._since_fault(arrivals.recovered_at),
            backlog_gone_seconds=self._since_fault(arrivals.caught_up_at),
            killed=self._plan.kill,
            spool_type=self._config.spool.type,
        )

    def _since_fault(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self._fault_ended, 3)


def _waiting(ledger: Ledger) -> int:
    waiting: int = ledger["in_memory"] + ledger["spooled"]
    return waiting
