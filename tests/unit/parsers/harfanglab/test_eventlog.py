"""Windows event log records of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped


def test_a_record():
    """Its number is its code and its action's id."""
    fields = {"log_type": "eventlog", "event_id": 53504, "source_name": "PowerShell"}
    ecs = {
        "agent.name": "harfanglab",
        "event.dataset": "eventlog",
        "event.type": ["info"],
        "event.code": "53504",
        "event.provider": "PowerShell",
        "action.id": 53504,
    }
    assert mapped("ecs", **fields) == ecs
    assert mapped("documented", **fields) == ecs | {"event.kind": "event", "event.type": "info"}


def test_an_alert_about_a_record():
    """It is an alert, and otherwise the same."""
    fields = {"log_type": "alert", "alert_subtype": "eventlog", "event_id": 1, "source_name": "S"}
    for profile, event_type in (("ecs", ["info"]), ("documented", "info")):
        found = mapped(profile, **fields)
        assert found["event.kind"] == "alert"
        assert found["event.type"] == event_type
        assert (found["event.code"], found["event.provider"]) == ("1", "S")
        assert found["action.id"] == 1


@pytest.mark.parametrize("profile", ["documented", "ecs"])
@pytest.mark.parametrize(
    ("event_id", "outcome"), [(4624, "success"), (4625, "failure"), (4634, None), ([4624], None)]
)
def test_the_outcome_of_a_logon(profile, event_id, outcome):
    """For the two events that are one."""
    found = mapped(profile, log_type="eventlog", event_id=event_id)
    assert found.get("event.outcome") == found.get("action.outcome") == outcome


NAMES = {
    "SubjectUserName": "user.name",
    "SubjectDomainName": "user.domain",
    "TargetUserName": "user.target.name",
    "TargetDomainName": "user.target.domain",
}
RECORD = {
    "log_type": "eventlog",
    "event_id": 4728,
    "source_name": "Security",
    "event_data": {
        "SubjectUserName": "ann",
        "SubjectDomainName": "ACME",
        "TargetUserName": "admins",
        "TargetDomainName": "ACME",
        "MemberName": "CN=Bob Low,OU=Users,DC=acme,DC=example",
        "IpAddress": "192.0.2.90",
        "Destination": "10.0.0.9",
        "Member Count": 3,
    },
}
RECORD_ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "eventlog",
    "event.type": ["info"],
    "event.code": "4728",
    "event.provider": "Security",
    "action.id": 4728,
    "action.properties.SubjectUserName": "ann",
    "action.properties.SubjectDomainName": "ACME",
    "action.properties.TargetUserName": "admins",
    "action.properties.TargetDomainName": "ACME",
    "action.properties.MemberName": "Bob Low",
    "action.properties.IpAddress": "192.0.2.90",
    "action.properties.Destination": "10.0.0.9",
    "action.properties.MemberCount": "3",
    "source.ip": "192.0.2.90",
    "source.address": "192.0.2.90",
    "user.name": "ann",
    "user.domain": "ACME",
    "user.target.name": "admins",
    "user.target.domain": "ACME",
    "related.ip": ["192.0.2.90"],
    "related.user": ["admins", "ann"],
}


def test_a_record_with_its_data():
    """All of it, and the fields that follow from some of it."""
    assert mapped("ecs", **RECORD) == RECORD_ECS
    assert mapped("documented", **RECORD) == RECORD_ECS | {
        "event.kind": "event",
        "event.type": "info",
        "related.user": ["ann"],
    }


@pytest.mark.parametrize("profile", ["documented", "ecs"])
@pytest.mark.parametrize(("key", "target"), NAMES.items())
def test_a_dash_is_no_name(profile, key, target):
    """But in the record of an alert, and among the properties."""
    found = mapped(profile, log_type="eventlog", event_data={key: "-"})
    assert target not in found
    assert found[f"action.properties.{key}"] == "-"
    data = {"event_data": {key: "x"}, "eventlog": {"event_data": {key: "-"}}}
    assert mapped(profile, log_type="eventlog", **data)[target] == "-"
    data["event_data"][key], data["eventlog"]["event_data"][key] = "-", "x"
    assert mapped(profile, log_type="eventlog", **data)[target] == "x"


def test_the_members_of_records_in_alerts_are_not_reformatted():
    """Only their domain is cut off."""
    for member, name in (("CN=Bob Low,OU=x", "CN=Bob Low,OU=x"), ("ACME\\bob", "bob")):
        data = {"event_data": {"MemberName": member}}
        found = mapped("ecs", log_type="alert", alert_subtype="eventlog", eventlog=data)
        assert found["action.properties.MemberName"] == name


@pytest.mark.parametrize(
    ("data", "address"),
    [
        ({"event_data": {"IpAddress": "192.0.2.1"}}, "192.0.2.1"),
        ({"event_data": {"IpAddress": "192.0.2.1", "CallingStationID": "192.0.2.2"}}, "192.0.2.2"),
        ({"event_data": {"IpAddress": "-", "CallingStationID": "00-11-22"}}, None),
        ({"eventlog": {"event_data": {"IpAddress": "::1"}}}, "::1"),
        ({"eventlog": {"event_data": {"CallingStationID": "192.0.2.2"}}}, None),
        ({"event_data": {"IpAddress": ["192.0.2.1"]}, "eventlog": {"event_data": 5}}, None),
    ],
)
def test_the_address_a_record_is_about(data, address):
    """If it is one."""
    found = mapped("ecs", log_type="eventlog", **data)
    assert found.get("source.ip") == found.get("source.address") == address


@pytest.mark.parametrize(
    ("destination", "url"),
    [
        ("https://files.example/a", "https://files.example/a"),
        ("httpd", "httpd"),
        ("HTTP://files.example", None),
        ("10.0.0.9", None),
        (["https://files.example"], None),
        (None, None),
    ],
)
def test_a_destination_that_is_a_url(destination, url):
    """By its beginning."""
    found = mapped("ecs", log_type="eventlog", event_data={"Destination": destination})
    assert found.get("url.original") == url
