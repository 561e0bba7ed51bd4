"""Which batches go out as one: small ones that wait one behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from collector.sinks.encoders import DAMAGE
from collector.sinks.formats import stored
from collector.spool.entries import first_intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.spool import Batch

MAX_JOINED: Final = 200
"""Batches that are joined at once: some milliseconds of work."""


class Limits(NamedTuple):
    """How large a batch may become.

    Attributes:
        events: how many it may hold.
        octets: of its body before compression.
        size: octets that the batches it is made of may take in the spool.
    """

    events: int
    octets: int
    size: float = float("inf")


def gather(
    first: Batch, take_if: Callable[[Callable[[Batch], bool]], Batch | None], limits: Limits
) -> list[Batch]:
    """Return a batch with those behind it that can be joined with it, in order.

    Args:
        first: the batch.
        take_if: returns the next batch if there is one and it fits, as `Spool.take_if` does.
        limits: how large they may be together.
    """
    gathered = _Gathered([first], limits, first.events, first.octets, first.size)
    while len(gathered.batches) < MAX_JOINED:
        another = take_if(gathered.admits)
        if another is None:
            break
        gathered.add(another)
    return gathered.batches


@dataclass(slots=True)
class _Gathered:
    """Batches that can be joined, and how large they are together."""

    batches: list[Batch]
    limits: Limits
    events: int
    octets: int
    size: int

    def admits(self, another: Batch) -> bool:
        """Say whether a batch can be joined with these, and stands behind them."""
        first, last, limits = self.batches[0], self.batches[-1], self.limits
        return (
            (first.form, first.codec) == (another.form, another.codec)
            and first.refused_at is None
            and another.refused_at is None
            and last.standing < another.standing
            and self.events + another.events <= limits.events
            and self.octets + another.octets <= limits.octets
            and self.size + another.size <= limits.size
            and _can_share(first, another)
        )

    def add(self, another: Batch) -> None:
        self.batches.append(another)
        self.events += another.events
        self.octets += another.octets
        self.size += another.size


def _can_share(first: Batch, another: Batch) -> bool:
    """Say whether a request can hold two batches of one form: some forms name the intake in it."""
    try:
        kind, _ = stored(first.form)
        return not kind.per_intake or first_intake(first.entries) == first_intake(another.entries)
    except DAMAGE:  # each by itself shows what is wrong with it
        return False
