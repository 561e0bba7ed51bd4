"""Logons and logoffs of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped

LINUX = {
    "log_type": "authentication",
    "event_type": "login",
    "object_type": "login",
    "process_name": "sshd",
    "pid": 99,
    "source_username": "ann",
    "target_username": "root",
    "source_address": "jump.corp",
    "success": True,
    "agent": {"version": "5.1.0"},
}
LINUX_ECS = {
    "agent.name": "harfanglab",
    "agent.version": "5.1.0",
    "event.dataset": "authentication",
    "event.category": ["authentication"],
    "event.type": ["start"],
    "event.action": "login",
    "event.outcome": "success",
    "action.name": "login",
    "action.outcome": "success",
    "process.name": "sshd",
    "process.pid": 99,
    "source.address": "jump.corp",
    "source.domain": "jump.corp",
    "source.subdomain": "jump",
    "user.name": "ann",
    "user.target.name": "root",
    "related.hosts": ["jump.corp"],
    "related.user": ["ann", "root"],
}
WINDOWS = {
    "log_type": "authentication",
    "event_type": "login_failure",
    "object_type": "login",
    "process_name": "C:\\Windows\\lsass.exe",
    "source_username": "ACME\\pc1$",
    "target_username": "ACME\\ann",
    "source_address": "192.0.2.3",
    "success": False,
    "windows": {
        "authentication_package_name": "NTLM",
        "event_id": 4625,
        "event_title": "An account failed to log on",
        "ip_address": "192.0.2.3",
        "ip_port": "0",
        "logon_process_name": "NtLmSsp ",
        "process_name": "C:\\Windows\\lsass.exe",
        "source_logon_id": 999,
        "source_sid": "S-1-5-18",
        "status": 3221225581,
        "target_logon_id": 0,
        "target_sid": "S-1-0-0",
        "workstation_name": "-",
    },
    "agent": {"hostname": "pc1", "domainname": "ACME"},
}
WINDOWS_ECS = {
    "agent.name": "harfanglab",
    "log.hostname": "pc1",
    "host.hostname": "pc1",
    "host.name": "pc1",
    "host.domain": "ACME",
    "event.dataset": "authentication",
    "event.category": ["authentication"],
    "event.type": ["end", "start"],
    "event.action": "login",
    "event.code": "4625",
    "event.outcome": "failure",
    "event.reason": "An account failed to log on",
    "action.id": 4625,
    "action.name": "login_failure",
    "action.outcome": "failure",
    "action.properties.AuthenticationPackageName": "NTLM",
    "action.properties.IpAddress": "192.0.2.3",
    "action.properties.IpPort": "0",
    "action.properties.LogonProcessName": "NtLmSsp ",
    "action.properties.ProcessName": "C:\\Windows\\lsass.exe",
    "action.properties.SubjectLogonId": "999",
    "action.properties.SubjectUserSid": "S-1-5-18",
    "action.properties.Status": "3221225581",
    "action.properties.TargetLogonId": "0",
    "action.properties.TargetUserSid": "S-1-0-0",
    "action.properties.WorkstationName": "-",
    "process.name": "C:\\Windows\\lsass.exe",
    "source.address": "192.0.2.3",
    "source.ip": "192.0.2.3",
    "user.id": "S-1-5-18",
    "user.name": "pc1$",
    "user.domain": "ACME",
    "user.target.id": "S-1-0-0",
    "user.target.name": "ann",
    "user.target.domain": "ACME",
    "related.hosts": ["pc1"],
    "related.ip": ["192.0.2.3"],
    "related.user": ["ann", "pc1$"],
    "client.domain": "ACME",
    "sekoiaio.authentication.process.name": "NtLmSsp ",
    "sekoiaio.client.name": "pc1",
    "sekoiaio.server.os.type": "windows",
}


def test_a_linux_logon():
    """The name of the host it came from is a domain."""
    assert mapped("ecs", **LINUX) == LINUX_ECS
    assert mapped("documented", **LINUX) == LINUX_ECS | {
        "event.category": "authentication",
        "event.type": "start",
        "related.user": ["ann"],
    }


def test_a_failed_windows_logon():
    """Its types are those of both rules; as a text it is that of the family."""
    assert mapped("ecs", **WINDOWS) == WINDOWS_ECS
    assert mapped("documented", **WINDOWS) == WINDOWS_ECS | {
        "event.category": "authentication",
        "event.type": "end",
        "related.user": ["pc1$"],
    }


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("login", "start"),
        ("logout", "end"),
        ("login_failure", "end"),
        ("LOGIN", "info"),
        ("", "info"),
        (None, "info"),
        (["login"], "info"),
        ({}, "info"),
        (1, "info"),
    ],
)
def test_the_type_says_whether_a_session_starts(event_type, expected):
    """Any other value is information."""
    fields = {"log_type": "authentication", "event_type": event_type}
    assert mapped("ecs", **fields)["event.type"] == [expected]
    assert mapped("documented", **fields)["event.type"] == expected


def test_an_event_without_a_type_is_information():
    """It need not be there."""
    assert mapped("ecs", log_type="authentication")["event.type"] == ["info"]
    assert mapped("documented", log_type="authentication")["event.type"] == "info"


@pytest.mark.parametrize(
    ("success", "outcome"),
    [
        (True, "success"),
        (False, "failure"),
        ("true", "success"),
        (0, "failure"),
        (None, None),
        ("", None),
        ("maybe", None),
        ([True], None),
    ],
)
def test_the_outcome(success, outcome):
    """Of the action and of the event."""
    found = mapped("ecs", log_type="authentication", success=success)
    assert found.get("action.outcome") == found.get("event.outcome") == outcome


@pytest.mark.parametrize(
    ("address", "ip", "domain"),
    [
        ("2001:db8::7", "2001:db8::7", None),
        ("gate", None, "gate"),
        ("", None, None),
        (None, None, None),
        ({"ip": "192.0.2.1"}, None, None),
    ],
)
def test_where_it_came_from(address, ip, domain):
    """An address or a name."""
    found = mapped("ecs", log_type="authentication", source_address=address)
    assert found.get("source.ip") == ip
    assert found.get("source.domain") == domain
    assert found.get("source.address") == (ip or domain)


@pytest.mark.parametrize("windows", [None, "4625", [], [{"event_id": 4625}], 4625])
def test_details_that_are_no_object_say_nothing(windows):
    """The event comes out all the same."""
    found = mapped("ecs", log_type="authentication", windows=windows)
    assert "action.id" not in found
    assert found["event.category"] == ["authentication"]
