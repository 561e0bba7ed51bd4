"""Where every copy of every message is: the accounts that must balance.

The unit is a copy, one message for one sink. In one process, at any moment between two callbacks
of the event loop:

    received + copies + taken_over
        = rejected + in_memory + spooled + delivered + dead_lettered + dropped + handed_over

Where several daemons share a stream, what is in it is in nobody's account: who puts a copy into it
has handed it over, who is done with one has taken it over. Added up over all members, what was
handed over less what was taken over is what the streams hold less what came twice: what two members
delivered, both have taken over. A member that is killed forgets what it counted since its accounts
were written last, a second before at most.

The accounts are kept by the rooms that move copies, each by its own increments; none is computed
from the others, so that `Ledger.imbalance` can find a mistake.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Ledger:
    """The accounts of one process, in copies.

    Attributes:
        received: messages received, each counted once however many sinks it goes to.
        copies: copies beyond a message's first.
        rejected: copies not kept, by reason; a setting asked for it.
        in_memory: copies between a listener and the spool.
        spooled: copies the spool holds, those in flight to a sink included.
        delivered: copies a sink has accepted.
        dead_lettered: copies kept aside, by reason.
        dropped: copies accepted and then given up, by reason.
        handed_over: copies put into a stream, for whichever member takes them.
        taken_over: copies taken from a stream, whichever member put them there.
    """

    received: int = 0
    copies: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    in_memory: int = 0
    spooled: int = 0
    delivered: int = 0
    dead_lettered: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    handed_over: int = 0
    taken_over: int = 0

    def imbalance(self) -> int:
        """Return what came in less all accounts of where it is: 0, or there is a mistake."""
        accounted = (
            self.rejected.total()
            + self.in_memory
            + self.spooled
            + self.delivered
            + self.dead_lettered.total()
            + self.dropped.total()
            + self.handed_over
        )
        return self.received + self.copies + self.taken_over - accounted

    def as_dict(self) -> dict[str, Any]:
        """Return the accounts in the form of `/api/status`."""
        return {
            "received": self.received,
            "copies": self.copies,
            "rejected": dict(self.rejected),
            "in_memory": self.in_memory,
            "spooled": self.spooled,
            "delivered": self.delivered,
            "dead_lettered": dict(self.dead_lettered),
            "dropped": dict(self.dropped),
            "handed_over": self.handed_over,
            "taken_over": self.taken_over,
        }

    def stored(self, in_memory: int) -> dict[str, Any]:
        """Return what a spool keeps of the accounts.

        What is counted from its rows is left out, and so is what the process would take with it.

        Args:
            in_memory: copies that are in memory alone.
        """
        return {
            "received": self.received - in_memory,
            "copies": self.copies,
            "rejected": dict(self.rejected),
            "delivered": self.delivered,
            "dropped": dict(self.dropped),
            "handed_over": self.handed_over,
            "taken_over": self.taken_over,
            "in_memory": in_memory,
        }

    def restore(self, accounts: Mapping[str, Any]) -> None:
        """Go on from accounts as `stored` made them; those may be empty."""
        self.received += accounts.get("received", 0)
        self.copies += accounts.get("copies", 0)
        self.delivered += accounts.get("delivered", 0)
        self.rejected.update(accounts.get("rejected", {}))
        self.dropped.update(accounts.get("dropped", {}))
        self.handed_over += accounts.get("handed_over", 0)
        self.taken_over += accounts.get("taken_over", 0)
