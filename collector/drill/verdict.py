"""What a drill showed: what became of each message, held against the daemon's own accounts.

What was sent and what arrived is counted by the drill itself. The daemon's ledger is asked only for
what its settings took out on the way, and for what it still holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from collector.spool import EVICTED, EXPIRED, PURGED, SPOOL_FULL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.drill.settings import Transport

Ledger = dict[str, Any]
"""Accounts as `/api/status` has them."""

# Drops for which there would be no reason without an outage; filters and the like have theirs.
OUTAGE_DROPS = frozenset({SPOOL_FULL, EVICTED, EXPIRED, PURGED, "shutdown"})

# Reasons for which the ledger counts a copy for one sink. Dead letters of other reasons, what is
# rejected and what is over max_rate are messages that no copy was made of.
_COPY_DROPS = ("filter:", "only:", *OUTAGE_DROPS)
_COPY_LETTERS = ("refused", "gave_up", "buried", "stream_refused", "too_large_for_stream")


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen in a drill.

    Attributes:
        transport: how messages were sent.
        sent: messages.
        copies: what these are in copies, one for each sink of a message.
        delivered: copies that arrived, each counted once.
        duplicated: copies that arrived beyond that.
        most_waiting: the most copies that were seen to wait.
        spool_was_full: whether the daemon was seen not to read because its spool was full.
        first_acceptance_seconds: from the end of the fault to the first acceptance; None if none.
        backlog_gone_seconds: from the end of the fault until what was sent before it had arrived;
            None if there was nothing.
        killed: whether the daemon was killed on the way.
        spool_type: what held the events.
    """

    transport: Transport
    sent: int
    copies: int
    delivered: int
    duplicated: int
    most_waiting: int
    spool_was_full: bool
    first_acceptance_seconds: float | None
    backlog_gone_seconds: float | None
    killed: bool
    spool_type: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of what was sent.

    Attributes:
        facts: what was seen.
        received: messages that the daemon has in its ledger; after a kill, less the copies that it
            had not committed.
        taken_out: messages and copies that settings took out, outage or not, and dead letters; by
            account and reason.
        given_up: copies that settings gave up because of the outage, by reason.
        waiting: copies that still waited when the patience was over.
        never_received: messages that are not in the ledger; after a kill, and copies of others.
        vanished: copies of received messages that are nowhere.
    """

    facts: Facts
    received: int
    taken_out: Mapping[str, int]
    given_up: Mapping[str, int]
    waiting: int
    never_received: int
    vanished: int

    @property
    def lost(self) -> int:
        """How many messages, or copies of received ones, did not arrive and never will."""
        return self.never_received + self.vanished + sum(self.given_up.values())

    @property
    def passed(self) -> bool:
        """Whether everything arrived that the daemon answers for.

        One that is killed answers for what it has committed, not for what was on its way.
        """
        excused = self.never_received if self.facts.killed else 0
        return self.lost == excused and self.waiting == 0

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for other programs."""
        return {
            "passed": self.passed,
            **asdict(self.facts),
            "lost": self.lost,
            **{name: value for name, value in asdict(self).items() if name != "facts"},
            "explanations": list(explanations(self)),
        }


def judge(facts: Facts, ledger: Ledger, before_kill: Ledger | None = None) -> Verdict:
    """Find out what became of what was sent.

    Args:
        facts: what was seen.
        ledger: the daemon's accounts at the end.
        before_kill: those of its life before the kill, where they ended with it.
    """
    lives = [ledger] if before_kill is None else [before_kill, ledger]
    reasons = sum(map(_by_reason, lives), Counter[str]())
    given_up = {name: count for name, count in reasons.items() if _is_outage_drop(name)}
    taken_out = {name: count for name, count in reasons.items() if name not in given_up}
    received = sum(life["received"] for life in lives)
    waiting = ledger["in_memory"] + ledger["spooled"]
    if received == facts.sent and all(map(_is_of_copies, reasons)):
        expected = facts.copies
    else:  # which messages are missing is not known, nor how many copies there would be of them
        expected = received + sum(life["copies"] for life in lives)
    return Verdict(
        facts=facts,
        received=received,
        taken_out=taken_out,
        given_up=given_up,
        waiting=waiting,
        never_received=max(0, facts.sent - received),
        vanished=max(0, expected - reasons.total() - waiting - facts.delivered),
    )


def explanations(verdict: Verdict) -> Iterator[str]:
    """Say in sentences what the numbers of a verdict mean."""
    facts = verdict.facts
    if facts.killed and facts.spool_type == "memory":
        yield "spool.type memory keeps nothing when the daemon is killed; sqlite does"
    if verdict.never_received:
        what = "messages" if facts.copies == facts.sent else "messages, or copies of some,"
        yield f"{verdict.never_received} {what} {_way_of_loss(facts)}"
    if facts.spool_was_full:
        yield "the spool was full: senders had to wait, which over UDP means loss"
    for account, count in verdict.given_up.items():
        yield f"{count} copies were given up ({account}), as the settings have it"
    if verdict.vanished:
        yield f"{verdict.vanished} copies of received messages are nowhere"
    if verdict.waiting:
        yield f"{verdict.waiting} copies still waited when the patience was over"
    if facts.duplicated:
        yield (
            "duplicates are batches that the sink took without the daemon coming to know; "
            "each event has the same event.id every time"
        )


def _way_of_loss(facts: Facts) -> str:
    if facts.transport == "udp":
        return "never reached the daemon: UDP tells no sender"
    if facts.killed:
        return (
            "were sent but not read, or not committed yet, when the daemon was killed: "
            "TCP does not tell the sender, only RELP could"
        )
    return "were sent and never read"


def _by_reason(ledger: Ledger) -> Counter[str]:
    """Return what was neither delivered nor waits, by account and reason."""
    return Counter(
        {
            f"{account}: {reason}": count
            for account in ("rejected", "dropped", "dead_lettered")
            for reason, count in ledger[account].items()
            if count
        }
    )


def _is_outage_drop(name: str) -> bool:
    account, _, reason = name.partition(": ")
    return account == "dropped" and reason in OUTAGE_DROPS


def _is_of_copies(name: str) -> bool:
    account, _, reason = name.partition(": ")
    return (account == "dropped" and reason.startswith(_COPY_DROPS)) or (
        account == "dead_lettered" and reason in _COPY_LETTERS
    )
