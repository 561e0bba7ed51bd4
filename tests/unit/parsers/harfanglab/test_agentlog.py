"""What HarfangLab's agents log about themselves."""

from tests.support import harfanglab_fields as mapped

LOG = {
    "log_type": "agentlog",
    "message": "Cannot open a thing",
    "level": "ERROR",
    "agent_id": "a-9",
    "hostname": "pc9",
    "tenant": "t-1",
}
LOG_ECS = {
    "agent.name": "harfanglab",
    "agent.id": "a-9",
    "event.dataset": "agentlog",
    "event.type": ["info"],
    "event.reason": "Cannot open a thing",
    "host.name": "pc9",
    "organization.id": "t-1",
}
CONNECTION = {"log_type": "connectionlog", "agent_id": "a-9", "connection_count": 4}
CONNECTION_ECS = {
    "agent.name": "harfanglab",
    "agent.id": "a-9",
    "event.dataset": "connectionlog",
    "event.category": ["network"],
    "event.type": ["info"],
}


def test_a_line_of_an_agents_log():
    """The name of the host is no host name of the system: nothing is related."""
    assert mapped("ecs", **LOG) == LOG_ECS
    assert mapped("documented", **LOG) == LOG_ECS | {"event.type": "info"}


def test_connections_of_an_agent():
    """There is little to know."""
    assert mapped("ecs", **CONNECTION) == CONNECTION_ECS
    shape = {"event.category": "network", "event.type": "info"}
    assert mapped("documented", **CONNECTION) == CONNECTION_ECS | shape


def test_the_name_in_the_log_wins_over_that_of_the_agent():
    """A rule has set it."""
    found = mapped("ecs", **LOG, agent={"hostname": "other", "agentid": "a-1"})
    assert (found["host.name"], found["host.hostname"]) == ("pc9", "other")
    assert found["agent.id"] == "a-9"
