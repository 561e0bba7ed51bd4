"""Where frames come from, and what those of one read have in common."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collector.backpressure import Gate
    from collector.events.envelope import Receipt
    from collector.events.translation import Translator
    from collector.metrics import ListenerStats
    from collector.pipeline.intake import Intake
    from collector.routing import KeySlot
    from collector.sightings import Sightings

KNOWN_HEADERS: Final = 4
"""The headers that are remembered of an origin: it may send on behalf of several intakes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a message said, for those whose headers end with the same octets.

    Attributes:
        tail: these octets.
        intake: whose messages they are; one that `takes_runs`.
        translator: that of the intake.
        slot: the place of the key among those of the intake; None for messages without a key.
    """

    tail: bytes
    intake: Intake
    translator: Translator
    slot: KeySlot | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where frames come from: one per connection, or per peer of a datagram listener.

    Attributes:
        listener: counters of the listener.
        peer: the sender's address as text; empty if it has none, behind a Unix socket.
        without_key: intake of messages that carry no key; None refuses them.
        headers: what the headers of its last messages said.
    """

    listener: ListenerStats
    peer: str
    without_key: Intake | None
    headers: deque[Header] = field(
        default_factory=lambda: deque(maxlen=KNOWN_HEADERS), compare=False
    )


@dataclass(slots=True)
class Reading:
    """What the messages of one read have in common.

    Attributes:
        origin: who sent them.
        receipt: how they came.
        nanoseconds: when, since 1970.
        closed: the gates of full sinks that they went to.
    """

    origin: Origin
    receipt: Receipt
    nanoseconds: int
    closed: set[Gate] = field(default_factory=set)
    _last_seen: Intake | None = None

    @property
    def received(self) -> float:
        """When they came, in seconds since 1970."""
        return self.nanoseconds / 1e9

    def see(self, intake: Intake, sightings: Sightings) -> None:
        """Note that an intake has heard of the sender: once a read in most cases."""
        if intake is not self._last_seen:
            sightings.saw(intake.name, self.origin.peer, self.received)
            self._last_seen = intake
