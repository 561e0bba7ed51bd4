"""One thing that was looked at: how it is, where it is set, and what to do about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["ok", "note", "warning", "error"]
"""ok; note, worth knowing; warning, works, but not as it should; error, does not work."""

LEVELS: Final[tuple[Level, ...]] = ("ok", "note", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; no secret is in it.

    Attributes:
        level: how it is.
        subject: what was looked at, in a word or two.
        where: the path of the setting behind it, as `sinks[0].url`; empty where there is none.
        found: what there is.
        advice: what to do; empty where there is nothing to be done.
    """

    level: Level
    subject: str
    where: str
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer, or the lack of one, means; a finding without its place."""

    level: Level
    found: str
    advice: str = ""

    def at(self, subject: str, where: str) -> Finding:
        """Return the finding about a subject, behind which a setting is."""
        return Finding(self.level, subject, where, self.found, self.advice)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of findings; `ok` if there is none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def tally(findings: Iterable[Finding]) -> str:
    """Count findings by level, the worst first, as `1 error, 2 warnings, 12 ok`."""
    counts = Counter(finding.level for finding in findings)
    parts = []
    for level in reversed(LEVELS):
        if number := counts[level]:
            plural = "s" if number > 1 and level != "ok" else ""
            parts.append(f"{number} {level}{plural}")
    return ", ".join(parts) or "nothing to look at"
