"""What people did on the manager: the requests to its interface."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import account, shaped
from collector.parsers.mapping import Rule, under

RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "auditlog"),
    *shaped("event.category", "web"),
    *shaped("event.type", "access"),
    Rule("http.request.method", "request_method", profile="ecs"),
    Rule("http.request.body.content", "request_content", profile="ecs"),
    Rule("http.response.status_code", "response_status_code", long, profile="ecs"),
    Rule("url.path", "request_path", profile="ecs"),
    Rule("user_agent.original", "user_agent", profile="ecs"),
    Rule("source.ip", "ip_address", profile="ecs", ecs_type="ip"),
    Rule("event.reason", "log_description", profile="ecs"),
    Rule("event.action", "log_slug", profile="ecs"),
    *account("user", "username"),
)
