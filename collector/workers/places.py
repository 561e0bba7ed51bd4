"""Places of listeners, as messages between the supervisor and a worker hold them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from collector.listeners.opening import Place

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_json(place: Place) -> list[int | str]:
    """Return a place as a message holds it."""
    return [int(place.kind), place.where, place.name]


def read_place(found: Sequence[Any]) -> Place:
    """Return the place that a message holds."""
    kind, where, name = found
    return Place(socket.SocketKind(kind), where, name)
