"""Events that reach the age at which the servers of a stream delete them.

How many those were cannot be known: the servers do not tell of one, and what they have no more was
acknowledged or has expired. So it is told in time that it is near, and while it may be happening.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from collector.logs import Reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.stream import Holdings

NEAR_SHARE: Final = 0.8
"""The part of the age from which on somebody is to do something; as the alert has it."""

# An event that is as near to its end as this is deleted unless it is delivered at once. It is more
# than what passes between two looks at the stream, and than clocks that are kept right differ by.
DUE_SECONDS: Final = 5.0

REPORT_SECONDS: Final = 300.0
"""Between two lines of the log that say the same."""

REASON: Final = "the oldest events reach max_age, then the servers delete them"

log = structlog.get_logger(__name__)


class Ageing:
    """Tells when the oldest events of a stream are near to `spool.max_age`.

    Args:
        stream: its name.
        max_age: seconds after which the servers delete an event; None where they never do.
        clock: seconds since 1970.
        reports: where it is told.

    Attributes:
        max_age: as above.
        is_near: whether it was so when the stream was last looked at.
    """

    def __init__(
        self,
        stream: str,
        max_age: float | None,
        *,
        clock: Callable[[], float] = time.time,
        reports: Reports | None = None,
    ) -> None:
        self.max_age = max_age
        self.is_near = False
        self._stream = stream
        self._clock = clock
        self._reports = Reports(log, period=REPORT_SECONDS) if reports is None else reports

    def told(self, holdings: Holdings) -> None:
        """Learn what the stream holds."""
        waiting = {sink: events for sink, events in holdings.events.items() if events}
        # What the servers still list although it was dealt with is in nobody's way.
        oldest = holdings.oldest if waiting else None
        if self.max_age is None or oldest is None:
            self.is_near = False
            return
        age = self._clock() - oldest
        known = {
            "stream": self._stream,
            "oldest_seconds": round(age),
            "max_age_seconds": round(self.max_age),
            "events": waiting,
        }
        was_near, self.is_near = self.is_near, age > NEAR_SHARE * self.max_age
        if self.is_near and not was_near:
            self._reports.warning(
                "near",
                "the oldest events reach max_age: have their sinks take them, with more deliverers"
                " or after a repair, or raise spool.max_age and that of the stream",
                **known,
            )
        if age > self.max_age - DUE_SECONDS:
            self._reports.error(
                "due", "events have waited for max_age, the servers delete them", **known
            )
