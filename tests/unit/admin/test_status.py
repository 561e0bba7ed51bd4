"""What `/api/status` says of listeners, intakes and sinks."""

from types import SimpleNamespace

from collector.admin.status import (
    SHOWN_SOURCES,
    intake_status,
    listener_status,
    sink_status,
    unused_sink_status,
)
from collector.config import IntakeSettings, ListenerSettings
from collector.metrics import Histogram, IntakeStats, ListenerStats, SinkStats
from collector.sightings import MAX_SOURCES, Sightings
from collector.spool import Backlog

EDR = IntakeSettings.model_validate({"name": "edr", "parser": "raw"})
TCP = ListenerSettings.model_validate({"name": "tcp", "transport": "tcp", "port": 0})


def test_a_listener_is_told_with_where_it_listens():
    stats = ListenerStats("tcp", messages=5, truncated=1, connections=2)
    stats.rejected["oversize"] = 3
    status = listener_status(TCP, stats, ("127.0.0.1", 5514))
    assert (status["host"], status["port"]) == ("127.0.0.1", 5514)
    assert (status["messages"], status["rejected"]) == (5, {"oversize": 3})
    assert status["kernel_drops"] is None


def test_a_listener_that_does_not_listen_is_told_with_its_settings():
    status = listener_status(TCP, ListenerStats("tcp"), None)
    assert (status["host"], status["port"]) == ("0.0.0.0", 0)


def test_an_intake_is_told_with_what_became_of_its_messages():
    stats = IntakeStats("edr", ok=4, pipeline_error=1)
    stats.parse_errors["not_json"] += 1
    sightings = Sightings()
    sightings.saw("edr", "192.0.2.1", 1_767_323_045.5)
    assert intake_status(EDR, stats, sightings) == {
        "name": "edr",
        "parser": "raw",
        "profile": "documented",
        "events": {"ok": 4, "pipeline_error": 1},
        "parse_errors": {"not_json": 1},
        "repaired": {},
        "last_seen": [{"source": "192.0.2.1", "at": "2026-01-02T03:04:05+00:00"}],
    }


def test_of_many_sources_the_latest_are_told():
    """All of them are in the metrics."""
    sightings = Sightings()
    for number in range(MAX_SOURCES):
        sightings.saw("edr", str(number), float(number))
    last_seen = intake_status(EDR, IntakeStats("edr"), sightings)["last_seen"]
    assert len(last_seen) == SHOWN_SOURCES
    assert last_seen[0]["source"] == str(MAX_SOURCES - 1)


def test_a_sink_that_others_post_to_is_told_with_what_waits_here():
    """It has all that other sinks have."""
    found = unused_sink_status("siem", Backlog(3, 300, 1.23456))
    assert found["waiting"] == {"events": 3, "octets": 300, "oldest_seconds": 1.235}
    assert (found["name"], found["delivered"], found["requests"]) == ("siem", 0, {})


def test_a_sink_is_told_with_its_problem_and_what_waits_for_it():
    sink = SimpleNamespace(
        name="siem", health=SimpleNamespace(up=False, paused=True), problem="HTTP 401"
    )
    stats = SinkStats("siem", Histogram((1.0,)), delivered=7, in_flight=1)
    before = sink_status(sink, stats, Backlog(10, 2000, 1.0))
    assert {before[name] for name in ("down_since", "last_success", "last_failure")} == {None}
    stats.last_success = 1_767_323_045.5
    stats.down_since, stats.last_failure = 1_767_323_046.5, (1_767_323_047.5, "HTTP 401")
    status = sink_status(sink, stats, Backlog(10, 2000, 1.23456))
    assert (status["up"], status["paused"], status["problem"]) == (False, True, "HTTP 401")
    assert (status["delivered"], status["last_success"]) == (7, "2026-01-02T03:04:05+00:00")
    assert status["down_since"] == "2026-01-02T03:04:06+00:00"
    assert status["last_failure"] == {"at": "2026-01-02T03:04:07+00:00", "problem": "HTTP 401"}
    assert status["waiting"] == {"events": 10, "octets": 2000, "oldest_seconds": 1.235}
