"""The outcome that the documentation shows."""

import pytest

from collector.parsers import build


@pytest.mark.parametrize("log_type", ["network", "alert"])
def test_network_events_and_alerts_have_an_outcome_in_documented_alone(log_type):
    """It says nothing about the event."""
    raw = f'{{"log_type": "{log_type}"}}'
    event = build("harfanglab", "documented")(raw)["event"]
    assert (event["outcome"], event["event"]) == ("success", {"outcome": "success"})
    assert not {"outcome", "event"} & build("harfanglab", "ecs")(raw)["event"].keys()


def test_other_events_have_none():
    """In neither profile."""
    for profile in ("documented", "ecs"):
        event = build("harfanglab", profile)('{"log_type": "process"}')["event"]
        assert not {"outcome", "event"} & event.keys()
