"""The soak as it is called, for some seconds."""

import json

import pytest

from tests.bench.soak import main


@pytest.mark.parametrize("workers", [1, 2])
def test_a_daemon_is_watched_under_a_steady_load(tmp_path, capsys, workers):
    """Nothing is lost while the sink fails; of each process it is said how its memory went."""
    report = tmp_path / "report.json"
    command = ["--minutes", "0.08", "--rate", "500", "--corpus", "50", "--faults-every", "1"]
    assert main([*command, "--workers", str(workers), "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["sent"] > 500
    assert found["received"] >= found["sent"]
    assert found["faults"] >= 1
    assert (found["imbalance"], found["left"]) == (0, 0)
    roles = {trend["process"].partition(" ")[0] for trend in found["trends"]}
    assert roles == ({"daemon"} if workers == 1 else {"supervisor", "worker"})
    assert len(found["trends"]) == (1 if workers == 1 else workers + 1)
    assert all(trend["is_flat"] is None and trend["start"] > 0 for trend in found["trends"])
    assert all(len(seen) > 1 for seen in found["samples"].values())
    printed = capsys.readouterr().out
    assert "nothing is lost" in printed
    assert "MiB/min: too short to say" in printed
