"""The rates of intakes, which all workers keep together: the supervisor grants what they allow."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from collector.board import admitted, granted
from collector.ratelimit import Grant

if TYPE_CHECKING:
    from collector.board import Board
    from collector.config import Config

GRANT_SECONDS: Final = 0.02
"""Between two grants."""

IDLE_SECONDS: Final = 1.0
"""Between two looks where no intake has a rate."""


class Rates:
    """Grants messages as time passes.

    Args:
        shown: the board, of which workers read what they may let in.
    """

    def __init__(self, shown: Board) -> None:
        self._board = shown
        self._grants: list[Grant] = []

    def configure(self, config: Config) -> None:
        """Go by settings from now on."""
        now = time.monotonic()
        self._grants = [
            Grant(
                intake.max_rate.events_per_second,
                self._board.column(admitted(intake.name)),
                self._board.column(granted(intake.name)),
                now,
            )
            for intake in config.intakes
            if intake.max_rate is not None
        ]

    async def go_on(self) -> None:
        """Grant for ever."""
        while True:
            await asyncio.sleep(GRANT_SECONDS if self._grants else IDLE_SECONDS)
            now = time.monotonic()
            for grant in self._grants:
                grant.fill(now)
