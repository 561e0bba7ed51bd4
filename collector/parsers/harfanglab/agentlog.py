"""What agents log about themselves, and their connections to the manager."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = (
    *under(
        equals("log_type", "agentlog"),
        *shaped("event.type", "info"),
        Rule("event.reason", "message", profile="ecs"),
        Rule("agent.id", "agent_id", profile="ecs"),
        Rule("host.name", "hostname", profile="ecs"),
    ),
    *under(
        equals("log_type", "connectionlog"),
        *shaped("event.category", "network"),
        *shaped("event.type", "info"),
        Rule("agent.id", "agent_id", profile="ecs"),
    ),
)
