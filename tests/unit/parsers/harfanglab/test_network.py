"""Network connections of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped

CONNECTION = {
    "daddr": "192.0.2.9",
    "dport": 443,
    "saddr": "10.0.0.5",
    "sport": "50123",
    "direction": "out",
    "pid": 7,
    "image_name": "C:\\x\\y.exe",
    "username": "ACME\\ann",
}


def test_a_connection_in_profile_ecs():
    """Lists, the user's domain apart."""
    assert mapped("ecs", log_type="network", **CONNECTION) == {
        "agent.name": "harfanglab",
        "event.dataset": "network",
        "event.category": ["network"],
        "event.type": ["connection"],
        "destination.address": "192.0.2.9",
        "destination.ip": "192.0.2.9",
        "destination.port": 443,
        "source.address": "10.0.0.5",
        "source.ip": "10.0.0.5",
        "source.port": 50123,
        "network.direction": "outbound",
        "process.pid": 7,
        "process.executable": "C:\\x\\y.exe",
        "user.name": "ann",
        "user.domain": "ACME",
        "related.ip": ["10.0.0.5", "192.0.2.9"],
        "related.user": ["ann"],
    }


def test_a_connection_in_profile_documented():
    """Texts, the user with the domain, an outcome; and all that `ecs` knows besides."""
    ecs = mapped("ecs", log_type="network", **CONNECTION)
    assert mapped("documented", log_type="network", **CONNECTION) == ecs | {
        "event.kind": "event",
        "event.category": "network",
        "event.type": "connection",
        "event.outcome": "success",
        "event.event.outcome": "success",
        "action.outcome": "success",
        "user.name": "ACME\\ann",
        "related.user": ["ACME\\ann"],
    }


@pytest.mark.parametrize("profile", ["documented", "ecs"])
def test_a_network_alert_is_an_alert(profile):
    """With the fields of a connection."""
    found = mapped(profile, log_type="alert", alert_subtype="network", **CONNECTION)
    assert found["event.kind"] == "alert"
    assert found["destination.port"] == 443


@pytest.mark.parametrize(("direction", "expected"), [("in", "inbound"), ("", None), (None, None)])
def test_a_direction_that_is_not_known_is_absent(direction, expected):
    """Only in and out are."""
    found = mapped("ecs", **{**CONNECTION, "log_type": "network", "direction": direction})
    assert found.get("network.direction") == expected


def test_an_address_that_is_none_is_kept_by_documented_alone():
    """Its rows say so."""
    odd = {**CONNECTION, "log_type": "network", "daddr": "server.example"}
    assert mapped("documented", **odd)["destination.ip"] == "server.example"
    assert "destination.ip" not in mapped("ecs", **odd)


def test_other_families_have_no_addresses_from_these_fields():
    """The condition counts."""
    found = mapped("ecs", log_type="file", **CONNECTION)
    assert not [name for name in found if name.startswith(("source.", "destination."))]
