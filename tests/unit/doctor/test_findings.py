"""Findings: their order, and how they are counted."""

import pytest

from collector.doctor.findings import Finding, Meaning, tally, worst


def of(*levels):
    return [Finding(level, "x", "", "found") for level in levels]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), "ok"),
        (("ok", "note"), "note"),
        (("warning", "ok"), "warning"),
        (("error", "warning", "ok"), "error"),
    ],
)
def test_the_worst_level_counts(levels, expected):
    assert worst(of(*levels)) == expected


def test_levels_are_counted_the_worst_first():
    found = of("ok", "ok", "error", "warning", "warning", "note")
    assert tally(found) == "1 error, 2 warnings, 1 note, 2 ok"
    assert tally([]) == "nothing to look at"


def test_a_meaning_becomes_a_finding_with_a_place():
    meaning = Meaning("error", "no", "do")
    assert meaning.at("sink s", "sinks[0].url") == Finding(
        "error", "sink s", "sinks[0].url", "no", "do"
    )
