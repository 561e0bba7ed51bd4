"""Numbers that the processes of one daemon tell each other, in memory that all of them see.

A board is a table of 64-bit integers. Each process has a row, which it alone writes as long as it
lives, and all read; a column is one number of each. Who wants to know how much all have together
adds up a column: nothing is locked, and what several do at the same moment may go beyond a bound by
what each of them adds.

The supervisor says which column a name has, and tells the workers. A name keeps its column as long
as the daemon runs. A daemon of one process has a board too, with one row, so that nobody need know
how many there are.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OCTETS: Final = 8
"""Of one number."""

MAX_COLUMNS: Final = 8192
"""More than settings can name, reloaded again and again with other names."""

BUFFERED_OCTETS: Final = "buffered_octets"
"""What unfinished messages hold in memory."""


def admitted(intake: str) -> str:
    """Name the column of the messages that the rate of an intake has let in."""
    return f"admitted:{intake}"


def granted(intake: str) -> str:
    """Name the column of the messages that it lets in, in all; the supervisor's row has it."""
    return f"granted:{intake}"


SPOOL_OCTETS: Final = "spool_octets"
"""What waits for all sinks."""


def share(sink: str) -> str:
    """Name the column of what waits for a sink, in octets."""
    return f"share:{sink}"


def letters(pool: str) -> str:
    """Name the column of the dead letters of a pool, in octets."""
    return f"letters:{pool}"


BEATS: Final = "beats"
"""How often the event loop of a worker has come round, roughly: as long as it does, it lives."""

PROGRESS: Final = "progress"
"""How often what a start waits for has come a step further: one says so while it takes long."""

HINDERED: Final = "hindered"
"""1 while a worker can keep nothing that comes in: its spool cannot be written."""


class FullError(Exception):
    """There are no more columns."""

    def __str__(self) -> str:
        return "too many names since the daemon has started; restart it"


class Column:
    """One number of this process and of all the others.

    Args:
        cells: the table, row after row.
        first: where the column is in the first row.
        own: where it is in the row of this process.
    """

    __slots__ = ("_all", "_cells", "_own")

    def __init__(self, cells: memoryview[int], first: int, own: int) -> None:
        self._cells = cells
        self._own = own
        self._all = cells[first::MAX_COLUMNS]

    @property
    def value(self) -> int:
        """The number of this process."""
        return self._cells[self._own]

    @value.setter
    def value(self, value: int) -> None:
        self._cells[self._own] = value

    def add(self, more: int) -> None:
        """Add to the number of this process."""
        self._cells[self._own] += more

    def total(self) -> int:
        """Return the sum of the numbers of all processes."""
        return sum(self._all)


class Board:
    """The table, as one process sees it.

    Args:
        memory: of the table, in whole rows.
        row: the row that this process writes.
        columns: where the named columns are.
        may_extend: whether this process says which column a name has.
    """

    def __init__(
        self,
        memory: mmap.mmap | bytearray,
        row: int,
        columns: Mapping[str, int],
        *,
        may_extend: bool = False,
    ) -> None:
        self._cells = memoryview(memory).cast("q")
        self._row = row
        self._may_extend = may_extend
        self.columns = dict(columns)

    @classmethod
    def alone(cls) -> Board:
        """Return the board of a process that has nobody to share it with."""
        return cls(bytearray(MAX_COLUMNS * OCTETS), 0, {}, may_extend=True)

    @classmethod
    def create(cls, rows: int) -> tuple[Board, int]:
        """Make a board that other processes can see; this one has the first row.

        Args:
            rows: how many processes there are.

        Returns:
            The board, and the descriptor of its memory, for `attach`.

        Raises:
            OSError: there is no memory.
        """
        descriptor = os.memfd_create("collector-board")
        os.ftruncate(descriptor, rows * MAX_COLUMNS * OCTETS)
        return cls(_mapped(descriptor), 0, {}, may_extend=True), descriptor

    @classmethod
    def attach(cls, descriptor: int, row: int, columns: Mapping[str, int]) -> Board:
        """See a board that another process has made; the descriptor may be closed then."""
        return cls(_mapped(descriptor), row, columns)

    def learn(self, columns: Mapping[str, int]) -> None:
        """Take over which columns there are."""
        self.columns.update(columns)

    def extend(self, wanted: Iterable[str]) -> None:
        """Have columns for names, where there are none yet.

        Raises:
            FullError: there are too many.
        """
        for name in wanted:
            if name not in self.columns:
                if len(self.columns) == MAX_COLUMNS:
                    raise FullError
                self.columns[name] = len(self.columns)

    def column(self, name: str) -> Column:
        """Return a column.

        Raises:
            KeyError: there is none of this name.
        """
        if self._may_extend:
            self.extend([name])
        first = self.columns[name]
        return Column(self._cells, first, self._row * MAX_COLUMNS + first)

    def read(self, name: str, row: int) -> int:
        """Return the number of another process.

        Raises:
            KeyError: there is no column of this name.
        """
        return self._cells[row * MAX_COLUMNS + self.columns[name]]

    def strike_out(self, name: str, row: int) -> None:
        """Set a number of a process that has ended to 0: it held what is gone with it."""
        self._cells[row * MAX_COLUMNS + self.columns[name]] = 0


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size)


@dataclass(frozen=True, slots=True)
class Post:
    """The place of a process among the workers.

    Attributes:
        number: which worker it is, from 0 on.
        count: how many there are.
        board: what they tell each other.
    """

    number: int
    count: int
    board: Board

    @classmethod
    def alone(cls) -> Post:
        """Return the place of the only one."""
        return cls(0, 1, Board.alone())
