"""How much goes through per second, from two looks at a daemon's counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from collector.describe.accounts import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Status = dict[str, Any]
"""The body of `/api/status`."""


class Look(NamedTuple):
    """What a daemon said, and when it was asked.

    Attributes:
        status: the body of `/api/status`.
        at: seconds of a clock that only runs on.
    """

    status: Status
    at: float


class Throughput:
    """Rates between two looks at one daemon.

    A rate is not known before the second look, where the daemon was started anew in between, and
    where a counter is less than before, as that of a worker that was started anew.

    Args:
        now: the later look.
        before: the earlier one; None if there is none.
    """

    def __init__(self, now: Look, before: Look | None) -> None:
        is_same = before is not None and before.status.get("started") == now.status.get("started")
        self._now = now.status
        self._before = before.status if before is not None and is_same else None
        self._seconds = now.at - before.at if before is not None else 0.0

    def account(self, name: str) -> float | None:
        """Return the rate of one of `accounts`, all reasons together."""
        return self._rate(lambda status: total(accounts(status["ledger"])[name]))

    def listener(self, name: str) -> float | None:
        """Return the messages of a listener per second."""
        return self._rate(lambda status: _named(status["listeners"], name)["messages"])

    def intake(self, name: str) -> float | None:
        """Return the events of an intake per second, parsed or not."""
        return self._rate(lambda status: total(_named(status["intakes"], name)["events"]))

    def sink(self, name: str) -> float | None:
        """Return the events that a sink takes per second."""
        return self._rate(lambda status: _named(status["sinks"], name)["delivered"])

    def worker(self, number: int) -> float | None:
        """Return the messages of a worker per second."""
        return self._rate(lambda status: _worker(status, number)["ledger"]["received"])

    def _rate(self, counter: Callable[[Status], float]) -> float | None:
        if self._before is None or self._seconds <= 0:
            return None
        try:
            before = counter(self._before)
        except LookupError:  # it is new
            return None
        more = counter(self._now) - before
        return None if more < 0 else more / self._seconds


def total(account: float | Mapping[str, float]) -> float:
    """Return a number, or the sum of those that are there by reason."""
    return sum(account.values()) if not isinstance(account, (int, float)) else account


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise LookupError(name)


def _worker(status: Status, number: int) -> dict[str, Any]:
    for entry in status["workers"]:
        if entry["number"] == number and entry["ledger"]:
            return dict(entry)
    raise LookupError(number)
