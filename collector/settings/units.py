"""Sizes (`256KiB`, `1MB`) and durations (`250ms`, `30s`) as people write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

# From large to small: the first that divides a size evenly is the one it is written with.
_BYTES = {
    "TiB": TIB,
    "TB": 10**12,
    "GiB": GIB,
    "GB": 10**9,
    "MiB": MIB,
    "MB": 10**6,
    "KiB": KIB,
    "KB": 10**3,
    "kB": 10**3,
    "B": 1,
    "": 1,
}
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

# Twelve digits are more than any bound needs and keep every product exact in a float.
SIZE_PATTERN = rf"^[0-9]{{1,12}}({'|'.join(unit for unit in _BYTES if unit)})?$"
DURATION_PATTERN = rf"^(0|[0-9]{{1,12}}({'|'.join(_MILLISECONDS)}))$"

# What begins one of these words was meant for its unit.
_LONG_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}

_GUESSED = re.compile(r"\s*([0-9]{1,12})\s*([A-Za-z]*)\s*")

_SIZE = re.compile(r"([0-9]{1,12})([A-Za-z]*)")
_DURATION = re.compile(r"([0-9]{1,12})([a-z]+)")


def parse_size(text: str) -> int:
    """Read a size.

    Args:
        text: A whole number of bytes, or a whole number directly followed by B, KB (or kB), MB,
            GB, TB (powers of 1000), KiB, MiB, GiB or TiB (powers of 1024).

    Returns:
        The size in bytes.

    Raises:
        ValueError: `text` is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _BYTES:
        raise ValueError("not a size")
    return int(match[1]) * _BYTES[match[2]]


def format_size(size: int) -> str:
    """Write a size with the largest unit that keeps it a whole number.

    Args:
        size: The size in bytes, not negative.

    Returns:
        A text that `parse_size` reads as the same size.
    """
    for unit, factor in _BYTES.items():
        if factor > 1 and size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def parse_duration(text: str) -> float:
    """Read a duration.

    Args:
        text: A whole number directly followed by ms, s, m, h or d. Only 0 needs no unit.

    Returns:
        The duration in seconds.

    Raises:
        ValueError: `text` is not a duration.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _MILLISECONDS:
        raise ValueError("not a duration")
    return int(match[1]) * _MILLISECONDS[match[2]] / 1000


def format_duration(seconds: float) -> str:
    """Write a duration with the largest unit that keeps it a whole number.

    Args:
        seconds: The duration in seconds, not negative; what is finer than 1 ms is rounded.

    Returns:
        A text that `parse_duration` reads as the same duration.
    """
    milliseconds = round(seconds * 1000)
    for unit, factor in _MILLISECONDS.items():
        if milliseconds and milliseconds % factor == 0:
            return f"{milliseconds // factor}{unit}"
    return "0"


def guess_size(text: str) -> str | None:
    """Return the size that was probably meant by what is none: `10GiB` for `10 G`."""
    return _guess(text, {unit: unit for unit in _BYTES if unit})


def guess_duration(text: str) -> str | None:
    """Return the duration that was probably meant by what is none: `5m` for `5 min`.

    A number alone is one of seconds.
    """
    return _guess(text, _LONG_UNITS, default="s")


def _guess(text: str, units: Mapping[str, str], default: str = "") -> str | None:
    match = _GUESSED.fullmatch(text)
    if match is None:
        return None
    number, written = match[1], match[2].lower() or default
    for unit, word in units.items():
        if written in {unit.lower(), word.lower()}:
            return f"{number}{unit}"
    for unit, word in units.items():
        if written and word.lower().startswith(written):
            return f"{number}{unit}"
    return None
