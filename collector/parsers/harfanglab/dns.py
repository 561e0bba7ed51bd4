"""Name resolution; what was asked and answered is in `general`."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import account, shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "dns_resolution"),
    *shaped("event.category", "network"),
    *shaped("event.type", "info"),
    Rule("process.pid", "pid", long, profile="ecs"),
    *account("user", "username"),
)
