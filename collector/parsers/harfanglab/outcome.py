"""The outcome the documentation shows for network events and alerts.

It says nothing about the event and is in profile ``documented`` only.
"""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "network") | equals("log_type", "alert"),
    Rule("event.outcome", constant="success", profile="documented"),
    Rule("event.event.outcome", constant="success", profile="documented"),
)
