"""What follows from a Windows logon, succeeded (4624) or failed (4625).

These rows run last, on the event: nothing they set is gathered in ``related.*``. They fill what is
not there yet.
"""

from typing import Any, Final

from collector.parsers.conditions import absent, equals, present
from collector.parsers.convert import conversion
from collector.parsers.harfanglab.values import shaped
from collector.parsers.mapping import Rule, under

_LOGON: Final = equals("action.id", 4624) | equals("action.id", 4625)
_NO_WORKSTATION: Final = absent("action.properties.WorkstationName") | equals(
    "action.properties.WorkstationName", "-"
)
_ACTIONS: Final = {
    "3": "authentication_network",
    "5": "authentication_service",
    "9": "authentication_alternative_credentials",
}
_REASONS: Final = {"0xc000006a": "bad_password", "0xc0000064": "user_not_exist"}


@conversion("array of keyword")
def _with_start(value: Any) -> list[str] | None:
    """Add ``start`` to a list of types; a single type, as documented, stays what it is."""
    return [*value, "start"] if isinstance(value, list) and "start" not in value else None


@conversion("keyword")
def _logon_action(value: Any) -> str | None:
    """Name the type of a logon."""
    return _ACTIONS.get(value) if isinstance(value, str) else None


@conversion("keyword")
def _logon_failure(value: Any) -> str | None:
    """Name the reason why a logon failed."""
    return _REASONS.get(value.lower()) if isinstance(value, str) else None


@conversion("keyword", joint=True)
def _workstation(name: Any, host: Any) -> str | None:
    """Take the name of the workstation; without one the logon came from the host itself."""
    found: str | None = host if name in (None, "-") else name
    return found


RULES: Final[tuple[Rule, ...]] = under(
    _LOGON,
    *under(absent("event.category"), *shaped("event.category", "authentication")),
    Rule("event.type", "event.type", _with_start, profile="ecs"),
    Rule(
        "event.action",
        "action.properties.LogonType",
        _logon_action,
        when=absent("event.action"),
        profile="ecs",
    ),
    Rule(
        "event.reason",
        "action.properties.SubStatus",
        _logon_failure,
        when=absent("event.reason"),
        profile="ecs",
    ),
    Rule("user.id", "action.properties.SubjectUserSid", when=absent("user.id"), profile="ecs"),
    Rule(
        "user.target.id",
        "action.properties.TargetUserSid",
        when=absent("user.target.id"),
        profile="ecs",
    ),
    Rule(
        "sekoiaio.authentication.process.name",
        "action.properties.LogonProcessName",
        profile="ecs",
    ),
    Rule(
        "sekoiaio.client.name",
        ("action.properties.WorkstationName", "host.name"),
        _workstation,
        profile="ecs",
    ),
    Rule("client.domain", "host.domain", when=_NO_WORKSTATION, profile="ecs"),
    *under(
        present("action.properties.LogonType"),
        Rule("sekoiaio.server.name", "host.name", profile="ecs"),
        Rule("server.domain", "host.domain", profile="ecs"),
        Rule("sekoiaio.client.os.type", constant="windows", profile="ecs"),
    ),
    Rule("sekoiaio.server.os.type", constant="windows", profile="ecs"),
)
