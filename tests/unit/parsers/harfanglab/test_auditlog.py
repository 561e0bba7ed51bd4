"""Requests to a HarfangLab manager."""

import pytest

from tests.support import harfanglab_fields as mapped

REQUEST = {
    "log_type": "auditlog",
    "request_method": "POST",
    "request_content": '{"a": 1}',
    "request_path": "/api/data/things/",
    "response_status_code": "201",
    "user_agent": "tool/1.0",
    "ip_address": "192.0.2.50",
    "log_description": "A thing was made",
    "log_slug": "thing_created",
    "username": "ACME\\ann",
}
ECS = {
    "agent.name": "harfanglab",
    "event.dataset": "auditlog",
    "event.category": ["web"],
    "event.type": ["access"],
    "event.action": "thing_created",
    "event.reason": "A thing was made",
    "http.request.method": "POST",
    "http.request.body.content": '{"a": 1}',
    "http.response.status_code": 201,
    "url.path": "/api/data/things/",
    "source.address": "192.0.2.50",
    "source.ip": "192.0.2.50",
    "user_agent.original": "tool/1.0",
    "user.name": "ann",
    "user.domain": "ACME",
    "related.ip": ["192.0.2.50"],
    "related.user": ["ann"],
}


def request(profile, **fields):
    """Map a request; what is known of user agents is tested elsewhere."""
    found = mapped(profile, **REQUEST | fields)
    kept = {"user_agent.original"}
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("user_agent.") or name in kept
    }


def test_a_request():
    """Who did what, from where, and how it went."""
    assert request("ecs") == ECS
    shape = {"event.category": "web", "event.type": "access"}
    assert request("documented") == ECS | shape


@pytest.mark.parametrize(
    ("code", "expected"), [(404, 404), ("500", 500), ("", None), (None, None), ("OK", None)]
)
def test_the_status_is_a_number(code, expected):
    """Or absent."""
    assert request("ecs", response_status_code=code).get("http.response.status_code") == expected


def test_the_address_is_kept_as_it_is():
    """The specification asks for no check."""
    assert request("ecs", ip_address="manager")["source.ip"] == "manager"
