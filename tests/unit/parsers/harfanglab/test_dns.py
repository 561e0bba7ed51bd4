"""Name resolution of HarfangLab."""

from tests.support import harfanglab_fields as mapped

QUERY = {
    "log_type": "dns_resolution",
    "requested_name": "files.acme.example",
    "query_type": "AAAA",
    "ip_addresses": ["2001:db8::9", "192.0.2.9"],
    "pid": 77,
    "process_image_path": "C:\\b.exe",
    "username": "ACME\\ann",
    "user_name": None,
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "dns_resolution",
    "event.category": ["network"],
    "event.type": ["info"],
    "dns.question.name": "files.acme.example",
    "dns.question.type": "AAAA",
    "dns.question.subdomain": "files.acme",
    "dns.resolved_ip": ["2001:db8::9", "192.0.2.9"],
    "process.pid": 77,
    "process.executable": "C:\\b.exe",
    "user.name": "ann",
    "user.domain": "ACME",
    "related.hosts": ["files.acme.example"],
    "related.ip": ["192.0.2.9", "2001:db8::9"],
    "related.user": ["ann"],
}


def test_a_resolution():
    """What was asked, what was answered, who asked."""
    assert mapped("ecs", **QUERY) == ECS
    shape = {"event.category": "network", "event.type": "info"}
    assert mapped("documented", **QUERY) == ECS | shape


def test_values_of_other_types_are_absent():
    """The rest is there."""
    found = mapped(
        "ecs",
        log_type="dns_resolution",
        pid="many",
        username=["ACME\\ann"],
        ip_addresses=[{}, None],
    )
    assert found == {
        "agent.name": "harfanglab",
        "event.dataset": "dns_resolution",
        "event.category": ["network"],
        "event.type": ["info"],
    }
