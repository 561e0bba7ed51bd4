"""The benchmark as it is called, with a few messages."""

import json

import pytest

from tests.bench import cluster, scaling
from tests.bench.__main__ import main


@pytest.mark.parametrize(
    ("way", "programs"), [("tcp-3", ["collector", "raw"]), ("udp-2000", ["collector"])]
)
def test_the_daemon_is_measured(tmp_path, capsys, way, programs):
    """Nothing is lost, and what was found is printed and written down."""
    report = tmp_path / "report.json"
    command = ["--quick", "--programs", *programs, "--loads", "mixed", "--ways", way]
    few = ["--messages", "300", "--corpus", "100", "--json", str(report), "--show-events"]
    assert main([*command, *few]) == 0
    found = json.loads(report.read_text())
    assert [(run["program"], run["sent"], run["received"]) for run in found["runs"]] == [
        (program, 300, 300) for program in programs
    ]
    assert all(run["cpu_seconds"] > 0 for run in found["runs"])
    assert found["summaries"][0]["cpu_ratio"] == 1
    assert found["machine"]["cores"] >= 1
    printed = capsys.readouterr().out
    assert f"| mixed | {way}" in printed
    assert '"kind":"pipeline_error"' not in printed


def test_what_is_missing_is_said_and_left_out(tmp_path, capsys, monkeypatch):
    """The others are measured without it."""
    monkeypatch.setattr("tests.bench.programs.syslog_ng.find", lambda *_: None)
    few = ["--messages", "100", "--corpus", "50", "--packages", str(tmp_path)]
    command = ["--quick", "--programs", "syslog-ng", "collector", "--loads", "cybereason"]
    assert main([*command, *few]) == 0
    printed = capsys.readouterr().out
    assert "syslog-ng is missing; get it with" in printed
    assert "| collector" in printed


def test_another_worker_is_measured(capsys, monkeypatch):
    """Both ways deliver everything."""
    monkeypatch.setitem(scaling.MESSAGES, "mixed", 100)
    few = ["--rounds", "1", "--corpus", "100"]
    assert scaling.main(["--load", "mixed", "--share", "0", *few]) == 0
    printed = capsys.readouterr().out
    assert printed.count(" 0 lost") == 2
    assert "2 workers, not held back: " in printed


@pytest.mark.slow
def test_a_cluster_is_measured(tmp_path, capsys, in_full):
    """Each part has its share, beside one daemon, and how long events take is said of both."""
    if not in_full:
        pytest.skip("it starts six programs twice: with -m slow; what it runs, other tests run too")
    report = tmp_path / "report.json"
    few = ["--rounds", "1", "--messages", "300", "--corpus", "100", "--json", str(report)]
    steady = ["--rate", "500", "--seconds", "0.3"]
    assert cluster.main(["--loads", "mixed", *few, *steady]) == 0
    single, several = json.loads(report.read_text())["runs"]
    assert (single["received"], several["received"]) == (300, 300)
    assert list(single["parts"]) == ["daemon"]
    assert list(several["parts"]) == ["receiver", "deliverer", "broker that leads", "other brokers"]
    assert all(part["peak_octets"] > 0 for part in several["parts"].values())
    printed = capsys.readouterr().out
    assert "| mixed | jetstream | all |" in printed
    assert "jetstream at 500 events/s: p50" in printed
