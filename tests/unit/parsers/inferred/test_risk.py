"""Severity and risk."""

import math

import pytest

from collector.parsers.inferred.risk import risk_of_cef_severity, risk_of_level, severity_of_level


@pytest.mark.parametrize(
    ("level", "severity"),
    [("low", 21), ("medium", 47), ("high", 73), ("critical", 99), ("Critical", 99), ("HIGH", 73)],
)
def test_levels_are_numbers(level, severity):
    """In any letter case."""
    assert severity_of_level(level) == severity
    assert risk_of_level(level) == float(severity)
    assert isinstance(severity_of_level(level), int)
    assert isinstance(risk_of_level(level), float)


@pytest.mark.parametrize("level", ["", "information", "high ", 3, True, None, ["high"], {}])
def test_other_levels_have_no_number(level):
    """They are not guessed at."""
    assert severity_of_level(level) is None
    assert risk_of_level(level) is None


@pytest.mark.parametrize(
    ("severity", "risk"),
    [(0, 0.0), (5, 50.0), (7, 70.0), (10, 100.0), (11, 100.0), ("8", 80.0), (2**62, 100.0)],
)
def test_a_cef_severity_is_a_risk_of_ten_times_as_much(severity, risk):
    """A hundred at most."""
    assert risk_of_cef_severity(severity) == risk
    assert isinstance(risk_of_cef_severity(severity), float)


@pytest.mark.parametrize("severity", [-1, "High", "", None, True, math.nan, math.inf, 10**400, []])
def test_what_is_no_cef_severity_is_no_risk(severity):
    """Nothing is raised either."""
    assert risk_of_cef_severity(severity) is None
