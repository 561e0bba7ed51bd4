"""Network connections: telemetry and alerts."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import ip, long
from collector.parsers.harfanglab.values import account, direction, shaped
from collector.parsers.mapping import Rule, under

_NETWORK: Final = equals("log_type", "network")
_NETWORK_ALERT: Final = equals("alert_subtype", "network")

RULES: Final[tuple[Rule, ...]] = (
    *under(
        _NETWORK | _NETWORK_ALERT,
        Rule("destination.ip", "daddr", profile="documented", ecs_type="ip"),
        Rule("destination.ip", "daddr", ip, profile="ecs"),
        Rule("destination.port", "dport", long),
        Rule("network.direction", "direction", direction, profile="ecs"),
        Rule("source.ip", "saddr", profile="documented", ecs_type="ip"),
        Rule("source.ip", "saddr", ip, profile="ecs"),
        Rule("source.port", "sport", long),
        Rule("process.pid", "pid", long),
        Rule("process.executable", "image_name"),
        Rule("user.name", "username", profile="documented"),
        *account("user", "username"),
        *shaped("event.category", "network"),
        *shaped("event.type", "connection"),
    ),
    Rule("event.kind", constant="event", when=_NETWORK, profile="documented"),
    Rule("event.kind", constant="alert", when=equals("log_type", "alert") & _NETWORK_ALERT),
)
