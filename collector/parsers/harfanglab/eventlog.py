"""Windows event log: what every record has."""

from typing import Final

from collector.parsers.conditions import equals
from collector.parsers.convert import long
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

_EVENTLOG: Final = equals("log_type", "eventlog")
_EVENTLOG_ALERT: Final = equals("alert_subtype", "eventlog")
_LOGON_SUCCEEDED: Final = equals("event_id", 4624)
_LOGON_FAILED: Final = equals("event_id", 4625)

RULES: Final[tuple[Rule, ...]] = (
    *under(
        _EVENTLOG,
        Rule("event.kind", constant="event", profile="documented"),
        Rule("event.type", constant="info", profile="documented"),
        Rule("event.provider", "source_name"),
    ),
    Rule("event.provider", "source_name", when=_EVENTLOG_ALERT, profile="ecs"),
    Rule("event.code", "event_id", when=_EVENTLOG),
    Rule("event.code", "event_id", when=_EVENTLOG_ALERT, profile="ecs"),
    *under(
        _EVENTLOG | _EVENTLOG_ALERT,
        *shaped("event.type", "info"),
        Rule("action.id", "event_id", long, profile="ecs"),
    ),
    *under(
        (_EVENTLOG | _EVENTLOG_ALERT) & _LOGON_SUCCEEDED,
        Rule("event.outcome", constant="success", profile="ecs"),
    ),
    *under(
        (_EVENTLOG | _EVENTLOG_ALERT) & _LOGON_FAILED,
        Rule("event.outcome", constant="failure", profile="ecs"),
    ),
)
