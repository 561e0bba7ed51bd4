"""Logons and logoffs, of Windows and Linux."""

from typing import Any, Final

from collector.parsers.conditions import equals, present
from collector.parsers.convert import boolean, conversion, ip, long
from collector.parsers.harfanglab.values import account, no_address, shaped
from collector.parsers.mapping import Rule, under

_TYPES: Final = {"login_failure": "end", "logout": "end", "login": "start"}


@conversion("keyword", joint=True)
def _event_type(value: Any) -> str:
    """Say whether a session starts or ends; any other value, or none, is ``info``."""
    return _TYPES.get(value, "info") if isinstance(value, str) else "info"


@conversion("array of keyword", joint=True)
def _event_types(value: Any) -> list[str]:
    """Say it as a list."""
    return [_event_type(value)]


@conversion("keyword")
def _outcome(value: Any) -> str | None:
    """Name what `boolean` reads: ``success`` or ``failure``."""
    succeeded = boolean.function(value)
    if succeeded is None:
        return None
    return "success" if succeeded else "failure"


RULES: Final[tuple[Rule, ...]] = under(
    equals("log_type", "authentication"),
    Rule(
        "action.properties.AuthenticationPackageName",
        "windows.authentication_package_name",
        profile="ecs",
    ),
    Rule("action.properties.IpAddress", "windows.ip_address", profile="ecs"),
    Rule("action.properties.IpPort", "windows.ip_port", profile="ecs"),
    Rule("action.properties.LogonProcessName", "windows.logon_process_name", profile="ecs"),
    Rule("action.properties.ProcessName", "windows.process_name", profile="ecs"),
    Rule("action.properties.SubjectLogonId", "windows.source_logon_id", profile="ecs"),
    Rule("action.properties.SubjectUserSid", "windows.source_sid", profile="ecs"),
    Rule("action.properties.Status", "windows.status", profile="ecs"),
    Rule("action.properties.TargetLogonId", "windows.target_logon_id", profile="ecs"),
    Rule("action.properties.TargetUserSid", "windows.target_sid", profile="ecs"),
    Rule("action.properties.WorkstationName", "windows.workstation_name", profile="ecs"),
    *shaped("event.category", "authentication"),
    Rule("event.type", "event_type", _event_type, profile="documented"),
    Rule("event.type", "event_type", _event_types, profile="ecs"),
    Rule("process.name", "process_name", profile="ecs"),
    Rule("agent.version", "agent.version", profile="ecs"),
    Rule("action.id", "windows.event_id", long, profile="ecs"),
    Rule("event.reason", "windows.event_title", profile="ecs"),
    Rule("event.code", "windows.event_id", profile="ecs"),
    Rule("event.action", "object_type", profile="ecs"),
    Rule("user.id", "windows.source_sid", profile="ecs"),
    Rule("user.target.id", "windows.target_sid", profile="ecs"),
    *account("user", "source_username"),
    *account("user.target", "target_username"),
    Rule("source.ip", "source_address", ip, profile="ecs"),
    Rule("source.domain", "source_address", no_address, profile="ecs"),
    Rule("action.outcome", "success", _outcome, when=present("success"), profile="ecs"),
)
