"""Severity and risk: what vendors say in words and on scales of their own, as numbers to compare.

The words have the numbers that Elastic's detection rules give to them.
"""

from typing import Any, Final

from collector.parsers.convert import conversion, number

_LEVELS: Final = {"low": 21, "medium": 47, "high": 73, "critical": 99}
_CEF_HIGHEST: Final = 10  # a CEF severity is 0 to 10


@conversion("long")
def severity_of_level(value: Any) -> int | None:
    """Convert ``low``, ``medium``, ``high`` and ``critical``, in any letter case."""
    return _LEVELS.get(value.lower()) if isinstance(value, str) else None


@conversion("float")
def risk_of_level(value: Any) -> float | None:
    """Convert the same words into a risk from 0 to 100."""
    severity: int | None = severity_of_level.function(value)
    return None if severity is None else float(severity)


@conversion("float")
def risk_of_cef_severity(value: Any) -> float | None:
    """Convert a CEF severity into a risk from 0 to 100; one beyond the scale is the highest."""
    severity = number.function(value)
    if severity is None or severity < 0:
        return None
    return float(min(severity, _CEF_HIGHEST) * 10)
