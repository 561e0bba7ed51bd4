"""Whether the clock can be believed, and the zones that settings name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from collector.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.config import Config
    from collector.doctor.machine import Clock

# A clock that something keeps right is closer than that; the kernel counts 16 s as lost.
UNCERTAIN_SECONDS: Final = 1.0

# Between two looks, by which the clock may differ from one that only runs on: NTP moves it slowly.
JUMP_SECONDS: Final = 0.1

_WHY: Final = "event.created, ids and certificates go by it"


def on_clock(clock: Clock) -> Iterator[Finding]:
    """Say whether something keeps the clock right."""
    advice = "chrony or systemd-timesyncd; for a container it is the clock of its host"
    if clock.is_synchronized is None:
        found = "the system does not say whether its clock is synchronized"
        yield Finding("note", "clock", "", found, f"see to it: {_WHY}")
    elif not clock.is_synchronized:
        found = f"not synchronized, as far as the kernel knows; {_WHY}"
        yield Finding("warning", "clock", "", found, advice)
    elif clock.uncertainty > UNCERTAIN_SECONDS:
        found = f"synchronized, but may be wrong by {clock.uncertainty:.1f} s; {_WHY}"
        yield Finding("warning", "clock", "", found, advice)
    else:
        yield Finding("ok", "clock", "", f"synchronized to {clock.uncertainty * 1000:.0f} ms")


def on_time(now: float, built: float) -> Iterator[Finding]:
    """Hold the time against one that is past: that of the files of this program.

    Args:
        now: the time, in seconds since 1970.
        built: when the program was installed or built, likewise.
    """
    if now < built:
        found = f"it is {_date(now)} by the clock, before this program was installed"
        yield Finding("error", "clock", "", found, f"set the clock: {_WHY}")


def on_jump(moved: float) -> Iterator[Finding]:
    """Say that the clock was set while we looked.

    Args:
        moved: by how many seconds more it went on than a clock that only runs on.
    """
    if abs(moved) > JUMP_SECONDS:
        found = f"the clock was set by {moved:+.1f} s within these few seconds; {_WHY}"
        advice = "let one program alone keep it, and step only at boot"
        yield Finding("warning", "clock", "", found, advice)


def on_zones(config: Config, now: float) -> Iterator[Finding]:
    """Say what time it is in the zones of listeners, to be held against what senders write.

    Args:
        config: the settings.
        now: the time, in seconds since 1970.
    """
    for index, listener in enumerate(config.listeners):
        if listener.timezone is not UTC:
            there = datetime.fromtimestamp(now, listener.timezone)
            found = f"known; it is {there:%H:%M} there (UTC{there:%z})"
            yield Finding("ok", "time zone", f"listeners[{index}].timezone", found)


def day(seconds: float) -> str:
    """Return the day of a time in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
