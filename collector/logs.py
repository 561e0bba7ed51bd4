"""Logging: structlog as JSON or for a console, reports of bounded rate, and lines for the audit."""

from __future__ import annotations

import json
import logging
import os
import pwd
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

# Seconds between two lines of one kind.
PERIOD_SECONDS = 10.0

# Keys that one `Rate` remembers. Keys come from settings and code, so that there are few; the
# bound is for the day somebody makes one from input.
MAX_KEYS = 1024

# Characters of one detail of an audit line: what an operator types is shorter, and a line stays one
# that the journal takes in one piece.
MAX_AUDIT_CHARACTERS = 2048

TOKEN: Final = "token"  # noqa: S105 - no token, but the word for who has it
"""The actor who showed the token of the admin server."""
LOOPBACK: Final = "loopback"
"""The actor who asked the admin server from this machine, where it asks for no token."""
SIGNAL: Final = "signal"
"""The actor who sent a signal; asyncio does not tell whose it was."""
FILE: Final = "file"
"""The actor who replaced a file that settings name."""
DAEMON: Final = "daemon"
"""The actor where nobody asked: the daemon ends because a part of it broke."""


# What every line of this process carries.
_marks: dict[str, Any] = {}


def configure(
    level: Level = "info", form: Format = "json", *, marks: Mapping[str, Any] = {}
) -> None:
    """Set up structlog, and the libraries' own logging through it; log lines go to stderr.

    Args:
        level: what is less important is left out.
        form: of the lines.
        marks: what every line of this process carries, those for the audit too.
    """
    _marks.clear()
    _marks.update(marks)
    shared: list[structlog.typing.Processor] = [
        _mark,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # In one piece: the lines of workers would come to lie within each other.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=render)
    )
    handler.addFilter(LibraryFilter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _mark(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event.update(_marks)
    return event


def audit(action: str, actor: str, **details: Any) -> None:
    """Log who did what: always JSON, whatever form and level `configure` was told.

    Args:
        action: what is done, as `reload`.
        actor: who does it: `uid 0 (root)` as `user` says it, `TOKEN`, `LOOPBACK`, `SIGNAL`,
            `FILE` or `DAEMON`.
        details: context, as JSON can hold it; no secrets. What is long is cut.
    """
    # Not cached: `configure` may not have been called yet, and stderr may have been replaced.
    structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            _mark,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    ).info(
        "audit",
        action=_bounded(action),
        actor=_bounded(actor),
        **{name: _bounded(value) for name, value in details.items()},
    )


def user() -> str:
    """Return who runs this process, as an actor: `uid 0 (root)`, or `uid 10001` without a name."""
    number = os.getuid()
    try:
        return f"uid {number} ({pwd.getpwuid(number).pw_name})"
    except KeyError:
        return f"uid {number}"


def _bounded(value: Any) -> Any:
    """Return a value as JSON can hold it; where that is long, its beginning as a text."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if len(text) > MAX_AUDIT_CHARACTERS:
        return f"{text[:MAX_AUDIT_CHARACTERS]}…"
    return text if isinstance(value, str) else json.loads(text)


class Rate:
    """Says what may be logged: at most once per key and `period`.

    Args:
        period: seconds between two lines of one key.
        clock: seconds that only go forward.
    """

    def __init__(self, period: float, clock: Callable[[], float]) -> None:
        self._period = period
        self._clock = clock
        self._due: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, key: str) -> int | None:
        """Return how many lines of this key were left out since its last, or None to leave it out.

        Args:
            key: what the rate is bounded by.
        """
        now = self._clock()
        if now < self._due.get(key, 0.0):
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return None
        if len(self._due) >= MAX_KEYS:
            self._due.clear()
            self._left_out.clear()
        self._due[key] = now + self._period
        return self._left_out.pop(key, 0)


class LibraryFilter(logging.Filter):
    """Bounds the rate of what libraries log: some of it can be brought about from outside."""

    def __init__(self) -> None:
        super().__init__()
        self._rate = Rate(PERIOD_SECONDS, time.monotonic)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, unless one of the same kind did lately."""
        return self._rate.admit(f"{record.name} {record.msg}") is not None


class Reports:
    """Log lines about input, at most one per key and period.

    What is left out in between is counted, and the next line of that key says how many it was.

    Args:
        log: where the lines go.
        period: seconds between two lines of one key.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        log: Any,
        *,
        period: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._rate = Rate(period, clock)

    def warning(self, key: str, event: str, **details: Any) -> bool:
        """Warn of `event` unless a line of this key was logged lately.

        Args:
            key: what the rate is bounded by.
            event: what happened.
            details: context; no secrets.

        Returns:
            Whether it was logged.
        """
        return self._report("warning", key, event, details)

    def error(self, key: str, event: str, **details: Any) -> bool:
        """Log `event` as an error, otherwise like `warning`."""
        return self._report("error", key, event, details)

    def _report(self, level: str, key: str, event: str, details: dict[str, Any]) -> bool:
        left_out = self._rate.admit(key)
        if left_out is None:
            return False
        if left_out:
            details["left_out_since_last"] = left_out
        # A method of a logger is made when it is asked for, which takes longer than all of this.
        getattr(self._log, level)(event, **details)
        return True
