"""What the next transaction of a spool does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.spool import Batch, Letter


@dataclass(slots=True)
class Pending:
    """What has been asked for and is not written yet.

    Attributes:
        batches: rows to be added, by number, in order.
        incoming: numbers of those whose copies are in memory until they are written.
        removed: numbers of rows to be deleted.
        buried: dead letters to be added whose copies are in rows to be deleted.
        letters: dead letters to be added whose copies are in memory until they are written.
        released: reasons of dead letters to be deleted, by number; their copies are in memory.
        notes: what is to be kept under each name (`Spool.note`).
        octets: what it holds that has come in or is buried.
        callbacks: to be called once it is written.
        accounts_changed: whether the accounts are to be written even if nothing else is.
    """

    batches: dict[int, Batch] = field(default_factory=dict)
    incoming: set[int] = field(default_factory=set)
    removed: list[int] = field(default_factory=list)
    buried: list[Letter] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    released: dict[int, str] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    octets: int = 0
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    accounts_changed: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.batches
            or self.removed
            or self.buried
            or self.letters
            or self.released
            or self.notes
            or self.callbacks
            or self.accounts_changed
        )

    def put(self, batch: Batch) -> None:
        """Add a batch whose copies are in memory."""
        self.batches[batch.number] = batch
        self.incoming.add(batch.number)
        self.octets += batch.size

    def set_aside(self, letter: Letter) -> None:
        """Add a dead letter whose copy is in memory."""
        self.letters.append(letter)
        self.octets += letter.size

    def bury(self, letters: Sequence[Letter]) -> None:
        """Add the dead letters that a batch becomes."""
        self.buried += letters
        self.octets += sum(letter.size for letter in letters)

    def remove(self, number: int) -> None:
        """Have a batch deleted, or not added if it has not been."""
        if self.batches.pop(number, None) is None:
            self.removed.append(number)

    def discard(self, batch: Batch) -> None:
        """Forget a batch whose copies are in memory."""
        del self.batches[batch.number]
        self.incoming.remove(batch.number)
        self.octets -= batch.size

    def discard_letters(self) -> int:
        """Forget the dead letters whose copies are in memory; return how many they are."""
        discarded, self.letters = self.letters, []
        self.octets -= sum(letter.size for letter in discarded)
        return len(discarded)

    @property
    def has_settled(self) -> bool:
        """Whether it holds anything that `take_settled` would take out."""
        return bool(self.removed or self.buried or self.batches.keys() - self.incoming)

    def copies_in_memory(self) -> int:
        """Return how many copies it makes durable."""
        return sum(self.batches[number].events for number in self.incoming) + len(self.letters)

    def add(self, later: Pending) -> None:
        """Add what came later: together they do what both would have done one after the other."""
        for number in later.removed:
            self.remove(number)
        self.batches |= later.batches
        self.incoming |= later.incoming
        self.buried += later.buried
        self.letters += later.letters
        self.released |= later.released
        self.notes |= later.notes
        self.octets += later.octets
        self.callbacks += later.callbacks
        self.accounts_changed |= later.accounts_changed

    def take_settled(self) -> Pending:
        """Take out and return what brings no new copies: deliveries, parts of batches, burials."""
        octets = sum(letter.size for letter in self.buried)
        settled = Pending(removed=self.removed, buried=self.buried, octets=octets)
        self.removed, self.buried = [], []
        self.octets -= octets
        for number in [number for number in self.batches if number not in self.incoming]:
            settled.batches[number] = self.batches.pop(number)
        return settled
