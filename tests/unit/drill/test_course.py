"""A whole drill, shortened: a real private daemon, a sink that fails, a verdict."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from collector.drill import course
from collector.drill.course import Plan
from collector.settings.problems import ConfigError

PLAN = Plan(
    fault=503,
    fault_seconds=0.6,
    rate=200.0,
    transport="tcp",
    kill=False,
    patience_seconds=60.0,
)
RETRY = {"initial": "50ms", "max": "100ms"}
SETTINGS = {
    "listeners": [{"name": "in", "transport": "tcp", "port": 5514, "intake": "edr"}],
    "intakes": [
        {
            "name": "edr",
            "parser": "cybereason",
            "drop": [{"name": "machines", "field": "event.code", "equals": "3"}],
        },
        {"name": "other", "parser": "harfanglab", "key_file": "/nowhere", "sinks": ["lake"]},
    ],
    "sinks": [
        {"name": "siem", "url": "https://siem.example/", "format": "elasticsearch", "retry": RETRY},
        {"name": "lake", "url": "https://lake.example/", "retry": RETRY},
    ],
    "spool": {"type": "memory"},
}


# A machine that is busy may have no glance while the fault lasts.
FROM_THE_FAULT_ON = {"fault", "after the fault", "recovery"}


@pytest.fixture
def short(tmp_path, monkeypatch):
    """Make a drill short, and its temporary directory one of the test."""
    monkeypatch.setattr(course, "LEAD_SECONDS", 0.3)
    monkeypatch.setattr(course, "TAIL_SECONDS", 0.3)
    monkeypatch.setattr(course, "POLL_SECONDS", 0.05)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def written(directory, **changes):
    file = directory / "users.yaml"
    file.write_text(yaml.safe_dump({**SETTINGS, **changes}))
    return file


def run(file, plan=PLAN, watch=lambda _: None):
    return course.run(file, plan, watch=watch, note=lambda _: None)


def left(directory):
    """Return what is left of the private daemon and of its files."""
    processes = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.fsencode(directory / "temporary") in _read(path)
    ]
    return [*processes, *(directory / "temporary").iterdir()]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_drill_tells_what_became_of_everything_and_leaves_nothing(short):
    glances = []
    verdict = run(written(short), watch=glances.append)
    facts = verdict.facts
    assert verdict.passed
    assert facts.sent == verdict.received > 50
    assert facts.copies - facts.delivered == verdict.taken_out["dropped: filter:machines"] > 0
    assert (facts.duplicated, verdict.waiting, verdict.lost) == (0, 0, 0)
    assert 0 < facts.first_acceptance_seconds <= facts.backlog_gone_seconds
    phases = list(dict.fromkeys(glance.phase for glance in glances))
    assert phases == ["before the fault", "fault", "after the fault", "recovery"]
    assert facts.most_waiting > 0
    assert left(short) == []


@pytest.mark.parametrize("fault", ["refuse", "reset", 401])
def test_nothing_is_lost_whatever_the_fault(short, fault):
    verdict = run(written(short), replace(PLAN, fault=fault))
    assert (verdict.passed, verdict.lost) == (True, 0)


def test_a_sink_that_hangs_is_outlasted_by_the_time_out_of_the_settings(short):
    sinks = [{**sink, "timeout": "200ms"} for sink in SETTINGS["sinks"]]
    verdict = run(written(short, sinks=sinks), replace(PLAN, fault="timeout"))
    assert (verdict.passed, verdict.lost) == (True, 0)


def test_datagrams_can_be_sent_to_a_listener_that_the_user_does_not_have(short):
    verdict = run(written(short), replace(PLAN, transport="udp"))
    assert (verdict.passed, verdict.facts.transport) == (True, "udp")


def test_everything_that_was_committed_arrives_after_a_kill(short):
    file = written(short, spool={"type": "sqlite", "path": "/nowhere"})
    verdict = run(file, replace(PLAN, kill=True, fault_seconds=1.0))
    assert verdict.passed
    assert verdict.lost == verdict.never_received
    assert verdict.facts.delivered > 0
    assert left(short) == []


def test_a_spool_in_memory_does_not_pass_a_kill(short):
    verdict = run(written(short), replace(PLAN, kill=True, fault_seconds=1.0))
    assert not verdict.passed
    assert verdict.vanished > 0


def test_a_spool_that_is_full_and_drops_does_not_pass(short):
    spool = {"type": "memory", "max_bytes": "64KiB", "when_full": "drop"}
    sinks = [{**sink, "compression": "none"} for sink in SETTINGS["sinks"]]
    verdict = run(written(short, spool=spool, sinks=sinks), replace(PLAN, rate=1000.0))
    assert not verdict.passed
    assert verdict.lost == verdict.given_up["dropped: spool_full"] > 0


def test_a_spool_that_is_full_and_blocks_makes_senders_wait_and_loses_nothing(short):
    spool = {"type": "memory", "max_bytes": "64KiB"}
    sinks = [{**sink, "compression": "none"} for sink in SETTINGS["sinks"]]
    verdict = run(written(short, spool=spool, sinks=sinks), replace(PLAN, rate=1000.0))
    assert verdict.passed
    assert verdict.facts.spool_was_full


def test_what_does_not_arrive_in_time_still_waits(short):
    sinks = [{**sink, "retry": {"initial": "30s", "max": "30s"}} for sink in SETTINGS["sinks"]]
    plan = replace(PLAN, fault="timeout", patience_seconds=0.1)
    verdict = run(written(short, sinks=sinks), plan)
    assert not verdict.passed
    assert (verdict.waiting > 0, verdict.lost) == (True, 0)


def test_an_interrupted_drill_leaves_nothing(short):
    def interrupt(glance):
        if glance.phase in FROM_THE_FAULT_ON:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(written(short), watch=interrupt)
    assert left(short) == []


def test_a_terminated_drill_leaves_nothing(short):
    def terminate(glance):
        if glance.phase in FROM_THE_FAULT_ON:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        run(written(short), watch=terminate)
    assert left(short) == []


def test_settings_that_cannot_be_used_are_told_before_anything_starts(short):
    with pytest.raises(ConfigError, match=r"spool\.type"):
        run(written(short, spool={"type": "paper"}))
    assert left(short) == []
