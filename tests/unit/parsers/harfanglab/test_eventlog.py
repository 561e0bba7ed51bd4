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
