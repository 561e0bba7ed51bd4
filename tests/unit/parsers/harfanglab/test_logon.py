"""What follows from Windows logons in the event log."""

import pytest

from tests.support import harfanglab_fields as mapped

DATA = {
    "SubjectUserSid": "S-1-5-18",
    "TargetUserSid": "S-1-5-21-7",
    "TargetUserName": "ann",
    "LogonType": "3",
    "LogonProcessName": "Kerberos",
    "WorkstationName": "WS7",
    "IpAddress": "192.0.2.70",
}
LOGON = {
    "log_type": "eventlog",
    "event_id": 4624,
    "agent": {"hostname": "srv7", "domainname": "ACME"},
    "event_data": DATA,
}
ECS = {
    "agent.name": "harfanglab",
    "log.hostname": "srv7",
    "host.hostname": "srv7",
    "host.name": "srv7",
    "host.domain": "ACME",
    "event.dataset": "eventlog",
    "event.code": "4624",
    "event.category": ["authentication"],
    "event.type": ["info", "start"],
    "event.action": "authentication_network",
    "event.outcome": "success",
    "action.id": 4624,
    "action.outcome": "success",
    **{f"action.properties.{name}": value for name, value in DATA.items()},
    "source.ip": "192.0.2.70",
    "source.address": "192.0.2.70",
    "user.id": "S-1-5-18",
    "user.target.id": "S-1-5-21-7",
    "user.target.name": "ann",
    "server.domain": "ACME",
    "sekoiaio.authentication.process.name": "Kerberos",
    "sekoiaio.client.name": "WS7",
    "sekoiaio.client.os.type": "windows",
    "sekoiaio.server.name": "srv7",
    "sekoiaio.server.os.type": "windows",
    "related.hosts": ["srv7"],
    "related.ip": ["192.0.2.70"],
    "related.user": ["ann"],
}


def logon(profile="ecs", event_id=4624, **data):
    """Map a logon with other event data; None takes an entry away."""
    return mapped(profile, **LOGON | {"event_id": event_id, "event_data": DATA | data})


def test_a_logon_that_succeeded():
    """Nothing that follows from it is related."""
    assert logon() == ECS


def test_in_profile_documented_category_and_type_are_texts():
    """The type is that of every record."""
    assert logon("documented") == {
        name: value for name, value in ECS.items() if name != "related.user"
    } | {
        "event.kind": "event",
        "event.category": "authentication",
        "event.type": "info",
        "related.user": ["ann"],
    }


def test_a_logon_that_failed():
    """Its reason is named."""
    found = logon(event_id=4625, SubStatus="0xC000006A")
    assert found["event.outcome"] == found["action.outcome"] == "failure"
    assert found["event.reason"] == "bad_password"
    assert found["event.type"] == ["info", "start"]


@pytest.mark.parametrize("event_id", [4634, 4648, None, "x", [4624]])
def test_other_events_are_no_logons(event_id):
    """Nothing follows from them."""
    found = logon(event_id=event_id)
    assert not [name for name in found if name.startswith(("sekoiaio.", "client.", "server."))]
    assert found["event.type"] == ["info"]
    assert "user.id" not in found
    assert "event.category" not in found


def test_the_number_may_be_a_text():
    """It is the same logon then."""
    assert logon(event_id="4624") == logon(event_id=4624)


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("3", "authentication_network"),
        ("5", "authentication_service"),
        ("9", "authentication_alternative_credentials"),
        (3, "authentication_network"),
        ("2", None),
        ("03", None),
        ([3], None),
    ],
)
def test_the_type_of_a_logon_is_its_action(kind, action):
    """For those that have a name; the host is the server of all of them."""
    found = logon(LogonType=kind)
    assert found.get("event.action") == action
    assert found["sekoiaio.server.name"] == "srv7"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("0xc000006a", "bad_password"),
        ("0XC000006A", "bad_password"),
        ("0xC0000064", "user_not_exist"),
        ("0xc0000234", None),
        (3221225578, None),
        ("-", None),
        (None, None),
    ],
)
def test_the_status_of_a_failure_is_its_reason(status, reason):
    """Its letters may be of either case."""
    assert logon(event_id=4625, SubStatus=status).get("event.reason") == reason


@pytest.mark.parametrize("workstation", ["-", None, ""])
def test_without_a_workstation_the_client_is_the_host(workstation):
    """And its domain that of the host."""
    found = logon(WorkstationName=workstation)
    assert found["sekoiaio.client.name"] == "srv7"
    assert found["client.domain"] == "ACME"
    assert "client.domain" not in logon()


def test_without_a_type_nothing_is_known_of_the_server_but_its_system():
    """As in events of other families."""
    found = logon(LogonType=None)
    assert not {"sekoiaio.server.name", "server.domain", "sekoiaio.client.os.type"} & set(found)
    assert found["sekoiaio.server.os.type"] == "windows"


def test_what_is_there_stays():
    """The event's own user."""
    found = mapped("ecs", **LOGON, user_sid="S-own")
    assert found["user.id"] == "S-own"
