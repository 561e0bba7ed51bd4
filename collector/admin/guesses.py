"""Wrong tokens: how many of one sender are taken for mistakes, before it is told to wait.

A few at once, as somebody mistypes, then one every few seconds. The same wrong token again is no
other guess: a program that goes on with a former token costs its neighbours nothing.

This slows down programs that heed it, and no others. The right token passes at any time, since all
that come through one proxy have one address, and by that somebody who does not heed it can go on.
What makes guessing hopeless is the length of the token, which `collector doctor` looks at.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE: Final = 10
EACH_SECONDS: Final = 6.0
"""Until another is taken for a mistake."""

MAX_SENDERS: Final = 1024
"""Who has guessed wrong lately; beyond, the one is forgotten who did so longest ago."""

# Whoever has one address of a network of this length has all of them (RFC 4291, section 2.5.4).
_NETWORK_BITS: Final = 64


class Guesses:
    """Counts them.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By sender: when all of its guesses are made up for, and what it has shown last.
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def seconds_left(self, sender: str) -> int:
        """Return for how long wrong tokens of a sender are too many; 0 if they are not.

        Args:
            sender: its address; empty if it has none.
        """
        paid, _ = self._known.get(_place(sender), (0.0, 0))
        return max(0, math.ceil(paid - self._clock() - (AT_ONCE - 1) * EACH_SECONDS))

    def note(self, sender: str, token: str) -> None:
        """Count a wrong token, unless it is the sender's last."""
        place, shown = _place(sender), hash(token)
        paid, last = self._known.pop(place, (0.0, None))
        if shown != last:
            paid = max(paid, self._clock()) + EACH_SECONDS
        self._known[place] = paid, shown
        if len(self._known) > MAX_SENDERS:
            self._known.popitem(last=False)


def _place(sender: str) -> str:
    """Return what stands for all addresses that one sender can have."""
    try:
        address = ip_address(sender.partition("%")[0])
    except ValueError:
        return sender
    if not isinstance(address, IPv6Address) or address.ipv4_mapped:
        return sender
    return str(ip_network((address, _NETWORK_BITS), strict=False))
