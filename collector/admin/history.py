"""What came and went in the last minutes: kept by the daemon, so that a page shows it at once.

Counters are looked at every `STEP_SECONDS`; of two looks the events per second in between are kept,
for the last quarter of an hour. That costs a few additions a step, and where there are workers a
question to each, whether anybody looks or not.
How long a step took is said by a clock that only runs on; the time of day, which may be set, says
no more than when the newest one ended.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.metrics import Stats

STEP_SECONDS: Final = 5.0
POINTS: Final = 180
"""A quarter of an hour."""

Series = tuple[str, str]
"""What is counted: `listener`, `intake` or `sink`, and its name."""


@dataclass(frozen=True, slots=True)
class Point:
    """Events per second of each series over one step.

    Attributes:
        ends: when the step ended, in seconds since 1970.
        seconds: how long it took.
        rates: of the series that were there.
    """

    ends: float
    seconds: float
    rates: dict[Series, float]

    def as_json(self) -> dict[str, Any]:
        """Return what a page is sent of it."""
        values = [
            {"kind": kind, "name": name, "value": rate} for (kind, name), rate in self.rates.items()
        ]
        return {"ends": self.ends, "seconds": self.seconds, "values": values}


def counts_of(stats: Stats) -> dict[Series, int]:
    """Return what the counters of a process say of each series."""
    return {
        **{("listener", name): item.messages for name, item in stats.listeners.items()},
        **{("intake", name): i.ok + i.pipeline_error for name, i in stats.intakes.items()},
        **{("sink", name): item.delivered for name, item in stats.sinks.items()},
    }


def next_look(due: float, now: float) -> float:
    """Return when counters are looked at next, so that looks that take long do not add up.

    Args:
        due: when they were to be looked at last, in seconds of a clock that only runs on.
        now: the same clock; what it has gone past is left out.
    """
    steps = max(1, math.floor((now - due) / STEP_SECONDS) + 1)
    return due + steps * STEP_SECONDS


class History:
    """The points of the last minutes.

    Args:
        points: how many are kept.
    """

    def __init__(self, points: int = POINTS) -> None:
        self._points: deque[Point] = deque(maxlen=points)
        self._counts: dict[Series, int] = {}
        self._looked: float | None = None

    @property
    def last(self) -> Point | None:
        """The newest point; None before the first."""
        return self._points[-1] if self._points else None

    def note(self, counts: Mapping[Series, int], *, wall: float, steady: float) -> Point | None:
        """Take a look at counters.

        Args:
            counts: events so far. Counters begin at 0, with the daemon or with what they count;
                one that has fallen began anew.
            wall: the time, in seconds since 1970.
            steady: seconds of a clock that only runs on.

        Returns:
            The point since the last look; None at the first, and what came before it is of the
            second.
        """
        before, since = self._counts, self._looked
        if since is None:
            self._looked = steady
            return None
        if steady <= since:
            return None
        self._counts, self._looked = before | dict(counts), steady
        seconds = steady - since
        rates = {
            series: round(_grown(before.get(series, 0), count) / seconds, 3)
            for series, count in counts.items()
        }
        point = Point(wall, round(seconds, 3), rates)
        self._points.append(point)
        return point

    def as_json(self) -> dict[str, Any]:
        """Return all points: the values of each series, the newest last, null where it was not.

        When a point ended follows from when the newest did, and from how long each step took: so
        they are in order, however often the clock was set.
        """
        points = list(self._points)
        names = {series: None for point in points for series in point.rates}
        return {
            "step": STEP_SECONDS,
            "ends": points[-1].ends if points else None,
            "seconds": [point.seconds for point in points],
            "series": [
                {"kind": kind, "name": name, "values": [p.rates.get((kind, name)) for p in points]}
                for kind, name in names
            ],
        }


def _grown(before: int, count: int) -> int:
    return count - before if count >= before else count
