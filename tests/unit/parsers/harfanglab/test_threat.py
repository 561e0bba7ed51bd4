"""Threats of HarfangLab."""

import pytest

from tests.support import harfanglab_fields as mapped

THREAT = {
    "log_type": "threat",
    "id": 321,
    "status": "new",
    "level": "high",
    "first_seen": "2024-05-06T07:08:09-05:00",
    "last_seen": "2024-05-06T13:08:09.123Z",
    "rule_count": 2,
    "rules": [
        {"rule_level": "high", "rule_name": "First rule", "rule_type": "sigma"},
        {"rule_level": "low", "rule_name": "Second rule", "rule_type": "yara"},
    ],
    "impacted_user_count": 2,
    "impacted_users": [
        {"user_name": "ACME\\ann", "user_sid": "S-1"},
        {"user_name": "bob"},
    ],
    "agents": [
        {"agent_id": "a-1", "agent_hostname": "pc1", "agent_ostype": "windows"},
        {"agent_id": "a-2", "agent_hostname": ""},
    ],
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "threat",
    "event.start": "2024-05-06T12:08:09.000000Z",
    "event.end": "2024-05-06T13:08:09.123000Z",
    "harfanglab.threat_id": "321",
    "harfanglab.status": "new",
    "harfanglab.level": "high",
    "harfanglab.count.rules": 2,
    "harfanglab.count.users_impacted": 2,
    "harfanglab.rule_level": "high",
    "harfanglab.agents": [{"id": "a-1", "hostname": "pc1"}, {"id": "a-2"}],
    "harfanglab.impacted_users": [{"name": "ann", "domain": "ACME"}, {"name": "bob"}],
    "rule.name": "First rule",
    "rule.category": "sigma",
    "user.name": "ann",
    "user.domain": "ACME",
    "related.user": ["ann"],
}


@pytest.mark.parametrize("profile", ["documented", "ecs"])
def test_a_threat(profile):
    """The first rule and the first user stand for it."""
    assert mapped(profile, **THREAT) == ECS


def test_one_user_is_the_user_of_the_event():
    """Who needs no list."""
    found = mapped("ecs", **THREAT | {"impacted_users": [{"user_name": "ACME\\ann"}]})
    assert (found["user.name"], found["user.domain"]) == ("ann", "ACME")
    assert "harfanglab.impacted_users" not in found


def test_the_older_names_of_the_dates_are_read():
    """Where the newer ones are not there."""
    dates = {"firstseen": "2024-01-01T00:00:00Z", "lastseen": "2024-01-02T00:00:00Z"}
    found = mapped("ecs", log_type="threat", **dates)
    assert found["event.start"] == "2024-01-01T00:00:00.000000Z"
    assert found["event.end"] == "2024-01-02T00:00:00.000000Z"
    found = mapped("ecs", **THREAT, **dates)
    assert found["event.start"] == ECS["event.start"]
    found = mapped("ecs", log_type="threat", first_seen="soon", **dates)
    assert found["event.start"] == "2024-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("lists", [None, "x", 5, [], {}, {"0": {"user_name": "x"}}, [None], [[]]])
def test_lists_that_are_none_say_nothing(lists):
    """Nor do those without objects."""
    found = mapped("ecs", log_type="threat", rules=lists, impacted_users=lists, agents=lists)
    assert found == {"agent.name": "harfanglab", "event.dataset": "threat"}


def test_entries_of_other_types_are_passed_over():
    """In the lists; the event's own rule and user are those of the first entry alone."""
    users = ["ann", {"user_name": "ACME\\bob"}, {"user_name": ["x"]}, {"user_name": 5}]
    found = mapped("ecs", log_type="threat", rules=[1, {"rule_name": "r"}], impacted_users=users)
    assert found["harfanglab.impacted_users"] == [{"name": "bob", "domain": "ACME"}, {"name": "5"}]
    assert "user.name" not in found
    assert "rule.name" not in found
