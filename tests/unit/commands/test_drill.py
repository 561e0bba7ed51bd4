"""The drill on the command line: what it takes, what it shows, and its exit codes."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from collector.cli import app
from collector.drill import course
from collector.drill.daemon import DrillError
from collector.drill.verdict import Facts, judge

FACTS = Facts(
    transport="tcp",
    sent=12000,
    copies=24000,
    delivered=23900,
    duplicated=0,
    most_waiting=9000,
    spool_was_full=False,
    first_acceptance_seconds=0.52,
    backlog_gone_seconds=None,
    killed=False,
    spool_type="sqlite",
)
LEDGER = {
    "received": 12000,
    "copies": 12000,
    "rejected": {},
    "in_memory": 0,
    "spooled": 0,
    "delivered": 23900,
    "dead_lettered": {},
    "dropped": {"filter:noise": 100},
}


@pytest.fixture
def drill(monkeypatch):
    """Run the command with a drill that is over at once; return its result and its plan."""

    def invoke(*arguments, facts=FACTS, ledger=LEDGER, error=None):
        plans = []

        def run(file, plan, *, watch, note):
            plans.append((file, plan))
            watch(course.Glance("fault", 1.0, 10, 5, None))
            note("less room")
            if error is not None:
                raise error
            return judge(facts, ledger)

        monkeypatch.setattr(course, "run", run)
        return CliRunner().invoke(app, ["drill", *arguments]), plans

    return invoke


def test_the_verdict_is_a_table_on_stdout_and_the_rest_on_stderr(drill):
    result, _ = drill()
    assert result.exit_code == 0
    words = [line.split() for line in result.stdout.splitlines()]
    assert ["sent", "12,000", "messages"] in words
    assert ["delivered", "23,900", "of", "24,000", "copies,", "one", "for", "each", "sink"] in words
    assert ["dropped:", "filter:noise", "100"] in words
    assert ["first", "acceptance", "0.5", "s", "after", "the", "end", "of", "the", "fault"] in words
    assert ["backlog", "gone", "-"] in words
    assert words[-1] == ["passed:", "nothing", "is", "lost"]
    assert "less room" in result.stderr


def test_a_drill_that_loses_something_has_exit_code_1_and_says_what(drill):
    result, _ = drill(facts=replace(FACTS, delivered=23000))
    assert result.exit_code == 1
    assert "900 copies of received messages are nowhere" in result.stdout
    assert result.stdout.splitlines()[-1].strip() == "failed"


def test_a_kill_may_cost_what_was_not_committed(drill):
    facts = replace(FACTS, killed=True, delivered=23890)
    result, _ = drill("--kill", facts=facts, ledger={**LEDGER, "received": 11990})
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].strip() == (
        "passed: everything that was committed arrived"
    )


def test_the_verdict_can_be_json(drill):
    result, _ = drill("--format", "json")
    verdict = json.loads(result.stdout)
    assert (verdict["passed"], verdict["sent"], verdict["lost"]) == (True, 12000, 0)


def test_a_drill_is_planned_by_its_options(drill, tmp_path):
    options = ["-c", str(tmp_path), "--sink-status", "refuse", "--for", "5m", "--rate", "5000"]
    _, ((file, plan),) = drill(*options, "--transport", "udp", "--patience", "90s", "--kill")
    assert file == tmp_path
    assert plan == course.Plan("refuse", 300.0, 5000.0, "udp", kill=True, patience_seconds=90.0)


def test_without_options_the_embedded_default_gets_503_for_a_minute(drill, monkeypatch):
    monkeypatch.delenv("COLLECTOR_CONFIG", raising=False)
    _, ((file, plan),) = drill()
    assert file is None
    assert plan == course.Plan(503, 60.0, 200.0, "tcp", kill=False, patience_seconds=300.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sink-status", "200"], "--sink-status '200' is no failure"),
        (["--for", "60"], "--for '60': not a duration"),
        (["--for", "0"], "--for '0': not a duration"),
        (["--patience", "2d"], "--patience '2d': not a duration"),
        (["--rate", "0"], "Invalid value for '--rate'"),
    ],
)
def test_wrong_usage_has_exit_code_2(drill, options, message):
    result, plans = drill(*options)
    assert (result.exit_code, plans) == (2, [])
    assert message in result.stderr


def test_settings_that_cannot_be_used_have_exit_code_2(tmp_path):
    result = CliRunner().invoke(app, ["drill", "-c", str(tmp_path / "missing.yaml")])
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DrillError("the private daemon has ended"), 1, "the private daemon has ended"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_drill_that_does_not_end_says_why(drill, error, code, message):
    result, _ = drill(error=error)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
