"""Which fields events can have."""

import pytest

from collector import samples
from collector.events.envelope import Arrival, Receipt, finisher
from collector.events.fields import known_fields, may_have
from collector.parsers import PARSERS, PROFILES, ParseError, build, pipeline_error
from tests.support import leaves


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("parser", PARSERS)
def test_what_an_event_has_is_known(parser, profile):
    """Of the samples, and of what cannot be parsed."""
    fields = known_fields(parser, profile, ["received", "source"])
    finish = finisher(["received", "source"])
    events = [pipeline_error("x", ParseError("not_cef", "no"))]
    if parser != "raw":
        events += [build(parser, profile)(sample.raw) for sample in samples.load(parser)]
    for event in events:
        finish(event, Arrival("1", b"x", (), Receipt(None, "now", None, "192.0.2.1")))
        assert [name for name in leaves(event) if not may_have(fields, name)] == []


def test_a_profile_has_its_own_fields():
    """And only those."""
    documented = known_fields("cybereason", "documented", [])
    assert documented["event.type"] == "keyword"
    ecs = known_fields("cybereason", "ecs", [])
    assert ecs["event.type"] == "array of keyword"


def test_an_envelope_has_its_own_fields():
    """Only where it is asked for."""
    assert "log.syslog.hostname" in known_fields("raw", "ecs", ["syslog"])
    assert "log.syslog.hostname" not in known_fields("raw", "ecs", ["received", "source"])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("event.code", True),
        ("event", True),
        ("event.c", False),
        ("event.code.x", False),
        ("events", False),
        ("users", True),
        ("users.name", True),
        ("action.properties", True),
        ("action.properties.a.b", True),
        ("action.propertiesx", False),
        ("action", True),
        ("x", False),
    ],
)
def test_names_may_stand_for_more_than_one_field(name, known):
    """Objects hold fields, and some have any."""
    fields = {
        "event.code": "keyword",
        "action.properties.*": "keyword",
        "users": "array of object",
    }
    assert may_have(fields, name) is known
