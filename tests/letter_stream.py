"""A stream of dead letters in memory: what `collector.stream` says of one, and its faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collector.stream import AwayError, FullError, Holdings, RefusedError, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping


class LetterStream:
    """Dead letters as the servers hold them, and all that `RemoteLetters` asks of a stream.

    Args:
        max_bytes: octets of bodies that it holds.

    Attributes:
        is_up: whether the servers are reached.
        largest: octets that a message may have.
        held: what it holds, by sequence.
        unanswered: how many of the next publications are stored, but not acknowledged.
        refuses: subjects of which it takes nothing.
        shortage: why it stores nothing although it has not reached its bound; empty if it does.
        story: what was asked of it, in order.
        last: the highest sequence that a letter had.
    """

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self.is_up = True
        self.problem = ""
        self.largest = 1024 * 1024
        self.held: dict[int, Stored] = {}
        self.unanswered = 0
        self.refuses: set[str] = set()
        self.shortage = ""
        self.story: list[str] = []
        self._max_bytes = max_bytes
        self._ids: dict[str, int] = {}
        self.last = 0

    @property
    def letters(self) -> LetterStream:
        """The stream of dead letters is itself."""
        return self

    @property
    def letter_holdings(self) -> Holdings:
        """What it holds; all of it counts for the token of its subject."""
        events: dict[str, int] = {}
        for stored in self.held.values():
            reason = stored.subject.rpartition(".")[2]
            events[reason] = events.get(reason, 0) + 1
        return Holdings(len(self.held), self._octets(), None, events, "n0", {})

    async def publish(self, subject: str, headers: Mapping[str, str], body: bytes) -> None:
        """Store a message, or find that it is stored already."""
        await self._turn("publish")
        if subject in self.refuses:
            raise RefusedError("maximum message size exceeded")
        identifier = headers["Nats-Msg-Id"]
        if identifier in self._ids:
            return
        if self.shortage:
            raise FullError(self.shortage, is_bound=False)
        if self._octets() + len(body) > self._max_bytes:
            raise FullError("maximum bytes exceeded")
        self.put(subject, body, headers)
        self._ids[identifier] = self.last
        if self.unanswered:
            self.unanswered -= 1
            raise AwayError("no answer")

    def put(
        self,
        subject: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        moment: float = 1000.0,
    ) -> int:
        """Have a message stored that somebody published; return its sequence."""
        self.last += 1
        self.held[self.last] = Stored(self.last, subject, headers or {}, body, moment)
        return self.last

    async def next(self, after: int) -> Stored | None:
        """Return the first message behind a sequence."""
        await self._turn("next")
        sequence = min((it for it in self.held if it > after), default=None)
        return None if sequence is None else self.held[sequence]

    async def delete(self, sequence: int) -> bool:
        """Delete a message; say whether it was there."""
        await self._turn("delete")
        return self.held.pop(sequence, None) is not None

    def _octets(self) -> int:
        return sum(len(stored.body) for stored in self.held.values())

    async def _turn(self, what: str) -> None:
        """Be asked something, as over a network: others have their turn before the answer."""
        self.story.append(what)
        await asyncio.sleep(0)
        if not self.is_up:
            raise AwayError("no answer")
