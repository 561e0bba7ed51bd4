"""Alerts of HarfangLab's antivirus and firewall."""

from tests.support import harfanglab_fields as mapped

ANTIVIRUS = {
    "log_type": "alert",
    "alert_subtype": "antivirus",
    "av_detection_details": {
        "path": "C:\\d\\bad.js",
        "file_size": 12,
        "hashes": {"md5": "b3", "sha1": "a3", "sha256": "c3"},
        "signature_id": 4711,
        "signature_name": "Trojan.Example",
        "kind": "scan",
        "file_type": "script",
    },
}
ANTIVIRUS_ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "alert",
    "event.kind": "alert",
    "event.category": ["malware"],
    "event.type": ["info"],
    "file.path": "C:\\d\\bad.js",
    "file.directory": "C:\\d",
    "file.name": "bad.js",
    "file.size": 12,
    "file.hash.md5": "b3",
    "file.hash.sha1": "a3",
    "file.hash.sha256": "c3",
    "harfanglab.alert_subtype": "antivirus",
    "harfanglab.av.detection.signature_id": "4711",
    "harfanglab.av.detection.signature_name": "Trojan.Example",
    "harfanglab.av.detection.kind": "scan",
    "harfanglab.av.detection.file_type": "script",
    "related.hash": ["a3", "b3", "c3"],
}
FIREWALL = {
    "log_type": "alert",
    "alert_subtype": "firewall_self_protection",
    "firewall_self_protection": {
        "filter_description": "Blocks the agent",
        "filter_id": 99,
        "filter_name": "block",
        "provider_description": "A provider",
        "provider_name": "prov",
        "provider_service_name": "svc",
    },
}
FIREWALL_ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "alert",
    "event.kind": "alert",
    "harfanglab.alert_subtype": "firewall_self_protection",
    "harfanglab.firewall_self_protection.filter_description": "Blocks the agent",
    "harfanglab.firewall_self_protection.filter_id": "99",
    "harfanglab.firewall_self_protection.filter_name": "block",
    "harfanglab.firewall_self_protection.provider_description": "A provider",
    "harfanglab.firewall_self_protection.provider_name": "prov",
    "harfanglab.firewall_self_protection.provider_service_name": "svc",
}
OUTCOME = dict.fromkeys(("event.outcome", "event.event.outcome", "action.outcome"), "success")


def test_the_antivirus_found_something():
    """In a file."""
    assert mapped("ecs", **ANTIVIRUS) == ANTIVIRUS_ECS
    shape = {"event.category": "malware", "event.type": "info"}
    assert mapped("documented", **ANTIVIRUS) == ANTIVIRUS_ECS | shape | OUTCOME


def test_the_firewall_found_a_filter_against_the_agent():
    """It has no category."""
    assert mapped("ecs", **FIREWALL) == FIREWALL_ECS
    assert mapped("documented", **FIREWALL) == FIREWALL_ECS | OUTCOME


def test_details_that_are_no_object_say_nothing():
    """The alerts come out all the same."""
    for alert, name in (
        (ANTIVIRUS, "av_detection_details"),
        (FIREWALL, "firewall_self_protection"),
    ):
        for value in (None, "x", 1, [], [alert[name]]):
            found = mapped("ecs", **alert | {name: value})
            assert found["event.kind"] == "alert"
            assert not [field for field in found if field.startswith("file.") or ".filter" in field]
