"""Messages that go no further: which account they go to, what is kept of them, who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.sightings import LOCAL
from collector.spool import Letter
from collector.syslog.framing import CutFrame

if TYPE_CHECKING:
    from collector.events.envelope import Arrival, Receipt
    from collector.logs import Reports
    from collector.metrics import Stats
    from collector.parsers import ParseError
    from collector.pipeline.intake import Intake, Outlet
    from collector.pipeline.origin import Origin
    from collector.spool import Spool
    from collector.tail import Outcome, Tail

UNKNOWN_INTAKE: Final = "unknown_intake"
MAX_RATE: Final = "max_rate"

_KEPT: Final = "message kept as a dead letter"
_REJECTED: Final = "message rejected"
_DROPPED: Final = "message dropped"


class Aside:
    """Accounts for messages that go no further, and keeps those that are to be kept.

    Args:
        stats: counters and accounts.
        spool: keeps dead letters.
        reports: tell the operator.
        tail: is shown what is dealt with.
    """

    def __init__(self, stats: Stats, spool: Spool, reports: Reports, tail: Tail) -> None:
        self._tail = tail
        self._stats = stats
        self._ledger = stats.ledger
        self._spool = spool
        self._reports = reports

    def unknown(self, arrival: Arrival, origin: Origin, *, has_key: bool, keep: bool) -> None:
        """Keep or reject a message that belongs to no intake."""
        if has_key:
            problem = "the intake key is not configured"
        else:
            problem = "no intake key, and neither the listener nor the sender belongs to an intake"
        if keep:
            self._set_aside(UNKNOWN_INTAKE, problem, arrival)
        else:
            self._count_rejected(origin, UNKNOWN_INTAKE, 1)
        self._tail.show("dead_letter" if keep else "rejected", arrival, problem=problem)
        self._tell(_KEPT if keep else _REJECTED, UNKNOWN_INTAKE, problem, arrival.receipt)

    def excess(self, intake: Intake, arrival: Arrival) -> None:
        """Keep or drop a message beyond the rate of its intake."""
        problem = f"intake {intake.name!r} takes no more than its max_rate"
        if intake.keep_excess:
            self._set_aside(MAX_RATE, problem, arrival, intake.name)
        else:
            self._ledger.dropped[MAX_RATE] += 1
        outcome: Outcome = "dead_letter" if intake.keep_excess else "dropped"
        self._tail.show(outcome, arrival, intake.name, problem=problem)
        self._tell(_KEPT if intake.keep_excess else _DROPPED, MAX_RATE, problem, arrival.receipt)

    def unparsed(self, intake: Intake, arrival: Arrival, failure: ParseError) -> None:
        """Keep a message that cannot be parsed; who counted it has told of it."""
        self._set_aside("parse_error", str(failure), arrival, intake.name)
        self._tail.show("dead_letter", arrival, intake.name, problem=failure.problem)

    def unmade(self, outlet: Outlet, arrival: Arrival) -> None:
        """Keep a copy for a sink whose document could not be made; the log has it already."""
        problem = "the sink's format failed; the log has the details"
        self._set_aside("internal", problem, arrival, outlet.intake, outlet.batcher.sink)
        told = f"sink {outlet.batcher.sink!r}: {problem}"
        self._tail.show("dead_letter", arrival, outlet.intake, problem=told)

    def incomplete(self, arrival: Arrival) -> None:
        """Keep what came of a message whose sender left before its end."""
        problem = "the connection ended within the message"
        self._set_aside("incomplete_frame", problem, arrival)
        self._tail.show("dead_letter", arrival, problem=problem)
        self._tell(_KEPT, "incomplete_frame", problem, arrival.receipt)

    def rejected(self, origin: Origin, reason: str, count: int) -> None:
        """Account for messages that are not even read.

        Args:
            origin: who sent them.
            reason: why, one of a few words of the code.
            count: how many they are.
        """
        self._count_rejected(origin, reason, count)
        self._reports.warning(
            f"{reason} {origin.listener.name}",
            _REJECTED,
            reason=reason,
            listener=origin.listener.name,
            peer=origin.peer or LOCAL,
        )

    def _count_rejected(self, origin: Origin, reason: str, count: int) -> None:
        self._ledger.rejected[reason] += count
        origin.listener.rejected[reason] += count

    def _set_aside(
        self, reason: str, problem: str, arrival: Arrival, intake: str = "", sink: str = ""
    ) -> None:
        """Keep a message as a dead letter, as it came."""
        frame, receipt = arrival.frame, arrival.receipt
        self._ledger.in_memory += 1
        self._stats.dead_lettered[intake, reason] += 1
        self._spool.set_aside(
            Letter(
                reason=reason,
                problem=problem,
                identifier=arrival.identifier,
                intake=intake,
                sink=sink,
                listener=receipt.listener,
                peer=receipt.peer,
                received=receipt.moment.timestamp(),
                raw=bytes(frame),
                is_frame=True,
                is_cut=frame.__class__ is CutFrame,
            )
        )

    def _tell(self, event: str, reason: str, problem: str, receipt: Receipt) -> None:
        """Log what became of a message."""
        self._reports.warning(
            f"{reason} {problem} {receipt.listener}",
            event,
            reason=reason,
            problem=problem,
            listener=receipt.listener,
            peer=receipt.peer or LOCAL,
        )
