"""Which intake a message belongs to.

A non-empty key in the structured data alone decides, whatever the listener is bound to. Without a
key it is the intake bound to the listener, else the one whose `sources` hold the peer's address.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.pipeline import Intake

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def peer_address(text: str) -> Address:
    """Return the address of a peer as the kernel gives it, `::ffff:192.0.2.1` as IPv4."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def within(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether one of the networks holds the address."""
    return any(address in network for network in networks)


@dataclass(slots=True)
class KeySlot:
    """The place of one key among those of its intake.

    Attributes:
        intake: whose key it is.
        slot: its position in the intake's list of keys; the first is 0.
        last_used: when it last came with a message, in seconds since 1970; None if never yet.
    """

    intake: Intake
    slot: int = 0
    last_used: float | None = None


class Router:
    """Finds intakes by key, listener and peer.

    Keys are secrets. How long it takes to look one up in `by_key` depends on what was sent and not
    on how much of it agrees with a key: strings are hashed first, by SipHash under a secret of this
    process, and compared only with a key whose hash is equal in all 64 bits.

    Args:
        intakes: all of them.
        keys: the slot of each key.
        bound: intakes by the name of the listener that is bound to them.
        sources: networks and the intake their messages belong to; the first that fits counts.
    """

    def __init__(
        self,
        intakes: Iterable[Intake],
        keys: Mapping[str, KeySlot],
        bound: Mapping[str, Intake],
        sources: Sequence[tuple[Network, Intake]],
    ) -> None:
        self.by_name = {intake.name: intake for intake in intakes}
        self.by_key = dict(keys)
        self._bound = dict(bound)
        self._sources = tuple(sources)

    def take_over(self, former: Router) -> None:
        """Let each key that was known before keep when it was last used."""
        for key in self.by_key.keys() & former.by_key.keys():
            self.by_key[key].last_used = former.by_key[key].last_used

    def without_key(self, listener: str, peer: Address | None) -> Intake | None:
        """Return the intake of a message that carries no key, or None to refuse it.

        Args:
            listener: name of the listener.
            peer: the sender's address; None where there is none.
        """
        bound = self._bound.get(listener)
        if bound is not None or peer is None:
            return bound
        return next((intake for network, intake in self._sources if peer in network), None)
