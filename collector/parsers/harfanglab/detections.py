"""What detections key on, where no row has set it; in profile ``ecs`` only.

The kind of the event, its severity, and the ATT&CK techniques that its rule is tagged with.
"""

from typing import Final

from collector.parsers import ecs
from collector.parsers.conditions import absent, equals
from collector.parsers.inferred.attack import attack
from collector.parsers.inferred.risk import risk_of_level, severity_of_level
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = (Rule("threat.*", "tags", attack),)
"""Rows that read the message."""

DETECTIONS: Final[tuple[Rule, ...]] = (
    *under(
        absent("event.kind"),
        Rule("event.kind", constant="alert", when=equals("event.dataset", "threat")),
        Rule("event.kind", constant="event"),
    ),
    *ecs.detections(module="harfanglab", vendor="HarfangLab", product="HarfangLab EDR"),
    Rule("event.severity", "harfanglab.level", severity_of_level, when=absent("event.severity")),
    Rule(
        "event.risk_score_norm",
        "harfanglab.level",
        risk_of_level,
        when=absent("event.risk_score_norm"),
    ),
)
"""Rows that read the event."""
