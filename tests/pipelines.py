"""A pipeline with all that it hands to standing in for the real ones."""

import json
from dataclasses import replace
from datetime import timedelta, timezone
from ipaddress import ip_network

from collector.backpressure import Gate
from collector.events.envelope import finisher
from collector.identity import IdSource
from collector.ledger import Ledger
from collector.metrics import IntakeStats, ListenerStats, Stats
from collector.parsers import ParseError
from collector.pipeline import Intake, Origin, Outlet, Pipeline, Rules
from collector.routing import KeySlot, Router
from collector.syslog.message import KeyName
from collector.tail import Tail, Wanted
from collector.tail import Watch as Following

FINISH = finisher()
NOW = 1_767_323_045_678_901_234  # nanoseconds: 2026-01-02T03:04:05.678901Z


class Batcher:
    """Takes documents and accounts for them as one that never closes."""

    def __init__(self, sink, ledger):
        self.sink = sink
        self.gate = Gate()
        self.ledger = ledger
        self.events = []
        self.arrivals = []

    def add(self, document, arrival, intake):
        self.ledger.in_memory += 1
        self.events.append(json.loads(document))
        self.arrivals.append((arrival, intake))


class Spool:
    """Keeps dead letters for ever."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.letters = []

    def set_aside(self, letter):
        self.ledger.in_memory -= 1
        self.ledger.dead_lettered[letter.reason] += 1
        self.letters.append(letter)


def parse(text):
    """A parser that knows a few words."""
    if text == "bad":
        raise ParseError("not_good", "it is not good")
    if text == "bug":
        raise KeyError(text)
    event = {"message": text, "event": {"kind": "event"}}
    if text == "dated":
        event["@timestamp"] = "2020-01-01T00:00:00.000000Z"
    if text == "damaged":
        event["tags"] = ["repaired:bom", "truncated"]
    return event


class Watch:
    """Looks at a message once it is due, and then at none for so many nanoseconds."""

    def __init__(self, pause=1):
        self.due = NOW
        self.pause = pause
        self.seen = []

    def examine(self, text, nanoseconds):
        self.seen.append(text)
        self.due = nanoseconds + self.pause


class Room:
    """A pipeline with two intakes, the second of which goes to two sinks.

    Args:
        settings: of the pipeline's rules; `finish`, `select` and `document_of` are of the second
            intake.
        one: changes of the first intake.
    """

    def __init__(self, *, finish=FINISH, select=None, document_of=None, one=None, **settings):
        self.stats = Stats(Ledger())
        self.ledger = self.stats.ledger
        self.spool = Spool(self.ledger)
        self.first, self.second = Batcher("first", self.ledger), Batcher("second", self.ledger)
        single = (Outlet("one", self.first),)
        self.both = (Outlet("two", self.first), Outlet("two", self.second, document_of))
        self.one = replace(
            Intake("one", parse, single, IntakeStats("one"), Watch(), FINISH, None), **(one or {})
        )
        self.two = Intake("two", parse, self.both, IntakeStats("two"), Watch(), finish, select)
        self.listener = ListenerStats("l")
        self.now = NOW
        self.tail = Tail()
        self.slots = {"k1": KeySlot(self.one), "k2": KeySlot(self.two)}
        self.pipeline = Pipeline(
            self.rules(self.slots, zones={"l": timezone(timedelta(hours=2))}, **settings),
            IdSource(5),
            self.stats,
            self.spool,
            self.tail,
            clock=lambda: self.now,
        )

    def rules(self, slots, **settings):
        """Return rules by which these keys are known."""
        router = Router(
            [self.one, self.two],
            keys=slots,
            bound={"bound": self.two},
            sources=[(ip_network("10.0.0.0/8"), self.one)],
        )
        return Rules(router, KeyName("SEKOIA@53288", "intake_key"), **settings)

    def watch(self):
        """Have somebody watch all messages from now on."""
        self.tail.watches = (Following(Wanted()),)

    async def shown(self):
        """Return what is shown of messages: outcome, intake and problem of each."""
        held, skipped = await self.tail.watches[0].take()
        assert skipped == 0
        return [(dealt.outcome, dealt.intake, dealt.problem) for dealt in held]

    def feed(self, *frames, without_key=None, peer="192.0.2.1", rejected=None):
        origin = self.origin(without_key, peer)
        self.closed = self.pipeline.feed(list(frames), origin, rejected)
        assert self.ledger.imbalance() == 0
        return self.first.events

    def origin(self, without_key=None, peer="192.0.2.1"):
        return Origin(self.listener, peer, without_key)

    def replay(self, letter):
        """Replay a letter that the ledger knows of; say whether that worked."""
        worked = self.pipeline.replay(letter)
        assert self.ledger.imbalance() == 0
        return worked


def keyed(key, text):
    return f'<13>1 - - - - - [SEKOIA@53288 intake_key="{key}"] {text}'.encode()
