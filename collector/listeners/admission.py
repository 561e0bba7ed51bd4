"""Who may connect, and how many connections there may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from collector.listeners.reasons import MAX_CONNECTIONS_PER_SOURCE, SOURCE_NOT_ALLOWED
from collector.routing import within

if TYPE_CHECKING:
    from collector.config import ListenerSettings
    from collector.routing import Address


def may_send(settings: ListenerSettings, peer: Address | None) -> bool:
    """Say whether a listener lets a sender send; one without an address is on this machine."""
    networks = settings.allowed_sources
    return not networks or peer is None or within(peer, networks)


class Admission:
    """Keeps count of the connections of one listener, in all and per source.

    Args:
        settings: the listener's settings; may be replaced.
    """

    def __init__(self, settings: ListenerSettings) -> None:
        self.settings = settings
        self.connections = 0
        self._per_source: Counter[Address] = Counter()

    def allows(self, peer: Address | None) -> bool:
        """Say whether a sender may send at all; one without an address is on this machine."""
        return may_send(self.settings, peer)

    def is_full(self) -> bool:
        """Say whether there may be no more connections."""
        return self.connections >= self.settings.max_connections

    def refusal(self, peer: Address | None) -> str | None:
        """Say why another connection of a source may not enter; None if it may."""
        if not self.allows(peer):
            return SOURCE_NOT_ALLOWED
        if peer is None:
            return None
        is_many = self._per_source.get(peer, 0) >= self.settings.max_connections_per_source
        return MAX_CONNECTIONS_PER_SOURCE if is_many else None

    def enter(self, peer: Address | None) -> str | None:
        """Count a connection in under its source; or say why it may not enter."""
        refusal = self.refusal(peer)
        if refusal is None and peer is not None:
            self._per_source[peer] += 1
        return refusal

    def leave(self, peer: Address | None) -> None:
        """Count a connection that had entered out."""
        if peer is None:
            return
        self._per_source[peer] -= 1
        if not self._per_source[peer]:
            del self._per_source[peer]
