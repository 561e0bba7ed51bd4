"""What settings decide of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collector.events.envelope import Receipt
from collector.parsers.convert import utc_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from collector.routing import Router
    from collector.syslog.message import KeyName


@dataclass(frozen=True, slots=True)
class Rules:
    """What settings decide of a pipeline: a reload may change it.

    Attributes:
        router: finds the intake of a message.
        key_name: where in the structured data the intake key stands.
        identify_by_content: whether ids follow from what was sent.
        keep_unknown: whether messages of no intake are kept as dead letters.
        zones: the zone of header times that name none, by listener; UTC for those not there.
    """

    router: Router
    key_name: KeyName
    identify_by_content: bool = False
    keep_unknown: bool = True
    zones: Mapping[str, tzinfo] = field(default_factory=dict)

    def receipt(self, received: float, listener: str, peer: str) -> Receipt:
        """Return how messages came.

        Args:
            received: when, in seconds since 1970.
            listener: name of the listener.
            peer: the sender's address as text; empty if it has none.
        """
        moment = datetime.fromtimestamp(received, UTC)
        zone = self.zones.get(listener, UTC)
        return Receipt(moment, utc_text(moment), zone, peer, listener)
