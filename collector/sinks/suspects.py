"""Batches of which a sink has refused every event: are they to blame, or does it refuse all?

Only another event can tell. A suspect is asked again when the sink has accepted one since; refused
again, it is guilty.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.spool import Batch

# What suspects may take in all. They are single events where the sink answers for a whole request,
# so that these are thousands; beyond them, the batch that is refused is tried again as it is.
MAX_OCTETS = 2 * 1024 * 1024


class Suspects:
    """The suspects of one sink, in order of arrival.

    Time is counted in acceptances: requests of which the sink has accepted an event.
    """

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._octets = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def full(self) -> bool:
        """Whether there is no room for more."""
        return self._octets >= MAX_OCTETS

    def add(self, batch: Batch) -> None:
        """Take in a batch whose `refused_at` says since when it is suspect."""
        insort(self._batches, batch, key=attrgetter("standing"))
        self._octets += batch.size

    def stand(self, accepted: int) -> bool:
        """Say whether there is one that was refused after the newest of so many acceptances."""
        return any(batch.refused_at == accepted for batch in self._batches)

    def pop_oldest(self) -> Batch:
        """Take out the first to have arrived."""
        return self._pop(0)

    def pop_next(self) -> Batch:
        """Take out the one whose turn it is, so that with time every one has its turn."""
        self._turn = (self._turn + 1) % len(self._batches)
        return self._pop(self._turn)

    def pop_decidable(self, accepted: int) -> list[Batch]:
        """Take out those that were refused before the newest of so many acceptances."""
        return self._pop_where(lambda batch: (batch.refused_at or 0) < accepted)

    def pop_received_before(self, moment: float) -> list[Batch]:
        """Take out those whose oldest event was received before, in seconds since 1970."""
        return self._pop_where(lambda batch: batch.received < moment)

    def _pop(self, position: int) -> Batch:
        batch = self._batches.pop(position)
        self._octets -= batch.size
        return batch

    def _pop_where(self, is_chosen: Callable[[Batch], bool]) -> list[Batch]:
        chosen = [batch for batch in self._batches if is_chosen(batch)]
        if chosen:
            self._batches = [batch for batch in self._batches if not is_chosen(batch)]
            self._octets -= sum(batch.size for batch in chosen)
        return chosen
