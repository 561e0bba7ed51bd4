"""Windows event log: records, the data they carry, and alerts about them."""

from typing import Final

from collector.parsers.conditions import differs, equals, present, starts_with
from collector.parsers.convert import ip, long
from collector.parsers.harfanglab.event_data import LEFT_OUT, event_data, member_name
from collector.parsers.harfanglab.task import task_command
from collector.parsers.harfanglab.values import after_last_backslash, shaped
from collector.parsers.mapping import Rule, under

_EVENTLOG: Final = equals("log_type", "eventlog")
_EVENTLOG_ALERT: Final = equals("alert_subtype", "eventlog")


def _unless_dash(target: str, source: str) -> Rule:
    """Make the row of a name for which Windows writes ``-`` where there is none."""
    return Rule(target, source, when=differs(source, "-", shown='"-"'), profile="ecs")


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
        Rule("event.outcome", constant="success", when=equals("event_id", 4624), profile="ecs"),
        Rule("event.outcome", constant="failure", when=equals("event_id", 4625), profile="ecs"),
        Rule("action.properties.*", "event_data", event_data, profile="ecs"),
        Rule(
            "action.properties.*",
            ("event_data.TaskContentNew", "event_data.TaskContent"),
            task_command,
            profile="ecs",
        ),
        _unless_dash("user.name", "event_data.SubjectUserName"),
        _unless_dash("user.domain", "event_data.SubjectDomainName"),
        _unless_dash("user.target.name", "event_data.TargetUserName"),
        _unless_dash("user.target.domain", "event_data.TargetDomainName"),
        Rule("action.properties.MemberName", "event_data.MemberName", member_name, profile="ecs"),
        Rule("source.ip", "event_data.IpAddress", ip, profile="ecs"),
        Rule("source.ip", "event_data.CallingStationID", ip, profile="ecs"),
        Rule("user.name", "eventlog.event_data.SubjectUserName", profile="ecs"),
        Rule("user.domain", "eventlog.event_data.SubjectDomainName", profile="ecs"),
        Rule("user.target.name", "eventlog.event_data.TargetUserName", profile="ecs"),
        Rule("user.target.domain", "eventlog.event_data.TargetDomainName", profile="ecs"),
        Rule("action.properties.*", "eventlog.event_data", event_data, profile="ecs"),
        Rule(
            "action.properties.MemberName",
            "eventlog.event_data.MemberName",
            after_last_backslash,
            profile="ecs",
        ),
        Rule("action.properties.*", "eventlog.event_data.TaskContent", task_command, profile="ecs"),
        Rule("source.ip", "eventlog.event_data.IpAddress", ip, profile="ecs"),
        Rule(
            "url.original",
            "event_data.Destination",
            when=starts_with("event_data.Destination", "http"),
            profile="ecs",
        ),
    ),
)

INFERRED: Final = (
    Rule(
        "tags",
        constant=("event_data:left_out",),
        when=present(f"action.properties.{LEFT_OUT}"),
        profile="ecs",
    ),
)
"""What the event says of itself: that some of its event data is in the message alone."""
