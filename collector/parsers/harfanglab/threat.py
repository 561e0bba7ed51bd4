"""Threats: what a manager makes of the alerts that belong together."""

from typing import Final

from collector.parsers.conditions import entries, equals
from collector.parsers.convert import iso_date, long
from collector.parsers.harfanglab.values import account, users
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "threat"),
    Rule("harfanglab.threat_id", "id", profile="ecs"),
    Rule("harfanglab.status", "status", profile="ecs"),
    Rule("harfanglab.level", "level", profile="ecs"),
    Rule("harfanglab.count.users_impacted", "impacted_user_count", long, profile="ecs"),
    Rule("harfanglab.count.rules", "rule_count", long, profile="ecs"),
    Rule("event.start", ("first_seen", "firstseen"), iso_date, profile="ecs"),
    Rule("event.end", ("last_seen", "lastseen"), iso_date, profile="ecs"),
    *under(
        entries("rules", 1),
        Rule("harfanglab.rule_level", "rules[0].rule_level", profile="ecs"),
        Rule("rule.name", "rules[0].rule_name", profile="ecs"),
        Rule("rule.category", "rules[0].rule_type", profile="ecs"),
    ),
    *under(
        entries("impacted_users", 1),
        *account("user", "impacted_users[0].user_name"),
    ),
    Rule(
        "harfanglab.impacted_users",
        "impacted_users",
        users,
        when=entries("impacted_users", 2),
        profile="ecs",
    ),
)
