"""Messages that are dealt with and still there: a mistake of nats-server 2.9.

After servers of a cluster were killed, one of them can have kept what consumers had acknowledged
before. When it comes to lead the stream, it lists those messages, though they are never delivered
again: the consumer has nothing left. They are not to be counted among what waits, or whoever waits
for that to end would wait for ever. They are not deleted either: should a consumer ever be mistaken
instead, they are all that there is. `nats stream purge` does it, or the end of that server's lead.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKS: Final = 3
"""How often in a row nothing of a sink must be left to deliver, and nothing delivered in between.

What the stream and its consumers hold is not asked for at one time: of a sink that keeps up, each
list of the stream can have something that the next look at the consumer finds dealt with.
"""


class Leftovers:
    """Knows how many of the events that a stream lists wait for nobody."""

    def __init__(self) -> None:
        self._leader = ""
        self._listed: Mapping[str, int] | None = None  # of the last look
        self._delivered: Mapping[str, int] = {}  # the same
        self._counts: dict[str, deque[int]] = {}  # what the last looks found listed, by sink

    def learn(self, leader: str, listed: Mapping[str, int], idle: Mapping[str, int]) -> list[str]:
        """Take in another look at consumers.

        Args:
            leader: who leads the stream.
            listed: events that the stream lists, by sink; the same object until it was asked
                again, as it is then no other look.
            idle: the sinks that nothing is left to deliver for, with how many deliveries there
                were.

        Returns:
            The sinks that have events left over.
        """
        if leader != self._leader:
            self._leader = leader
            self._counts.clear()
        before, self._delivered = self._delivered, idle
        for sink in [sink for sink in self._counts if idle.get(sink) != before.get(sink)]:
            del self._counts[sink]
        if listed is not self._listed:
            self._listed = listed
            for sink in idle:
                self._counts.setdefault(sink, deque(maxlen=LOOKS)).append(listed.get(sink, 0))
        return sorted(sink for sink in idle if self._of(sink) > 0)

    def waiting(self, leader: str, listed: Mapping[str, int]) -> dict[str, int]:
        """Return the events that wait for each sink, of those that the stream lists.

        Args:
            leader: who leads the stream: what another has kept, this one need not have.
            listed: events that the stream lists, by sink.
        """
        if leader != self._leader:
            return dict(listed)
        waiting = {sink: count - self._of(sink) for sink, count in listed.items()}
        return {sink: count for sink, count in waiting.items() if count > 0}

    def _of(self, sink: str) -> int:
        counts = self._counts.get(sink, ())
        return min(counts) if len(counts) == LOOKS else 0


def idle(consumers: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return which consumers have nothing left to deliver, nor out, with their deliveries so far.

    The number of deliveries is the consumer's own; the sequence of the last one moves on with what
    is for others, too.

    Args:
        consumers: as the servers tell of them, by name.
    """
    return {
        name: int((one.get("delivered") or {}).get("consumer_seq") or 0)
        for name, one in consumers.items()
        if one.get("num_pending") == 0 and one.get("num_ack_pending") == 0
    }
