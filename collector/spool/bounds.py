"""How many dead letters are kept: bounds of all workers of a daemon together.

Each worker lets its own oldest letters go. It may keep what the others leave of a bound, and in any
case its part of it, so that a worker that others came before keeps its letters too. Until those
have let go of theirs, a second later, there may be twice as many less the part of one; and where
several find at the same moment that there are too many, each may let go of what one of them needed
to, down to its part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collector import board
from collector.board import Post
from collector.spool import POOLS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Bounds:
    """Octets of dead letters that may be kept, roughly.

    Attributes:
        trusted: of all that are in no pool of their own.
        untrusted: of each pool of `UNTRUSTED`.
        post: the place of the process among the workers.
    """

    trusted: int
    untrusted: int
    post: Post = field(default_factory=Post.alone, compare=False, repr=False)

    def of(self, pool: str) -> int:
        """Return how many octets of the letters of a pool this worker may keep now."""
        bound = self.untrusted if pool else self.trusted
        column = self.post.board.column(board.letters(pool))
        return max(bound // self.post.count, bound - column.total() + column.value)

    def tell(self, sizes: Mapping[str, int]) -> None:
        """Tell the other workers how many octets there are of each pool; 0 where not named."""
        for pool in POOLS:
            self.post.board.column(board.letters(pool)).value = sizes.get(pool, 0)

    def exceeded(self) -> list[str]:
        """Return the pools of which this worker has more than it may keep."""
        columns = {pool: self.post.board.column(board.letters(pool)) for pool in POOLS}
        return [pool for pool, column in columns.items() if column.value > self.of(pool)]


UNBOUNDED: Final = Bounds(1 << 62, 1 << 62)
