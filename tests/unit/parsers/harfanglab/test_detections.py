"""What detections key on, in profile ``ecs``."""

import orjson
import pytest

from collector.parsers import build
from tests.support import leaves

PARSE = {profile: build("harfanglab", profile) for profile in ("documented", "ecs")}
ALWAYS = {
    "agent.name": "harfanglab",
    "ecs.version": "9.4.0",
    "event.kind": "event",
    "event.module": "harfanglab",
    "observer.vendor": "HarfangLab",
    "observer.product": "HarfangLab EDR",
}


def parsed(profile="ecs", /, **fields):
    """Parse a message of these fields; return the event's `leaves`, message aside."""
    event = leaves(PARSE[profile](orjson.dumps(fields).decode()))
    del event["message"]
    return event


def test_every_event_says_what_it_is_and_where_it_comes_from():
    """Of whatever family."""
    assert parsed() == ALWAYS
    assert parsed(log_type="new") == {**ALWAYS, "event.dataset": "new"}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"log_type": "alert"}, "alert"),
        ({"log_type": "threat"}, "alert"),
        ({"log_type": "process"}, "event"),
        ({"threat_type": "commandline"}, "alert"),
    ],
)
def test_alerts_and_threats_are_alerts(fields, kind):
    """Everything else is an event."""
    assert parsed(**fields)["event.kind"] == kind


@pytest.mark.parametrize("log_type", ["alert", "threat"])
@pytest.mark.parametrize(
    ("level", "severity"), [("low", 21), ("Medium", 47), ("high", 73), ("critical", 99)]
)
def test_the_level_is_a_severity_and_a_risk(log_type, level, severity):
    """Of alerts and threats."""
    event = parsed(log_type=log_type, level=level)
    assert event["harfanglab.level"] == level
    assert event["event.severity"] == severity
    assert event["event.risk_score_norm"] == severity


@pytest.mark.parametrize(
    "fields",
    [
        {"log_type": "alert"},
        {"log_type": "alert", "level": "unheard of"},
        {"log_type": "agentlog", "level": "critical"},
    ],
)
def test_without_a_level_there_is_no_severity(fields):
    """That of a log line is not one of the event."""
    event = parsed(**fields)
    assert "event.severity" not in event
    assert "event.risk_score_norm" not in event


def test_tags_of_attack_are_tactics_and_techniques():
    """What other tags say stays in the message."""
    tags = ["attack.discovery", "attack.t1057", "attack.s0057", "_dateparsefailure"]
    event = parsed(log_type="alert", tags=tags)
    assert {name: value for name, value in event.items() if name.startswith("threat.")} == {
        "threat.framework": "MITRE ATT&CK",
        "threat.tactic.id": ["TA0007"],
        "threat.tactic.name": ["Discovery"],
        "threat.tactic.reference": ["https://attack.mitre.org/tactics/TA0007/"],
        "threat.technique.id": ["T1057"],
        "threat.technique.name": ["Process Discovery"],
        "threat.technique.reference": ["https://attack.mitre.org/techniques/T1057/"],
    }


@pytest.mark.parametrize("tags", [["_dateparsefailure"], [], None, 5, {"attack.t1057": 1}])
def test_other_tags_set_nothing(tags):
    """Of whatever type."""
    assert parsed(tags=tags) == ALWAYS


def test_profile_documented_has_none_of_it():
    """It is the shape that the documentation shows."""
    event = parsed(
        "documented", log_type="threat", level="high", tags=["attack.t1057", "attack.impact"]
    )
    added = {*ALWAYS, "event.severity", "event.risk_score_norm"} - {"agent.name", "event.kind"}
    assert added.isdisjoint(event)
    assert [name for name in event if name.startswith("threat.")] == []
