"""What is in memory alone, on its way into the stream, and who waits until it is safe."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.spool import Batch


class Unsettled:
    """Batches in memory that neither the stream nor the file has, and who waits for them.

    Attributes:
        octets: what they take.
    """

    def __init__(self) -> None:
        self.octets = 0
        self._batches: dict[int, Batch] = {}
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Batch) -> None:
        """Take in a batch; its number is higher than those before had."""
        self._batches[batch.number] = batch
        self.octets += batch.size

    def remove(self, batch: Batch) -> None:
        """Let go of one that is settled, and tell those who waited for it last."""
        del self._batches[batch.number]
        self.octets -= batch.size
        first = next(iter(self._batches), None)
        while self._waiting and (first is None or self._waiting[0][0] < first):
            self._waiting.popleft()[1]()

    def join(self, batches: Sequence[Batch], whole: Batch) -> None:
        """Have a batch be there for several; it has the number of the first."""
        for batch in batches[1:]:
            del self._batches[batch.number]
        self._batches[whole.number] = whole
        self.octets += whole.size - sum(batch.size for batch in batches)

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back once all that is there now is settled."""
        if self._batches:
            self._waiting.append((next(reversed(self._batches)), callback))
        else:
            callback()
