"""The columns of the board that workers need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector import board
from collector.spool import POOLS

if TYPE_CHECKING:
    from collector.config import Config


OF_WORKERS: Final = (board.BEATS, board.PROGRESS, board.HINDERED, board.BUFFERED_OCTETS)
"""Whatever the settings are."""


def names(config: Config) -> list[str]:
    """Return the columns that settings need."""
    limited = [intake.name for intake in config.intakes if intake.max_rate is not None]
    return [
        *OF_WORKERS,
        *map(board.admitted, limited),
        *map(board.granted, limited),
        board.SPOOL_OCTETS,
        *(board.share(sink.name) for sink in config.sinks),
        *map(board.letters, POOLS),
    ]
