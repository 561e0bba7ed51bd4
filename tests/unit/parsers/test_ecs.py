"""Inferred fields, from any vendor's table."""

import pytest

from collector.parsers.compiler import compile_table
from collector.parsers.convert import keywords
from collector.parsers.ecs import INFERRED, detections
from collector.parsers.mapping import Rule, Table
from tests.support import leaves

TEXTS = (
    *("host.name", "host.hostname", "source.ip", "source.domain", "source.address"),
    *("destination.ip", "destination.nat.ip", "destination.address", "dns.question.name"),
    *("file.path", "file.name", "user.name", "user.target.name", "event.outcome"),
    *("action.outcome", "process.executable", "process.hash.md5"),
    *("url.original", "url.path", "url.domain", "user_agent.original", "user_agent.version"),
    *(f"{kind}.hash.{name}" for kind in ("file", "dll") for name in ("md5", "sha1", "sha256")),
)
LISTS = ("host.ip", "dns.resolved_ip")
TABLE = Table(
    "everything",
    (
        *(Rule(target, target.replace(".", " ")) for target in TEXTS),
        *(Rule(target, target.replace(".", " "), keywords) for target in LISTS),
    ),
    INFERRED,
)
MAPPERS = {profile: compile_table(TABLE, profile) for profile in ("documented", "ecs")}


def inferred(profile="ecs", /, **fields):
    """Map fields to themselves; return what has come in addition."""
    given = {name.replace("__", "."): value for name, value in fields.items()}
    event = MAPPERS[profile]("", {name.replace(".", " "): value for name, value in given.items()})
    return {name: value for name, value in leaves(event).items() if given.get(name) != value}


@pytest.mark.parametrize("profile", ["documented", "ecs"])
@pytest.mark.parametrize(
    ("fields", "added"),
    [
        ({}, {}),
        ({"host__hostname": "h"}, {"host.name": "h", "related.hosts": ["h"]}),
        ({"host__hostname": "h", "host__name": "n"}, {"related.hosts": ["h"]}),
        ({"host__name": "n"}, {}),
        (
            {"source__ip": "192.0.2.1", "source__domain": "d"},
            {"source.address": "192.0.2.1", "related.ip": ["192.0.2.1"], "related.hosts": ["d"]},
        ),
        ({"source__domain": "d"}, {"source.address": "d", "related.hosts": ["d"]}),
        ({"source__ip": "192.0.2.1", "source__address": "a"}, {"related.ip": ["192.0.2.1"]}),
        (
            {"destination__ip": "192.0.2.1"},
            {"destination.address": "192.0.2.1", "related.ip": ["192.0.2.1"]},
        ),
        ({"destination__nat__ip": "192.0.2.1"}, {"related.ip": ["192.0.2.1"]}),
        ({"file__path": "C:\\a\\b.exe"}, {"file.name": "b.exe", "file.directory": "C:\\a"}),
        ({"file__path": "/a/b"}, {"file.name": "b", "file.directory": "/a"}),
        ({"file__path": "b.exe"}, {"file.name": "b.exe"}),
        ({"file__path": "C:\\a\\"}, {"file.directory": "C:\\a"}),
        ({"file__path": "C:\\a\\b.exe", "file__name": "n"}, {}),
        ({"process__executable": "C:\\a\\b.exe"}, {}),
        ({"dns__question__name": "q"}, {"related.hosts": ["q"]}),
        (
            {"host__ip": ["192.0.2.2", "192.0.2.1"], "dns__resolved_ip": ["192.0.2.2"]},
            {"related.ip": ["192.0.2.1", "192.0.2.2"]},
        ),
        (
            {"user__name": "b", "user__target__name": "a"},
            {"related.user": ["a", "b"]},
        ),
        (
            {"file__hash__md5": "c", "dll__hash__sha256": "a", "file__hash__sha1": "b"},
            {"related.hash": ["a", "b", "c"]},
        ),
        ({"process__hash__md5": "c"}, {}),
        ({"event__outcome": "success"}, {"action.outcome": "success"}),
        ({"action__outcome": "failure"}, {"event.outcome": "failure"}),
        ({"event__outcome": "success", "action__outcome": "failure"}, {}),
        (
            {"dns__question__name": "www.example.com"},
            {
                "dns.question.registered_domain": "example.com",
                "dns.question.top_level_domain": "com",
                "dns.question.subdomain": "www",
                "related.hosts": ["www.example.com"],
            },
        ),
        (
            {"source__domain": "dc.corp.local"},
            {
                "source.address": "dc.corp.local",
                "source.subdomain": "dc.corp",
                "related.hosts": ["dc.corp.local"],
            },
        ),
        (
            {"url__original": "https://www.example.com"},
            {
                "url.full": "https://www.example.com",
                "url.scheme": "https",
                "url.domain": "www.example.com",
                "url.port": 443,
                "url.registered_domain": "example.com",
                "url.top_level_domain": "com",
                "url.subdomain": "www",
            },
        ),
        ({"url__original": "/a?b"}, {"url.path": "/a", "url.query": "b"}),
        ({"url__path": "/a"}, {}),
        (
            {"url__domain": "example.com"},
            {"url.registered_domain": "example.com", "url.top_level_domain": "com"},
        ),
        (
            {"user_agent__original": "curl/8.5.0"},
            {
                "user_agent.name": "curl",
                "user_agent.version": "8.5.0",
                "user_agent.device.name": "Other",
            },
        ),
    ],
)
def test_what_follows_from_other_fields(profile, fields, added):
    """Only where no rule has set it."""
    assert inferred(profile, **fields) == added


def test_what_a_rule_has_set_stays():
    """Rows that yield several fields fill in the others."""
    added = inferred(
        url__original="http://example.com/a",
        url__path="/rule",
        url__domain="rule.example",
        user_agent__original="curl/8.5.0",
        user_agent__version="rule",
    )
    assert added == {
        "url.full": "http://example.com/a",
        "url.scheme": "http",
        "url.port": 80,
        "url.subdomain": "rule",
        "user_agent.name": "curl",
        "user_agent.device.name": "Other",
    }


def test_what_detections_look_for_is_set_where_no_rule_has():
    """In profile `ecs` only."""
    rows = detections(module="m", vendor="v", product="p")
    rules = (Rule("observer.product", "product"), Rule("host.name", "host"))
    table = Table("toy", rules, detections=rows)
    assert compile_table(table, "ecs")("", {"product": "mine"}) == {
        "ecs": {"version": "9.4.0"},
        "event": {"module": "m"},
        "observer": {"vendor": "v", "product": "mine"},
    }
    assert compile_table(table, "documented")("", {"host": "h"}) == {"host": {"name": "h"}}
