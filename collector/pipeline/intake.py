"""Intakes: kinds of messages, and where what becomes of them goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.batching import Batcher
    from collector.drift import DriftWatch
    from collector.events.envelope import Arrival, Finish
    from collector.events.filters import Select
    from collector.events.translation import Translator
    from collector.metrics import IntakeStats
    from collector.parsers import Event, Parser
    from collector.ratelimit import Limit
    from collector.sinks.formats import DocumentOf


@dataclass(frozen=True, slots=True)
class Outlet:
    """One intake's way to one sink.

    Attributes:
        intake: name of the intake.
        batcher: gathers the documents of the sink.
        document_of: makes them; None if they are the events' JSON.
    """

    intake: str
    batcher: Batcher
    document_of: DocumentOf | None = None

    def document(self, event: Event, encoded: bytes, text: str, arrival: Arrival) -> bytes:
        """Return what the sink gets of an event, whose JSON is `encoded`."""
        make = self.document_of
        return encoded if make is None else make(event, encoded, text, arrival)


@dataclass(frozen=True, slots=True)
class Intake:
    """A kind of messages: how they are parsed and where their events go.

    Attributes:
        name: in logs and metrics.
        parse: makes an event of a text.
        outlets: one for each sink of the intake.
        stats: counters of the intake.
        watch: looks for what is new in a sample of the messages.
        finish: completes an event.
        select: takes those of `outlets` that get an event; None for all of them.
        limit: bounds how many messages it takes; None for any number.
        keep_excess: whether what is beyond the limit is kept as dead letters.
        keep_unparsed: whether what cannot be parsed is kept as dead letters.
        translator: makes the events of messages of known shapes; None where there is none.
    """

    name: str
    parse: Parser
    outlets: tuple[Outlet, ...]
    stats: IntakeStats
    watch: DriftWatch
    finish: Finish
    select: Select[Outlet] | None
    limit: Limit | None = None
    keep_excess: bool = False
    keep_unparsed: bool = False
    translator: Translator | None = None

    @property
    def takes_runs(self) -> bool:
        """Whether nothing is to be decided for each message once it is translated."""
        return (
            self.translator is not None
            and self.translator.takes_runs
            and self.select is None
            and self.limit is None
            and all(outlet.document_of is None for outlet in self.outlets)
        )
