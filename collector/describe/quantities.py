"""Numbers as people read them: octets, rates and durations, rounded."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def octets(number: float) -> str:
    """Return a number of octets, rounded to a unit: `812 octets`, `1.5 GiB`."""
    if abs(number) < 1024:
        return f"{number:.0f} octets"
    power = 0
    while abs(number) >= 1024 and power < len(_UNITS):
        number, power = number / 1024, power + 1
    unit = _UNITS[power - 1]
    return f"{number:.0f} {unit}" if abs(number) >= 100 else f"{number:.1f} {unit}"


def span(seconds: float) -> str:
    """Return a duration in its two largest units: `3d 4h`, `12s`, `0.25s` below a second."""
    if 0 < seconds < 1:
        return f"{seconds:.2g}s"
    rest = max(0, int(seconds))
    parts: list[str] = []
    for length, name in _SPANS:
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append(f"{number}{name}" if number else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0s"


def rate(per_second: float | None) -> str:
    """Return a rate with as many digits as say something; `-` if it is not known."""
    if per_second is None:
        return "-"
    return f"{per_second:,.0f}" if per_second >= 10 or not per_second else f"{per_second:.1f}"


def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}"
